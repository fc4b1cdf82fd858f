//! Which key seals what, and where unwrapped keys are kept while in use.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, TryInsertResult};
use uuid::Uuid;

use super::tables::{data_key, tenant_key};
use super::{Store, StoreError, Tx, View};
use crate::domain::TenantId;
use crate::seal::{IndexKey, Key, KeyBytes, Place, RootKey, WrappedKey, key_of};

/// Retention class: data of one class of one patient is shredded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// What the EHR told us.
    Mirror,
    /// Decisions, messages, replies, opt-outs.
    Message,
    /// The history.
    History,
    /// Secrets of the tenant itself, such as private keys.
    Tenant,
}

impl Class {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Message => "message",
            Self::History => "history",
            Self::Tenant => "tenant",
        }
    }
}

/// The subject of data that belongs to no patient.
pub(super) const NOBODY: &str = "";

type Subject = (TenantId, Class, String);

/// The keys of one tenant that wrap, index and authenticate.
#[derive(Debug, Clone)]
pub(super) struct TenantKeys {
    pub(super) seal: Key,
    pub(super) index: IndexKey,
    pub(super) mac: IndexKey,
}

#[derive(Debug)]
pub(super) struct KeyRing {
    pub(super) root: RootKey,
    tenants: RwLock<HashMap<TenantId, Arc<TenantKeys>>>,
    by_id: moka::sync::Cache<Uuid, Key>,
    by_subject: moka::sync::Cache<Subject, Key>,
}

/// Unwrapped data keys kept in memory: enough for a busy clinic's day, about 1 KiB each.
pub(super) const KEPT_KEYS: u64 = 8_192;

impl KeyRing {
    /// `kept` unwrapped data keys stay in memory.
    pub(super) fn new(root: RootKey, kept: u64) -> Self {
        Self {
            root,
            tenants: RwLock::default(),
            by_id: moka::sync::Cache::new(kept),
            by_subject: moka::sync::Cache::new(kept),
        }
    }

    /// Drops every unwrapped key: the rows they came from were replaced.
    pub(super) fn forget(&self) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.by_id.invalidate_all();
        self.by_subject.invalidate_all();
    }

    /// Remembers a key that a committed row wraps.
    pub(super) fn keep(&self, subject: Subject, key: Key) {
        self.by_id.insert(key.id(), key.clone());
        self.by_subject.insert(subject, key);
    }
}

impl View<'_> {
    /// The tenant's own keys, unwrapped once per process.
    pub(super) async fn tenant_keys(&self) -> Result<Arc<TenantKeys>, StoreError> {
        let ring = &self.store.inner.keys;
        let known = ring.tenants.read().unwrap_or_else(PoisonError::into_inner).get(self.tenant).cloned();
        if let Some(keys) = known {
            return Ok(keys);
        }
        let rows = tenant_key::Entity::find()
            .filter(tenant_key::Column::Tenant.eq(self.tenant.as_str()))
            .filter(tenant_key::Column::RetiredAt.is_null())
            .all(&self.conn)
            .await?;
        let find = |kind: &str| -> Result<(Uuid, KeyBytes), StoreError> {
            let row = rows
                .iter()
                .find(|row| row.kind == kind)
                .ok_or_else(|| StoreError::NoTenant(self.tenant.to_string()))?;
            let wrapped = WrappedKey(row.wrapped.clone());
            Ok((row.id, ring.root.key().unwrap(self.tenant.as_str(), row.id, &wrapped)?))
        };
        let (id, bytes) = find("seal")?;
        let keys = Arc::new(TenantKeys {
            seal: Key::new(id, &bytes)?,
            index: IndexKey::new(&find("index")?.1),
            mac: IndexKey::new(&find("mac")?.1),
        });
        ring.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(self.tenant.clone(), keys.clone());
        Ok(keys)
    }

    /// A keyed digest to find a value by.
    pub async fn blind(&self, kind: &str, value: &str) -> Result<Vec<u8>, StoreError> {
        Ok(self.tenant_keys().await?.index.digest(kind, value))
    }

    /// Loads the keys that `sealed` values need, in one query for all that are not at hand.
    pub(super) async fn load_keys<'b>(
        &self,
        sealed: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<LoadedKeys, StoreError> {
        let ring = &self.store.inner.keys;
        let mut loaded = HashMap::new();
        let mut missing = HashSet::new();
        for value in sealed {
            let id = key_of(value)?;
            if loaded.contains_key(&id) {
                continue;
            }
            match ring.by_id.get(&id) {
                Some(key) => {
                    loaded.insert(id, key);
                }
                None => {
                    missing.insert(id);
                }
            }
        }
        let missing: Vec<Uuid> = missing.into_iter().collect();
        for chunk in missing.chunks(500) {
            let keys = self.tenant_keys().await?;
            let rows = data_key::Entity::find()
                .filter(data_key::Column::Id.is_in(chunk.iter().copied()))
                .filter(data_key::Column::Tenant.eq(self.tenant.as_str()))
                .all(&self.conn)
                .await?;
            for row in rows {
                if let Some(wrapped) = row.wrapped {
                    let bytes = keys.seal.unwrap(self.tenant.as_str(), row.id, &WrappedKey(wrapped))?;
                    let key = Key::new(row.id, &bytes)?;
                    ring.by_id.insert(row.id, key.clone());
                    loaded.insert(row.id, key);
                }
            }
        }
        Ok(LoadedKeys { tenant: self.tenant.clone(), keys: loaded })
    }
}

