//! One person's way through the replayed time: plan, decide what falls due, and go on to where something can change next.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Question, Row, Simulated};
use crate::domain::{
    Address, Appointment, Channel, CheckResult, ClinicDefault, Decision, DecisionId, EhrId, Enrolment, OptOut, Patient,
    PatientChoice, PatientId, Reminder, ReminderId, ReminderState, ResourceType, ResourceVersion, RuleId, TextReview,
    Verdict,
};
use crate::fhir::read;
use crate::rules::{
    self, ConsentDirective, Consents, DecideFacts, Facilities, Mirror, PatientFacts, PatientRecord, Plan, Reading,
    ResourceRecord,
};
use crate::store::MirrorRow;

/// Looks at one instant, at most: a reminder that is never settled must not hang a simulation.
const LOOKS: usize = 50;
/// Instants of one person, at most.
const INSTANTS: usize = 10_000;

/// What is the same for everybody of an EHR.
pub(super) struct Ground<'a> {
    pub ehr: EhrId,
    pub facilities: Facilities,
    /// Types that were ever pulled completely: the replay takes it that pulls go on.
    pub covered: BTreeSet<ResourceType>,
    pub clinic_defaults: Vec<ClinicDefault>,
    pub reviews: Vec<TextReview>,
    pub deciding: &'a rules::Settings,
}

/// Everything known of one person.
pub(super) struct Person {
    pub id: PatientId,
    pub rows: Vec<MirrorRow>,
    pub reminders: Vec<Reminder>,
    pub enrolments: Vec<Enrolment>,
    pub opt_outs: Vec<OptOut>,
    pub choices: Vec<PatientChoice>,
    /// Types of which something is in quarantine: what is missing there proves nothing.
    pub hidden: Vec<ResourceType>,
    pub dead: Vec<(Address, Channel)>,
    pub contacts: Vec<DateTime<Utc>>,
}

/// The resources as they stood at one instant.
struct Then {
    patient: Option<(Patient, ResourceVersion, Value)>,
    resources: Vec<(ResourceVersion, Value)>,
    appointments: Vec<Appointment>,
    consents: Vec<ConsentDirective>,
}

pub(super) fn walk(ground: &Ground<'_>, question: &Question, mut person: Person, simulated: &mut Simulated) {
    let is_past = question.as_of.is_some();
    if let Some(as_of) = question.as_of {
        let changed = |row: &&MirrorRow| row.version.last_updated.is_some_and(|at| at > as_of);
        simulated.changed_since += person.rows.iter().filter(changed).count() as u64;
        person.rows.retain(|row| came_to_be(&row.body).is_none_or(|at| at <= as_of));
        simulated.taken_back +=
            person.rows.iter().filter(|row| stood_as_booked(&row.body, question.from)).count() as u64;
    }
    person.reminders.retain(|it| question.rules.iter().any(|rule| *rule.id() == it.plan.rule));
    let before: BTreeSet<ReminderId> =
        person.reminders.iter().filter(|it| !it.state.is_open()).map(|it| it.id).collect();
    let starts: Vec<DateTime<Utc>> =
        person.rows.iter().filter_map(|row| row.starts_at).filter(|at| is_past && *at > question.from).collect();
    let mut now = question.from;
    let mut last = Plan::default();
    for _ in 0..INSTANTS {
        let then = Then::of(&person.rows, now, is_past);
        let Some(plan) = settle(ground, question, &then, &mut person, now, simulated) else { break };
        let next = person
            .reminders
            .iter()
            .filter(|it| it.state.is_open())
            .map(|it| it.next_at)
            .chain(plan.replan_at)
            .chain(starts.iter().copied())
            .filter(|at| *at > now)
            .min();
        last = plan;
        match next.filter(|next| *next <= question.to) {
            Some(next) => now = next,
            None => break,
        }
    }
    report(ground, question, &person, &before, &last, simulated);
}

/// What is still open at the end, and what never applied.
fn report(
    ground: &Ground<'_>,
    question: &Question,
    person: &Person,
    before: &BTreeSet<ReminderId>,
    plan: &Plan,
    simulated: &mut Simulated,
) {
    for it in person.reminders.iter().filter(|it| !before.contains(&it.id)) {
        if it.state == ReminderState::Waiting && it.plan.due_at <= question.to {
            let mut row = row_of(ground, it, None, "wait");
            row.reason = it.reason.map(|reason| reason.as_str().to_owned());
            row.words = it.reason.map_or_else(String::new, |reason| {
                format!("still waits at the end, until {}: {}", it.next_at, reason.words())
            });
            simulated.rows.push(row);
        }
    }
    for it in &plan.not_applicable {
        simulated.rows.push(Row {
            ehr: ground.ehr.clone(),
            patient: person.id.clone(),
            rule: it.rule.clone(),
            step: it.step.clone(),
            resource: it.resource.to_string(),
            due_at: None,
            at: None,
            outcome: "not_applicable",
            channel: None,
            language: None,
            template: None,
            reason: Some(it.reason.as_str().to_owned()),
            words: it.words.clone().unwrap_or_else(|| it.reason.words().to_owned()),
        });
    }
}

