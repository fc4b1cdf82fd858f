//! Types that come by bulk export. An export takes minutes or hours, longer than a run or a process may live: each run
//! takes it as far as it goes now, and the next one goes on from what the database says. It is asked for in the database
//! first and at the server second, each stored page is noted, and a page that comes twice changes nothing.

mod ask;
mod files;
mod finish;
mod newcomers;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::domain::{Actor, EventKind, EventOutcome, ResourceKey, ResourceType, RunId};
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::export::ExportTarget;
use crate::ehr::plan::{CapabilityPlan, Export};
use crate::store::{ExportRow, ExportState, Store, StoreError};

use super::options::PullOptions;
use super::page::Run;
use super::planning::plan_due;
use super::report::{Progress, TypeReport};
use super::run::{PullError, exported, wanted};

/// Goes on with exports that are under way, where it is time to. Answers whether it did.
///
/// # Errors
/// The EHR gives no token or capabilities, or the store refuses.
pub async fn go_on(store: &Store, client: &FhirClient, options: &PullOptions) -> Result<bool, PullError> {
    let connection = client.connection();
    let next = store.view(&connection.tenant).next_export_at(&connection.id).await?;
    if next.is_none_or(|at| at > store.clock().now()) {
        return Ok(false);
    }
    let token = client.tokens().get().await.map_err(EhrError::from)?;
    let plan = CapabilityPlan::derive(connection, &*client.capability().await?);
    let all = wanted(store, client).await?;
    let kinds = exported(&plan, &token.granted, &all);
    let id = RunId(store.new_id());
    let run = Run::of(id, (store, client, options), plan, (&token.granted, &all), &|_| {});
    let mut asked = HashSet::new();
    Box::pin(run.export(&kinds, &mut asked)).await?;
    plan_due(store, &connection.tenant, &connection.id, options, &|_| {}).await?;
    Ok(true)
}

/// How a type came.
pub(super) enum Came {
    ByExport(TypeReport),
    /// An export of it cannot be had, for this reason: it is asked for as its own plan says.
    Otherwise(String),
}

/// What became of one target's export in this run.
enum Stage {
    /// The last one is young enough.
    Fresh,
    /// It goes on without us, or later; why.
    Waiting(String),
    /// Stored to its end, in this run or by one that was cut off.
    Ended(Box<ExportRow>),
    /// The server does not make such exports.
    Refused(String),
    /// It did not go as it should; it is tried again.
    Trouble(String),
}

/// Only one process works on the exports of an EHR; one that died holds nobody up for longer.
const LEASE: TimeDelta = TimeDelta::seconds(60);
const RENEW_AFTER: TimeDelta = TimeDelta::seconds(20);
const HOW: &str = "bulk export";

/// What is shared by the steps of one run.
pub(super) struct Work<'a> {
    pub asked: &'a mut HashSet<ResourceKey>,
    pub reports: BTreeMap<ResourceType, TypeReport>,
    lease: String,
    renewed_at: DateTime<Utc>,
    waited: Duration,
}

