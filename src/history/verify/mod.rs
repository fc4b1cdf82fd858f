//! Recomputes the whole log in a stream and says what was changed: every row against its content, its code and its
//! recorded place; the tree above; the signed checkpoints, and those that somebody kept elsewhere. Memory does not grow
//! with the log.

mod finding;
mod record;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::HistoryError;
use super::checkpoint::{signed, verifier};
use super::note::{Checkpoint, NoteError, Verifier};
use super::tiles::WIDTH;
use super::tree::{Edge, Hash};
use crate::clock::hexadecimal;
use crate::domain::{EventId, TenantId};
use crate::store::{AuditPage, AuditedRow, Content, Store, View};
pub use finding::{Change, Finding};
use record::{Grown, Record};
use rows::{Stray, Verdict, explain, finding, judge};

/// Rows that are read at once.
const PAGE: u64 = 4_096;
/// Rows out of place, places without rows and findings that are kept; the rest is only counted.
const KEPT: usize = 100_000;

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Numbered events, as the head of the log counts them.
    pub size: u64,
    /// The root of the tree over them, hexadecimal.
    pub root: String,
    /// Rows that were read and recomputed.
    pub rows: u64,
    /// Of these, how many have only their leaf left: their content was destroyed by a retention policy.
    pub destroyed: u64,
    /// Events that wait for a number; they are checked one by one.
    pub unnumbered: u64,
    pub unnumbered_since: Option<DateTime<Utc>>,
    /// Checkpoints whose signature and root hold, those from elsewhere included.
    pub checkpoints: u64,
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub more: u64,
}

impl Report {
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty() && self.more == 0
    }
}

/// Told of how many rows of how many.
pub type Told<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// A checkpoint that somebody kept outside.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Where it came from, for the report.
    pub name: String,
    pub note: String,
    /// Whose signature it must carry; without it, any key of this log.
    pub key: Option<Verifier>,
}

/// Verifies the log of a tenant.
///
/// # Errors
/// The database. What was changed is a finding, not an error.
pub async fn verify(store: &Store, tenant: &TenantId, kept: &[Kept], told: Told<'_>) -> Result<Report, HistoryError> {
    let mut run = Run::new(store, tenant).await?;
    run.expect_kept(kept).await?;
    run.numbered(told).await?;
    run.unnumbered().await?;
    run.explain().await?;
    Ok(run.report)
}

struct Run<'a> {
    store: &'a Store,
    tenant: &'a TenantId,
    view: View<'a>,
    report: Report,
    /// Places that events were given, by the head or by the tiles.
    limit: u64,
    found: Vec<Finding>,
    record: Record,
    grown: Grown,
    edge: Edge,
    strays: Vec<Stray>,
    vacant: BTreeSet<u64>,
    /// Keys that are gone: the first place that they sealed, and how many.
    keys: BTreeMap<Uuid, (u64, u64)>,
    /// Roots that checkpoints claim, by size: (name, root).
    claims: BTreeMap<u64, Vec<(String, Hash)>>,
    /// Stored checkpoints up to this size were read.
    read_claims: u64,
}

impl<'a> Run<'a> {
    async fn new(store: &'a Store, tenant: &'a TenantId) -> Result<Self, HistoryError> {
        let view = store.view(tenant);
        let head = view.history_head().await?;
        let last = view.last_history_tile(0).await?;
        let recorded = last.map_or(0, |tile| tile.number * WIDTH + tile.hashes.len() as u64);
        let report = Report {
            size: head.size,
            root: String::new(),
            rows: 0,
            destroyed: 0,
            unnumbered: 0,
            unnumbered_since: None,
            checkpoints: 0,
            findings: Vec::new(),
            more: 0,
        };
        let mut run = Self {
            store,
            tenant,
            view,
            report,
            limit: head.size.max(recorded),
            found: Vec::new(),
            record: Record::default(),
            grown: Grown::default(),
            edge: Edge::default(),
            strays: Vec::new(),
            vacant: BTreeSet::new(),
            keys: BTreeMap::new(),
            claims: BTreeMap::new(),
            read_claims: 0,
        };
        if !head.genuine {
            run.note(Finding::new(Change::HeadAltered, format!("it says {}", head.size)));
        } else if recorded != head.size && recorded.div_ceil(WIDTH) >= head.size.div_ceil(WIDTH) {
            let words = format!("it says {}, and the tree has {recorded} leaves", head.size);
            run.note(Finding::new(Change::HeadAltered, words));
        }
        Ok(run)
    }

