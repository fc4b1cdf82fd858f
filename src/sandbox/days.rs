//! The coming days: clerks move and cancel, patients come or do not come, some answer texts. Each thing happens once.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::ehr::{Archive, Found};
use super::generator::{Action, ScriptEvent};
use super::phone::Text;

/// What has not happened yet.
#[derive(Debug, Default)]
pub struct Script {
    /// Whether time passes for appointments.
    alive: bool,
    pending: Mutex<Vec<ScriptEvent>>,
}

impl Script {
    /// A script that is not `alive` never does anything by itself; without `patients_reply` nobody answers texts.
    pub fn new(events: Vec<ScriptEvent>, alive: bool, patients_reply: bool) -> Self {
        let answers = |event: &ScriptEvent| matches!(event.action, Action::AnswerText { .. });
        let pending = events.into_iter().filter(|event| if answers(event) { patients_reply } else { alive }).collect();
        Self { alive, pending: Mutex::new(pending) }
    }

    /// Does at the EHR what is due by `now`; says how many resources changed.
    pub fn happen(&self, archive: &Archive, now: DateTime<Utc>) -> usize {
        let due = |event: &ScriptEvent| event.at <= now && !matches!(event.action, Action::AnswerText { .. });
        let mut events: Vec<ScriptEvent> = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.extract_if(.., |event| due(event)).collect()
        };
        events.sort_by_key(|event| event.at);
        let changed: usize = events.into_iter().map(|event| act(archive, event.action)).sum();
        changed + if self.alive { pass(archive, now) } else { 0 }
    }

    /// Who answers which text by `now`, each once: (the patient's number, the hospital's number, what is written).
    pub fn answers(&self, texts: &[Text], now: DateTime<Utc>) -> Vec<(String, String, String)> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Vec::new();
        pending.retain(|event| {
            let Action::AnswerText { number, body, after } = &event.action else { return true };
            let read =
                |text: &&Text| text.direction == "outbound-api" && text.to == *number && text.status == "delivered";
            match texts.iter().find(read) {
                Some(text) if text.updated + *after <= now => {
                    out.push((number.clone(), text.from.clone(), body.clone()));
                    false
                }
                _ => true,
            }
        });
        out
    }
}

fn store(archive: &Archive, appointment: Value) -> usize {
    let id = appointment["id"].as_str().unwrap_or_default().to_owned();
    usize::from(archive.put("Appointment", &id, appointment, None).is_ok())
}

/// Changes an appointment that is still booked.
fn change(archive: &Archive, id: &str, how: impl FnOnce(&mut Value)) -> usize {
    let Found::Here(version) = archive.read("Appointment", id) else { return 0 };
    if version.body()["status"] != "booked" {
        return 0;
    }
    let mut appointment = version.body().clone();
    how(&mut appointment);
    store(archive, appointment)
}

fn cancel(appointment: &mut Value) {
    appointment["status"] = json!("cancelled");
    appointment["cancelationReason"] = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": "pat"}]});
}

fn act(archive: &Archive, action: Action) -> usize {
    match action {
        Action::Reschedule { appointment, start, end } => change(archive, &appointment, |appointment| {
            appointment["start"] = json!(start);
            appointment["end"] = json!(end);
        }),
        Action::Cancel { appointment } => change(archive, &appointment, cancel),
        Action::CancelAndRebook { appointment, rebooked } => {
            let cancelled = change(archive, &appointment, cancel);
            if cancelled == 0 { 0 } else { cancelled + store(archive, rebooked) }
        }
        Action::Book { appointment } => store(archive, appointment),
        Action::AnswerText { .. } => 0,
    }
}

/// Booked appointments whose time has come: one in nine patients does not show up, the others arrive and are seen.
fn pass(archive: &Archive, now: DateTime<Utc>) -> usize {
    let instant = |value: &Value| {
        value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok()).map(|at| at.with_timezone(&Utc))
    };
    let mut changed = 0;
    for version in archive
        .filter("Appointment", |appointment| matches!(appointment["status"].as_str(), Some("booked" | "arrived")))
    {
        let appointment = version.body();
        let Some(start) = instant(&appointment["start"]) else { continue };
        let end = instant(&appointment["end"]).filter(|end| *end > start).unwrap_or(start + Duration::minutes(30));
        let stays_away =
            version.id().bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 9 == 0;
        let status = if stays_away {
            if now < start + Duration::minutes(30) {
                continue;
            }
            "noshow"
        } else if now >= end {
            "fulfilled"
        } else if now >= start - Duration::minutes(10) {
            "arrived"
        } else {
            continue;
        };
        if appointment["status"] == status || gone(archive, appointment) {
            continue;
        }
        let mut next = appointment.clone();
        next["status"] = json!(status);
        changed += store(archive, next);
    }
    changed
}

/// Whether the appointment's patient is dead, or nobody knows whose it is.
fn gone(archive: &Archive, appointment: &Value) -> bool {
    let participants = appointment["participant"].as_array().map(Vec::as_slice).unwrap_or_default();
    let patient = participants
        .iter()
        .find_map(|participant| participant["actor"]["reference"].as_str()?.strip_prefix("Patient/"));
    match patient.map(|id| archive.read("Patient", id)) {
        Some(Found::Here(version)) => {
            version.body()["deceasedBoolean"] == true || !version.body()["deceasedDateTime"].is_null()
        }
        _ => true,
    }
}
