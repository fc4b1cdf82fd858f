//! One patient's resources together, patient after patient.

use std::io::{self, Write};

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::kinds::{Awkward, AwkwardKind as K, kind_of};
use super::person::Person;
use super::script::ScriptEvent;
use super::{bookings, clinical, person, sites};

/// Everything about one patient.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The logical id of the patient.
    pub patient: String,
    /// The Patient first, then what refers to it.
    pub resources: Vec<Value>,
    pub awkward: Vec<Awkward>,
    /// What will happen to this patient in the coming days.
    pub events: Vec<ScriptEvent>,
}

/// Makes charts. Two generators of equal seed and today make equal charts, in any order.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    seed: u64,
    today: NaiveDate,
}

impl Generator {
    pub fn new(seed: u64, today: NaiveDate) -> Self {
        Self { seed, today }
    }

    /// Organization, locations and practitioners.
    pub fn sites(&self) -> Vec<Value> {
        sites::sites()
    }

    /// The charts of the first `patients` patients, made one at a time.
    pub fn charts(self, patients: u32) -> impl Iterator<Item = Chart> {
        (0..patients).map(move |index| self.chart(index))
    }

    /// The chart of one patient; the first is 0.
    pub fn chart(&self, index: u32) -> Chart {
        let kind = kind_of(index);
        let person = person::person(self.seed, index, self.today, kind);
        let (past, condition) = clinical::history(self.seed, index, self.today, &person, kind);
        let bookings = bookings::bookings(self.seed, index, self.today, &person, kind);
        let mut resources = vec![person.resource.clone()];
        resources.extend(past);
        resources.extend(bookings.appointments);
        let mut shown = condition.or(bookings.shown);
        match kind {
            Some(K::Merged | K::SharedMobile) => shown = Some(format!("Patient/{}", person::id(index - 1))),
            Some(K::Minor | K::Adolescent) => {
                let guardian = guardian(index, &person, kind);
                shown = guardian["id"].as_str().map(|id| format!("RelatedPerson/{id}"));
                resources.push(guardian);
            }
            Some(
                kind @ (K::ConsentDeniesSms
                | K::ConsentDeniesAll
                | K::ConsentDenialOver
                | K::ConsentDenialWithdrawn
                | K::ConsentForResearch
                | K::ConsentUnclear
                | K::ConsentUnreadable),
            ) => {
                let consent = consent(&person, self.today, kind);
                shown = consent["id"].as_str().map(|id| format!("Consent/{id}"));
                resources.push(consent);
            }
            _ => {}
        }
        let awkward =
            kind.map(|kind| Awkward { kind, patient: person.id.clone(), resource: shown }).into_iter().collect();
        Chart { patient: person.id, resources, awkward, events: bookings.events }
    }
}

fn guardian(index: u32, child: &Person, kind: Option<K>) -> Value {
    let telecom = if kind == Some(K::Minor) {
        // The child has no number of its own.
        json!([{"system": "phone", "value": super::places::mobile(index), "use": "mobile", "rank": 1}])
    } else {
        json!([{"system": "email", "value": format!("guardian.{}@example.org", index + 1), "use": "home"}])
    };
    json!({
        "resourceType": "RelatedPerson", "id": format!("{}-g1", child.id), "active": true,
        "patient": {"reference": format!("Patient/{}", child.id)},
        "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH", "display": "mother"},
                                     {"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD", "display": "guardian"}]}],
        "name": [{"use": "official", "family": child.family, "given": ["Alma"]}],
        "telecom": telecom,
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}, "preferred": true}]
    })
}

fn consent(person: &Person, today: NaiveDate, kind: K) -> Value {
    let mut provision = json!({"type": "deny"});
    match kind {
        K::ConsentDeniesSms => {
            provision["code"] = json!([{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode", "code": "SMSWRIT"}], "text": "SMS"}]);
        }
        K::ConsentDenialOver => {
            let (start, end) = (today - chrono::Days::new(120), today - chrono::Days::new(30));
            provision["period"] = json!({"start": start.to_string(), "end": end.to_string()});
        }
        K::ConsentUnclear => provision["code"] = json!([{"text": "No messages to the mobile"}]),
        _ => {}
    }
    let status = match kind {
        K::ConsentDenialWithdrawn => "inactive",
        K::ConsentUnreadable => "on-file",
        _ => "active",
    };
    let scope = if kind == K::ConsentForResearch { "research" } else { "patient-privacy" };
    json!({
        "resourceType": "Consent", "id": format!("{}-k1", person.id), "status": status,
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": scope}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0", "display": "Consent Document"}]}],
        "patient": {"reference": format!("Patient/{}", person.id)},
        "dateTime": (today - chrono::Days::new(120)).to_string(),
        "organization": [{"reference": "Organization/org-main"}],
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]},
        "provision": provision
    })
}

/// Writes sites and charts as NDJSON, one resource a line, and says how many lines.
///
/// # Errors
/// When `out` fails.
pub fn write_ndjson(out: &mut impl Write, seed: u64, today: NaiveDate, patients: u32) -> io::Result<u64> {
    let generator = Generator::new(seed, today);
    let mut lines = 0;
    let charts = generator.charts(patients).flat_map(|chart| chart.resources);
    for resource in generator.sites().into_iter().chain(charts) {
        serde_json::to_writer(&mut *out, &resource).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        lines += 1;
    }
    Ok(lines)
}
