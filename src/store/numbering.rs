//! Which place an event has in the log, and the tiles of the tree over the places. Events are appended without a number;
//! one replica at a time numbers them, under the lock of one row that nobody else waits for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait as _, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};

use super::alike::chunks;
use super::tables::{event, history_head, history_tile};
use super::{StoreError, Tx, View};
use crate::domain::TenantId;

/// How many events are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    /// Whether the row's code fits: nobody without the tenant's keys wrote it.
    pub genuine: bool,
}

/// Hashes of up to 256 neighbouring nodes of one level of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    pub level: u8,
    pub number: u64,
    pub hashes: Vec<[u8; 32]>,
    /// Whether the row's code fits, and the row is whole hashes.
    pub genuine: bool,
}

/// Numbers the oldest events that have none, from $1 on.
const NUMBER: &str = "UPDATE event SET seq = numbered.place FROM (SELECT id, $1 - 1 + row_number() OVER (ORDER BY at, id) AS place FROM \
     (SELECT id, at FROM event WHERE tenant = $2 AND seq IS NULL ORDER BY at, id LIMIT $3) AS oldest) AS numbered WHERE \
     event.id = numbered.id RETURNING seq, leaf";

impl Tx<'_> {
    /// Takes the head's lock. While somebody else has it, waits for them, or answers `None` at once.
    pub async fn lock_history_head(&mut self, wait: bool) -> Result<Option<Head>, StoreError> {
        let first = history_head::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            size: Set(0),
            mac: Set(self.head_mac(0).await?),
        };
        history_head::Entity::insert(first)
            .on_conflict_do_nothing_on([history_head::Column::Tenant])
            .exec_without_returning(&self.txn)
            .await?;
        let query = history_head::Entity::find_by_id(self.tenant.as_str());
        let query = if wait {
            query.lock(LockType::Update)
        } else {
            query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        };
        match query.one(&self.txn).await? {
            Some(row) => self.view().head_of(&row).await.map(Some),
            None => Ok(None),
        }
    }

    /// Gives places from `first` on to at most `limit` events, oldest first. Answers their leaves in that order.
    pub async fn number_events(&mut self, first: u64, limit: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        let values = [(first as i64).into(), self.tenant.as_str().into(), (limit as i64).into()];
        let statement = Statement::from_sql_and_values(self.txn.get_database_backend(), NUMBER, values);
        let mut numbered = Vec::new();
        for row in self.txn.query_all_raw(statement).await? {
            let (seq, leaf): (i64, Vec<u8>) = (row.try_get("", "seq")?, row.try_get("", "leaf")?);
            let leaf = leaf.try_into().map_err(|_| corrupt("event", "its leaf is no hash"))?;
            numbered.push((seq as u64, leaf));
        }
        numbered.sort_unstable();
        Ok(numbered.into_iter().map(|(_, leaf)| leaf).collect())
    }

    /// Writes the head and the tiles that changed with it.
    pub async fn set_history_head(&mut self, size: u64, tiles: Vec<Tile>) -> Result<(), StoreError> {
        let mac_key = self.view().tenant_keys().await?.mac.clone();
        let rows = tiles.into_iter().map(|tile| {
            let hashes = tile.hashes.concat();
            history_tile::ActiveModel {
                tenant: Set(self.tenant.to_string()),
                level: Set(tile.level.into()),
                number: Set(tile.number as i64),
                mac: Set(mac_key.mac(&tile_input(&self.tenant, tile.level, tile.number, &hashes))),
                hashes: Set(hashes),
            }
        });
        use history_tile::Column as C;
        for chunk in chunks(rows.collect(), 500) {
            history_tile::Entity::insert_many(chunk)
                .on_conflict(
                    OnConflict::columns([C::Tenant, C::Level, C::Number])
                        .update_columns([C::Hashes, C::Mac])
                        .to_owned(),
                )
                .exec_without_returning(&self.txn)
                .await?;
        }
        let head = history_head::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            size: Set(size as i64),
            mac: Set(self.head_mac(size).await?),
        };
        history_head::Entity::update(head).exec(&self.txn).await?;
        Ok(())
    }

    async fn head_mac(&self, size: u64) -> Result<Vec<u8>, StoreError> {
        Ok(self.view().tenant_keys().await?.mac.mac(&head_input(&self.tenant, size)))
    }
}

