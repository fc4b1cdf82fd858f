//! Whether an export is due, asking for it, and asking how far it is.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::domain::{Actor, EventKind, ResourceType};
use crate::ehr::error::EhrError;
use crate::ehr::export::{self, ExportRequest, ExportStatus, ExportTarget};
use crate::fhir::export_manifest::ExportManifest;
use crate::pull::options::Mode;
use crate::pull::page::Run;
use crate::pull::unlisted::SNAPSHOT_EVERY;
use crate::store::{ExportFileRow, ExportRow, ExportState, StoreError};

use super::{Stage, words};

/// Everything is exported again after this long: increments never tell of a resource that left the reach of an export.
const FULL_EVERY: TimeDelta = TimeDelta::days(7);
/// After an export that failed.
pub(super) const TRY_FAILED_AGAIN: TimeDelta = TimeDelta::hours(1);
/// After the server said that it makes no such export.
const TRY_REFUSED_AGAIN: TimeDelta = TimeDelta::hours(24);
/// Questions in a row without an answer that helps.
const TRIES: u32 = 12;
/// How often a forgotten export is asked for again at once.
const RESTARTS: u32 = 2;
/// An export that is older will not be finished any more.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(7);
/// How far back exports are looked at: more than there are between two full ones.
const LOOK_BACK: u64 = 60;

pub(super) enum Due {
    Now(Box<ExportRow>),
    NotYet(Stage),
}

