//! Is everything that was due accounted for (I5)? The reminder table is not held against itself: appointments are counted
//! anew at the EHR, who is due is computed anew from the mirror, and the history says what was planned. What cannot be
//! explained is named. Nothing is changed: mending is a person's.

mod at_ehr;
mod recompute;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::json;

use crate::domain::{Actor, AlertKind, EhrId, PatientId, ResourceKey, RuleId, StepId, TenantId};
use crate::ehr::client::FhirClient;
use crate::rules;
use crate::store::{Reconciliation, Standing, Store, StoreError, Stuck};

use super::options::PullOptions;
use super::run::PullError;

/// How far back the history is held against the reminders.
const LOOK_BACK: TimeDelta = TimeDelta::days(400);
/// As much as is named of one kind; the rest is counted.
const NAMED: usize = 1000;

/// Whether the day adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is accounted for.
    Explained,
    /// Something is not, or is stuck.
    Unexplained,
    /// What could be looked at adds up, and not everything could be looked at.
    Incomplete,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Explained => "explained",
            Self::Unexplained => "unexplained",
            Self::Incomplete => "incomplete",
        }
    }
}

/// The day's Appointments as the EHR has them, held against the mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AtEhr {
    /// How it was asked, in words.
    pub how: &'static str,
    /// At the EHR = mirrored + quarantined + newer + what is unexplained.
    pub at_ehr: u64,
    pub mirrored: u64,
    pub quarantined: u64,
    /// Changed at the EHR since the last complete pull began: the next one brings it.
    pub newer: u64,
    /// Not looked at, because the roster does not name it. `None` where the EHR lists only what is named, so that
    /// nobody can count the rest from here.
    pub out_of_roster: Option<u64>,
    /// In the mirror on this day and at the EHR no longer: each was read, and changed or went since the last pull.
    pub gone_since: u64,
    /// Why it could not be counted, or not wholly.
    pub problem: Option<String>,
}

/// Who is due, computed anew from the mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recomputed {
    pub patients: u64,
    /// A new plan of theirs is due just now: they are judged after it.
    pub being_planned: u64,
    /// Mirrored Appointments of the day.
    pub appointments: u64,
    /// Rule to state to count: steps of the day's Appointments that have a reminder.
    pub reminders: BTreeMap<RuleId, BTreeMap<String, u64>>,
    /// Rule to reason to count: steps of the day's Appointments that have none.
    pub not_applicable: BTreeMap<RuleId, BTreeMap<String, u64>>,
}

/// Something that is due and not accounted for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// What is wrong, in words without PHI.
    pub words: String,
    pub patient: Option<PatientId>,
    pub rule: Option<RuleId>,
    pub step: Option<StepId>,
    pub resource: Option<String>,
    pub due_at: Option<DateTime<Utc>>,
}

impl Missing {
    fn of_resource(key: &ResourceKey, words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            patient: None,
            rule: None,
            step: None,
            resource: Some(key.to_string()),
            due_at: None,
        }
    }
}

/// One day of one EHR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayReport {
    pub ehr: EhrId,
    pub day: NaiveDate,
    /// The day on the organisation's wall clock.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub made_at: DateTime<Utc>,
    pub outcome: Outcome,
    pub at_ehr: AtEhr,
    pub recomputed: Recomputed,
    /// Reminders that fall due on the day, by state and reason: together all that were due.
    pub due: Standing,
    /// Each in words; empty is the only good answer. At most 1000 are named.
    pub unexplained: Vec<Missing>,
    pub unexplained_count: usize,
    pub stuck: Vec<Stuck>,
}

