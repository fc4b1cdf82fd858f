//! What a vendor's server says no to, before and after a search has run, and on a create.

use serde_json::{Value, json};

use super::outcome::{coded, refuse, refuse_coded};
use super::personality::{Dialect, Offer};
use super::search::{Kind, Query};
use super::server::Ehr;
use crate::sandbox::http::{Reply, Request};

/// The parameter by which athenahealth chooses a practice.
const PRACTICE: &str = "ah-practice";

type Fields = Vec<(String, String)>;

/// Takes out of a search what is no search parameter of FHIR: the practice that athenahealth needs on each search.
pub fn practice(ehr: &Ehr, fields: Fields) -> Result<(Fields, Fields), Reply> {
    if ehr.personality.dialect != Dialect::Athena {
        return Ok((fields, Vec::new()));
    }
    let (practice, rest): (Fields, Fields) = fields.into_iter().partition(|(name, _)| name == PRACTICE);
    if practice.is_empty() {
        return Err(refuse(400, "required", "a search needs ah-practice"));
    }
    Ok((rest, practice))
}

/// Whether this vendor runs such a search.
pub fn of_question(ehr: &Ehr, request: &Request, offer: Offer, query: &Query) -> Option<Reply> {
    let given: Vec<&str> = query.criteria.iter().map(|it| it.name.as_str()).collect();
    match ehr.personality.dialect {
        Dialect::Oracle => {
            let accept = request.header("accept").unwrap_or("*/*");
            if !accept.contains("json") && !accept.contains("*/*") {
                return Some(refuse(406, "not-supported", "only JSON is offered"));
            }
            if let Some(reply) = oracle_dates(query, &given) {
                return Some(reply);
            }
        }
        Dialect::Epic => {
            let refused = ["ne", "sa", "eb", "ap"];
            let dates = query.criteria.iter().filter(|it| it.param.kind == Kind::Date);
            if dates.flat_map(|it| &it.values).any(|value| refused.iter().any(|prefix| value.starts_with(prefix))) {
                return Some(refuse(400, "invalid", "dates are compared by eq, lt, le, gt and ge only"));
            }
        }
        Dialect::Hapi | Dialect::Athena => {}
    }
    if offer.search.is_answered_by(&given) {
        return None;
    }
    let text = format!("a search of {} needs more parameters than {given:?}", query.kind);
    Some(match ehr.personality.dialect {
        Dialect::Epic => refuse_coded(400, "required", "4111", &text),
        _ => refuse(400, "required", &text),
    })
}

fn oracle_dates(query: &Query, given: &[&str]) -> Option<Reply> {
    let lists = query.understood.iter().filter(|(_, value)| value.contains(',')).count();
    if lists > 1 {
        return Some(refuse(400, "invalid", "only one parameter may have a list of values"));
    }
    let dates = || query.criteria.iter().filter(|it| it.name == "date").flat_map(|it| &it.values);
    let timed = |value: &String| (value.starts_with("ge") || value.starts_with("lt")) && value.contains('T');
    if query.kind == "Appointment" && !dates().all(timed) {
        return Some(refuse(400, "invalid", "date needs ge or lt, and a time"));
    }
    let narrow = matches!(query.kind.as_str(), "Procedure" | "Immunization" | "Observation");
    (narrow && given.contains(&"date") && given.contains(&"_lastUpdated"))
        .then(|| refuse(400, "invalid", "date and _lastUpdated cannot be combined"))
}

/// Whether the answer is more than this vendor gives.
pub fn of_answer(ehr: &Ehr, kind: &str, matches: usize) -> Option<Reply> {
    match ehr.personality.dialect {
        Dialect::Epic if kind == "Patient" && matches > 100 => {
            Some(refuse_coded(400, "too-costly", "4127", "more than 100 patients match"))
        }
        Dialect::Oracle if kind == "Patient" && matches > 1000 => {
            Some(refuse(422, "too-costly", "more than 1000 patients match"))
        }
        _ => None,
    }
}

/// What a vendor adds to the first page, besides resources.
pub fn remarks(ehr: &Ehr, ignored: &[String], matches: usize) -> Vec<Value> {
    let mut remarks = Vec::new();
    let epic = ehr.personality.dialect == Dialect::Epic;
    if !ignored.is_empty() {
        let text = format!("these parameters were ignored: {}", ignored.join(", "));
        remarks.push(coded("warning", "not-supported", epic.then_some("4122"), &text));
    }
    if matches == 0 && epic {
        remarks.push(coded("warning", "processing", Some("4101"), "the search found nothing"));
    }
    remarks.into_iter().map(|it| json!({"resource": it, "search": {"mode": "outcome"}})).collect()
}

/// A continuation that is over.
pub fn expired(ehr: &Ehr) -> Reply {
    let text = "this search has expired: start it again";
    match ehr.personality.dialect {
        Dialect::Epic => refuse_coded(400, "processing", "4113", text),
        _ => refuse(410, "not-found", text),
    }
}

/// Whether this vendor takes such a resource.
pub fn of_create(ehr: &Ehr, kind: &str, resource: &Value) -> Option<Reply> {
    if ehr.personality.dialect != Dialect::Oracle {
        return None;
    }
    let problem = match kind {
        "Communication" => staff_notice(resource),
        "DocumentReference" => strict_note(resource),
        _ => None,
    };
    problem.map(|text| refuse(422, "business-rule", text))
}

/// Oracle's Communication is a message to staff.
fn staff_notice(resource: &Value) -> Option<&'static str> {
    let to_staff = |it: &Value| {
        let target = it["reference"].as_str().unwrap_or_default();
        target.starts_with("Practitioner/") || target.starts_with("Group/")
    };
    let recipients = resource["recipient"].as_array().map(Vec::as_slice).unwrap_or_default();
    let payload = resource["payload"].as_array().map(Vec::as_slice).unwrap_or_default();
    if resource["status"] != "completed" {
        Some("status must be completed")
    } else if recipients.is_empty() || !recipients.iter().all(to_staff) {
        Some("recipient must be a Practitioner or a Group")
    } else if !to_staff(&resource["sender"]) {
        Some("sender must be a Practitioner")
    } else if payload.len() != 1 || !payload[0]["contentAttachment"]["data"].is_string() {
        Some("payload must be exactly one contentAttachment")
    } else if ["identifier", "medium", "sent", "about", "basedOn"].iter().any(|name| resource.get(name).is_some()) {
        Some("identifier, medium, sent, about and basedOn are not taken")
    } else {
        None
    }
}

/// A clinical note is strict XHTML.
fn strict_note(resource: &Value) -> Option<&'static str> {
    use base64::Engine as _;
    let attachment = &resource["content"][0]["attachment"];
    let data = attachment["data"].as_str().unwrap_or_default();
    let text = base64::engine::general_purpose::STANDARD.decode(data).unwrap_or_default();
    let text = String::from_utf8(text).unwrap_or_default();
    let type_ = attachment["contentType"].as_str().unwrap_or_default();
    if !type_.starts_with("application/xhtml+xml") {
        Some("a note must be application/xhtml+xml")
    } else if !text.trim_start().starts_with("<?xml") && !text.contains("xmlns=\"http://www.w3.org/1999/xhtml\"") {
        Some("a note must be strict XHTML")
    } else if !resource["subject"]["reference"].is_string() || resource["status"] != "current" {
        Some("a note must be current and have a subject")
    } else {
        None
    }
}