/// The keys of a set of sealed values. They are held here, not only in the ring: that one forgets what it has no room
/// for, and a key that was forgotten must not look like one that was destroyed.
pub(super) struct LoadedKeys {
    tenant: TenantId,
    keys: HashMap<Uuid, Key>,
}

impl LoadedKeys {
    /// Opens one sealed column.
    ///
    /// # Errors
    /// [`StoreError::Shredded`]: the key that sealed it was destroyed.
    pub(super) fn open(&self, table: &str, column: &str, row: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let key = self.keys.get(&key_of(sealed)?).ok_or(StoreError::Shredded)?;
        Ok(key.open(&Place { tenant: self.tenant.as_str(), table, column, row }, sealed)?)
    }

    /// Opens a sealed JSON value of type `T`.
    pub(super) fn open_json<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
        table: &str,
        column: &str,
        row: &str,
        sealed: &[u8],
    ) -> Result<T, StoreError> {
        let plain = self.open(table, column, row, sealed)?;
        serde_json::from_slice(&plain)
            // serde's text can repeat a value: say where, not what.
            .map_err(|error| StoreError::Corrupt { what, reason: format!("at column {}", error.column()) })
    }
}

impl Tx<'_> {
    /// Makes the data keys of these subjects ready, so that `seal` need not wait: one query, one insert.
    pub async fn prepare_keys<'b>(
        &mut self,
        class: Class,
        subjects: impl IntoIterator<Item = &'b str>,
    ) -> Result<(), StoreError> {
        let ring = &self.store.inner.keys;
        let mut missing: Vec<String> = Vec::new();
        for subject in subjects {
            let at = (self.tenant.clone(), class, subject.to_owned());
            if !self.fresh.contains_key(&at) && !missing.iter().any(|known| known == subject) {
                match ring.by_subject.get(&at) {
                    Some(key) => {
                        self.fresh.insert(at, key);
                    }
                    None => missing.push(subject.to_owned()),
                }
            }
        }
        for chunk in missing.chunks(500) {
            self.load_or_make_keys(class, chunk).await?;
        }
        Ok(())
    }

    async fn load_or_make_keys(&mut self, class: Class, subjects: &[String]) -> Result<(), StoreError> {
        self.load_subject_keys(class, subjects).await?;
        let tenant = self.tenant.clone();
        let missing: Vec<&String> = subjects
            .iter()
            .filter(|subject| !self.fresh.contains_key(&(tenant.clone(), class, (*subject).clone())))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let keys = self.view().tenant_keys().await?;
        let now = self.store.clock().now();
        let mut rows = Vec::with_capacity(missing.len());
        let mut made = Vec::with_capacity(missing.len());
        for subject in missing {
            let id = self.store.new_id();
            let bytes = KeyBytes::generate(self.store.entropy().as_ref());
            made.push(((tenant.clone(), class, subject.clone()), Key::new(id, &bytes)?));
            rows.push(data_key::ActiveModel {
                id: Set(id),
                tenant: Set(tenant.to_string()),
                class: Set(class.as_str().to_owned()),
                subject: Set(subject.clone()),
                version: Set(1),
                wrapped: Set(Some(keys.seal.wrap(tenant.as_str(), id, &bytes)?.0)),
                created_at: Set(now),
                destroyed_at: Set(None),
            });
        }
        let inserted = data_key::Entity::insert_many(rows)
            .on_conflict_do_nothing_on([
                data_key::Column::Tenant,
                data_key::Column::Class,
                data_key::Column::Subject,
                data_key::Column::Version,
            ])
            .exec_without_returning(&self.txn)
            .await?;
        if matches!(inserted, TryInsertResult::Inserted(count) if count == made.len() as u64) {
            self.fresh.extend(made);
            return Ok(());
        }
        // Another replica made one meanwhile: its key stands, so read back what is there.
        self.load_subject_keys(class, subjects).await
    }

    async fn load_subject_keys(&mut self, class: Class, subjects: &[String]) -> Result<(), StoreError> {
        let keys = self.view().tenant_keys().await?;
        let rows = data_key::Entity::find()
            .filter(data_key::Column::Tenant.eq(self.tenant.as_str()))
            .filter(data_key::Column::Class.eq(class.as_str()))
            .filter(data_key::Column::Subject.is_in(subjects.iter().map(String::as_str)))
            .filter(data_key::Column::Wrapped.is_not_null())
            .order_by_asc(data_key::Column::Version)
            .all(&self.txn)
            .await?;
        for row in rows {
            let Some(wrapped) = row.wrapped else { continue };
            let bytes = keys.seal.unwrap(self.tenant.as_str(), row.id, &WrappedKey(wrapped))?;
            self.fresh.insert((self.tenant.clone(), class, row.subject), Key::new(row.id, &bytes)?);
        }
        Ok(())
    }

    /// Seals bytes for one column of one row. The subject's key must have been prepared.
    pub(super) fn seal(
        &self,
        class: Class,
        subject: &str,
        table: &str,
        column: &str,
        row: &str,
        plain: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let key = self
            .fresh
            .get(&(self.tenant.clone(), class, subject.to_owned()))
            .ok_or(StoreError::Corrupt { what: "data key", reason: "it was not prepared".to_owned() })?;
        Ok(key.seal(&Place { tenant: self.tenant.as_str(), table, column, row }, plain)?)
    }

    /// Seals a value as JSON.
    pub(super) fn seal_json<T: serde::Serialize>(
        &self,
        class: Class,
        subject: &str,
        table: &str,
        column: &str,
        row: &str,
        value: &T,
    ) -> Result<Vec<u8>, StoreError> {
        let plain = serde_json::to_vec(value)
            .map_err(|_| StoreError::Corrupt { what: "value", reason: "it does not serialise".to_owned() })?;
        self.seal(class, subject, table, column, row, &plain)
    }
}

