//! One patient: who they are, how they can be reached, which rules apply, and everything that happened.

use askama::Template;

use super::event_words::{EventLine, who_text};
use super::names::{full_name, patient_address, zones};
use super::titles::Titles;
use crate::domain::{
    Address, ContactSystem, Deceased, EhrId, EmailAddress, EnrolmentState, EventKind, OptOut, OptOutScope, Patient,
    PatientId, PatientStatus, PhoneNumber, Reason, Role, ZoneSource,
};
use crate::fhir::read;
use crate::pull::{self, Mode, PullOptions};
use crate::rules::{Explanation, NotApplicable, Zones};
use crate::store::{EventCursor, EventFilter, MessageFilter};
use crate::web::access::viewed;
use crate::web::answer::{Answer, page, what_was_done};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{
    Badge, Choice, address, channel_word, code_words, language_words, message_badge, moment, reminder_badge,
};

/// Events of one page of the timeline.
const EVENTS: u64 = 30;

struct Reach {
    system: &'static str,
    value: String,
    use_: String,
    current: bool,
    opted_out: bool,
}

struct RuleRow {
    title: String,
    action: String,
    badge: Badge,
    note: String,
    on: bool,
}

struct WhyNot {
    rule: String,
    step: String,
    words: String,
}

struct OptOutRow {
    scope: String,
    address: String,
    source: String,
    words: String,
    at: String,
}

struct Item {
    href: String,
    at: String,
    what: String,
    badge: Badge,
    reason: &'static str,
}

#[derive(Template)]
#[template(path = "patient.html")]
struct PatientPage {
    shell: Shell,
    home: String,
    done: Option<&'static str>,
    status: Badge,
    born: String,
    mrn: String,
    languages: String,
    interpreter: bool,
    restricted: bool,
    zones: Vec<String>,
    zones_open: bool,
    reach: Vec<Reach>,
    rules: Vec<RuleRow>,
    can_switch: bool,
    can_pack: bool,
    tomorrow: String,
    opt_outs: Vec<OptOutRow>,
    opt_out_scopes: Vec<Choice>,
    opt_out_addresses: Vec<Choice>,
    choices: Vec<String>,
    why_not: Vec<WhyNot>,
    why_not_problem: Option<String>,
    reminders: Vec<Item>,
    messages: Vec<Item>,
    events: Vec<EventLine>,
    older: Option<String>,
    first: Option<String>,
}

/// A patient of this gateway, read from the mirror.
pub async fn known(call: &Call) -> Result<(EhrId, PatientId, Patient), WebError> {
    let key = (EhrId::new(call.path("ehr")), PatientId::new(call.path("patient")));
    let mut found = call.state.view().patient_resources(&[key.clone()].into()).await?;
    let body = found.remove(&key).ok_or(WebError::NotFound)?;
    let patient = read::patient(&body, call.state.now()).value.ok_or(WebError::NotFound)?;
    Ok((key.0, key.1, patient))
}

/// Addresses of the record that can be sent to.
pub fn addresses(call: &Call, patient: &Patient) -> Vec<Address> {
    let region = &call.state.settings.organisation.region;
    let mut addresses: Vec<Address> = Vec::new();
    for point in &patient.telecom {
        let text = point.value.expose();
        let address = match point.system {
            ContactSystem::Email => EmailAddress::parse(text).ok().map(Address::Email),
            ContactSystem::Phone | ContactSystem::Sms => PhoneNumber::parse(text, region).ok().map(Address::Phone),
            _ => None,
        };
        addresses.extend(address.filter(|address| !addresses.contains(address)));
    }
    addresses
}

