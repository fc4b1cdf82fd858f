//! What a search finds, as a stream of bytes: CSV, NDJSON or PDF. A page of events is in memory at a time, except for
//! the PDF, which is for reading and holds no more than a person reads.

use serde_json::json;

use super::HistoryError;
use super::paper::Paper;
use super::question::Question;
use super::sheet::Sheet;
use crate::domain::{Actor, EhrId, Event, EventKind, PatientId, TenantId};
use crate::store::{EventCursor, EventFilter, Store};

/// Events of one page.
const PAGE: u64 = 500;
/// Events that go onto paper.
pub const MAX_ON_PAPER: u64 = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Ndjson,
    Pdf,
}

impl Format {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Pdf => "pdf",
        }
    }

    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Pdf => "application/pdf",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Csv, Self::Ndjson, Self::Pdf].into_iter().find(|it| it.as_str() == text)
    }
}

/// An export under way.
pub struct Export {
    store: Store,
    tenant: TenantId,
    filter: EventFilter,
    format: Format,
    paper: Option<Paper>,
    count: u64,
    done: bool,
    begun: bool,
}

impl Export {
    /// Records that it is made, and by whom; nothing is read before.
    ///
    /// # Errors
    /// The database.
    pub async fn begin(
        store: &Store,
        tenant: &TenantId,
        filter: EventFilter,
        format: Format,
        by: Actor,
        question: &Question,
        about: Option<(EhrId, PatientId)>,
    ) -> Result<Self, HistoryError> {
        let mut tx = store.write(tenant).await?;
        let mut event = tx
            .event(by, EventKind::HistoryExported)
            .with_detail(json!({ "what": "events", "format": format.as_str(), "asked": question.told() }));
        if let Some((ehr, patient)) = &about {
            event = event.about_patient(ehr, patient);
        }
        tx.append(event).await?;
        tx.commit().await?;
        let paper = if format == Format::Pdf { Some(Paper::new("Events of the history")?) } else { None };
        let filter = EventFilter { limit: PAGE, ..filter };
        let (store, tenant) = (store.clone(), tenant.clone());
        Ok(Self { store, tenant, filter, format, paper, count: 0, done: false, begun: false })
    }

    /// Events that were written so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The database; or there is more than paper takes.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, HistoryError> {
        while !self.done {
            let page = self.store.view(&self.tenant).events(&self.filter).await?;
            self.done = (page.len() as u64) < PAGE;
            self.filter.before = page.last().map(EventCursor::of).or(self.filter.before);
            self.count += page.len() as u64;
            let bytes = self.bytes(&page)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        match self.paper.take() {
            // Drawing takes the processor for a while: whoever answers requests must not wait for it.
            Some(paper) => {
                let drawn = tokio::task::spawn_blocking(move || paper.finish()).await;
                Ok(Some(drawn.map_err(|_| HistoryError::Internal("the PDF could not be drawn"))??))
            }
            None => Ok(None),
        }
    }

    fn bytes(&mut self, page: &[Event]) -> Result<Vec<u8>, HistoryError> {
        match self.format {
            Format::Ndjson => {
                let mut lines = Vec::new();
                for event in page {
                    serde_json::to_writer(&mut lines, event).map_err(|error| HistoryError::File(error.to_string()))?;
                    lines.push(b'\n');
                }
                Ok(lines)
            }
            Format::Csv => {
                let mut sheet = if self.begun { Sheet::headless() } else { Sheet::new(&HEAD)? };
                self.begun = true;
                for event in page {
                    sheet.row(&cells(event))?;
                }
                Ok(sheet.finish()?)
            }
            Format::Pdf => {
                if self.count > MAX_ON_PAPER {
                    return Err(HistoryError::TooMuchForPaper);
                }
                for event in page {
                    self.write(event);
                }
                Ok(Vec::new())
            }
        }
    }

    fn write(&mut self, event: &Event) {
        let Some(paper) = &mut self.paper else { return };
        let about = event.patient.as_ref().map(|it| format!(", patient {it}")).unwrap_or_default();
        let rule = event.rule.as_ref().map(|it| format!(", rule {it}")).unwrap_or_default();
        paper.text(&format!(
            "{} {} ({}) by {}{about}{rule}",
            event.at.format("%Y-%m-%d %H:%M:%S UTC"),
            event.kind.as_str(),
            event.outcome.as_str(),
            event.actor.as_text()
        ));
        if !event.detail.is_null() {
            paper.detail(&event.detail.to_string());
        }
    }
}

const HEAD: [&str; 11] =
    ["event", "at", "actor", "kind", "outcome", "ehr", "patient", "rule", "reminder", "message", "detail"];

fn cells(it: &Event) -> [String; 11] {
    let text = |it: Option<String>| it.unwrap_or_default();
    [
        it.id.to_string(),
        it.at.to_rfc3339(),
        it.actor.as_text(),
        it.kind.as_str().to_owned(),
        it.outcome.as_str().to_owned(),
        text(it.ehr.as_ref().map(ToString::to_string)),
        text(it.patient.as_ref().map(ToString::to_string)),
        text(it.rule.as_ref().map(ToString::to_string)),
        text(it.reminder.as_ref().map(ToString::to_string)),
        text(it.message.as_ref().map(ToString::to_string)),
        if it.detail.is_null() { String::new() } else { it.detail.to_string() },
    ]
}
