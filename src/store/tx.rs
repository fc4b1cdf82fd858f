//! Writing transactions.

use std::collections::HashMap;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, DatabaseExecutor, DatabaseTransaction, InsertMany, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::SemaphorePermit;

use super::alike::chunks;
use super::keyring::Class;
use super::{Store, StoreError, View};
use crate::domain::TenantId;
use crate::seal::Key;

/// One writing transaction of one tenant. Dropped without `commit`, it changes nothing.
pub struct Tx<'a> {
    pub(super) store: &'a Store,
    pub(super) tenant: TenantId,
    pub(super) txn: DatabaseTransaction,
    /// Data keys in use.
    pub(super) fresh: HashMap<(TenantId, Class, String), Key>,
    /// Those among them that are not at hand for others yet: what was made here becomes known only with the commit.
    pub(super) to_keep: Vec<(TenantId, Class, String)>,
    _writer: SemaphorePermit<'a>,
}

impl Store {
    /// Begins a writing transaction. On SQLite it takes the write lock at once: a transaction that begins by reading
    /// and then writes fails under load, whatever the busy timeout.
    pub async fn write(&self, tenant: &TenantId) -> Result<Tx<'_>, StoreError> {
        let writer = self.inner.writer.acquire().await.map_err(|_| StoreError::Database("shutting down".to_owned()))?;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let txn = self.inner.writing.begin_with_options(options).await?;
        Ok(Tx { store: self, tenant: tenant.clone(), txn, fresh: HashMap::new(), to_keep: Vec::new(), _writer: writer })
    }
}

impl Tx<'_> {
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The instant of this transaction's acts.
    pub fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.store.clock().now()
    }

    /// Reads inside the transaction: what it wrote is seen.
    pub fn view(&self) -> View<'_> {
        View { store: self.store, tenant: &self.tenant, conn: DatabaseExecutor::Transaction(&self.txn) }
    }

    /// Inserts what `build` makes of `rows`, at most `most` in one statement. While the database stores one group of rows
    /// the next one is built, which for sealed rows takes as long.
    pub(super) async fn insert_in_step<R, A>(
        &self,
        rows: Vec<R>,
        most: usize,
        build: impl Fn(R) -> Result<A, StoreError>,
        on_conflict: Option<&OnConflict>,
    ) -> Result<(), StoreError>
    where
        A: ActiveModelTrait,
    {
        let build = |rows: Vec<R>| rows.into_iter().map(&build).collect::<Result<Vec<A>, StoreError>>();
        let mut groups = chunks(rows, most);
        let Some(first) = groups.next() else { return Ok(()) };
        let mut ready = build(first)?;
        loop {
            let mut insert = InsertMany::many(ready);
            if let Some(on_conflict) = on_conflict {
                insert = insert.on_conflict(on_conflict.clone());
            }
            // The statement is on its way to the database when the next rows are built.
            let (stored, next) = futures_util::join!(insert.exec_without_returning(&self.txn), async {
                groups.next().map(&build).transpose()
            });
            stored?;
            match next? {
                Some(next) => ready = next,
                None => return Ok(()),
            }
        }
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        self.txn.commit().await?;
        for subject in self.to_keep {
            if let Some(key) = self.fresh.get(&subject) {
                self.store.keys().keep(subject, key.clone());
            }
        }
        Ok(())
    }
}
