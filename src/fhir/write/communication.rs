//! R4 Communication: the record of a message in the hospital's own system. One for each message, and one for each
//! reply; the gateway's identifier makes a repeated write find the first.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::domain::{
    Channel, MessageState, PatientId, Phi, Recipient, ResourceKey, ResourceType, RuleId, RuleVersionId,
};
use crate::fhir::codes;

/// What a Communication is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommunicationFacts {
    /// Public base address of this gateway, without a slash at the end.
    pub gateway: String,
    /// Id of the message or of the reply; opaque.
    pub outreach_id: String,
    pub rule: Option<(RuleId, RuleVersionId)>,
    pub category: Category,
    pub channel: Channel,
    pub subject: PatientId,
    /// What it was about. Conditions and observations become `reasonReference`, everything else `about`.
    pub about: Vec<ResourceKey>,
    /// Id of the hospital's Organization at this EHR, where it is known: the sender of a message.
    pub organization: Option<String>,
    pub course: Course,
    /// For an outbound message a neutral line; for a reply the person's own words.
    pub text: Phi<String>,
    /// Attempts and provider codes, without PHI, each with its time.
    pub notes: Vec<(DateTime<Utc>, String)>,
}

/// `T:communication-category`, as far as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    Reminder,
    Notification,
}

/// Which way it went, and how far it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    ToPerson {
        recipient: Recipient,
        state: MessageState,
        /// No further receipt is expected: what is on its way counts as completed, without `received`.
        closed: bool,
        not_done: Option<NotDone>,
        sent: Option<DateTime<Utc>>,
        received: Option<DateTime<Utc>>,
    },
    FromPerson {
        /// Id at this EHR of the Communication that was answered, where there is one.
        in_response_to: Option<String>,
        received: DateTime<Utc>,
    },
}

/// Why a message did not reach the person (`T:communication-not-done-reason`, or words where it has no code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDone {
    OptedOut,
    InvalidAddress,
    Unreachable,
    SystemError,
    Expired,
    Unknown,
}

/// The identifier system under which a gateway's messages are found again.
pub fn outreach_system(gateway: &str) -> String {
    format!("{}/fhir/sid/outreach-id", gateway.trim_end_matches('/'))
}

/// Builds the resource. It satisfies [`super::check_profile`] for all facts that can be written down.
pub fn communication(facts: &CommunicationFacts) -> Value {
    let patient = reference(&format!("Patient/{}", facts.subject));
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("resourceType", json!("Communication"));
    put("identifier", json!([{"system": outreach_system(&facts.gateway), "value": facts.outreach_id}]));
    if let Some((rule, version)) = &facts.rule {
        let base = facts.gateway.trim_end_matches('/');
        put("instantiatesUri", json!([format!("{base}/PlanDefinition/{rule}|{version}")]));
    }
    if let Course::FromPerson { in_response_to: Some(id), .. } = &facts.course {
        put("inResponseTo", json!([reference(&format!("Communication/{id}"))]));
    }
    put("status", json!(status(&facts.course)));
    if let Some(reason) = status_reason(facts) {
        put("statusReason", reason);
    }
    put("category", json!([coded(codes::COMMUNICATION_CATEGORY, facts.category.code())]));
    put("medium", json!([medium(facts.channel)]));
    put("subject", patient.clone());
    let (reasons, about): (Vec<&ResourceKey>, Vec<&ResourceKey>) = facts
        .about
        .iter()
        .partition(|key| matches!(key.resource_type, ResourceType::Condition | ResourceType::Observation));
    if facts.category == Category::Reminder && about.iter().any(|key| key.resource_type == ResourceType::Appointment) {
        put("topic", coded(codes::COMMUNICATION_TOPIC, "appointment-reminder"));
    }
    if !about.is_empty() {
        put("about", about.iter().map(|key| reference(&key.to_string())).collect());
    }
    match &facts.course {
        Course::ToPerson { recipient, sent, received, .. } => {
            for (key, at) in [("sent", sent), ("received", received)] {
                if let Some(at) = at {
                    put(key, json!(moment(*at)));
                }
            }
            put(
                "recipient",
                json!([match recipient {
                    Recipient::Patient(id) => reference(&format!("Patient/{id}")),
                    Recipient::RelatedPerson(id) => reference(&format!("RelatedPerson/{id}")),
                }]),
            );
            if let Some(id) = &facts.organization {
                put("sender", reference(&format!("Organization/{id}")));
            }
        }
        Course::FromPerson { received, .. } => {
            put("received", json!(moment(*received)));
            put("sender", patient);
        }
    }
    if !reasons.is_empty() {
        put("reasonReference", reasons.iter().map(|key| reference(&key.to_string())).collect());
    }
    let text = facts.text.expose().trim();
    if !text.is_empty() {
        put("payload", json!([{"contentString": text}]));
    }
    if !facts.notes.is_empty() {
        put("note", facts.notes.iter().map(|(at, text)| json!({"time": moment(*at), "text": text})).collect());
    }
    Value::Object(out)
}

impl Category {
    const fn code(self) -> &'static str {
        match self {
            Self::Reminder => "reminder",
            Self::Notification => "notification",
        }
    }
}

fn status(course: &Course) -> &'static str {
    let Course::ToPerson { state, closed, .. } = course else {
        return "completed";
    };
    match state {
        MessageState::OnItsWay if *closed => "completed",
        MessageState::Queued | MessageState::OnItsWay => "in-progress",
        MessageState::Delivered | MessageState::Read => "completed",
        MessageState::Failed | MessageState::Expired => "not-done",
        MessageState::Unknown => "unknown",
        MessageState::Cancelled => "stopped",
    }
}

fn status_reason(facts: &CommunicationFacts) -> Option<Value> {
    let Course::ToPerson { state, not_done, .. } = &facts.course else {
        return None;
    };
    let reason = match state {
        MessageState::Failed => not_done.unwrap_or(NotDone::Unknown),
        MessageState::Expired => not_done.unwrap_or(NotDone::Expired),
        _ => return None,
    };
    let code = match reason {
        NotDone::OptedOut => "patient-objection",
        NotDone::InvalidAddress if matches!(facts.channel, Channel::Sms | Channel::Voice) => "invalid-phone-number",
        NotDone::InvalidAddress => return Some(json!({"text": "invalid address"})),
        NotDone::Unreachable => "recipient-unavailable",
        NotDone::SystemError => "system-error",
        NotDone::Expired => return Some(json!({"text": "its time was over before it could be sent"})),
        NotDone::Unknown => "unknown",
    };
    Some(coded(codes::COMMUNICATION_NOT_DONE_REASON, code))
}

/// SMSWRIT came to the code system after R4, and an R4 validator refuses it; so a text is ELECTRONIC, in words "SMS".
fn medium(channel: Channel) -> Value {
    let (code, text) = match channel {
        Channel::Email => ("EMAILWRIT", "Email"),
        Channel::Sms => ("ELECTRONIC", "SMS"),
        Channel::Voice => ("PHONE", "Call"),
        Channel::Pickup => ("ONLINEWRIT", "Secure page"),
        Channel::InPerson => ("FACE", "In person"),
    };
    let mut medium = coded(codes::PARTICIPATION_MODE, code);
    medium["text"] = json!(text);
    medium
}

fn coded(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

fn reference(target: &str) -> Value {
    json!({ "reference": target })
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
