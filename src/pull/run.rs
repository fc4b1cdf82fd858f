//! One run from its first request to its record.

use std::collections::{BTreeSet, HashSet};

use chrono::TimeDelta;
use serde_json::json;

use crate::domain::{Actor, EventKind, EventOutcome, ResourceType, RunId};
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::offer::{OPTIONAL, Offer};
use crate::ehr::plan::{Ask, CapabilityPlan};
use crate::ehr::scopes::{Access, ScopeSet};
use crate::store::{Store, StoreError};

use super::alarms;
use super::export::Came;
use super::options::PullOptions;
use super::page::Run;
use super::planning::{PlanCounts, plan_due};
use super::report::{Progress, RunReport, RunState, TypeReport};
use super::told::Told;

/// Why a run could not be made or recorded. What fails at the EHR for one type is in the report instead.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("nothing was pulled: {0}")]
    Ehr(#[from] EhrError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Without these no reminder can be made or timed. Locations come first: they tell the clock on the wall.
const ALWAYS: [ResourceType; 4] =
    [ResourceType::Location, ResourceType::Patient, ResourceType::Appointment, ResourceType::Condition];

/// What belongs to no patient and is never searched for as a whole everywhere.
const FOLLOWED: [ResourceType; 2] = [ResourceType::Practitioner, ResourceType::Organization];

/// Why a type that the EHR need not have is not pulled; `None` where it is.
fn left_out(offer: Offer) -> Option<String> {
    matches!(offer, Offer::NotOffered | Offer::NotAsked).then(|| offer.words().to_owned())
}

/// How often those who watch a run are told how far it is.
const SHOWN_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// A run that never ended is given up by the next one after this long.
const STALE: TimeDelta = TimeDelta::hours(6);

/// Pulls every type that reminders need, then plans every patient for whom something changed. May be cut off anywhere
/// and started again: what is stored is stored, and no watermark is ahead of it.
///
/// # Errors
/// The EHR gives no token or no capabilities, a live rule is broken, or the store refuses. The run is recorded all the
/// same, as far as the store allows.
pub async fn run(
    store: &Store,
    client: &FhirClient,
    options: &PullOptions,
    progress: &(dyn Fn(&Progress) + Send + Sync),
) -> Result<RunReport, PullError> {
    // A pull can wait; what is read before a message is sent cannot.
    let client = &client.in_background();
    let connection = client.connection();
    let (tenant, ehr) = (&connection.tenant, &connection.id);
    let mut tx = store.write(tenant).await?;
    let stale = tx.now() - STALE;
    let id = tx.begin_pull_run(ehr, &options.triggered_by, stale).await?;
    let event = tx.event(Actor::system("pull"), EventKind::PullStarted).about_ehr(ehr);
    tx.append(event.with_detail(json!({"run": id, "triggered_by": options.triggered_by}))).await?;
    tx.commit().await?;

    let mut report = RunReport { id, state: RunState::Failed, types: Vec::new(), planned: PlanCounts::default() };
    let told = Told::default();
    let hear = |it: &Progress| {
        told.hear(it);
        progress(it);
    };
    // Both go on side by side: the work may hold what a note waits for.
    let result = tokio::select! {
        done = Box::pin(pull_and_plan(store, client, options, &hear, &mut report)) => done,
        error = show(store, client, id, &told) => Err(error.into()),
    };
    let complete = report.types.iter().filter(|(_, of_type)| of_type.complete).count();
    report.state = match &result {
        Ok(()) if report.types.iter().all(|(_, of_type)| of_type.error.is_none()) => RunState::Done,
        _ if complete > 0 => RunState::Partial,
        _ => RunState::Failed,
    };
    let first = report.types.iter().find_map(|(kind, of_type)| Some(format!("{kind}: {}", of_type.error.as_ref()?)));
    let error = result.as_ref().err().map(ToString::to_string).or(first);
    let counts = json!(report);
    let mut tx = store.write(tenant).await?;
    tx.finish_pull_run(id, report.state.as_str(), &counts, error.as_deref()).await?;
    let outcome = if report.state == RunState::Done { EventOutcome::Done } else { EventOutcome::Failed };
    let event = tx.event(Actor::system("pull"), EventKind::PullFinished).about_ehr(ehr).with_outcome(outcome);
    tx.append(event.with_detail(json!({"run": id, "counts": counts, "error": error}))).await?;
    tx.commit().await?;
    result.map(|()| report)
}

/// Keeps what was told so far, again and again, for those who watch. Ends only with an error.
async fn show(store: &Store, client: &FhirClient, id: RunId, told: &Told) -> StoreError {
    let note = async |counts: &serde_json::Value| {
        let mut tx = store.write(&client.connection().tenant).await?;
        tx.note_pull_run(id, counts).await?;
        tx.commit().await
    };
    loop {
        tokio::time::sleep(SHOWN_EVERY).await;
        if let Some(counts) = told.take()
            && let Err(error) = note(&counts).await
        {
            return error;
        }
    }
}

async fn pull_and_plan(
    store: &Store,
    client: &FhirClient,
    options: &PullOptions,
    progress: &(dyn Fn(&Progress) + Send + Sync),
    report: &mut RunReport,
) -> Result<(), PullError> {
    let connection = client.connection();
    let (tenant, ehr) = (&connection.tenant, &connection.id);
    let token = client.tokens().get().await.map_err(EhrError::from);
    alarms::of_token(store, connection, token.as_deref()).await?;
    let token = token?;
    let mut tx = store.write(tenant).await?;
    tx.set_granted_scopes(ehr, &token.granted.to_string()).await?;
    tx.commit().await?;

    let plan = CapabilityPlan::derive(connection, &*client.capability().await?);
    alarms::of_plan(store, connection, &plan).await?;
    let kinds = wanted(store, client).await?;
    let run = Run::of(report.id, (store, client, options), plan, (&token.granted, &kinds), progress);
    // Before the first page: what changes from here on is told.
    Box::pin(run.tend(&token.granted)).await?;
    let marks = store.view(tenant).watermarks(ehr).await?;
    let mut asked = HashSet::new();
    let mut exports = None;
    if let Some(members) = run.read_groups().await? {
        report.types.push((ResourceType::Group, members));
    }
    let by_export = exported(&run.plan, &token.granted, &kinds);
    for kind in kinds {
        let searched = run.plan.of(kind).is_some_and(|of_type| !matches!(of_type.ask.value, Ask::ById));
        let mut came = None;
        if by_export.contains(&kind) {
            if exports.is_none() {
                exports = Some(Box::pin(run.export(&by_export, &mut asked)).await?);
            }
            came = exports.as_mut().and_then(|all| all.remove(&kind));
        }
        let needed: &[Access] = if searched { &[Access::Read, Access::Search] } else { &[Access::Read] };
        // A server may answer with less instead of refusing: what was not granted must not look like nothing there.
        let offer = Offer::of(kind, &run.plan, connection, &token.granted);
        let otherwise = match &came {
            Some(Came::Otherwise(words)) => Some(format!("no bulk export: {words}")),
            _ => None,
        };
        let mut of_type = if let Some(Came::ByExport(report)) = came {
            report
        } else if let Some(note) = left_out(offer).filter(|_| OPTIONAL.contains(&kind)) {
            TypeReport { how: "not asked for", note: Some(note), ..TypeReport::default() }
        } else if token.granted.allows(kind.as_str(), needed) {
            Box::pin(run.pull_type(kind, marks.get(&kind), &mut asked)).await?
        } else {
            let asked = connection.scopes.allows(kind.as_str(), needed);
            let error = Some(if asked {
                format!("the scope to read and search {kind} was not granted")
            } else {
                format!("a live rule reads {kind}, and this connection does not ask for its scope")
            });
            TypeReport { error, ..TypeReport::default() }
        };
        of_type.note = of_type.note.or(otherwise);
        progress(&Progress::Ended { kind, report: of_type.clone() });
        report.types.push((kind, of_type));
    }
    alarms::of_quarantine(store, connection, report).await?;
    // Only now, after the last page of every type that a rule reads.
    let planned = |counts: PlanCounts| progress(&Progress::Planned { patients: counts.patients });
    report.planned = plan_due(store, tenant, ehr, options, &planned).await?;
    Ok(())
}

impl<'a> Run<'a> {
    /// A run that knows which of these types it must look up where other resources name them.
    pub(super) fn of(
        id: RunId,
        (store, client, options): (&'a Store, &'a FhirClient, &'a PullOptions),
        plan: CapabilityPlan,
        (granted, kinds): (&ScopeSet, &[ResourceType]),
        progress: &'a (dyn Fn(&Progress) + Send + Sync),
    ) -> Self {
        let readable = |kind: ResourceType| {
            let by_id = plan.of(kind).is_some_and(|of_type| of_type.ask.value == Ask::ById);
            by_id && kinds.contains(&kind) && granted.allows(kind.as_str(), &[Access::Read])
        };
        let follow = FOLLOWED.into_iter().filter(|kind| readable(*kind)).collect();
        let includes = plan.includes.iter().copied().filter(|(kind, _)| readable(*kind)).collect();
        Self { id, begun: store.clock().now(), store, client, options, plan, follow, includes, progress }
    }
}

/// The types that come by bulk export, as far as they may be read.
pub(super) fn exported(plan: &CapabilityPlan, granted: &ScopeSet, kinds: &[ResourceType]) -> Vec<ResourceType> {
    let may = |kind: &&ResourceType| plan.exported.contains(kind) && granted.allows(kind.as_str(), &[Access::Read]);
    kinds.iter().filter(may).copied().collect()
}

/// The types to pull, Locations and Patients first.
pub(super) async fn wanted(store: &Store, client: &FhirClient) -> Result<Vec<ResourceType>, StoreError> {
    let rules = store.view(&client.connection().tenant).live_rules().await?;
    let read: BTreeSet<ResourceType> =
        rules.into_iter().flat_map(|rule| rule.reads.into_iter().chain([rule.resource])).collect();
    let always: Vec<ResourceType> = ALWAYS.into_iter().chain(OPTIONAL).collect();
    let more: Vec<ResourceType> = read.into_iter().filter(|kind| !always.contains(kind)).collect();
    Ok(always.into_iter().chain(more).collect())
}
