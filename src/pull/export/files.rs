//! Reading the files of an export into the mirror, a page of lines at a time.

use serde_json::Value;

use crate::domain::{ResourceKey, ResourceType};
use crate::ehr::download::{Fetched, Line, Lines};
use crate::ehr::error::EhrError;
use crate::fhir::export_manifest::{FileSection, deleted_in};
use crate::fhir::operation_outcome::{OperationOutcome, Severity};
use crate::fhir::reference::localize;
use crate::pull::page::{Prepared, Run};
use crate::pull::report::Progress;
use crate::store::{ExportFileRow, ExportRow, ExportState, StoreError, Unusable};

use super::Work;

/// Lines of one transaction, and about so many bytes of them.
const PAGE: usize = 200;
const PAGE_BYTES: usize = 4 << 20;

/// How reading one file ended.
enum End {
    Whole,
    Gone,
    Broken(EhrError),
    Store(StoreError),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Run<'_> {
    /// Reads what is not read yet: resources first, then what was deleted, then what the server says about it all.
    pub(super) async fn load(&self, export: &mut ExportRow, work: &mut Work<'_>) -> Result<(), StoreError> {
        let tenant = &self.client.connection().tenant;
        let mut files = self.store.view(tenant).export_files(export.id).await?;
        let total = files.iter().filter_map(|file| wanted(file, export).and(file.expected)).sum();
        // Locations and Patients first: what refers to them finds them.
        files.sort_by_key(|file| (FileSection::parse(&file.section), wanted(file, export).map(order), file.number));
        let mut read_before: u64 = 0;
        for file in &mut files {
            let skipped = file.section == FileSection::Output.as_str() && wanted(file, export).is_none();
            if !file.is_done && !skipped {
                loop {
                    match self.file(export, file, work, (read_before, total)).await {
                        End::Whole if self.counted(export, file).await? => break,
                        End::Whole => {}
                        End::Gone => return self.forgotten(export).await,
                        End::Broken(error) => {
                            self.note(export, file).await?;
                            return self.later(export, &error).await;
                        }
                        End::Store(error) => return Err(error),
                    }
                }
            }
            read_before += file.lines;
        }
        self.finish(export, &files, work).await
    }

    /// Whether the file brought what was announced; if not, it is read once more from its beginning.
    async fn counted(&self, export: &mut ExportRow, file: &mut ExportFileRow) -> Result<bool, StoreError> {
        match file.expected.filter(|expected| *expected != file.lines) {
            Some(_) if file.tries == 0 => {
                (file.tries, file.lines) = (1, 0);
                // Lines that were cut are whole when they come again.
                let mut tx = self.store.write(&self.client.connection().tenant).await?;
                tx.resolve_quarantine(&export.ehr, &file.type_name, &["(none)"]).await?;
                tx.commit().await?;
            }
            Some(expected) => {
                let (type_name, lines) = (&file.type_name, file.lines);
                file.problem = Some(format!("the EHR announced {expected} of {type_name} in a file, and {lines} came"));
                file.is_done = true;
            }
            None => file.is_done = true,
        }
        self.note(export, file).await?;
        export.tries = 0;
        Ok(file.is_done)
    }

    async fn note(&self, export: &ExportRow, file: &ExportFileRow) -> Result<(), StoreError> {
        let mut tx = self.store.write(&self.client.connection().tenant).await?;
        tx.note_export_file(export.id, file).await?;
        tx.commit().await
    }

    async fn file(
        &self,
        export: &ExportRow,
        file: &mut ExportFileRow,
        work: &mut Work<'_>,
        (before, total): (u64, u64),
    ) -> End {
        let mut lines = match self.client.fetch_file(&file.url, export.requires_token).await {
            Ok(Fetched::Lines(lines)) => lines,
            Ok(Fetched::Gone) => return End::Gone,
            Err(error) => return End::Broken(error),
        };
        let end = match (FileSection::parse(&file.section), wanted(file, export)) {
            (Some(FileSection::Output), Some(kind)) => {
                (self.progress)(&Progress::Began { kind, how: super::HOW });
                self.resources(export, file, kind, &mut lines, work, (before, total)).await
            }
            (Some(FileSection::Deleted), _) => self.deletions(export, file, &mut lines, work).await,
            (Some(FileSection::Outcome), _) => self.outcomes(file, &mut lines).await,
            _ => Ok(()),
        };
        end.err().unwrap_or(End::Whole)
    }

    async fn resources(
        &self,
        export: &ExportRow,
        file: &mut ExportFileRow,
        kind: ResourceType,
        lines: &mut Lines,
        work: &mut Work<'_>,
        (before, total): (u64, u64),
    ) -> Result<(), End> {
        let mut report = work.reports.remove(&kind).unwrap_or_default();
        let (mut page, mut bytes, mut at) = (Vec::with_capacity(PAGE), 0, 0_u64);
        let mut unreadable: Vec<Unusable> = Vec::new();
        let mut broken = None;
        loop {
            let line = match lines.next().await {
                Ok(line) => line,
                Err(error) => {
                    broken = Some(error);
                    None
                }
            };
            let ended = line.is_none();
            if let Some(line) = line {
                at += 1;
                // What was stored before a restart.
                if at <= file.lines {
                    continue;
                }
                match self.resource(line, kind, at) {
                    Ok((resource, size)) => {
                        page.push(resource);
                        bytes += size;
                    }
                    Err(unusable) => unreadable.push(unusable),
                }
            }
            let full = page.len() + unreadable.len() >= PAGE || bytes >= PAGE_BYTES;
            if (full || ended) && at > file.lines {
                let page = Prepared::beside(kind, std::mem::take(&mut page), self.store.clock().now()).await?;
                let missing = self.destination_of(export).page(page, work.asked, &mut report).await?;
                self.fetch_referred(missing, &mut report).await?;
                for unusable in unreadable.drain(..) {
                    self.set_aside(unusable, &mut report).await?;
                }
                bytes = 0;
                file.lines = at;
                self.note(export, file).await?;
                self.renew(work).await?;
                let read = usize::try_from(before + at).unwrap_or(usize::MAX);
                (self.progress)(&Progress::Page { kind, read, total: Some(total).filter(|total| *total > 0) });
            }
            if ended {
                break;
            }
        }
        work.reports.insert(kind, report);
        broken.map_or(Ok(()), |error| Err(End::Broken(error)))
    }

