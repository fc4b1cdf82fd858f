//! Every version of every resource, in memory, stamped by the shared clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::clock::Clock;

/// One version of a resource. `resource` is absent when this version is its deletion.
#[derive(Debug)]
pub struct Version {
    pub number: u32,
    pub updated: DateTime<Utc>,
    pub resource: Option<Value>,
}

impl Version {
    pub fn etag(&self) -> String {
        format!("W/\"{}\"", self.number)
    }

    /// The resource of a version that is no deletion; else null.
    pub fn body(&self) -> &Value {
        self.resource.as_ref().unwrap_or(&Value::Null)
    }

    pub fn id(&self) -> &str {
        self.body()["id"].as_str().unwrap_or_default()
    }
}

pub enum Found {
    Here(Arc<Version>),
    Gone,
    Never,
}

pub enum Conditional {
    Created(Arc<Version>),
    Existed(Arc<Version>),
    Several(usize),
}

/// The stored version is another one than the writer expected.
pub struct Stale;

type Shelf = BTreeMap<String, Vec<Arc<Version>>>;

/// A write, as those see it who are told of changes.
pub struct Change {
    pub kind: String,
    pub id: String,
    pub at: DateTime<Utc>,
    /// Nothing where it was created.
    pub before: Option<Value>,
    /// Nothing where it was deleted.
    pub after: Option<Value>,
}

#[derive(Debug)]
pub struct Archive {
    shelves: RwLock<HashMap<String, Shelf>>,
    /// Every write in order: type, id, version.
    log: RwLock<Vec<(String, String, u32)>>,
    clock: Arc<dyn Clock>,
}