/// `GET /patients/{ehr}/{patient}`
pub async fn patient(call: Call) -> Answer {
    let (ehr, id, patient) = known(&call).await?;
    viewed(&call, "/patients/{ehr}/{patient}", [(ehr.clone(), id.clone())].into()).await?;
    let (view, zone, now) = (call.state.view(), call.state.zone(), call.state.now());
    let home = patient_address(&ehr, &id);
    let live = view.live_rules().await?;
    let titles = Titles::of_rules(&live);
    let addresses = addresses(&call, &patient);
    let mut opt_outs = view.opt_outs_for(&ehr, &[(id.clone(), addresses.clone())]).await?;
    let opt_outs = opt_outs.remove(&id).unwrap_or_default();

    let before = call.query("before").parse().ok();
    let filter = EventFilter {
        // Who looked is for compliance to ask; here it would hide what happened.
        kinds: EventKind::ALL.iter().copied().filter(|kind| *kind != EventKind::PatientViewed).collect(),
        ehr: Some(ehr.clone()),
        patient: Some(id.clone()),
        before,
        limit: EVENTS + 1,
        ..EventFilter::default()
    };
    let mut events = view.events(&filter).await?;
    let older = (events.len() as u64 > EVENTS).then(|| {
        events.truncate(EVENTS as usize);
        address(
            &home,
            &[("before", &events.last().map(|event| EventCursor::of(event).to_string()).unwrap_or_default())],
        )
    });

    let mut reminders =
        view.reminders_of_patients(&ehr, std::slice::from_ref(&id)).await?.remove(&id).unwrap_or_default();
    reminders.sort_by_key(|it| std::cmp::Reverse(it.plan.due_at));
    let message_filter =
        MessageFilter { patient: Some((ehr.clone(), id.clone())), limit: 10, ..MessageFilter::default() };
    let messages = view.list_messages(&message_filter).await?;
    let evidence = zones(&call, &patient);
    let choices = view.choices_of(&ehr, std::slice::from_ref(&id)).await?;
    let choices = choices.iter().map(|it| {
        let about = it.occasion.as_str().split('@').next().unwrap_or_default().to_owned();
        format!("{about}: confirmed, and asked to hear no more about it ({}, {})", it.source, moment(it.at, zone))
    });
    let choices = choices.collect();
    let (why_not, why_not_problem) = why_not(&call, &ehr, &id).await;
    let tomorrow = now.with_timezone(&zone).date_naive().succ_opt().unwrap_or_default();
    page(&PatientPage {
        shell: Shell::of(&call, full_name(&patient), "/patients").await?,
        done: done_words(&what_was_done(&call.request)),
        status: status_badge(&patient),
        born: born(&call, &patient),
        mrn: patient.mrn.iter().map(|(_, value)| value.expose().as_str()).collect::<Vec<_>>().join(", "),
        languages: patient.languages.iter().map(|it| language_words(&it.tag)).collect::<Vec<_>>().join(", "),
        interpreter: patient.interpreter_required,
        restricted: patient.restricted,
        zones: zone_lines(&evidence),
        zones_open: evidence.is_resolved(),
        reach: reach(&call, &patient, &opt_outs),
        rules: rule_rows(&call, &ehr, &id, &live, &home).await?,
        can_switch: call.has(Role::Clinician),
        can_pack: call.has(Role::Compliance),
        tomorrow: tomorrow.to_string(),
        opt_outs: opt_outs.iter().map(|it| opt_out_row(it, &titles, &call)).collect(),
        opt_out_scopes: scope_choices(&live),
        opt_out_addresses: address_choices(&addresses),
        choices,
        why_not,
        why_not_problem,
        reminders: reminders
            .into_iter()
            .take(20)
            .map(|it| Item {
                href: format!("/reminders/{}", it.id),
                at: moment(it.plan.due_at, zone),
                what: format!("{}: {}", titles.title(&it.plan.rule), code_words(it.plan.step.as_str()).to_lowercase()),
                badge: reminder_badge(it.state),
                reason: it.reason.map_or("", Reason::words),
            })
            .collect(),
        messages: messages
            .into_iter()
            .map(|it| Item {
                href: format!("/messages/{}", it.id),
                at: moment(it.created_at, zone),
                what: channel_word(it.channel).to_owned(),
                badge: message_badge(it.state),
                reason: it.reason.map_or("", Reason::words),
            })
            .collect(),
        events: events.into_iter().map(|event| EventLine::for_care(event, &titles, zone)).collect(),
        older,
        first: before.map(|_: EventCursor| home.clone()),
        home,
    })
}