    fn note(&mut self, it: Finding) {
        if self.report.findings.len() < KEPT {
            self.report.findings.push(it);
        } else {
            self.report.more += 1;
        }
    }

    fn note_all(&mut self) {
        for it in std::mem::take(&mut self.found) {
            self.note(it);
        }
    }

    /// Reads the checkpoints from outside. One that does not fit any key of this log is a finding by itself.
    async fn expect_kept(&mut self, kept: &[Kept]) -> Result<(), HistoryError> {
        if kept.is_empty() {
            return Ok(());
        }
        let ours: Vec<Verifier> =
            self.view.log_keys().await?.iter().map(verifier).collect::<Result<_, HistoryError>>()?;
        for it in kept {
            let may: Vec<&Verifier> = it.key.as_ref().map_or_else(|| ours.iter().collect(), |key| vec![key]);
            let mut problem = NoteError::Form("this log never signed anything");
            let mut opened = None;
            for key in may {
                match key.open(&it.note) {
                    Ok(checkpoint) => opened = Some(checkpoint),
                    Err(error) => problem = error,
                }
            }
            match opened {
                Some(Checkpoint { size, root, .. }) => {
                    self.claims.entry(size).or_default().push((it.name.clone(), root));
                }
                None => {
                    let words = format!("{}: {problem}. A log whose keys were replaced looks like this too", it.name);
                    self.note(Finding::new(Change::CheckpointAltered, words));
                }
            }
        }
        Ok(())
    }

    /// All rows with a number, page by page: the next page is read while this one is checked.
    async fn numbered(&mut self, told: Told<'_>) -> Result<(), HistoryError> {
        let total = self.report.size;
        let mut after: Option<(i64, EventId)> = None;
        let mut begun = i64::MIN;
        let mut next = self.view.audit_page(begun, PAGE).await?;
        loop {
            let page = next;
            let last = page.last().filter(|_| page.len() as u64 == PAGE);
            let checking = tokio::task::spawn_blocking(move || AuditPage::check(page));
            // From the last place on again, where a second row may claim it; but never twice the same page.
            let from = last.map_or(i64::MAX, |(place, _)| if place == begun { place.saturating_add(1) } else { place });
            begun = from;
            next = self.view.audit_page(from, PAGE).await?;
            let rows = checking.await.map_err(|_| HistoryError::Internal("the verification broke off"))?;
            for row in rows {
                let Some(place) = row.seq else { continue };
                if after.is_none_or(|after| (place, row.id) > after) {
                    after = Some((place, row.id));
                    self.row(row, place).await?;
                }
            }
            told(self.report.rows, total);
            if last.is_none() {
                break;
            }
        }
        self.gap(self.limit).await?;
        self.finish().await
    }

    async fn row(&mut self, row: AuditedRow, place: i64) -> Result<(), HistoryError> {
        self.report.rows += 1;
        let at = match u64::try_from(place) {
            Ok(at) if at < self.limit => at,
            // No event was ever numbered so.
            _ => {
                self.stray(Stray { place: Some(place), leaf: row.leaf, row });
                return Ok(());
            }
        };
        if let Some(about) = row.about_log.clone() {
            self.claimed(&row, &about).await?;
        }
        if at < self.edge.size() {
            // The unique index is gone, and two rows claim one place.
            let it = finding(&row, Change::Copied, "another row stands at the same place");
            self.note(it);
            return Ok(());
        }
        self.gap(at).await?;
        self.record.reach(&self.view, at, at + 1, &mut self.found).await?;
        self.note_all();
        let recorded = self.record.leaf(at);
        let own = row.leaf;
        let leaf = match judge(row, recorded, self.record.knows(at)) {
            Verdict::Good(leaf) => Some(leaf),
            Verdict::Destroyed(leaf, key) => {
                self.report.destroyed += 1;
                if self.keys.len() < KEPT {
                    self.keys.entry(key).or_insert((at, 0)).1 += 1;
                }
                Some(leaf)
            }
            Verdict::Wrong(it) => {
                self.note(it);
                recorded.or(own)
            }
            Verdict::Stray(stray) => {
                self.stray(stray);
                if recorded.is_some() {
                    self.vacate(at);
                }
                recorded.or(own)
            }
        };
        self.grow(leaf).await
    }

