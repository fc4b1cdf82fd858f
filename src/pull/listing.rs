//! One type, from the first page to the last: increment where the server can tell what changed, else everything.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::domain::{Issue, ResourceKey, ResourceType};
use crate::ehr::error::EhrError;
use crate::ehr::plan::{Ask, Changes, PlanSource};
use crate::ehr::search::{Page, Pages, Search};
use crate::fhir::operation_outcome::Severity;
use crate::fhir::read;
use crate::store::{StoreError, Unusable, Watermark};

use super::options::Mode;
use super::page::{Prepared, Run};
use super::report::{Progress, TypeReport};

/// How often a search may start again because the server forgot its pages.
const RESTARTS: u32 = 2;

/// The server took `_lastUpdated` and did not act on it: no increment is believed any more.
const DISTRUSTED: &str = "distrusted";

/// Why a type could not be read to its end.
pub(super) enum Stop {
    Ehr(EhrError),
    Store(StoreError),
}

impl From<EhrError> for Stop {
    fn from(error: EhrError) -> Self {
        Self::Ehr(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a search brought besides resources.
#[derive(Default)]
pub(super) struct Seen {
    /// The server's clock when the first page was made: what changed later is in the next increment.
    server_now: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
    /// The server gave what it was not asked for.
    ignored_window: bool,
    /// The server says itself that this is not all of it.
    pub incomplete: Option<String>,
}

/// One page, with its matches made ready.
struct Fetched {
    page: Page,
    /// When each of the matches last changed, as far as the server tells.
    times: Vec<DateTime<Utc>>,
    prepared: Prepared,
}

/// "No results" (Epic): says nothing that an empty page does not say.
const NO_RESULTS: &str = "4101";

impl Run<'_> {
    /// Pulls one type. What fails at the EHR is told in the report; only a store that refuses ends the run.
    pub async fn pull_type(
        &self,
        kind: ResourceType,
        mark: Option<&Watermark>,
        asked: &mut HashSet<ResourceKey>,
    ) -> Result<TypeReport, StoreError> {
        let mut report = TypeReport::default();
        let ask = self.plan.of(kind).map_or(Ask::NotOffered, |plan| plan.ask.value);
        let result = match ask {
            Ask::WholeType => self.whole_type(kind, mark, asked, &mut report).await,
            Ask::ByPatient => self.by_patient(kind, mark, asked, &mut report).await,
            Ask::ById => self.by_id(kind, mark, asked, &mut report).await,
            Ask::ByLocationDay => self.by_location(kind, mark, asked, &mut report).await,
            Ask::NotOffered => {
                report.error = Some("the server does not offer this type".to_owned());
                Ok(())
            }
        };
        match result {
            Ok(()) => report.complete = report.error.is_none(),
            Err(Stop::Ehr(error)) => report.error = Some(error.to_string()),
            Err(Stop::Store(error)) => return Err(error),
        }
        Ok(report)
    }

    async fn whole_type(
        &self,
        kind: ResourceType,
        mark: Option<&Watermark>,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<(), Stop> {
        let from = self.window(kind, mark);
        report.how = if from.is_some() { "increment" } else { "everything" };
        self.began(kind, report);
        let mut search = Search::new(kind);
        if let Some(from) = from {
            search = search.with("_lastUpdated", format!("ge{}", instant(from)));
        }
        let seen = self.all_pages(kind, &search, from, asked, report).await?;
        if let Some(words) = seen.incomplete {
            report.error = Some(words);
            return Ok(());
        }
        if seen.ignored_window {
            report.note = Some("the server ignores _lastUpdated; from now on everything is listed".to_owned());
        }
        let full = from.is_none();
        let open = if full { self.confirm_unseen(kind, None, report).await? } else { None };
        if let Some(error) = &open {
            report.note = Some(format!("what was not listed could not all be looked up: {error}"));
        }
        let mode = match (seen.ignored_window, mark) {
            (true, _) => DISTRUSTED,
            (false, Some(mark)) if mark.mode == DISTRUSTED => DISTRUSTED,
            _ if full => "everything",
            _ => "increment",
        };
        if full && report.error.is_none() {
            self.let_out_unseen(kind).await?;
        }
        let since = seen.server_now.or(seen.newest).or_else(|| mark?.since);
        Ok(self.move_mark(kind, mark, mode, since, full && open.is_none()).await?)
    }

    /// Where an increment begins, or `None` for everything.
    fn window(&self, kind: ResourceType, mark: Option<&Watermark>) -> Option<DateTime<Utc>> {
        let changes = self.plan.of(kind)?.changes;
        let mark = mark?;
        let trusted = mark.mode != DISTRUSTED || changes.source == PlanSource::Override;
        let fresh = mark.full_completed_at? + self.options.full_every > self.store.clock().now();
        let increment = self.options.mode == Mode::Increment && changes.value == Changes::LastUpdated;
        (increment && trusted && fresh)
            .then_some(mark.since?)
            .map(|since| (since - self.options.overlap).trunc_subsecs(0))
    }

    /// All pages of a search, from the start again where the server forgot them.
    pub(super) async fn all_pages(
        &self,
        kind: ResourceType,
        search: &Search,
        from: Option<DateTime<Utc>>,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<Seen, Stop> {
        let mut restarts = 0;
        loop {
            match self.pages(kind, search.clone(), from, asked, report).await {
                Err(Stop::Ehr(EhrError::PagingExpired { .. })) if restarts < RESTARTS => restarts += 1,
                other => return other,
            }
        }
    }

    async fn pages(
        &self,
        kind: ResourceType,
        search: Search,
        from: Option<DateTime<Utc>>,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<Seen, Stop> {
        let size = self.client.connection().settings.page_size.unwrap_or(self.options.page_size);
        let mut search = search.with("_count", size.to_string());
        if kind == ResourceType::Appointment {
            for (_, include) in &self.includes {
                search = search.with("_include", *include);
            }
        }
        let mut pages = self.client.search(search);
        let mut seen = Seen::default();
        let mut next = self.fetch(kind, &mut pages).await?;
        while let Some(fetched) = next.take() {
            seen.note(&fetched, from, report);
            let (stored, fetched) =
                futures_util::join!(self.take(kind, fetched, asked, report), self.fetch(kind, &mut pages));
            stored?;
            next = fetched?;
        }
        Ok(seen)
    }

    /// The next page, made ready to be stored: while one page is stored the next one is on its way.
    async fn fetch(&self, kind: ResourceType, pages: &mut Pages) -> Result<Option<Fetched>, Stop> {
        let Some(mut page) = pages.next().await? else { return Ok(None) };
        let matches = std::mem::take(&mut page.matches);
        let times = matches.iter().filter_map(|resource| read::version_of(resource)?.last_updated).collect();
        let prepared = Prepared::beside(kind, matches, self.store.clock().now()).await?;
        Ok(Some(Fetched { page, times, prepared }))
    }

    async fn take(
        &self,
        kind: ResourceType,
        Fetched { page, prepared, .. }: Fetched,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<(), StoreError> {
        for issue in &page.issues {
            self.set_aside(no_resource(kind, issue), report).await?;
        }
        self.keep_includes(page.includes).await?;
        let missing = self.destination().page(prepared, asked, report).await?;
        self.fetch_referred(missing, report).await?;
        (self.progress)(&Progress::Page { kind, read: report.read, total: page.total });
        Ok(())
    }

    /// Whether everything is to be read again: as asked for, or because the last time was so long ago.
    pub(super) fn full_is_due(&self, mark: Option<&Watermark>, every: TimeDelta) -> bool {
        let last = mark.and_then(|mark| mark.full_completed_at);
        self.options.mode == Mode::Full || last.is_none_or(|at| at + every <= self.store.clock().now())
    }

    /// Only now, with the last page stored.
    pub(super) async fn move_mark(
        &self,
        kind: ResourceType,
        mark: Option<&Watermark>,
        mode: &str,
        since: Option<DateTime<Utc>>,
        full: bool,
    ) -> Result<(), StoreError> {
        let connection = self.client.connection();
        let mut tx = self.store.write(&connection.tenant).await?;
        let now = tx.now();
        let moved = Watermark {
            mode: mode.to_owned(),
            since,
            completed_run: Some(self.id),
            completed_at: Some(now),
            full_completed_at: if full { Some(now) } else { mark.and_then(|mark| mark.full_completed_at) },
        };
        tx.set_watermark(&connection.id, kind, &moved).await?;
        tx.commit().await
    }

    pub(super) fn began(&self, kind: ResourceType, report: &TypeReport) {
        (self.progress)(&Progress::Began { kind, how: report.how });
    }
}

impl Seen {
    fn note(&mut self, fetched: &Fetched, from: Option<DateTime<Utc>>, report: &mut TypeReport) {
        let page = &fetched.page;
        for outcome in page.outcomes.iter().filter(|outcome| outcome.severity() >= Some(Severity::Warning)) {
            let words = format!("the server says of its answer: {}", outcome.summary());
            if outcome.says_incomplete() {
                self.incomplete = Some(words);
            } else if !outcome.has(NO_RESULTS) {
                report.note = Some(words);
            }
        }
        self.server_now = self.server_now.or(page.server_now);
        for at in fetched.times.iter().copied() {
            self.newest = self.newest.max(Some(at));
            // The canary: something older than what was asked for.
            self.ignored_window |= from.is_some_and(|from| at < from);
        }
        self.ignored_window |= from.is_some() && page.ignored.iter().any(|name| name == "_lastUpdated");
    }
}

/// An instant as a search spells it: to the second, in UTC.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An entry of a page that holds no resource at all.
fn no_resource(kind: ResourceType, issue: &Issue) -> Unusable {
    Unusable {
        resource_type: kind.to_string(),
        resource_id: "(none)".to_owned(),
        path: issue.path.clone(),
        reason: issue.reason.clone(),
        hides_from: Vec::new(),
    }
}