    /// One line as a resource; references to this server are made relative.
    fn resource(&self, line: Line, kind: ResourceType, at: u64) -> Result<(Value, usize), Unusable> {
        let unusable = |reason: String| Unusable {
            resource_type: kind.to_string(),
            resource_id: "(none)".to_owned(),
            path: kind.to_string(),
            reason,
            hides_from: Vec::new(),
        };
        match line {
            Line::TooLong => Err(unusable(format!("line {at} of the exported file is longer than a line may be"))),
            Line::Text(bytes) => match serde_json::from_slice::<Value>(&bytes) {
                Ok(mut resource) => {
                    localize(&mut resource, self.client.connection().base_url.as_str());
                    Ok((resource, bytes.len()))
                }
                Err(_) => Err(unusable(format!("line {at} of the exported file is no JSON"))),
            },
        }
    }

    /// What the server says it deleted. Each is read once more before it counts as gone: it may have come back since.
    async fn deletions(
        &self,
        export: &ExportRow,
        file: &mut ExportFileRow,
        lines: &mut Lines,
        work: &mut Work<'_>,
    ) -> Result<(), End> {
        let mut at = 0;
        loop {
            let line = lines.next().await.map_err(End::Broken)?;
            let Some(line) = line else { break };
            at += 1;
            if at <= file.lines {
                continue;
            }
            let Line::Text(bytes) = line else { continue };
            let keys = serde_json::from_slice(&bytes).ok().and_then(|bundle| deleted_in(&bundle));
            for kind in &export.types {
                let of_kind = keys.iter().flatten().filter(|key| key.resource_type == *kind);
                let of_kind: Vec<ResourceKey> = of_kind.cloned().collect();
                let view = self.store.view(&self.client.connection().tenant);
                for some in of_kind.chunks(200) {
                    let here = view.still_mirrored(&export.ehr, *kind, some).await?;
                    let mut report = work.reports.remove(kind).unwrap_or_default();
                    let failed = self.look_up(*kind, &here, &mut report).await;
                    work.reports.insert(*kind, report);
                    if let Some(error) = failed? {
                        return Err(End::Broken(error));
                    }
                }
            }
            file.lines = at;
            self.note(export, file).await?;
            self.renew(work).await?;
        }
        file.lines = at;
        Ok(())
    }

    /// What the server says about the export: an error means that something is missing from it.
    async fn outcomes(&self, file: &mut ExportFileRow, lines: &mut Lines) -> Result<(), End> {
        let (mut at, mut worst, mut summary) = (0, None, None);
        while let Some(line) = lines.next().await.map_err(End::Broken)? {
            at += 1;
            let Line::Text(bytes) = line else { continue };
            let outcome = serde_json::from_slice(&bytes).ok().and_then(|value| OperationOutcome::read(&value));
            let Some(outcome) = outcome else { continue };
            if worst.is_none() || outcome.severity() > worst {
                (worst, summary) = (outcome.severity(), Some(outcome.summary()));
            }
        }
        file.lines = at;
        let words = summary.map(|summary| format!("the EHR says of its export ({at} times): {summary}"));
        (file.problem, file.note) = if worst >= Some(Severity::Error) { (words, None) } else { (None, words) };
        Ok(())
    }
}

impl Run<'_> {
    /// What an export brings counts as seen by the run that asked for it, whichever run stores it.
    pub(super) fn as_of<'s>(&'s self, export: &ExportRow) -> Run<'s> {
        Run {
            id: export.run,
            begun: export.asked_at,
            plan: self.plan.clone(),
            follow: self.follow.clone(),
            includes: self.includes.clone(),
            ..*self
        }
    }

    fn destination_of<'s>(&'s self, export: &ExportRow) -> crate::pull::page::Destination<'s> {
        crate::pull::page::Destination { run: export.run, ..self.destination() }
    }
}

/// The type of a file with resources that were asked for; a server may send others too.
pub(super) fn wanted(file: &ExportFileRow, export: &ExportRow) -> Option<ResourceType> {
    let output = file.section == FileSection::Output.as_str();
    ResourceType::parse(&file.type_name).filter(|kind| output && export.types.contains(kind))
}

const fn order(kind: ResourceType) -> u8 {
    match kind {
        ResourceType::Location => 0,
        ResourceType::Patient => 1,
        ResourceType::Appointment => 2,
        _ => 3,
    }
}

/// Whether an export is read to its end.
pub(super) fn is_over(export: &ExportRow) -> bool {
    matches!(export.state, ExportState::Loaded | ExportState::Done)
}