impl Archive {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shelves: RwLock::default(), log: RwLock::default(), clock }
    }

    fn reading(&self) -> RwLockReadGuard<'_, HashMap<String, Shelf>> {
        self.shelves.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> RwLockWriteGuard<'_, HashMap<String, Shelf>> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn read(&self, kind: &str, id: &str) -> Found {
        match self.reading().get(kind).and_then(|shelf| shelf.get(id)).and_then(|versions| versions.last()) {
            Some(version) if version.resource.is_some() => Found::Here(version.clone()),
            Some(_) => Found::Gone,
            None => Found::Never,
        }
    }

    pub fn version(&self, kind: &str, id: &str, number: u32) -> Option<Arc<Version>> {
        let shelves = self.reading();
        shelves.get(kind)?.get(id)?.iter().find(|version| version.number == number).cloned()
    }

    /// The current versions that `wanted` picks, by id.
    pub fn filter(&self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Arc<Version>> {
        let shelves = self.reading();
        let Some(shelf) = shelves.get(kind) else { return Vec::new() };
        shelf
            .values()
            .filter_map(|versions| versions.last())
            .filter(|version| version.resource.as_ref().is_some_and(&wanted))
            .cloned()
            .collect()
    }

    /// Stores a new version under `id`; `expected` is the version number that `If-Match` named.
    pub fn put(
        &self,
        kind: &str,
        id: &str,
        resource: Value,
        expected: Option<u32>,
    ) -> Result<(Arc<Version>, bool), Stale> {
        self.put_at(kind, id, resource, expected, self.clock.now())
    }

    /// As [`Archive::put`], stamped with another instant than now: a commit that becomes visible late.
    pub fn put_at(
        &self,
        kind: &str,
        id: &str,
        resource: Value,
        expected: Option<u32>,
        now: DateTime<Utc>,
    ) -> Result<(Arc<Version>, bool), Stale> {
        let mut shelves = self.writing();
        let versions = shelves.entry(kind.to_owned()).or_default().entry(id.to_owned()).or_default();
        let current = versions.last();
        if let Some(expected) = expected
            && current.is_none_or(|version| version.number != expected || version.resource.is_none())
        {
            return Err(Stale);
        }
        let created = current.is_none_or(|version| version.resource.is_none());
        let number = current.map_or(1, |version| version.number + 1);
        let version = Arc::new(stamped(kind, id, resource, number, now));
        versions.push(version.clone());
        self.note(kind, id, number);
        Ok((version, created))
    }

    /// Creates under an id of the server's choice.
    pub fn create(&self, kind: &str, resource: Value) -> Arc<Version> {
        let version = create_in(self.writing().entry(kind.to_owned()).or_default(), kind, resource, self.clock.now());
        self.note(kind, version.id(), 1);
        version
    }

    /// Creates unless a resource matches already; search and create are one step.
    pub fn create_if_none(&self, kind: &str, resource: Value, matches: impl Fn(&Value) -> bool) -> Conditional {
        let now = self.clock.now();
        let mut shelves = self.writing();
        let shelf = shelves.entry(kind.to_owned()).or_default();
        let mut found = shelf
            .values()
            .filter_map(|versions| versions.last())
            .filter(|version| version.resource.as_ref().is_some_and(&matches));
        match (found.next().cloned(), found.count()) {
            (None, _) => {
                let version = create_in(shelf, kind, resource, now);
                self.note(kind, version.id(), 1);
                Conditional::Created(version)
            }
            (Some(one), 0) => Conditional::Existed(one),
            (Some(_), more) => Conditional::Several(more + 1),
        }
    }

    fn note(&self, kind: &str, id: &str, number: u32) {
        self.log.write().unwrap_or_else(PoisonError::into_inner).push((kind.to_owned(), id.to_owned(), number));
    }

    /// How many writes there were.
    pub fn change_count(&self) -> usize {
        self.log.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many writes there were, and those after the first `known` ones.
    pub fn changes_after(&self, known: usize) -> (usize, Vec<Change>) {
        let new: Vec<_> = self.log.read().unwrap_or_else(PoisonError::into_inner).iter().skip(known).cloned().collect();
        let count = known + new.len();
        let change = |(kind, id, number): (String, String, u32)| {
            let this = self.version(&kind, &id, number)?;
            let before = self.version(&kind, &id, number.saturating_sub(1)).and_then(|it| it.resource.clone());
            Some(Change { kind, id, at: this.updated, before, after: this.resource.clone() })
        };
        (count, new.into_iter().filter_map(change).collect())
    }

    /// Deletes; false when there is nothing to delete.
    pub fn delete(&self, kind: &str, id: &str) -> bool {
        let now = self.clock.now();
        let mut shelves = self.writing();
        let Some(versions) = shelves.get_mut(kind).and_then(|shelf| shelf.get_mut(id)) else { return false };
        let Some(last) = versions.last().filter(|version| version.resource.is_some()) else { return false };
        let number = last.number + 1;
        versions.push(Arc::new(Version { number, updated: now, resource: None }));
        self.note(kind, id, number);
        true
    }

    /// What of a type was deleted after this instant and is still gone.
    pub fn deleted_since(&self, kind: &str, since: DateTime<Utc>) -> Vec<String> {
        let shelves = self.reading();
        let gone = |versions: &Vec<Arc<Version>>| {
            versions.last().is_some_and(|last| last.resource.is_none() && last.updated > since)
        };
        let all = shelves.get(kind).into_iter().flatten();
        all.filter(|(_, versions)| gone(versions)).map(|(id, _)| id.clone()).collect()
    }

    /// How many live resources there are of each type.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let live = |shelf: &Shelf| {
            shelf.values().filter_map(|versions| versions.last()).filter(|version| version.resource.is_some()).count()
        };
        self.reading().iter().map(|(kind, shelf)| (kind.clone(), live(shelf))).filter(|(_, count)| *count > 0).collect()
    }
}

fn create_in(shelf: &mut Shelf, kind: &str, resource: Value, now: DateTime<Utc>) -> Arc<Version> {
    let mut number = 1000 + shelf.len();
    while shelf.contains_key(&number.to_string()) {
        number += 1;
    }
    let id = number.to_string();
    let version = Arc::new(stamped(kind, &id, resource, 1, now));
    shelf.insert(id, vec![version.clone()]);
    version
}

/// The resource with the server's id and meta, in the usual order of fields; the client's tags and profiles stay.
fn stamped(kind: &str, id: &str, resource: Value, number: u32, updated: DateTime<Utc>) -> Version {
    let mut meta = resource["meta"].as_object().cloned().unwrap_or_default();
    meta.insert("versionId".into(), json!(number.to_string()));
    meta.insert("lastUpdated".into(), json!(updated.to_rfc3339_opts(SecondsFormat::Micros, true)));
    let mut out = Map::new();
    out.insert("resourceType".into(), json!(kind));
    out.insert("id".into(), json!(id));
    out.insert("meta".into(), Value::Object(meta));
    if let Value::Object(fields) = resource {
        out.extend(fields.into_iter().filter(|(name, _)| !matches!(name.as_str(), "resourceType" | "id" | "meta")));
    }
    Version { number, updated, resource: Some(Value::Object(out)) }
}