/// Plans, and decides what is due until nothing is. `None` where there is no Patient to look at.
fn settle(
    ground: &Ground<'_>,
    question: &Question,
    then: &Then,
    person: &mut Person,
    now: DateTime<Utc>,
    simulated: &mut Simulated,
) -> Option<Plan> {
    let mirror = then.mirror(ground, &person.hidden, now);
    let mut plan = Plan::default();
    for _ in 0..LOOKS {
        let (patient, _, value) = then.patient.as_ref()?;
        let facts = PatientFacts {
            patient,
            patient_value: value,
            mirror: &mirror,
            appointments: &then.appointments,
            facilities: &ground.facilities,
            existing: &person.reminders,
            enrolments: &person.enrolments,
            clinic_defaults: &ground.clinic_defaults,
        };
        plan = rules::plan(&facts, &question.rules, now);
        apply(ground, person, &plan, now, simulated);
        let due: Vec<Reminder> =
            person.reminders.iter().filter(|it| it.state.is_open() && it.next_at <= now).cloned().collect();
        if due.is_empty() {
            break;
        }
        let mut due = due;
        due.sort_by_key(|it| (it.plan.priority, it.plan.due_at));
        for reminder in due {
            let decision = decide(ground, question, then, &mirror, person, &reminder, now);
            settle_one(ground, person, &reminder, &decision, now, simulated);
        }
    }
    Some(plan)
}

fn apply(ground: &Ground<'_>, person: &mut Person, plan: &Plan, now: DateTime<Utc>, simulated: &mut Simulated) {
    let changes = rules::reconcile(&person.reminders, plan);
    for (id, reason) in &changes.cancel {
        if let Some(it) = person.reminders.iter_mut().find(|it| it.id == *id) {
            (it.state, it.reason, it.updated_at) = (ReminderState::Cancelled, Some(*reason), now);
            // What fell away before it was due would have told nobody anything.
            if it.plan.due_at <= now {
                let mut row = row_of(ground, it, Some(now), "cancel");
                row.reason = Some(reason.as_str().to_owned());
                reason.words().clone_into(&mut row.words);
                simulated.rows.push(row);
            }
        }
    }
    for update in &changes.update {
        if let Some(it) = person.reminders.iter_mut().find(|it| it.id == update.id) {
            it.plan = update.plan.clone();
            it.next_at = update.next_at;
            it.updated_at = now;
            if update.reopen {
                (it.state, it.reason) = (ReminderState::Planned, None);
            }
        }
    }
    for planned in &changes.insert {
        person.reminders.push(Reminder {
            id: ReminderId(Uuid::from_u128(1 + person.reminders.len() as u128)),
            ehr: ground.ehr.clone(),
            patient: person.id.clone(),
            plan: planned.clone(),
            state: ReminderState::Planned,
            reason: None,
            next_at: planned.due_at,
            updated_at: now,
        });
    }
}

fn decide(
    ground: &Ground<'_>,
    question: &Question,
    then: &Then,
    mirror: &Mirror<'_>,
    person: &Person,
    reminder: &Reminder,
    now: DateTime<Utc>,
) -> Decision {
    let key = &reminder.plan.occasion.resource;
    let found = then.resources.iter().find(|(version, _)| version.key == *key);
    let resource = found.map(|(version, value)| ResourceRecord {
        version,
        value,
        appointment: then.appointments.iter().find(|it| it.version.key == *key),
    });
    let patient = then.patient.as_ref().map(|(patient, version, value)| PatientRecord { version, patient, value });
    let rule = question.rules.iter().find(|rule| *rule.id() == reminder.plan.rule);
    let facts = DecideFacts {
        patient: patient.map_or(Reading::Gone, Reading::Fresh),
        resource: resource.map_or(Reading::Gone, Reading::Fresh),
        mirror,
        facilities: &ground.facilities,
        set_zone: None,
        enrolment: person.enrolments.iter().find(|it| it.rule == reminder.plan.rule),
        clinic_defaults: &ground.clinic_defaults,
        choices: &person.choices,
        opt_outs: &person.opt_outs,
        consents: Consents::Fresh(&then.consents),
        guardians: &[],
        dead_addresses: &person.dead,
        contacts: &person.contacts,
        reviews: &ground.reviews,
        settings: ground.deciding,
    };
    rules::decide(DecisionId(Uuid::nil()), reminder, rule, &facts, now)
}