    /// Places up to `end` have no row.
    async fn gap(&mut self, end: u64) -> Result<(), HistoryError> {
        while self.edge.size() < end {
            let from = self.edge.size();
            let to = end.min(from + PAGE);
            self.record.reach(&self.view, from, to, &mut self.found).await?;
            self.note_all();
            for place in from..to {
                self.vacate(place);
                self.grow(self.record.leaf(place)).await?;
            }
        }
        Ok(())
    }

    /// The tree goes on by one leaf. One that nobody knows cannot be part of what was signed: that is said there.
    async fn grow(&mut self, leaf: Option<Hash>) -> Result<(), HistoryError> {
        self.check_claims().await?;
        let leaf = leaf.unwrap_or_default();
        self.edge.push(leaf);
        self.grown.push(&self.view, leaf, &mut self.found).await?;
        self.note_all();
        Ok(())
    }

    fn stray(&mut self, stray: Stray) {
        if self.strays.len() < KEPT {
            self.strays.push(stray);
        } else {
            self.report.more += 1;
        }
    }

    fn vacate(&mut self, place: u64) {
        if self.vacant.len() < KEPT {
            self.vacant.insert(place);
        } else {
            self.report.more += 1;
        }
    }

    async fn finish(&mut self) -> Result<(), HistoryError> {
        self.check_claims().await?;
        while self.read_claims != u64::MAX {
            self.read_stored_claims().await?;
        }
        self.grown.finish(&self.view, &mut self.found).await?;
        self.note_all();
        self.report.root = hexadecimal(&self.edge.root());
        let there = self.edge.size();
        for (size, claims) in std::mem::take(&mut self.claims) {
            for (name, _) in claims {
                let words = format!("{name}: it was signed for {size} events, and there are {there}");
                self.note(Finding::new(Change::CutBack, words).at_place(size as i64));
            }
        }
        Ok(())
    }

    /// Holds the tree as it has grown so far against what checkpoints say of this size.
    async fn check_claims(&mut self) -> Result<(), HistoryError> {
        let size = self.edge.size();
        if size >= self.read_claims {
            self.read_stored_claims().await?;
        }
        let Some(claims) = self.claims.remove(&size) else { return Ok(()) };
        let root = self.edge.root();
        for (name, claimed) in claims {
            if claimed == root {
                self.report.checkpoints += 1;
            } else {
                let words = format!("{name}: the first {size} events are not those that it was signed for");
                self.note(Finding::new(Change::Rewritten, words).at_place(size as i64));
            }
        }
        Ok(())
    }

    /// The next stored checkpoints; their signatures are checked as they come in.
    async fn read_stored_claims(&mut self) -> Result<(), HistoryError> {
        const AT_ONCE: u64 = 200;
        let first = self.read_claims == 0;
        let after = if first { 0 } else { self.read_claims - 1 };
        let rows = self.view.checkpoints_after(after, AT_ONCE).await?;
        let last = rows.last().map_or(u64::MAX, |row| row.size + 1);
        self.read_claims = if (rows.len() as u64) < AT_ONCE { u64::MAX } else { last };
        for row in rows {
            match signed(&self.view, &row).await {
                Ok(checkpoint) => {
                    let name = format!("the stored checkpoint of {}", row.at.format("%Y-%m-%d %H:%M UTC"));
                    self.claims.entry(row.size).or_default().push((name, checkpoint.root));
                }
                Err(HistoryError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    let it = Finding::new(Change::CheckpointAltered, error.to_string()).at_place(row.size as i64);
                    self.note(it);
                }
            }
        }
        Ok(())
    }

