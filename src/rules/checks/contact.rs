//! To whom, over which channel, in which language, with how much detail.

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::{
    Address, Channel, ConsentBasis, ContactPoint, ContactSystem, ContactUse, Detail, EmailAddress, Language, OptOut,
    Patient, PhoneNumber, Reason, Recipient, Release, Verdict,
};
use crate::fhir;
use crate::fhir::read::ConsentWord;

use super::super::conditions::Subject;
use super::super::templates::NEUTRAL;
use super::super::{PatientRecord, Settings};
use super::{Case, Findings};

/// Every address on the record of a patient, current or not: what opt-outs are looked up by.
pub fn addresses_of(patient: &Patient, settings: &Settings) -> Vec<Address> {
    let mut addresses: Vec<Address> =
        patient.telecom.iter().filter_map(|point| address(point, &settings.region)).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

fn address(point: &ContactPoint, region: &str) -> Option<Address> {
    let text = point.value.expose();
    match point.system {
        ContactSystem::Email => EmailAddress::parse(text).ok().map(Address::Email),
        ContactSystem::Phone | ContactSystem::Sms => PhoneNumber::parse(text, region).ok().map(Address::Phone),
        _ => None,
    }
}

/// Why a channel was passed over, the weightiest last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    NoProvider,
    NoAddress,
    NoLanguage,
    Unreviewed,
    Sensitive,
    DeadAddress,
    ConsentUnclear,
    ConsentDenied,
    OptedOut,
}

impl Obstacle {
    const fn reason(self) -> Reason {
        match self {
            Self::NoProvider | Self::NoAddress => Reason::NoContactPoint,
            Self::NoLanguage => Reason::NoLanguage,
            Self::Unreviewed => Reason::TranslationUnreviewed,
            Self::Sensitive => Reason::SensitiveContent,
            Self::DeadAddress => Reason::AddressRefused,
            Self::ConsentUnclear => Reason::ConsentUnclear,
            Self::ConsentDenied => Reason::ConsentDenied,
            Self::OptedOut => Reason::OptedOut,
        }
    }

    const fn check(self) -> &'static str {
        match self {
            Self::NoProvider | Self::NoAddress | Self::DeadAddress => "contact_point",
            Self::NoLanguage | Self::Unreviewed => "language",
            Self::Sensitive => "detail",
            Self::ConsentUnclear | Self::ConsentDenied => "consent",
            Self::OptedOut => "opt_out",
        }
    }
}

const CHECKS: [&str; 5] = ["contact_point", "opt_out", "consent", "detail", "language"];

struct Reader<'a> {
    recipient: Recipient,
    telecom: Vec<&'a ContactPoint>,
    languages: &'a [Language],
}

pub(in crate::rules) fn check(case: &Case<'_>, expires_at: DateTime<Utc>, findings: &mut Findings) -> Option<Release> {
    let Some(patient) = case.patient else {
        findings.skip("recipient", "there is no Patient to look at");
        findings.skip("variant", "there is no Patient to look at");
        for name in CHECKS {
            findings.skip(name, "there is no Patient to look at");
        }
        return None;
    };
    let readers = readers(case, &patient, findings);
    let Some(template) = template(case, &patient, findings) else {
        for name in CHECKS {
            findings.skip(name, "no text could be chosen");
        }
        return None;
    };
    let is_restricted = case.rule.rule().sensitive
        || patient.patient.restricted
        || case.resource.is_some_and(|it| fhir::read::is_restricted(it.value));
    if readers.is_empty() {
        for name in CHECKS {
            findings.skip(name, "there is no recipient");
        }
        return None;
    }
    consent_facts(case, findings);
    let mut passed_over = Vec::new();
    for reader in &readers {
        for (channel, detail) in by_rank(&reader.telecom, &case.rule.rule().channels) {
            match route(case, &patient, reader, channel, detail, template, is_restricted) {
                Ok(mut release) => {
                    release.expires_at = expires_at;
                    report(findings, &release, reader, &passed_over, is_restricted);
                    return Some(release);
                }
                Err(obstacle) => passed_over.push((channel, obstacle)),
            }
        }
    }
    let weightiest = passed_over.iter().map(|(_, obstacle)| *obstacle).max().unwrap_or(Obstacle::NoAddress);
    let words: Vec<String> =
        passed_over.iter().map(|(channel, it)| format!("{}: {}", channel.in_words(), it.reason().words())).collect();
    for name in CHECKS {
        if name == weightiest.check() {
            findings.fail(name, words.join(" "), against(case, weightiest, expires_at));
        } else {
            findings.skip(name, "no channel was left");
        }
    }
    None
}

