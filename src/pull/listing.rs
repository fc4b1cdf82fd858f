//! One type, from the first page to the last: increment where the server can tell what changed, else everything.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::domain::{Issue, ResourceKey, ResourceType};
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::plan::{Ask, Changes, PlanSource};
use crate::ehr::search::{Page, Search};
use crate::fhir::operation_outcome::Severity;
use crate::fhir::read;
use crate::store::{Store, StoreError, Unusable, Watermark};

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
    /// The first search that could not be read to its end.
    pub failed: Option<EhrError>,
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
        let seen = self.all_pages(kind, vec![search], from, asked, report).await?;
        if let Some(error) = seen.failed {
            return Err(error.into());
        }
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

    /// All pages of these searches, some asked for at a time. What fails in one of them is answered with what the others
    /// brought, and costs them nothing; only a token that is refused ends them all.
    pub(super) async fn all_pages(
        &self,
        kind: ResourceType,
        searches: Vec<Search>,
        from: Option<DateTime<Utc>>,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<Seen, Stop> {
        let settings = &self.client.connection().settings;
        let size = settings.page_size.unwrap_or(self.options.page_size).to_string();
        let at_once = searches.len().min(settings.concurrency as usize).max(1);
        let is_one = searches.len() == 1;
        let includes: &[_] = if kind == ResourceType::Appointment { &self.includes } else { &[] };
        let searches: Vec<Search> = searches
            .into_iter()
            .map(|it| includes.iter().fold(it.with("_count", size.clone()), |it, (_, what)| it.with("_include", *what)))
            .collect();
        let queue = Arc::new(Mutex::new(searches.into_iter()));
        let (tell, mut told) = mpsc::channel(at_once);
        // Tasks of their own: one that holds a place in the connection's budget must go on while pages are stored, or what
        // a page refers to would wait for that place for ever. They end with this set.
        let mut asking = JoinSet::new();
        for _ in 0..at_once {
            asking.spawn(ask(kind, self.store.clone(), self.client.clone(), Arc::clone(&queue), tell.clone()));
        }
        drop(tell);
        let mut seen = Seen::default();
        let mut pages = Vec::new();
        // Those that came while others were stored are stored together: a commit costs more than a page.
        while told.recv_many(&mut pages, at_once).await > 0 {
            let (mut together, mut total) = (Prepared::none(kind), None);
            for page in pages.drain(..) {
                let page = match page {
                    Ok(page) => page,
                    Err(Stop::Ehr(error)) if !matches!(error, EhrError::Token(_)) => {
                        seen.failed = seen.failed.or(Some(error));
                        continue;
                    }
                    Err(stop) => return Err(stop),
                };
                seen.note(&page, from, report);
                let Fetched { page, prepared, .. } = page;
                for issue in &page.issues {
                    self.set_aside(no_resource(kind, issue), report).await?;
                }
                self.keep_includes(page.includes).await?;
                total = page.total.filter(|_| is_one);
                together.join(prepared);
            }
            let missing = self.destination().page(together, asked, report).await?;
            self.fetch_referred(missing, report).await?;
            (self.progress)(&Progress::Page { kind, read: report.read, total });
        }
        Ok(seen)
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

/// Asks one search of the queue after the other and tells each page, from the start again where the server forgot its
/// pages; an error is the last that is told of a search.
async fn ask(
    kind: ResourceType,
    store: Store,
    client: FhirClient,
    queue: Arc<Mutex<std::vec::IntoIter<Search>>>,
    tell: mpsc::Sender<Result<Fetched, Stop>>,
) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    while let Some(search) = next() {
        let (mut pages, mut restarts) = (client.search(search.clone()), 0);
        loop {
            let page = match pages.next().await {
                Ok(None) => break,
                Err(EhrError::PagingExpired { .. }) if restarts < RESTARTS => {
                    restarts += 1;
                    pages = client.search(search.clone());
                    continue;
                }
                Ok(Some(page)) => Fetched::of(kind, page, store.clock().now()).await.map_err(Stop::from),
                Err(error) => Err(Stop::from(error)),
            };
            let is_last = page.is_err();
            if tell.send(page).await.is_err() {
                // Nobody listens any more.
                return;
            }
            if is_last {
                break;
            }
        }
    }
}

impl Fetched {
    /// Makes a page ready to be stored, beside the storing of the one before it.
    async fn of(kind: ResourceType, mut page: Page, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let matches = std::mem::take(&mut page.matches);
        let times = matches.iter().filter_map(|resource| read::version_of(resource)?.last_updated).collect();
        let prepared = Prepared::beside(kind, matches, now).await?;
        Ok(Self { page, times, prepared })
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