    /// An event says that a checkpoint was signed: it must be there as it was.
    async fn claimed(&mut self, row: &AuditedRow, about: &serde_json::Value) -> Result<(), HistoryError> {
        let Some(size) = about["size"].as_u64() else { return Ok(()) };
        let words = match self.view.checkpoint_of_size(size).await? {
            None => (Change::CheckpointRemoved, format!("the checkpoint of {size} events")),
            Some(stored) => {
                let digest = digest(&SHA256, stored.note.as_bytes());
                if about["note_sha256"].as_str() == Some(&hexadecimal(digest.as_ref())) {
                    return Ok(());
                }
                (Change::CheckpointAltered, format!("the checkpoint of {size} events is not the one that was signed"))
            }
        };
        self.note(finding(row, words.0, &words.1));
        Ok(())
    }

    /// Rows that wait for a number, or were robbed of it.
    async fn unnumbered(&mut self) -> Result<(), HistoryError> {
        let mut after = None;
        loop {
            let page = self.view.audit_unnumbered(after, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            let rows = tokio::task::spawn_blocking(move || AuditPage::check(page))
                .await
                .map_err(|_| HistoryError::Internal("the verification broke off"))?;
            for row in rows {
                after = Some(row.id);
                self.report.unnumbered += 1;
                let since = self.report.unnumbered_since;
                self.report.unnumbered_since = Some(since.map_or(row.at, |since| since.min(row.at)));
                // Nothing is recorded of it, so that it speaks for itself.
                let (leaf, vacant) = (row.leaf, !self.vacant.is_empty());
                match judge(row.clone(), None, false) {
                    Verdict::Wrong(it) if !row.genuine => {
                        self.note(Finding { change: Change::Inserted, ..it });
                    }
                    Verdict::Wrong(it) => self.note(it),
                    _ if vacant => self.stray(Stray { place: None, leaf, row }),
                    Verdict::Stray(stray) => self.stray(stray),
                    Verdict::Good(_) | Verdict::Destroyed(..) => {}
                }
            }
        }
    }

    /// Where do the strays belong? One more walk over the recorded leaves, only if there are any.
    async fn explain(&mut self) -> Result<(), HistoryError> {
        let mut home: HashMap<Hash, u64> = HashMap::new();
        let wanted: BTreeSet<Hash> = self.strays.iter().filter_map(|stray| stray.leaf).collect();
        let mut number = 0;
        while !wanted.is_empty() {
            let tiles = self.view.history_tiles_from(0, number, 256).await?;
            let Some(last) = tiles.last() else { break };
            number = last.number + 1;
            for tile in tiles.iter().filter(|tile| tile.genuine) {
                for (place, hash) in (tile.number * WIDTH..).zip(&tile.hashes) {
                    if wanted.contains(hash) {
                        home.insert(*hash, place);
                    }
                }
            }
        }
        let strays = std::mem::take(&mut self.strays);
        // An unnumbered event that was never recorded simply waits.
        let strays = strays.into_iter().filter(|stray| {
            stray.place.is_some()
                || !stray.row.genuine
                || !matches!(stray.row.content, Content::Whole(leaf) if Some(leaf) == stray.row.leaf)
                || stray.leaf.is_some_and(|leaf| home.contains_key(&leaf))
        });
        for it in explain(strays.collect(), &home, &self.vacant) {
            self.note(it);
        }
        self.missing_keys().await?;
        self.report.findings.sort_by_key(|it| (it.place, it.change));
        Ok(())
    }

    /// Content may be destroyed only by a key that the store knows to be destroyed.
    async fn missing_keys(&mut self) -> Result<(), HistoryError> {
        let ids: Vec<Uuid> = self.keys.keys().copied().collect();
        let known = self.store.view(self.tenant).destroyed_keys(&ids).await?;
        for (id, (place, count)) in std::mem::take(&mut self.keys) {
            if known.get(&id).is_none_or(|key| key.at.is_none()) {
                let words = format!("key {id}, which sealed {count} events, this one first");
                self.note(Finding::new(Change::KeyMissing, words).at_place(place as i64));
            }
        }
        Ok(())
    }
}