impl View<'_> {
    /// The head; a log that was never numbered has size 0.
    pub async fn history_head(&self) -> Result<Head, StoreError> {
        match history_head::Entity::find_by_id(self.tenant.as_str()).one(&self.conn).await? {
            Some(row) => self.head_of(&row).await,
            None => Ok(Head { size: 0, genuine: true }),
        }
    }

    async fn head_of(&self, row: &history_head::Model) -> Result<Head, StoreError> {
        let size = row.size.max(0) as u64;
        let genuine = self.tenant_keys().await?.mac.verify(&head_input(self.tenant, size), &row.mac);
        Ok(Head { size, genuine: genuine && row.size >= 0 })
    }

    /// Since when the oldest event without a number waits for it.
    pub async fn unnumbered_since(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let oldest = event::Entity::find()
            .select_only()
            .column(event::Column::At)
            .filter(event::Column::Tenant.eq(self.tenant.as_str()))
            .filter(event::Column::Seq.is_null())
            // In this order the index of unnumbered events is the shortest way, also for a planner without statistics.
            .order_by_asc(event::Column::At)
            .limit(1)
            .into_tuple()
            .one(&self.conn)
            .await?;
        Ok(oldest)
    }

    pub async fn has_unnumbered_events(&self) -> Result<bool, StoreError> {
        Ok(self.unnumbered_since().await?.is_some())
    }

    /// The tiles with these (level, number); one that is not there is left out.
    pub async fn history_tiles(&self, ids: &BTreeSet<(u8, u64)>) -> Result<Vec<Tile>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        let ids: Vec<(u8, u64)> = ids.iter().copied().collect();
        for chunk in ids.chunks(200) {
            let any = chunk.iter().fold(Condition::any(), |any, (level, number)| {
                any.add(
                    Condition::all()
                        .add(history_tile::Column::Level.eq(i32::from(*level)))
                        .add(history_tile::Column::Number.eq(*number as i64)),
                )
            });
            let rows = history_tile::Entity::find()
                .filter(history_tile::Column::Tenant.eq(self.tenant.as_str()))
                .filter(any)
                .all(&self.conn)
                .await?;
            for row in rows {
                found.push(self.tile_of(row).await?);
            }
        }
        Ok(found)
    }

    /// Up to `limit` tiles of a level, from `number` on, in order.
    pub async fn history_tiles_from(&self, level: u8, number: u64, limit: u64) -> Result<Vec<Tile>, StoreError> {
        let rows = history_tile::Entity::find()
            .filter(history_tile::Column::Tenant.eq(self.tenant.as_str()))
            .filter(history_tile::Column::Level.eq(i32::from(level)))
            .filter(history_tile::Column::Number.gte(number as i64))
            .order_by_asc(history_tile::Column::Number)
            .limit(limit)
            .all(&self.conn)
            .await?;
        let mut tiles = Vec::with_capacity(rows.len());
        for row in rows {
            tiles.push(self.tile_of(row).await?);
        }
        Ok(tiles)
    }

    /// The tile at the right edge of a level.
    pub async fn last_history_tile(&self, level: u8) -> Result<Option<Tile>, StoreError> {
        let row = history_tile::Entity::find()
            .filter(history_tile::Column::Tenant.eq(self.tenant.as_str()))
            .filter(history_tile::Column::Level.eq(i32::from(level)))
            .order_by_desc(history_tile::Column::Number)
            .limit(1)
            .one(&self.conn)
            .await?;
        match row {
            Some(row) => self.tile_of(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn tile_of(&self, row: history_tile::Model) -> Result<Tile, StoreError> {
        let (level, number) = (row.level as u8, row.number as u64);
        let input = tile_input(self.tenant, level, number, &row.hashes);
        let (hashes, rest) = row.hashes.as_chunks::<32>();
        let genuine = rest.is_empty() && self.tenant_keys().await?.mac.verify(&input, &row.mac);
        Ok(Tile { level, number, hashes: hashes.to_vec(), genuine })
    }
}

/// What the codes cover. An event's code begins with its id, which begins with a time: none of these words does.
fn head_input(tenant: &TenantId, size: u64) -> Vec<u8> {
    [b"history head\0", tenant.as_str().as_bytes(), b"\0", &size.to_be_bytes()].concat()
}

fn tile_input(tenant: &TenantId, level: u8, number: u64, hashes: &[u8]) -> Vec<u8> {
    [b"history tile\0", tenant.as_str().as_bytes(), b"\0", &[level], &number.to_be_bytes(), hashes].concat()
}

fn corrupt(what: &'static str, reason: &str) -> StoreError {
    StoreError::Corrupt { what, reason: reason.to_owned() }
}