/// Reconciles one day and keeps what was found; where it does not add up, a person is called.
///
/// # Errors
/// A live rule cannot be compiled, or the store refuses. An EHR that does not answer is in the report.
pub async fn reconcile_day(
    store: &Store,
    client: &FhirClient,
    options: &PullOptions,
    day: NaiveDate,
    by: &Actor,
) -> Result<DayReport, PullError> {
    let connection = client.connection();
    let (tenant, ehr) = (&connection.tenant, &connection.id);
    let zone = options.zone.unwrap_or(Tz::UTC);
    let (from, to) = bounds(day, zone);
    let view = store.view(tenant);
    let now = store.clock().now();

    let mut unexplained = BTreeSet::new();
    let at_ehr = at_ehr::hold_against_mirror(store, client, (from, to), &mut unexplained).await?;
    let recomputed = recompute::everyone(store, tenant, ehr, options, (from, to), &mut unexplained).await?;
    let (due, _) = view.due_between(ehr, from, to).await?;
    for event in view.vanished_reminders(ehr, now - LOOK_BACK, NAMED as u64).await? {
        let detail = |name: &str| event.detail.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        unexplained.insert(Missing {
            words: "it was planned, and its row is gone".to_owned(),
            patient: event.patient.clone(),
            rule: event.rule.clone(),
            step: detail("step").map(StepId::new),
            resource: detail("resource"),
            due_at: detail("due_at").and_then(|text| text.parse().ok()),
        });
    }
    let stuck = view.stuck(ehr).await?;
    let outcome = match &at_ehr.problem {
        _ if !unexplained.is_empty() || !stuck.is_empty() => Outcome::Unexplained,
        Some(_) => Outcome::Incomplete,
        None => Outcome::Explained,
    };
    let report = DayReport {
        ehr: ehr.clone(),
        day,
        from,
        to,
        made_at: now,
        outcome,
        at_ehr,
        recomputed,
        due,
        unexplained_count: unexplained.len(),
        unexplained: unexplained.into_iter().take(NAMED).collect(),
        stuck,
    };
    keep(store, tenant, &report, by).await?;
    Ok(report)
}

async fn keep(store: &Store, tenant: &TenantId, report: &DayReport, by: &Actor) -> Result<(), StoreError> {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let row = Reconciliation {
        ehr: report.ehr.clone(),
        day: report.day,
        outcome: report.outcome.as_str().to_owned(),
        unexplained: count(report.unexplained_count),
        stuck: count(report.stuck.len()),
        report: json!(report),
        made_by: by.as_text(),
        made_at: report.made_at,
    };
    let mut tx = store.write(tenant).await?;
    tx.keep_reconciliation(&row, by).await?;
    let subject = report.ehr.as_str();
    if report.outcome == Outcome::Unexplained {
        let words = format!(
            "{}: {} due and not accounted for, {} stuck. To see which: beckon reconcile --day {} or the page Accounts",
            report.day, row.unexplained, row.stuck, report.day
        );
        tx.raise_alert(AlertKind::Unaccounted, subject, &words).await?;
    } else if report.outcome == Outcome::Explained {
        tx.resolve_alert(AlertKind::Unaccounted, subject).await?;
    }
    tx.commit().await
}

/// The daily job: the day before, once it is over on the organisation's wall clock. Answers what it found where it was
/// due.
///
/// # Errors
/// As [`reconcile_day`].
pub async fn reconcile_when_due(
    store: &Store,
    client: &FhirClient,
    options: &PullOptions,
) -> Result<Option<DayReport>, PullError> {
    let connection = client.connection();
    let zone = options.zone.unwrap_or(Tz::UTC);
    let today = store.clock().now().with_timezone(&zone).date_naive();
    let Some(day) = today.checked_sub_days(Days::new(1)) else { return Ok(None) };
    let made = store.view(&connection.tenant).reconciliation(&connection.id, day).await?;
    // What could not be asked is asked again an hour later.
    let again =
        |it: &Reconciliation| it.outcome == "incomplete" && store.clock().now() - it.made_at >= TimeDelta::hours(1);
    if made.is_some_and(|it| !again(&it)) {
        return Ok(None);
    }
    let by = Actor::system("reconcile");
    Box::pin(reconcile_day(store, client, options, day, &by)).await.map(Some)
}

/// The first instant of a day and of the next one.
fn bounds(day: NaiveDate, zone: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
    let begins = |day: NaiveDate| rules::start_of_day(day, zone).unwrap_or_default();
    (begins(day), begins(day.checked_add_days(Days::new(1)).unwrap_or(day)))
}
