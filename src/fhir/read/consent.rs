//! R4 Consent, reduced to what it says about contacting the patient.
//!
//! Most Consents are about research, advance directives or the release of records. Only what names a channel, or what
//! denies or permits everything, is read as a word about contact.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::date::Span;
use super::issues::{Issues, Read};
use super::resource;
use crate::domain::{Channel, PatientId, Purpose, ResourceVersion};
use crate::fhir::{codes, json, reference};

/// Exceptions to exceptions deeper than this are refused; nobody writes them.
const MAX_DEPTH: u8 = 6;

/// What one Consent says about contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactConsent {
    pub version: ResourceVersion,
    pub patient: PatientId,
    /// `status = active`; any other has no effect.
    pub in_force: bool,
    /// The root provision, where it is about contact at all.
    pub provision: Option<Provision>,
}

/// A rule with its exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provision {
    /// `permit` or `deny`; a root may say neither and leave it to its exceptions.
    pub permits: Option<bool>,
    /// Empty means every channel.
    pub channels: Vec<Channel>,
    /// Empty means every purpose.
    pub purposes: Vec<Purpose>,
    pub start: Option<DateTime<Utc>>,
    pub end: Option<DateTime<Utc>>,
    pub exceptions: Vec<Provision>,
}

impl ContactConsent {
    /// Whether it permits (`true`) or denies (`false`) this contact, or has nothing to say. The most specific provision
    /// wins; among equals deny beats permit.
    pub fn says(&self, channel: Channel, purpose: Purpose, now: DateTime<Utc>) -> Option<bool> {
        if !self.in_force {
            return None;
        }
        self.provision.as_ref()?.says(channel, purpose, now)
    }
}

impl Provision {
    fn says(&self, channel: Channel, purpose: Purpose, now: DateTime<Utc>) -> Option<bool> {
        let covers = (self.channels.is_empty() || self.channels.contains(&channel))
            && (self.purposes.is_empty() || self.purposes.contains(&purpose))
            && self.start.is_none_or(|start| start <= now)
            && self.end.is_none_or(|end| now <= end);
        if !covers {
            return None;
        }
        let said: Vec<bool> =
            self.exceptions.iter().filter_map(|exception| exception.says(channel, purpose, now)).collect();
        if said.contains(&false) {
            Some(false)
        } else if said.contains(&true) {
            Some(true)
        } else {
            self.permits
        }
    }
}

/// Reads a Consent. Fatal: wrong type, no id, no patient, an unknown status, an active one that is nested too deep.
pub fn consent(value: &Value) -> Read<ContactConsent> {
    let mut issues = Issues::default();
    issues.resource(value, "Consent");
    let patient = value.get("patient").and_then(reference::patient);
    if patient.is_none() {
        issues.fatal("Consent.patient", "is not a patient of this EHR");
    }
    let in_force = match json::text(value, "status") {
        Some("active") => true,
        Some("draft" | "proposed" | "rejected" | "inactive" | "entered-in-error") => false,
        _ => {
            issues.fatal("Consent.status", "is missing or not a code of the value set");
            false
        }
    };
    let scope = value.get("scope").unwrap_or(&Value::Null);
    let other_matter = matches!(json::code_in(scope, codes::CONSENT_SCOPE), Some("research" | "adr"));
    let provision = value
        .get("provision")
        .filter(|provision| !provision.is_null())
        .and_then(|provision| read_provision(provision, "Consent.provision", 0, other_matter, &mut issues));
    let (Some(version), Some(patient)) = (resource::version_of(value), patient) else {
        return issues.finish(None);
    };
    issues.finish(Some(ContactConsent { version, patient, in_force, provision }))
}

/// `None` where the provision is about something else than contact.
fn read_provision(value: &Value, path: &str, depth: u8, other_matter: bool, issues: &mut Issues) -> Option<Provision> {
    if depth > MAX_DEPTH {
        issues.fatal(path, "is nested too deep");
        return None;
    }
    issues.no_modifiers(value, path);
    let permits = match json::text(value, "type") {
        Some("permit") => Some(true),
        Some("deny") => Some(false),
        None if depth == 0 => None,
        // A word that cannot be read is taken as the one that does no harm.
        _ => {
            issues.note(format!("{path}.type"), "is missing or unknown; read as deny");
            Some(false)
        }
    };
    let named = json::list(value, "code");
    let mut channels: Vec<Channel> =
        named.iter().flat_map(json::codings).flat_map(|(_, code)| channels_of(code)).copied().collect();
    channels.sort_unstable();
    channels.dedup();
    if channels.is_empty() && !named.is_empty() {
        return None;
    }
    let reasons = json::list(value, "purpose");
    let mut purposes: Vec<Purpose> =
        reasons.iter().filter_map(|coding| purpose_of(json::text(coding, "code")?)).collect();
    purposes.dedup();
    if purposes.is_empty() && !reasons.is_empty() {
        return None;
    }
    let narrowed = ["class", "data", "dataPeriod", "securityLabel", "action", "actor"]
        .iter()
        .any(|key| !json::list(value, key).is_empty());
    // What is narrowed to some records or actors speaks of contact only where it names a channel. A permission so
    // narrowed is never widened.
    if channels.is_empty() && (narrowed || (other_matter && depth == 0 && permits.is_some())) {
        return None;
    }
    let permits = permits.filter(|permits| !(*permits && narrowed_data(value)));
    // A denial whose period cannot be read holds for ever; a permission does not hold at all.
    let (span, permits) = match issues.period(value, path) {
        Ok(span) => (span, permits),
        Err(_) => (Span::default(), permits.filter(|permits| !permits)),
    };
    let exceptions = json::list(value, "provision")
        .iter()
        .enumerate()
        .filter_map(|(index, nested)| {
            read_provision(nested, &format!("{path}.provision[{index}]"), depth + 1, other_matter, issues)
        })
        .collect();
    Some(Provision { permits, channels, purposes, start: span.start, end: span.end, exceptions })
}

fn narrowed_data(value: &Value) -> bool {
    ["class", "data", "dataPeriod", "securityLabel"].iter().any(|key| !json::list(value, key).is_empty())
}

/// Channels by our own codes, by `contact-point-system` and by v3-ParticipationMode.
fn channels_of(code: &str) -> &'static [Channel] {
    match code {
        "sms" | "SMSWRIT" | "text" => &[Channel::Sms],
        "email" | "EMAILWRIT" => &[Channel::Email],
        "voice" | "PHONE" => &[Channel::Voice],
        // A telephone takes calls and texts; whoever denies it means both.
        "phone" => &[Channel::Sms, Channel::Voice],
        "pickup" | "ONLINEWRIT" => &[Channel::Pickup],
        "in_person" | "FACE" => &[Channel::InPerson],
        "ELECTRONIC" => &[Channel::Email, Channel::Sms, Channel::Pickup],
        _ => &[],
    }
}

/// v3-ActReason, as far as it is a purpose of ours.
fn purpose_of(code: &str) -> Option<Purpose> {
    match code {
        "TREAT" | "CAREMGT" | "COC" => Some(Purpose::Treatment),
        "HOPERAT" | "OPERAT" => Some(Purpose::Operations),
        "HMARKT" | "MARKT" => Some(Purpose::Marketing),
        _ => None,
    }
}
