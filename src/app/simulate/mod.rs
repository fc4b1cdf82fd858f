//! Who would be reminded of what, when and on which channel, and who would not and why: rules are replayed over the
//! mirror from one instant to another. Nothing is stored, no EHR is asked and nothing leaves.
//!
//! Over the past the mirror knows each resource only as it is now. What surely was otherwise then is taken back: what was
//! not yet created is left out, and an Appointment that was kept or missed stood as booked before its start. What else
//! changed since is counted and said.

mod walk;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{AppError, Gateway};
use crate::domain::{Address, EhrId, PatientId, ResourceType, RuleId, RuleVersionId, StepId};
use crate::outbox;
use crate::rules::{self, CompiledRule, Facilities};
use crate::store::{Store, View, Whose};
use walk::{Ground, Person, walk};

/// Patients read at once.
const CHUNK: u64 = 100;

/// What to replay.
#[derive(Debug, Clone)]
pub struct Question {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// Nothing that came later is known; `None` where the present mirror and the standing reminders are begun with.
    pub as_of: Option<DateTime<Utc>>,
    pub rules: Vec<CompiledRule>,
}

/// One reminder, or one resource that makes none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub ehr: EhrId,
    pub patient: PatientId,
    pub rule: RuleId,
    pub step: Option<StepId>,
    /// Such as `Appointment/a1`.
    pub resource: String,
    pub due_at: Option<DateTime<Utc>>,
    /// When it would go out, or when that was decided against.
    pub at: Option<DateTime<Utc>>,
    /// `send`, `wait`, `withhold`, `expire`, `cancel` or `not_applicable`.
    pub outcome: &'static str,
    pub channel: Option<String>,
    pub language: Option<String>,
    pub template: Option<String>,
    /// Why not, or why it waits.
    pub reason: Option<String>,
    /// The same in words. May hold PHI.
    pub words: String,
}

/// The answer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Simulated {
    pub patients: u64,
    /// Soonest first; what does not apply comes last.
    pub rows: Vec<Row>,
    /// Resources that changed after `as_of` and are taken as they are now.
    pub changed_since: u64,
    /// Appointments that stood as booked before their start.
    pub taken_back: u64,
}

/// A reminder that two versions of a rule treat differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub before: Option<Row>,
    pub after: Option<Row>,
}

/// Replays rules over everybody of the tenant.
///
/// # Errors
/// The store refuses.
pub async fn simulate(gateway: &Gateway, question: &Question) -> Result<Simulated, AppError> {
    let view = gateway.store.view(&gateway.tenant);
    let deciding = outbox::deciding(&gateway.settings, &gateway.providers);
    let mut simulated = Simulated::default();
    for ehr in view.ehrs().await? {
        let ground = ground(gateway, &view, &ehr.id, question, &deciding).await?;
        let mut after = String::new();
        loop {
            let patients = view.patients_in_order(&ehr.id, Whose::All, &after, CHUNK).await?;
            let Some(last) = patients.last() else { break };
            last.as_str().clone_into(&mut after);
            for person in people(&gateway.store, &view, &ehr.id, &patients, question, &deciding).await? {
                simulated.patients += 1;
                walk(&ground, question, person, &mut simulated);
            }
        }
    }
    simulated.rows.sort_by(|a, b| {
        let key = |it: &Row| (it.at.is_none(), it.at, it.patient.clone(), it.rule.clone(), it.step.clone());
        key(a).cmp(&key(b))
    });
    Ok(simulated)
}

/// What two answers differ in: by patient, resource and step.
pub fn compare(before: &Simulated, after: &Simulated) -> Vec<Difference> {
    type Key<'r> = (&'r EhrId, &'r PatientId, &'r str, Option<&'r StepId>);
    fn keyed(rows: &[Row]) -> BTreeMap<Key<'_>, &Row> {
        let mut keyed = BTreeMap::new();
        // What a step came to counts more than that the rest of its rule does not apply.
        for row in rows.iter().filter(|row| row.outcome != "not_applicable") {
            keyed.insert((&row.ehr, &row.patient, row.resource.as_str(), row.step.as_ref()), row);
        }
        keyed
    }
    let (before, after) = (keyed(&before.rows), keyed(&after.rows));
    let mut keys: Vec<&Key<'_>> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let told = |row: &&Row| {
        (row.outcome, row.at, row.channel.clone(), row.language.clone(), row.template.clone(), row.reason.clone())
    };
    keys.into_iter()
        .filter(|key| before.get(*key).map(told) != after.get(*key).map(told))
        .map(|key| Difference {
            before: before.get(key).map(|row| (*row).clone()),
            after: after.get(key).map(|row| (*row).clone()),
        })
        .collect()
}