/// What no rule reminds of now, and why: the silent decisions.
async fn why_not(call: &Call, ehr: &EhrId, patient: &PatientId) -> (Vec<WhyNot>, Option<String>) {
    let options = PullOptions::new(&call.state.settings, Mode::Increment, "page");
    match Box::pin(pull::trace(&call.state.store, &call.state.tenant, ehr, patient, &options)).await {
        Ok(traces) => {
            let rows = traces.into_iter().flat_map(|trace| {
                let title = trace.title.clone();
                if trace.not_applicable.is_empty() && trace.reminders.is_empty() {
                    let words = "Nothing on this patient's record is of the kind that the rule is about.".to_owned();
                    return vec![WhyNot { rule: title, step: String::new(), words }];
                }
                let row = |(absent, explanation): (NotApplicable, Explanation)| WhyNot {
                    rule: title.clone(),
                    step: absent.step.map_or_else(String::new, |step| step.to_string()),
                    words: explanation.words,
                };
                trace.not_applicable.into_iter().map(row).collect()
            });
            (rows.take(50).collect(), None)
        }
        // A broken rule must not hide the patient.
        Err(error) => (Vec::new(), Some(error.to_string())),
    }
}

fn done_words(code: &str) -> Option<&'static str> {
    match code {
        "rule" => Some("The rule was switched. The patient's reminders follow in a moment."),
        "opt-out" => Some("The opt-out is recorded and holds from now on."),
        _ => None,
    }
}

fn status_badge(patient: &Patient) -> Badge {
    let (tone, icon, word) = match (&patient.status, patient.deceased) {
        (PatientStatus::ReplacedBy(_), _) => ("quiet", "cross", "Merged into another record"),
        (_, Deceased::Yes) => ("quiet", "cross", "Deceased"),
        (PatientStatus::Inactive, _) => ("quiet", "cross", "Inactive record"),
        (PatientStatus::Active, Deceased::No) => ("arrived", "check", "Active"),
    };
    Badge { tone, icon, word }
}

fn born(call: &Call, patient: &Patient) -> String {
    let Some(date) = &patient.birth_date else { return "not known".to_owned() };
    let today = call.state.now().with_timezone(&call.state.zone()).date_naive();
    let age = patient.age_on(today).map(|years| format!(" ({years} years)")).unwrap_or_default();
    format!("{}{age}", date.expose())
}

/// One line a zone, with everything that points to it.
fn zone_lines(evidence: &Zones) -> Vec<String> {
    let mut by_zone: Vec<(chrono_tz::Tz, Vec<&'static str>)> = Vec::new();
    for it in &evidence.candidates {
        let source = zone_source_words(it.source);
        match by_zone.iter_mut().find(|(zone, _)| *zone == it.zone) {
            Some((_, sources)) => sources.push(source),
            None => by_zone.push((it.zone, vec![source])),
        }
    }
    let known = by_zone.into_iter().map(|(zone, sources)| format!("{zone} ({})", sources.join(", ")));
    let abroad = evidence.unplaced.iter().map(|it| format!("abroad, not known where ({})", zone_source_words(*it)));
    known.chain(abroad).collect()
}

const fn zone_source_words(source: ZoneSource) -> &'static str {
    match source {
        ZoneSource::Explicit => "stated on the record",
        ZoneSource::Address => "from the address",
        ZoneSource::AreaCode => "from the area code",
        ZoneSource::Facility => "from the facility",
    }
}