impl Run<'_> {
    /// Takes the exports of these types as far as they go now.
    pub(super) async fn export(
        &self,
        kinds: &[ResourceType],
        asked: &mut HashSet<ResourceKey>,
    ) -> Result<BTreeMap<ResourceType, Came>, StoreError> {
        if kinds.is_empty() {
            return Ok(BTreeMap::new());
        }
        let otherwise = |words: &str| kinds.iter().map(|kind| (*kind, Came::Otherwise(words.to_owned()))).collect();
        let targets = self.targets().await?;
        if targets.is_empty() {
            return Ok(otherwise("the roster names no Group to export"));
        }
        let connection = self.client.connection();
        let lease = format!("export/{}/{}", connection.tenant, connection.id);
        if !self.store.lead(&lease, self.id.0, LEASE).await? {
            let waiting = || TypeReport {
                how: HOW,
                note: Some("another process works on it".to_owned()),
                ..TypeReport::default()
            };
            return Ok(kinds.iter().map(|kind| (*kind, Came::ByExport(waiting()))).collect());
        }
        let reports = kinds.iter().map(|kind| (*kind, TypeReport { how: HOW, ..TypeReport::default() })).collect();
        let mut work = Work { asked, reports, lease, renewed_at: self.now(), waited: Duration::ZERO };
        let mut stages = Vec::new();
        for target in &targets {
            stages.push((target.clone(), self.advance(target, kinds, &mut work).await?));
        }
        self.store.resign(&work.lease, self.id.0).await?;
        self.conclude(kinds, &stages, work).await
    }

    async fn targets(&self) -> Result<Vec<ExportTarget>, StoreError> {
        let connection = self.client.connection();
        Ok(match self.plan.export.value {
            Export::Off => Vec::new(),
            Export::System => vec![ExportTarget::System],
            Export::Patient => vec![ExportTarget::Patients],
            Export::Group => {
                let view = self.store.view(&connection.tenant);
                let groups = view.roster(&connection.id, ResourceType::Group, "", 1000).await?;
                groups.into_iter().map(ExportTarget::Group).collect()
            }
        })
    }

    /// Step by step, until it is done, or until there is more to wait for than this run has patience.
    async fn advance(
        &self,
        target: &ExportTarget,
        kinds: &[ResourceType],
        work: &mut Work<'_>,
    ) -> Result<Stage, StoreError> {
        let mut export = match self.open_or_due(target, kinds).await? {
            ask::Due::Now(export) => *export,
            ask::Due::NotYet(stage) => return Ok(stage),
        };
        loop {
            if let Some(stage) = self.wait_for(&export, work).await? {
                return Ok(stage);
            }
            match export.state {
                ExportState::Asked => self.kick_off(&mut export).await?,
                ExportState::Running => self.ask_how_far(&mut export).await?,
                ExportState::Loading => self.load(&mut export, work).await?,
                ExportState::Loaded => self.say_it_is_over(&mut export).await?,
                ExportState::Done | ExportState::Faulty => return Ok(Stage::Ended(Box::new(export))),
                ExportState::Expired => match self.again(&export).await? {
                    Some(next) => export = next,
                    None => return Ok(Stage::Trouble(words(&export))),
                },
                ExportState::Failed if export.next_at > self.now() + ask::TRY_FAILED_AGAIN => {
                    return Ok(Stage::Refused(words(&export)));
                }
                ExportState::Failed => return Ok(Stage::Trouble(words(&export))),
            }
            self.renew(work).await?;
        }
    }

    /// Waits until it is worth while to go on; or says that this run does not.
    async fn wait_for(&self, export: &ExportRow, work: &mut Work<'_>) -> Result<Option<Stage>, StoreError> {
        let wait = (export.next_at - self.now()).to_std().unwrap_or_default();
        if export.ended_at.is_some() || wait.is_zero() {
            return Ok(None);
        }
        let since = export.asked_at.format("%Y-%m-%d %H:%M UTC");
        let told = export.progress.as_ref().map_or_else(String::new, |progress| format!(" ({progress})"));
        let words = match &export.error {
            Some(error) => format!("asked for at {since}; {error}"),
            None => format!("the EHR prepares it since {since}{told}"),
        };
        if work.waited + wait > self.options.patience {
            let troubled = export.error.is_some();
            return Ok(Some(if troubled { Stage::Trouble(words) } else { Stage::Waiting(words) }));
        }
        (self.progress)(&Progress::Exporting { words, wait });
        // In pieces, so that the lease holds.
        let mut left = wait;
        while !left.is_zero() {
            let piece = left.min(Duration::from_secs(15));
            self.client.wait(piece).await;
            left -= piece;
            self.renew(work).await?;
        }
        work.waited += wait;
        Ok(None)
    }

    async fn renew(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        if self.now() - work.renewed_at > RENEW_AFTER {
            self.store.lead(&work.lease, self.id.0, LEASE).await?;
            work.renewed_at = self.now();
        }
        Ok(())
    }

    pub(in crate::pull) fn now(&self) -> DateTime<Utc> {
        self.store.clock().now()
    }

    /// Keeps an export as it stands; what begins and ends is in the history.
    async fn keep(&self, export: &ExportRow) -> Result<(), StoreError> {
        let mut tx = self.store.write(&self.client.connection().tenant).await?;
        tx.keep_export(export).await?;
        if export.ended_at.is_some() {
            let well = export.state == ExportState::Done;
            let outcome = if well { EventOutcome::Done } else { EventOutcome::Failed };
            let event =
                tx.event(Actor::system("pull"), EventKind::ExportEnded).about_ehr(&export.ehr).with_outcome(outcome);
            let detail = json!({"target": export.target, "state": export.state.as_str(), "error": export.error});
            tx.append(event.with_detail(detail)).await?;
        }
        tx.commit().await
    }
}

fn words(export: &ExportRow) -> String {
    export.error.clone().unwrap_or_else(|| format!("the export is {}", export.state.as_str()))
}