/// A denial that ends in time is waited for; whatever else stands in the way stays.
fn against(case: &Case<'_>, obstacle: Obstacle, expires_at: DateTime<Utc>) -> Verdict {
    let reason = obstacle.reason();
    if obstacle != Obstacle::ConsentDenied {
        return Verdict::Withhold(reason);
    }
    let purpose = case.rule.rule().purpose;
    let denials = case.consents.iter().filter(|it| {
        it.word == ConsentWord::Denies
            && case.rule.rule().channels.iter().any(|(channel, _)| it.covers(purpose, *channel))
    });
    match denials.filter_map(|it| it.until).min() {
        Some(until) if until < expires_at => Verdict::Wait { until, reason },
        _ => Verdict::Withhold(reason),
    }
}

/// What the records say of the rule's channels, each with the version it was read from.
fn consent_facts(case: &Case<'_>, findings: &mut Findings) {
    let rule = case.rule.rule();
    for (channel, _) in &rule.channels {
        for it in case.consents.iter().filter(|it| it.covers(rule.purpose, *channel)) {
            let word = match it.word {
                ConsentWord::Permits => "permitted",
                ConsentWord::Unclear => "unclear",
                ConsentWord::Denies => "denied",
            };
            findings.fact("Consent", format!("{channel} {word}"), it.source.as_ref());
        }
    }
}

/// The patient, or for a minor those who were cleared to stand in.
fn readers<'a>(case: &Case<'a>, patient: &PatientRecord<'a>, findings: &mut Findings) -> Vec<Reader<'a>> {
    let name = "recipient";
    let majority = case.facts.settings.age_of_majority;
    let age = patient.patient.age_on(youngest_date(case));
    if age.is_some_and(|age| age >= majority) {
        findings.pass(name, "the patient is of age");
        return vec![Reader {
            recipient: Recipient::Patient(patient.patient.id.clone()),
            telecom: patient.patient.current_telecom(case.now),
            languages: &patient.patient.languages,
        }];
    }
    let why = if age.is_some() { "the patient is a minor" } else { "the patient's age is not known" };
    if case.rule.rule().sensitive && !case.facts.guardians.is_empty() {
        // What a minor may be treated for without the parents must not reach the parents.
        let words = format!("{why}, and what the rule is about is for nobody else's eyes");
        findings.fail(name, words, Verdict::Withhold(Reason::MinorConfidential));
        return Vec::new();
    }
    if case.facts.guardians.is_empty() {
        let verdict = Verdict::Withhold(Reason::MinorConfidential);
        let words = format!("{why}, and nobody is cleared to stand in");
        if age.is_some() {
            findings.fail(name, words, verdict);
        } else {
            findings.unknown(name, words, verdict);
        }
        return Vec::new();
    }
    findings.pass(name, format!("{why}; {} cleared to stand in", case.facts.guardians.len()));
    case.facts
        .guardians
        .iter()
        .map(|guardian| {
            let mut telecom: Vec<&ContactPoint> =
                guardian.telecom.iter().filter(|point| point.is_current(case.now)).collect();
            telecom.sort_by_key(|point| point.rank.unwrap_or(u32::MAX));
            Reader { recipient: Recipient::RelatedPerson(guardian.id.clone()), telecom, languages: &guardian.languages }
        })
        .collect()
}