impl Run<'_> {
    /// The export that is under way, or a new one if it is time.
    pub(super) async fn open_or_due(&self, target: &ExportTarget, kinds: &[ResourceType]) -> Result<Due, StoreError> {
        let connection = self.client.connection();
        let view = self.store.view(&connection.tenant);
        let past = view.exports(&connection.id, Some(&target.to_string()), LOOK_BACK).await?;
        let Some(last) = past.first() else { return self.begin(target, kinds, None, 0).await };
        let now = self.now();
        if last.ended_at.is_none() {
            if now - last.asked_at < GIVE_UP_AFTER {
                return Ok(Due::Now(Box::new(last.clone())));
            }
            let error = Some("given up: it was not finished within a week".to_owned());
            self.keep(&ExportRow { state: ExportState::Failed, error, ended_at: Some(now), ..last.clone() }).await?;
        } else if self.options.mode == Mode::Increment && last.next_at > now {
            let widened = kinds.iter().any(|kind| !last.types.contains(kind));
            match last.state {
                ExportState::Done | ExportState::Loaded if widened => {}
                ExportState::Done | ExportState::Loaded => return Ok(Due::NotYet(Stage::Fresh)),
                ExportState::Failed if last.next_at > now + TRY_FAILED_AGAIN => {
                    return Ok(Due::NotYet(Stage::Refused(words(last))));
                }
                _ => return Ok(Due::NotYet(Stage::Trouble(words(last)))),
            }
        }
        let since = self.since(target, kinds, &past).await?;
        self.begin(target, kinds, since, 0).await
    }

    /// Where an increment begins; `None` for everything.
    async fn since(
        &self,
        target: &ExportTarget,
        kinds: &[ResourceType],
        past: &[ExportRow],
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let Some(good) = past.iter().find(|it| it.state == ExportState::Done) else { return Ok(None) };
        let full = past.iter().find(|it| it.state == ExportState::Done && it.since.is_none());
        let fresh = full.is_some_and(|full| full.asked_at + FULL_EVERY > self.now());
        let covers = kinds.iter().all(|kind| good.types.contains(kind));
        if self.options.mode == Mode::Full || !fresh || !covers {
            return Ok(None);
        }
        if let ExportTarget::Group(id) = target {
            // What a new member had before is not in an increment: it is searched for, or everything comes again.
            let searchable = kinds.iter().all(|kind| self.is_searchable(*kind));
            let view = self.store.view(&self.client.connection().tenant);
            if !searchable && view.roster_grew(&good.ehr, &format!("group {id}"), good.asked_at).await? {
                return Ok(None);
            }
        }
        Ok(good.transaction_time.map(|at| at - self.options.overlap))
    }

    /// Keeps that an export is wanted, before anybody is asked for it.
    async fn begin(
        &self,
        target: &ExportTarget,
        kinds: &[ResourceType],
        since: Option<DateTime<Utc>>,
        restarts: u32,
    ) -> Result<Due, StoreError> {
        let connection = self.client.connection();
        let now = self.now();
        let export = ExportRow {
            id: self.store.new_id(),
            ehr: connection.id.clone(),
            run: self.id,
            target: target.to_string(),
            types: kinds.to_vec(),
            state: ExportState::Asked,
            since,
            poll_url: None,
            next_url: None,
            transaction_time: None,
            requires_token: false,
            tries: 0,
            restarts,
            progress: None,
            error: None,
            asked_at: now,
            next_at: now,
            ended_at: None,
        };
        let mut tx = self.store.write(&connection.tenant).await?;
        tx.keep_export(&export).await?;
        let event = tx.event(Actor::system("pull"), EventKind::ExportAsked).about_ehr(&export.ehr);
        tx.append(event.with_detail(json!({"target": export.target, "types": export.types, "since": since}))).await?;
        tx.commit().await?;
        Ok(Due::Now(Box::new(export)))
    }

    /// A new export in place of one that the server forgot, from where that one began.
    pub(super) async fn again(&self, forgotten: &ExportRow) -> Result<Option<ExportRow>, StoreError> {
        let target = ExportTarget::parse(&forgotten.target).filter(|_| forgotten.restarts < RESTARTS);
        let Some(target) = target else { return Ok(None) };
        match self.begin(&target, &forgotten.types, forgotten.since, forgotten.restarts + 1).await? {
            Due::Now(export) => Ok(Some(*export)),
            Due::NotYet(_) => Ok(None),
        }
    }

    pub(super) async fn kick_off(&self, export: &mut ExportRow) -> Result<(), StoreError> {
        let Some(target) = ExportTarget::parse(&export.target) else {
            return self.fail(export, "its target cannot be read".to_owned(), TRY_REFUSED_AGAIN).await;
        };
        let wanted = ExportRequest { target, types: export.types.clone(), since: export.since };
        match self.client.start_export(&wanted).await {
            Ok(url) => {
                (export.state, export.poll_url, export.tries, export.error) =
                    (ExportState::Running, Some(url), 0, None);
                export.next_at = self.now();
                self.keep(export).await
            }
            Err(error) if export::is_final(&error) => {
                let words = format!("the EHR makes no such export: {error}");
                self.fail(export, words, TRY_REFUSED_AGAIN).await
            }
            Err(error) => self.later(export, &error).await,
        }
    }

    pub(super) async fn ask_how_far(&self, export: &mut ExportRow) -> Result<(), StoreError> {
        let url = export.next_url.clone().or_else(|| export.poll_url.clone());
        let Some(url) = url else {
            export.state = ExportState::Asked;
            return self.keep(export).await;
        };
        match self.client.export_status(&url).await {
            Ok(ExportStatus::UnderWay { progress, retry_after }) => {
                export.tries += 1;
                export.progress = progress.or(export.progress.take());
                export.error = None;
                let wait = retry_after.and_then(|wait| TimeDelta::from_std(wait).ok());
                // Short at first, for small exports; then ever longer.
                let own = TimeDelta::seconds(2_i64.saturating_pow(export.tries.min(9)).min(300));
                export.next_at = self.now() + wait.unwrap_or(own).max(TimeDelta::seconds(1));
                self.keep(export).await
            }
            Ok(ExportStatus::Ready(manifest)) => self.take_over(export, &url, manifest).await,
            Ok(ExportStatus::Lost) => self.forgotten(export).await,
            Err(error) if error.is_transient() => self.later(export, &error).await,
            Err(error @ EhrError::Token(_)) => self.later(export, &error).await,
            Err(error) => self.fail(export, format!("the export failed: {error}"), TRY_FAILED_AGAIN).await,
        }
    }

    /// Keeps what files there are; where the manifest goes on, its next part is asked for.
    async fn take_over(&self, export: &mut ExportRow, url: &str, manifest: ExportManifest) -> Result<(), StoreError> {
        let next = match manifest.next.as_deref().map(|next| self.client.next_manifest(url, next)).transpose() {
            Ok(next) => next,
            Err(error) => return self.fail(export, format!("the export failed: {error}"), TRY_FAILED_AGAIN).await,
        };
        let tenant = &self.client.connection().tenant;
        let known = self.store.view(tenant).export_files(export.id).await?;
        if next.as_deref() == Some(url) {
            let words = "the export failed: its manifest leads back to itself".to_owned();
            return self.fail(export, words, TRY_FAILED_AGAIN).await;
        }
        let first = known.len();
        let mut new = Vec::new();
        for file in manifest.files.into_iter().filter(|file| known.iter().all(|it| it.url != file.url)) {
            new.push(ExportFileRow {
                number: u32::try_from(first + new.len()).unwrap_or(u32::MAX),
                section: file.section.as_str().to_owned(),
                type_name: file.type_name.chars().filter(char::is_ascii_alphanumeric).take(64).collect(),
                url: file.url,
                expected: file.count,
                lines: 0,
                tries: 0,
                is_done: false,
                problem: None,
                note: None,
            });
        }
        export.transaction_time = Some(
            export.transaction_time.map_or(manifest.transaction_time, |known| known.min(manifest.transaction_time)),
        );
        export.requires_token = manifest.requires_access_token;
        (export.tries, export.error, export.progress, export.next_at) = (0, None, None, self.now());
        export.state = if next.is_some() { ExportState::Running } else { ExportState::Loading };
        export.next_url = next;
        let mut tx = self.store.write(tenant).await?;
        tx.add_export_files(export.id, &new).await?;
        tx.keep_export(export).await?;
        tx.commit().await
    }

    /// The server forgot the export, or a file of it.
    pub(super) async fn forgotten(&self, export: &mut ExportRow) -> Result<(), StoreError> {
        export.state = ExportState::Expired;
        export.error = Some("the EHR does not keep the export any more".to_owned());
        (export.ended_at, export.next_at) = (Some(self.now()), self.now() + TRY_FAILED_AGAIN);
        self.keep(export).await
    }

    pub(super) async fn fail(&self, export: &mut ExportRow, error: String, rest: TimeDelta) -> Result<(), StoreError> {
        (export.state, export.error) = (ExportState::Failed, Some(error));
        (export.ended_at, export.next_at) = (Some(self.now()), self.now() + rest + TimeDelta::seconds(1));
        self.keep(export).await
    }

    /// Another try later, longer after each, never before the server allows it; at some time no more.
    pub(super) async fn later(&self, export: &mut ExportRow, error: &EhrError) -> Result<(), StoreError> {
        export.tries += 1;
        if export.tries >= TRIES && error.retry_after().is_none() {
            return self.fail(export, error.to_string(), TRY_FAILED_AGAIN).await;
        }
        let own = TimeDelta::seconds(5 * 2_i64.saturating_pow(export.tries.min(8)));
        let asked = error.retry_after().and_then(|wait| TimeDelta::from_std(wait).ok());
        export.error = Some(error.to_string());
        export.next_at = self.now() + asked.unwrap_or(own).max(TimeDelta::seconds(1));
        self.keep(export).await
    }

    /// When the next export of a target is due.
    pub(super) fn next_export(export: &ExportRow) -> DateTime<Utc> {
        export.asked_at + SNAPSHOT_EVERY
    }
}
