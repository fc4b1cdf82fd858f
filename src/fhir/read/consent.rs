//! R4 Consent, reduced to what it says about contacting the patient.
//!
//! Most Consents are about research, advance directives or the release of records. Only what names a channel, or what
//! denies or permits everything, is read as a word about contact. A denial that may be about contact, but whose channel
//! or purpose is told in words or in codes of the hospital's own, is *unclear*: nothing is sent on it, and a person looks.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::date::Span;
use super::issues::{Issues, Read};
use super::resource;
use crate::domain::{Channel, PatientId, Purpose, ResourceVersion};
use crate::fhir::{codes, json, reference};

/// Exceptions to exceptions deeper than this are refused; nobody writes them.
const MAX_DEPTH: u8 = 6;

/// What a Consent says of one contact, the weightiest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsentWord {
    Permits,
    /// It may deny it, and cannot be understood.
    Unclear,
    Denies,
}

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
    /// A root may say nothing itself and leave it to its exceptions.
    pub word: Option<ConsentWord>,
    /// Empty means every channel.
    pub channels: Vec<Channel>,
    /// Empty means every purpose.
    pub purposes: Vec<Purpose>,
    pub start: Option<DateTime<Utc>>,
    pub end: Option<DateTime<Utc>>,
    pub exceptions: Vec<Provision>,
}

impl ContactConsent {
    /// What it says of this contact, if anything. The most specific provision wins; among equals the weightiest word.
    pub fn says(&self, channel: Channel, purpose: Purpose, now: DateTime<Utc>) -> Option<ConsentWord> {
        if !self.in_force {
            return None;
        }
        self.provision.as_ref()?.says(channel, purpose, now)
    }

    /// The next instant at which a period begins or is over, so that it may say something else.
    pub fn changes_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.provision.as_ref().filter(|_| self.in_force)?.changes_at(now)
    }

    /// Whether it holds something that may deny contact and cannot be understood.
    pub fn is_unclear(&self) -> bool {
        self.in_force && self.provision.as_ref().is_some_and(Provision::is_unclear)
    }
}

impl Provision {
    fn says(&self, channel: Channel, purpose: Purpose, now: DateTime<Utc>) -> Option<ConsentWord> {
        let covers = (self.channels.is_empty() || self.channels.contains(&channel))
            && (self.purposes.is_empty() || self.purposes.contains(&purpose))
            && self.start.is_none_or(|start| start <= now)
            && self.end.is_none_or(|end| now <= end);
        if !covers {
            return None;
        }
        self.exceptions.iter().filter_map(|exception| exception.says(channel, purpose, now)).max().or(self.word)
    }

    fn changes_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // The end belongs to the period.
        let over = self.end.and_then(|end| end.checked_add_signed(TimeDelta::seconds(1)));
        let own = [self.start, over].into_iter().flatten().filter(|at| *at > now);
        own.chain(self.exceptions.iter().filter_map(|it| it.changes_at(now))).min()
    }

    fn is_unclear(&self) -> bool {
        self.word == Some(ConsentWord::Unclear) || self.exceptions.iter().any(Self::is_unclear)
    }
}

/// Reads a Consent. Fatal: wrong type, no id, no patient, an unknown status, a modifier that is not understood, an
/// active one that is nested too deep. Of one that is not in force only that is read.
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
        .filter(|provision| in_force && !provision.is_null())
        .and_then(|provision| read_provision(provision, "Consent.provision", 0, other_matter, &mut issues));
    let (Some(version), Some(patient)) = (resource::version_of(value), patient) else {
        return issues.finish(None);
    };
    issues.finish(Some(ContactConsent { version, patient, in_force, provision }))
}