/// The earliest date that it can be where the patient is: nobody is of age a day too soon.
fn youngest_date(case: &Case<'_>) -> NaiveDate {
    let zones = case.zones.candidates.iter().map(|it| it.zone).chain(case.facility.zone);
    zones.map(|zone| case.now.with_timezone(&zone).date_naive()).min().unwrap_or(case.now.date_naive())
}

/// The text of the first variant that holds. `None` where that cannot be told; the reason is recorded.
fn template<'a>(case: &Case<'a>, patient: &PatientRecord<'_>, findings: &mut Findings) -> Option<&'a str> {
    let name = "variant";
    let (Some(record), Some(zone)) = (case.resource, case.facility.zone) else {
        findings.skip(name, "there is no resource to look at");
        return case.step.variants.last().map(|it| it.template.as_str());
    };
    let subject = Subject {
        rule: case.rule.rule(),
        resource: record.value,
        patient: patient.value,
        mirror: case.facts.mirror,
        at: case.now,
        zone,
    };
    let compiled = case.rule.conditions().variants.get(case.step_index)?;
    for (variant, when) in case.step.variants.iter().zip(compiled) {
        // A variant that may or may not hold is passed over: the last one says the least.
        match when.as_ref().map_or(Ok(Some(true)), |when| subject.holds(when)) {
            Ok(Some(true)) => {
                findings.pass(name, variant.template.clone());
                return Some(&variant.template);
            }
            Ok(Some(false) | None) => {}
            Err(words) => {
                findings.fail(name, words, Verdict::Withhold(Reason::ConditionFailed));
                return None;
            }
        }
    }
    findings.fail(name, "no variant holds", Verdict::Withhold(Reason::TemplateFailed));
    None
}

fn route(
    case: &Case<'_>,
    patient: &PatientRecord<'_>,
    reader: &Reader<'_>,
    channel: Channel,
    detail: Detail,
    template: &str,
    is_restricted: bool,
) -> Result<Release, Obstacle> {
    let settings = case.facts.settings;
    if !settings.channels.contains(&channel) || !matches!(channel, Channel::Email | Channel::Sms) {
        return Err(Obstacle::NoProvider);
    }
    let basis = consent(case, channel)?;
    let mut addresses = reader
        .telecom
        .iter()
        .filter(|point| carries(channel, point))
        .filter_map(|point| address(point, &settings.region))
        .peekable();
    addresses.peek().ok_or(Obstacle::NoAddress)?;
    let is_dead =
        |address: &Address| case.facts.dead_addresses.iter().any(|(dead, of)| *of == channel && dead == address);
    let mut addresses = addresses.filter(|address| !is_dead(address)).peekable();
    addresses.peek().ok_or(Obstacle::DeadAddress)?;
    let rule = Some(case.rule.id());
    let is_bound = |opt_out: &OptOut, address: &Address| {
        opt_out.patient.as_ref() == Some(&patient.patient.id) || opt_out.address.as_ref() == Some(address)
    };
    let address = addresses
        .find(|address| !case.facts.opt_outs.iter().any(|it| it.forbids(channel, rule) && is_bound(it, address)))
        .ok_or(Obstacle::OptedOut)?;
    let (template, detail) =
        if is_restricted && detail > Detail::Neutral { (NEUTRAL, Detail::Neutral) } else { (template, detail) };
    let templates = case.rule.templates();
    let languages: Vec<String> = if reader.languages.is_empty() {
        vec![settings.default_language.clone()]
    } else {
        reader.languages.iter().map(Language::primary).collect()
    };
    let exists = |language: &str| templates.has(language, channel, template);
    let is_cleared = |language: &str| exists(language) && case.rule.is_cleared(language, case.facts.reviews);
    // Declared by the clinic, and recorded with the decision: never a silent fallback.
    let second = settings.second_language.as_deref();
    let own = languages.iter().map(String::as_str).find(|it| is_cleared(it));
    let Some(language) = own.or(second.filter(|it| is_cleared(it))) else {
        if languages.iter().any(|it| exists(it)) {
            return Err(Obstacle::Unreviewed);
        }
        let has_plain = languages.iter().any(|language| {
            case.step.variants.iter().any(|variant| templates.has(language, channel, &variant.template))
        });
        return Err(if is_restricted && has_plain { Obstacle::Sensitive } else { Obstacle::NoLanguage });
    };
    Ok(Release {
        recipient: reader.recipient.clone(),
        channel,
        address,
        template: template.to_owned(),
        language: language.to_owned(),
        detail,
        basis,
        expires_at: case.reminder.plan.expires_at,
    })
}