fn reach(call: &Call, patient: &Patient, opt_outs: &[OptOut]) -> Vec<Reach> {
    let (now, region) = (call.state.now(), &call.state.settings.organisation.region);
    let binds = |text: &str| {
        opt_outs.iter().any(|it| match &it.address {
            Some(Address::Email(email)) => EmailAddress::parse(text).as_ref() == Ok(email),
            Some(Address::Phone(phone)) => PhoneNumber::parse(text, region).as_ref() == Ok(phone),
            None => it.scope == OptOutScope::All,
        })
    };
    patient
        .telecom
        .iter()
        .map(|point| Reach {
            system: match point.system {
                ContactSystem::Phone | ContactSystem::Sms => "Phone",
                ContactSystem::Email => "Email",
                ContactSystem::Fax => "Fax",
                ContactSystem::Pager => "Pager",
                ContactSystem::Url => "Web address",
                ContactSystem::Other => "Other",
            },
            use_: point.use_.map(|it| format!("{it:?}").to_lowercase()).unwrap_or_default(),
            current: point.is_current(now),
            opted_out: binds(point.value.expose()),
            value: point.value.expose().clone(),
        })
        .collect()
}

async fn rule_rows(
    call: &Call,
    ehr: &EhrId,
    patient: &PatientId,
    live: &[crate::domain::Rule],
    home: &str,
) -> Result<Vec<RuleRow>, WebError> {
    let merges = call.state.view().merges(ehr, std::slice::from_ref(patient)).await?;
    let all = merges.with_predecessors(std::slice::from_ref(patient));
    let enrolments = merges.enrolments(call.state.view().enrolments_of(ehr, &all).await?);
    let (now, zone) = (call.state.now(), call.state.zone());
    Ok(live
        .iter()
        .map(|rule| {
            let enrolment = enrolments.iter().find(|it| it.rule == rule.id);
            let on = enrolment.is_none_or(|it| it.state.is_on(now));
            let badge = match enrolment.map(|it| it.state) {
                _ if on => Badge { tone: "arrived", icon: "check", word: "On" },
                Some(EnrolmentState::PausedUntil(_)) => Badge { tone: "planned", icon: "pause", word: "Paused" },
                _ => Badge { tone: "quiet", icon: "cross", word: "Off" },
            };
            let note = match enrolment {
                None => "As for everybody the rule applies to.".to_owned(),
                Some(it) => {
                    let until = match it.state {
                        EnrolmentState::PausedUntil(until) => format!(" Until {}.", moment(until, zone)),
                        _ => String::new(),
                    };
                    format!("Set by {}, {}.{until}", who_text(&it.by), moment(it.at, zone))
                }
            };
            RuleRow { title: rule.title.clone(), action: format!("{home}/rules/{}", rule.id), badge, note, on }
        })
        .collect())
}

fn opt_out_row(it: &OptOut, titles: &Titles, call: &Call) -> OptOutRow {
    OptOutRow {
        scope: match &it.scope {
            OptOutScope::All => "Everything".to_owned(),
            OptOutScope::Channel(channel) => channel_word(*channel).to_owned(),
            OptOutScope::Rule(rule) => titles.title(rule),
        },
        address: it.address.as_ref().map_or_else(|| "every address".to_owned(), |it| it.expose().to_owned()),
        source: it.source.clone(),
        words: it.words.as_ref().map(|words| words.expose().clone()).unwrap_or_default(),
        at: moment(it.at, call.state.zone()),
    }
}

fn scope_choices(live: &[crate::domain::Rule]) -> Vec<Choice> {
    let mut choices = vec![
        Choice::new("all", "Everything", true),
        Choice::new("channel:sms", "Text messages", false),
        Choice::new("channel:email", "Email", false),
        Choice::new("channel:voice", "Calls", false),
    ];
    choices.extend(live.iter().map(|rule| Choice::new(format!("rule:{}", rule.id), rule.title.clone(), false)));
    choices
}

fn address_choices(addresses: &[Address]) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "Every address of this patient", true)];
    choices.extend(addresses.iter().enumerate().map(|(n, it)| Choice::new(n.to_string(), it.expose(), false)));
    choices
}