impl Store {
    pub(super) fn keys(&self) -> &KeyRing {
        &self.inner.keys
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use secrecy::SecretString;

    use super::*;
    use crate::clock::{ManualClock, SystemEntropy};
    use crate::config::Database;
    use crate::domain::{Actor, EhrId, EventKind, PatientId};
    use crate::store::EventFilter;

    const PEOPLE: u64 = 2_000;
    const ROOT: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    /// With more patients than the ring has room for, keys that one question needs push each other out.
    #[tokio::test]
    async fn a_key_that_the_ring_forgot_is_not_taken_for_one_that_was_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("keys.sqlite").display());
        let database = Database { url: SecretString::from(url), max_connections: 2 };
        let root = || RootKey::parse(&SecretString::from(ROOT)).unwrap();
        let clock = Arc::new(ManualClock::at(chrono::DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
        let mut store = Store::open(&database, root(), clock, Arc::new(SystemEntropy)).await.unwrap();
        Arc::get_mut(&mut store.inner).unwrap().keys = KeyRing::new(root(), 1);
        let tenant = TenantId::main();
        store.add_tenant(&tenant, "Test Clinic").await.unwrap();
        let ehr = EhrId::new("main");
        let mut tx = store.write(&tenant).await.unwrap();
        // So many that the ring tidies up while they come in.
        let events = (0..PEOPLE).map(|n| {
            let event = tx.event(Actor::system("test"), EventKind::TokenGranted);
            event.about_patient(&ehr, &PatientId::new(format!("p{n}"))).with_detail(serde_json::json!({ "n": n }))
        });
        let events = events.collect();
        tx.append_all(events).await.unwrap();
        tx.commit().await.unwrap();
        let filter = EventFilter { ehr: Some(ehr), limit: PEOPLE, ..EventFilter::default() };
        let events = store.view(&tenant).events(&filter).await.unwrap();
        let mut read: Vec<u64> = events.iter().filter_map(|event| event.detail["n"].as_u64()).collect();
        read.sort_unstable();
        assert_eq!(read, (0..PEOPLE).collect::<Vec<_>>());
    }
}