/// The rule's channels, the one first that the person's best-ranked contact point serves (R4 ContactPoint.rank: 1 is
/// most preferred, absent comes after all ranked). Where nothing is ranked, the rule's own order stands.
fn by_rank(telecom: &[&ContactPoint], channels: &[(Channel, Detail)]) -> Vec<(Channel, Detail)> {
    let best = |channel: Channel| {
        telecom.iter().filter(|point| carries(channel, point)).filter_map(|point| point.rank).min().unwrap_or(u32::MAX)
    };
    let mut ordered = channels.to_vec();
    ordered.sort_by_key(|(channel, _)| best(*channel));
    ordered
}

/// Any denial wins; a permission is the better basis; else what the patient gave us counts, unless the hospital says no.
fn consent(case: &Case<'_>, channel: Channel) -> Result<ConsentBasis, Obstacle> {
    let purpose = case.rule.rule().purpose;
    match case.consents.iter().filter(|it| it.covers(purpose, channel)).map(|it| it.word).max() {
        Some(ConsentWord::Denies) => Err(Obstacle::ConsentDenied),
        Some(ConsentWord::Unclear) => Err(Obstacle::ConsentUnclear),
        Some(ConsentWord::Permits) => Ok(ConsentBasis::Consent),
        None if case.facts.settings.allow_without_consent => Ok(ConsentBasis::NumberProvided),
        None => Err(Obstacle::ConsentDenied),
    }
}

/// A telephone without a use may be a landline: it gets no text.
fn carries(channel: Channel, point: &ContactPoint) -> bool {
    match channel {
        Channel::Email => point.system == ContactSystem::Email,
        Channel::Sms => {
            point.system == ContactSystem::Sms
                || point.system == ContactSystem::Phone && point.use_ == Some(ContactUse::Mobile)
        }
        Channel::Voice | Channel::Pickup | Channel::InPerson => false,
    }
}

fn report(
    findings: &mut Findings,
    release: &Release,
    reader: &Reader<'_>,
    passed_over: &[(Channel, Obstacle)],
    is_restricted: bool,
) {
    let earlier: Vec<String> = passed_over
        .iter()
        .map(|(channel, it)| format!("; {} passed over: {}", channel.in_words(), it.reason().words()))
        .collect();
    findings.pass(
        "contact_point",
        format!("{} to {}{}", release.channel.in_words(), release.address.expose(), earlier.concat()),
    );
    findings.pass("opt_out", "no opt-out binds the person or this address");
    findings.pass(
        "consent",
        match release.basis {
            ConsentBasis::Consent => "a consent record permits it",
            _ => "no consent record speaks of it; the patient gave this contact",
        },
    );
    findings.pass(
        "detail",
        if is_restricted { "the record is restricted: neutral text" } else { "within what the channel may carry" },
    );
    let reads_it = reader.languages.is_empty() || reader.languages.iter().any(|it| it.primary() == release.language);
    findings.pass(
        "language",
        if reads_it {
            release.language.clone()
        } else {
            format!(
                "{}: the clinic's declared second language, for want of a text in the person's own",
                release.language
            )
        },
    );
}