fn settle_one(
    ground: &Ground<'_>,
    person: &mut Person,
    reminder: &Reminder,
    decision: &Decision,
    now: DateTime<Utc>,
    simulated: &mut Simulated,
) {
    let Some(kept) = person.reminders.iter_mut().find(|it| it.id == reminder.id) else { return };
    kept.updated_at = now;
    let (state, reason, outcome) = match &decision.verdict {
        Verdict::Release(release) => {
            kept.state = ReminderState::Released;
            let mut row = row_of(ground, kept, Some(now), "send");
            row.channel = Some(release.channel.as_str().to_owned());
            row.language = Some(release.language.clone());
            row.template = Some(release.template.clone());
            simulated.rows.push(row);
            person.contacts.push(now);
            return;
        }
        Verdict::Wait { until, reason } => {
            (kept.state, kept.reason) = (ReminderState::Waiting, Some(*reason));
            kept.next_at = (*until).max(now + TimeDelta::seconds(1));
            return;
        }
        Verdict::Withhold(reason) => (ReminderState::Withheld, *reason, "withhold"),
        Verdict::Expire(reason) => (ReminderState::Expired, *reason, "expire"),
        Verdict::Cancel(reason) => (ReminderState::Cancelled, *reason, "cancel"),
    };
    (kept.state, kept.reason) = (state, Some(reason));
    let mut row = row_of(ground, kept, Some(now), outcome);
    row.reason = Some(reason.as_str().to_owned());
    let failed = decision.checks.iter().filter(|it| matches!(it.result, CheckResult::Failed | CheckResult::Unknown));
    let failed: Vec<String> = failed.map(|it| format!("{}: {}", it.name, it.words)).collect();
    row.words = format!("{} ({})", reason.words(), failed.join("; "));
    simulated.rows.push(row);
}

fn row_of(ground: &Ground<'_>, it: &Reminder, at: Option<DateTime<Utc>>, outcome: &'static str) -> Row {
    Row {
        ehr: ground.ehr.clone(),
        patient: it.patient.clone(),
        rule: RuleId::clone(&it.plan.rule),
        step: Some(it.plan.step.clone()),
        resource: it.plan.occasion.resource.to_string(),
        due_at: Some(it.plan.due_at),
        at,
        outcome,
        channel: None,
        language: None,
        template: None,
        reason: None,
        words: String::new(),
    }
}

impl Then {
    fn of(rows: &[MirrorRow], now: DateTime<Utc>, is_past: bool) -> Self {
        let mut then = Self { patient: None, resources: Vec::new(), appointments: Vec::new(), consents: Vec::new() };
        for row in rows {
            let mut body = row.body.clone();
            if is_past && stood_as_booked(&body, now) {
                body["status"] = json!("booked");
            }
            match row.version.key.resource_type {
                ResourceType::Patient => {
                    if let Some(patient) = read::patient(&body, now).value {
                        then.patient = Some((patient, row.version.clone(), body.clone()));
                    }
                }
                ResourceType::Appointment => then.appointments.extend(read::appointment(&body).value),
                ResourceType::Consent => then.consents.extend(ConsentDirective::of_record(&body, now)),
                _ => {}
            }
            then.resources.push((row.version.clone(), body));
        }
        then
    }

    fn mirror<'t>(&'t self, ground: &Ground<'_>, hidden: &[ResourceType], now: DateTime<Utc>) -> Mirror<'t> {
        let mut mirror = Mirror::default();
        for (version, value) in &self.resources {
            mirror.add(version, value);
        }
        for kind in ground.covered.iter().filter(|kind| !hidden.contains(kind)) {
            mirror.cover(*kind, now);
        }
        mirror
    }
}

/// Before its start an Appointment that was kept or missed later was neither yet.
fn stood_as_booked(body: &Value, now: DateTime<Utc>) -> bool {
    let later = ["arrived", "checked-in", "fulfilled", "noshow"];
    body["resourceType"] == "Appointment"
        && body["status"].as_str().is_some_and(|status| later.contains(&status))
        && instant(&body["start"]).is_some_and(|start| start > now)
}

/// When the resource came to be, where it says so.
fn came_to_be(body: &Value) -> Option<DateTime<Utc>> {
    ["created", "issued", "authoredOn", "recorded", "recordedDate"].into_iter().find_map(|name| instant(&body[name]))
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    read::instant(value.as_str()?).ok()
}
