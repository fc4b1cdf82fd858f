//! What an export means once its last file is stored: who is missing, what is known to be complete, and the server may
//! throw the files away.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::domain::ResourceType;
use crate::ehr::export::ExportTarget;
use crate::pull::page::Run;
use crate::store::{ExportFileRow, ExportRow, ExportState, StoreError, Watermark};

use super::ask::TRY_FAILED_AGAIN;
use super::files::{is_over, wanted};
use super::{Came, Stage, Work};

/// How often the server is told that an export is over before it is left to forget it by itself.
const GOODBYES: u32 = 5;

impl Run<'_> {
    /// All files are read. A full export tells what is not there any more: each is looked up before it counts as gone.
    pub(super) async fn finish(
        &self,
        export: &mut ExportRow,
        files: &[ExportFileRow],
        work: &mut Work<'_>,
    ) -> Result<(), StoreError> {
        let problems: Vec<&String> = files.iter().filter_map(|file| file.problem.as_ref()).collect();
        // With several Groups each lacks the members of the others.
        if export.since.is_none() && self.targets().await?.len() == 1 {
            let as_of = self.as_of(export);
            for kind in export.types.clone() {
                let brought = files.iter().any(|file| wanted(file, export) == Some(kind));
                // A type that is not whole says nothing about what it lacks.
                if !brought || files.iter().any(|it| it.problem.is_some()) {
                    continue;
                }
                let mut report = work.reports.remove(&kind).unwrap_or_default();
                let open = as_of.confirm_unseen(kind, None, &mut report).await?;
                as_of.let_out_unseen(kind).await?;
                if let Some(error) = &open {
                    report.note = Some(format!("what the export lacks could not all be looked up: {error}"));
                }
                work.reports.insert(kind, report);
                self.renew(work).await?;
            }
        }
        export.error = problems.first().map(|problem| (*problem).clone());
        (export.state, export.tries, export.next_at) = (ExportState::Loaded, 0, self.now());
        self.keep(export).await
    }

    /// The server may delete the files. If it cannot be told, it forgets them by itself one day.
    pub(super) async fn say_it_is_over(&self, export: &mut ExportRow) -> Result<(), StoreError> {
        if let Some(url) = &export.poll_url
            && let Err(error) = self.client.end_export(url).await
            && error.is_transient()
            && export.tries < GOODBYES
        {
            export.tries += 1;
            export.next_at = self.now()
                + error.retry_after().and_then(|it| TimeDelta::from_std(it).ok()).unwrap_or(TimeDelta::minutes(1));
            return self.keep(export).await;
        }
        export.state = if export.error.is_some() { ExportState::Faulty } else { ExportState::Done };
        export.ended_at = Some(self.now());
        export.next_at = if export.error.is_some() { self.now() + TRY_FAILED_AGAIN } else { Self::next_export(export) };
        self.keep(export).await
    }

    /// What each type's report says, over all targets; a type counts as complete when every target's export was.
    pub(super) async fn conclude(
        &self,
        kinds: &[ResourceType],
        stages: &[(ExportTarget, Stage)],
        mut work: Work<'_>,
    ) -> Result<BTreeMap<ResourceType, Came>, StoreError> {
        let mut came = BTreeMap::new();
        let refused = stages.iter().find_map(|(_, stage)| match stage {
            Stage::Refused(words) => Some(words.clone()),
            _ => None,
        });
        for kind in kinds {
            let mut report = work.reports.remove(kind).unwrap_or_default();
            if let Some(words) = &refused {
                came.insert(*kind, Came::Otherwise(words.clone()));
                continue;
            }
            let mut unknown = false;
            for (target, stage) in stages {
                match stage {
                    Stage::Waiting(words) => report.note = Some(words.clone()),
                    Stage::Trouble(words) => report.error = report.error.take().or_else(|| Some(words.clone())),
                    Stage::Ended(export) if export.state == ExportState::Faulty => {
                        report.error = report.error.take().or_else(|| export.error.clone());
                    }
                    _ => {}
                }
                unknown |= self.says_nothing_of(*kind, target).await?;
            }
            if unknown {
                let words = "the export has no file of this type, and whether the EHR exports it is not known";
                came.insert(*kind, Came::Otherwise(words.to_owned()));
                continue;
            }
            self.note_outcomes(stages, &mut report).await?;
            let settled = self.mark(*kind, stages).await?;
            report.complete =
                settled && report.error.is_none() && stages.iter().all(|(_, it)| !matches!(it, Stage::Waiting(_)));
            if settled && let Some(since) = self.known_until(stages).await? {
                self.newcomers(*kind, since, work.asked, &mut report).await?;
            }
            came.insert(*kind, Came::ByExport(report));
        }
        Ok(came)
    }

    /// Whether the last full export of a target ended without a file of this type: no file may mean none, or not exported.
    async fn says_nothing_of(&self, kind: ResourceType, target: &ExportTarget) -> Result<bool, StoreError> {
        let view = self.store.view(&self.client.connection().tenant);
        let past = self.past(target).await?;
        let Some(full) = past.iter().find(|it| is_over(it) && it.since.is_none()) else { return Ok(false) };
        let files = view.export_files(full.id).await?;
        Ok(full.types.contains(&kind) && !files.iter().any(|file| wanted(file, full) == Some(kind)))
    }

    async fn past(&self, target: &ExportTarget) -> Result<Vec<ExportRow>, StoreError> {
        let connection = self.client.connection();
        self.store.view(&connection.tenant).exports(&connection.id, Some(&target.to_string()), 60).await
    }

    /// Warnings of the server stand beside what came.
    async fn note_outcomes(
        &self,
        stages: &[(ExportTarget, Stage)],
        report: &mut crate::pull::TypeReport,
    ) -> Result<(), StoreError> {
        let view = self.store.view(&self.client.connection().tenant);
        for (_, stage) in stages {
            let Stage::Ended(export) = stage else { continue };
            let mut notes = view.export_files(export.id).await?.into_iter().filter_map(|file| file.note);
            report.note = notes.next_back().or(report.note.take());
        }
        Ok(())
    }

    /// Moves the watermark to what the exports of all targets cover. Answers whether they cover the type at all.
    async fn mark(&self, kind: ResourceType, stages: &[(ExportTarget, Stage)]) -> Result<bool, StoreError> {
        let mut oldest: Option<ExportRow> = None;
        for (target, _) in stages {
            let past = self.past(target).await?;
            let Some(good) = past.into_iter().find(|it| it.state == ExportState::Done && it.types.contains(&kind))
            else {
                return Ok(false);
            };
            oldest = Some(match oldest {
                Some(known) if known.asked_at <= good.asked_at => known,
                _ => good,
            });
        }
        let Some(oldest) = oldest else { return Ok(false) };
        let connection = self.client.connection();
        let mark = Watermark {
            mode: "export".to_owned(),
            since: oldest.transaction_time,
            completed_run: Some(oldest.run),
            completed_at: oldest.ended_at,
            full_completed_at: Some(oldest.asked_at),
        };
        let marks = self.store.view(&connection.tenant).watermarks(&connection.id).await?;
        if marks.get(&kind) != Some(&mark) {
            let mut tx = self.store.write(&connection.tenant).await?;
            tx.set_watermark(&connection.id, kind, &mark).await?;
            tx.commit().await?;
        }
        Ok(true)
    }

    /// Since when patients are new to the exports that are stored: the ones that an export itself brought are not.
    async fn known_until(
        &self,
        stages: &[(ExportTarget, Stage)],
    ) -> Result<Option<chrono::DateTime<chrono::Utc>>, StoreError> {
        let mut asked = None;
        for (target, _) in stages {
            let past = self.past(target).await?;
            let Some(good) = past.iter().find(|it| it.state == ExportState::Done) else { return Ok(None) };
            let brought = good.types.contains(&ResourceType::Patient);
            let until = good.ended_at.filter(|_| brought).unwrap_or(good.asked_at);
            asked = Some(asked.map_or(until, |known: chrono::DateTime<chrono::Utc>| known.min(until)));
        }
        Ok(asked)
    }
}
