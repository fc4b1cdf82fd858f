//! Signed heads of the log, the keys that sign them, and how far each way of publishing has come.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keyring::{Class, NOBODY};
use super::tables::{history_checkpoint, history_key, history_publication};
use super::{StoreError, Tx, View};

/// A key that signs checkpoints. The private half is sealed with the tenant's key.
#[derive(Clone)]
pub struct LogKey {
    pub id: Uuid,
    /// The log's name, which the key is bound to.
    pub origin: String,
    pub public_key: Vec<u8>,
    /// The seed of the Ed25519 key.
    pub seed: Zeroizing<Vec<u8>>,
    pub created_at: DateTime<Utc>,
    pub retired_at: Option<DateTime<Utc>>,
}

/// One signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    pub size: u64,
    pub key: Uuid,
    /// The signed note.
    pub note: String,
    pub at: DateTime<Utc>,
}

/// How far one way of publishing has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// `folder`, `url`, `email` or `bucket`.
    pub way: String,
    /// The newest checkpoint that got through.
    pub size: u64,
    pub published_at: Option<DateTime<Utc>>,
    /// Tries in a row that failed since.
    pub failures: u32,
    /// The last one's trouble.
    pub problem: Option<String>,
    pub next_at: Option<DateTime<Utc>>,
}

impl Tx<'_> {
    /// Adds a key; those that signed before sign no more.
    pub async fn add_log_key(&mut self, key: &LogKey) -> Result<(), StoreError> {
        let now = self.now();
        history_key::Entity::update_many()
            .col_expr(history_key::Column::RetiredAt, Expr::value(now))
            .filter(history_key::Column::Tenant.eq(self.tenant.as_str()))
            .filter(history_key::Column::RetiredAt.is_null())
            .exec(&self.txn)
            .await?;
        self.prepare_keys(Class::Tenant, [NOBODY]).await?;
        let row = key.id.to_string();
        let private = self.seal(Class::Tenant, NOBODY, "history_key", "private_key", &row, &key.seed)?;
        history_key::Entity::insert(history_key::ActiveModel {
            id: Set(key.id),
            tenant: Set(self.tenant.to_string()),
            origin: Set(key.origin.clone()),
            public_key: Set(key.public_key.clone()),
            private_key: Set(private),
            created_at: Set(key.created_at),
            retired_at: Set(key.retired_at),
        })
        .exec_without_returning(&self.txn)
        .await?;
        Ok(())
    }

    pub async fn add_checkpoint(&mut self, it: &CheckpointRow) -> Result<(), StoreError> {
        history_checkpoint::Entity::insert(history_checkpoint::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            size: Set(it.size as i64),
            key: Set(it.key),
            note: Set(it.note.clone()),
            at: Set(it.at),
        })
        .exec_without_returning(&self.txn)
        .await?;
        Ok(())
    }

    /// Writes how far a way has come.
    pub async fn set_publication(&mut self, it: &Publication) -> Result<(), StoreError> {
        use history_publication::Column as C;
        history_publication::Entity::insert(history_publication::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            way: Set(it.way.clone()),
            size: Set(it.size as i64),
            published_at: Set(it.published_at),
            failures: Set(it.failures as i32),
            problem: Set(it.problem.clone()),
            next_at: Set(it.next_at),
        })
        .on_conflict(
            OnConflict::columns([C::Tenant, C::Way])
                .update_columns([C::Size, C::PublishedAt, C::Failures, C::Problem, C::NextAt])
                .to_owned(),
        )
        .exec_without_returning(&self.txn)
        .await?;
        Ok(())
    }
}

impl View<'_> {
    /// All keys that ever signed for this log, oldest first.
    pub async fn log_keys(&self) -> Result<Vec<LogKey>, StoreError> {
        let rows = history_key::Entity::find()
            .filter(history_key::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_asc(history_key::Column::CreatedAt)
            .order_by_asc(history_key::Column::Id)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().map(|row| row.private_key.as_slice())).await?;
        rows.into_iter()
            .map(|row| {
                let seed = keys.open("history_key", "private_key", &row.id.to_string(), &row.private_key)?;
                Ok(LogKey {
                    id: row.id,
                    origin: row.origin,
                    public_key: row.public_key,
                    seed: Zeroizing::new(seed),
                    created_at: row.created_at,
                    retired_at: row.retired_at,
                })
            })
            .collect()
    }

    pub async fn last_checkpoint(&self) -> Result<Option<CheckpointRow>, StoreError> {
        Ok(self.newest_checkpoints(None, 1).await?.pop())
    }

    /// Checkpoints of sizes below `before`, the newest first.
    pub async fn newest_checkpoints(&self, before: Option<u64>, limit: u64) -> Result<Vec<CheckpointRow>, StoreError> {
        let mut query = self.checkpoints();
        if let Some(before) = before {
            query = query.filter(history_checkpoint::Column::Size.lt(before as i64));
        }
        let rows = query.order_by_desc(history_checkpoint::Column::Size).limit(limit).all(&self.conn).await?;
        Ok(rows.into_iter().map(checkpoint_of).collect())
    }

    /// Checkpoints of sizes above `after`, the oldest first.
    pub async fn checkpoints_after(&self, after: u64, limit: u64) -> Result<Vec<CheckpointRow>, StoreError> {
        let rows = self
            .checkpoints()
            .filter(history_checkpoint::Column::Size.gt(after as i64))
            .order_by_asc(history_checkpoint::Column::Size)
            .limit(limit)
            .all(&self.conn)
            .await?;
        Ok(rows.into_iter().map(checkpoint_of).collect())
    }

    pub async fn checkpoint_of_size(&self, size: u64) -> Result<Option<CheckpointRow>, StoreError> {
        let row = self.checkpoints().filter(history_checkpoint::Column::Size.eq(size as i64)).one(&self.conn).await?;
        Ok(row.map(checkpoint_of))
    }

    fn checkpoints(&self) -> sea_orm::Select<history_checkpoint::Entity> {
        history_checkpoint::Entity::find().filter(history_checkpoint::Column::Tenant.eq(self.tenant.as_str()))
    }

    pub async fn publications(&self) -> Result<Vec<Publication>, StoreError> {
        let rows = history_publication::Entity::find()
            .filter(history_publication::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_asc(history_publication::Column::Way)
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Publication {
                way: row.way,
                size: row.size.max(0) as u64,
                published_at: row.published_at,
                failures: row.failures.unsigned_abs(),
                problem: row.problem,
                next_at: row.next_at,
            })
            .collect())
    }
}

fn checkpoint_of(row: history_checkpoint::Model) -> CheckpointRow {
    CheckpointRow { size: row.size.max(0) as u64, key: row.key, note: row.note, at: row.at }
}