async fn ground<'a>(
    gateway: &Gateway,
    view: &View<'_>,
    ehr: &EhrId,
    question: &Question,
    deciding: &'a rules::Settings,
) -> Result<Ground<'a>, AppError> {
    let organisation = &gateway.settings.organisation;
    let locations = view.mirror_of_type(ehr, ResourceType::Location).await?;
    let facilities = Facilities::read(
        locations.iter().map(|row| &row.body),
        &organisation.location_zones,
        &organisation.name,
        organisation.zone,
        question.from,
    );
    let covered = view.covered_types(ehr).await?.into_iter().map(|(kind, _)| kind).collect();
    let clinic_defaults = view.clinic_defaults(ehr).await?;
    let reviews = view.text_reviews().await?;
    Ok(Ground { ehr: ehr.clone(), facilities, covered, clinic_defaults, reviews, deciding })
}

async fn people(
    store: &Store,
    view: &View<'_>,
    ehr: &EhrId,
    patients: &[PatientId],
    question: &Question,
    deciding: &rules::Settings,
) -> Result<Vec<Person>, AppError> {
    let now = store.clock().now();
    let mut mirror = view.mirror_of_patients(ehr, patients).await?;
    let mut reminders = view.reminders_of_patients(ehr, patients).await?;
    let enrolments = view.enrolments_of(ehr, patients).await?;
    let addressed: Vec<(PatientId, Vec<Address>)> = patients
        .iter()
        .map(|id| {
            let rows = mirror.get(id).map_or(&[][..], Vec::as_slice);
            let body = rows.iter().find(|row| row.version.key.resource_type == ResourceType::Patient);
            let facts = body.and_then(|row| crate::fhir::read::patient(&row.body, now).value);
            (id.clone(), facts.map_or_else(Vec::new, |facts| rules::addresses_of(&facts, deciding)))
        })
        .collect();
    let mut opt_outs = view.opt_outs_for(ehr, &addressed).await?;
    let all: Vec<Address> = addressed.iter().flat_map(|(_, addresses)| addresses.clone()).collect();
    let dead = view.refused_addresses(&all).await?;
    let choices = view.choices_of(ehr, patients).await?;
    let hidden = view.hidden_of(ehr, patients).await?;
    let contacts = view.contacts_since(ehr, patients, question.from - TimeDelta::days(8)).await?;
    Ok(patients
        .iter()
        .map(|id| Person {
            id: id.clone(),
            rows: mirror.remove(id).unwrap_or_default(),
            // Over the past nothing was planned yet.
            reminders: if question.as_of.is_some() { vec![] } else { reminders.remove(id).unwrap_or_default() },
            enrolments: enrolments
                .iter()
                .filter(|it| it.patient == *id && question.as_of.is_none_or(|at| it.at <= at))
                .cloned()
                .collect(),
            opt_outs: opt_outs.remove(id).unwrap_or_default(),
            choices: choices.iter().filter(|it| it.patient == *id).cloned().collect(),
            hidden: ResourceType::ALL.iter().copied().filter(|kind| !hidden.nothing_of(id, *kind)).collect(),
            dead: dead.clone(),
            contacts: contacts
                .iter()
                .filter(|(patient, _, at)| patient == id && *at <= question.from)
                .map(|(_, _, at)| *at)
                .collect(),
        })
        .collect())
}

/// The rules to replay: all that are live, or one of them, in a version of its own where one is named.
///
/// # Errors
/// There is no such rule or version, or it cannot be compiled.
pub async fn rules_of(
    gateway: &Gateway,
    only: Option<&RuleId>,
    version: Option<&RuleVersionId>,
) -> Result<Vec<CompiledRule>, AppError> {
    let view = gateway.store.view(&gateway.tenant);
    let chosen = match (only, version) {
        (Some(rule), Some(version)) => view.rule_version(rule, version).await?.into_iter().collect(),
        (Some(only), None) => view.live_rules().await?.into_iter().filter(|rule| rule.id == *only).collect(),
        (None, _) => view.live_rules().await?,
    };
    let chosen: Vec<crate::domain::Rule> = chosen;
    if let Some(only) = only.filter(|_| chosen.is_empty()) {
        return Err(AppError::NoSuchRule(only.to_string()));
    }
    chosen
        .into_iter()
        .map(|rule| {
            let id = rule.id.to_string();
            CompiledRule::compile(rule).map_err(|problems| {
                let problem = problems.first().map(ToString::to_string).unwrap_or_default();
                AppError::BrokenRule { rule: id, problem }
            })
        })
        .collect()
}