/// `None` where neither the provision nor an exception in it is about contact. `elsewhere`: what stands around it is
/// about another matter, so that only a denial that names a channel counts.
fn read_provision(value: &Value, path: &str, depth: u8, elsewhere: bool, issues: &mut Issues) -> Option<Provision> {
    if depth > MAX_DEPTH {
        issues.fatal(path, "is nested too deep");
        return None;
    }
    issues.no_modifiers(value, path);
    let word = match json::text(value, "type") {
        Some("permit") => Some(ConsentWord::Permits),
        Some("deny") => Some(ConsentWord::Denies),
        None if depth == 0 && !json::present(value, "type") => None,
        // A word that cannot be read is taken as the one that does no harm.
        _ => {
            issues.note(format!("{path}.type"), "is missing or unknown; read as deny");
            Some(ConsentWord::Denies)
        }
    };
    let named = json::list(value, "code");
    let mut channels: Vec<Channel> =
        named.iter().flat_map(json::codings).flat_map(|(_, code)| channels_of(code)).copied().collect();
    channels.sort_unstable();
    channels.dedup();
    let reasons = json::list(value, "purpose");
    let mut purposes: Vec<Purpose> =
        reasons.iter().filter_map(|coding| purpose_of(json::text(coding, "code")?)).collect();
    purposes.dedup();
    let (odd_code, odd_purpose) = (named.iter().any(is_odd), reasons.iter().any(is_odd_coding));
    let denies = word == Some(ConsentWord::Denies) && !elsewhere && !narrowed_data(value);
    let unclear = denies && (odd_code || odd_purpose);
    if unclear {
        let part = if odd_code { "code" } else { "purpose" };
        issues.note(format!("{path}.{part}"), "denies something that is told in no public code");
        // Narrowed to nobody knows what, so it may be anything.
        if odd_code {
            channels.clear();
        }
        if odd_purpose {
            purposes.clear();
        }
    }
    if purposes.is_empty() && !reasons.is_empty() && !(unclear && odd_purpose) {
        return None;
    }
    let narrowed = ["class", "data", "dataPeriod", "securityLabel", "action", "actor"]
        .iter()
        .any(|key| !json::list(value, key).is_empty());
    // What names no channel speaks of contact only where it is not narrowed to some content, records or actors.
    let about_contact = !channels.is_empty() || unclear && odd_code || named.is_empty() && !narrowed && !elsewhere;
    let word = match word.filter(|_| about_contact) {
        Some(ConsentWord::Denies) if unclear => Some(ConsentWord::Unclear),
        // A permission so narrowed is never widened.
        Some(ConsentWord::Permits) if elsewhere || narrowed_data(value) => None,
        word => word,
    };
    // A denial whose period cannot be read holds for ever; a permission does not hold at all.
    let (span, word) = match issues.period(value, path) {
        Ok(span) => (span, word),
        Err(_) => (Span::default(), word.filter(|word| *word != ConsentWord::Permits)),
    };
    let exceptions: Vec<Provision> = json::list(value, "provision")
        .iter()
        .enumerate()
        .filter_map(|(index, nested)| {
            let path = format!("{path}.provision[{index}]");
            read_provision(nested, &path, depth + 1, elsewhere || !about_contact, issues)
        })
        .collect();
    let says = word.is_some() || !exceptions.is_empty();
    says.then_some(Provision { word, channels, purposes, start: span.start, end: span.end, exceptions })
}

fn narrowed_data(value: &Value) -> bool {
    ["class", "data", "dataPeriod", "securityLabel"].iter().any(|key| !json::list(value, key).is_empty())
}

/// Whether nobody but the hospital knows what a concept means: words without a code, or only codes of no public system.
/// What has a code of a public system is understood well enough to know whether it is a channel.
fn is_odd(concept: &Value) -> bool {
    let mut codings = json::list(concept, "coding").iter().peekable();
    codings.peek().is_none() || codings.all(is_odd_coding)
}

fn is_odd_coding(coding: &Value) -> bool {
    let code = json::text(coding, "code");
    let ours = code.is_some_and(|code| !channels_of(code).is_empty() || purpose_of(code).is_some());
    let public = json::text(coding, "system").map(codes::canonical_system).is_some_and(|system| {
        codes::is_known_system(system)
            || ["http://terminology.hl7.org/", "http://hl7.org/fhir/"].iter().any(|base| system.starts_with(base))
    });
    !(ours || public && code.is_some())
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
        "WRITTEN" => &[Channel::Email, Channel::Sms, Channel::Pickup],
        "VERBAL" => &[Channel::Voice, Channel::InPerson],
        "REMOTE" => &[Channel::Email, Channel::Sms, Channel::Voice, Channel::Pickup],
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
