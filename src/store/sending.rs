//! Whether anything may go out: mode, halts, the flood hold; and who leads what.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::codes::{code, decode};
use super::tables::{halt, leader, release_count, send_mode};
use super::{Store, StoreError, Tx, View};
use crate::domain::{Actor, Channel, EventKind, RuleId, in_words};

/// What may leave (I10). A tenant starts with `Off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendMode {
    Off,
    /// Only the safe addresses of the settings are reached.
    Test,
    Live,
}

impl SendMode {
    pub const ALL: [Self; 3] = [Self::Off, Self::Test, Self::Live];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// What a halt stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltScope {
    Everything,
    Rule(RuleId),
    Channel(Channel),
}

impl HaltScope {
    /// As it stands in a sentence: "halted: everything by text message".
    pub fn in_words(&self) -> String {
        match self {
            Self::Everything => "everything".to_owned(),
            Self::Rule(rule) => format!("the rule {}", in_words(rule.as_str())),
            Self::Channel(channel) => format!("everything by {}", channel.in_words()),
        }
    }

    fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Everything => ("all", String::new()),
            Self::Rule(rule) => ("rule", rule.to_string()),
            Self::Channel(channel) => ("channel", channel.as_str().to_owned()),
        }
    }
}

/// A halt in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Halt {
    pub scope: HaltScope,
    pub reason: String,
    pub by: String,
    pub at: DateTime<Utc>,
}

/// Everything that decides whether a message may leave now, read in one go before each provider call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sending {
    pub mode: SendMode,
    pub changed_by: Option<String>,
    pub changed_at: Option<DateTime<Utc>>,
    /// Since when the flood guard holds everything, if it does.
    pub held_at: Option<DateTime<Utc>>,
    /// When a person last let a held flood go.
    pub hold_released_at: Option<DateTime<Utc>>,
    pub halts: Vec<Halt>,
}

impl Sending {
    /// The halt that stops a message of `rule` on `channel`, if there is one.
    pub fn halt_for(&self, rule: Option<&RuleId>, channel: Channel) -> Option<&Halt> {
        self.halts.iter().find(|halt| match &halt.scope {
            HaltScope::Everything => true,
            HaltScope::Rule(named) => rule == Some(named),
            HaltScope::Channel(named) => *named == channel,
        })
    }
}

impl View<'_> {
    pub async fn sending(&self) -> Result<Sending, StoreError> {
        let mode = send_mode::Entity::find_by_id(self.tenant.as_str()).one(&self.conn).await?;
        let halts = halt::Entity::find().filter(halt::Column::Tenant.eq(self.tenant.as_str())).all(&self.conn).await?;
        let mut standing = Vec::with_capacity(halts.len());
        for row in halts {
            standing.push(Halt {
                scope: match row.kind.as_str() {
                    "rule" => HaltScope::Rule(RuleId::new(row.value)),
                    "channel" => HaltScope::Channel(decode("channel", &row.value)?),
                    // A halt that is not understood halts everything.
                    _ => HaltScope::Everything,
                },
                reason: row.reason,
                by: row.halted_by,
                at: row.halted_at,
            });
        }
        standing.sort_by(|a, b| a.scope.cmp(&b.scope));
        Ok(Sending {
            mode: mode.as_ref().and_then(|row| SendMode::parse(&row.mode)).unwrap_or(SendMode::Off),
            changed_by: mode.as_ref().map(|row| row.changed_by.clone()),
            changed_at: mode.as_ref().map(|row| row.changed_at),
            held_at: mode.as_ref().and_then(|row| row.held_at),
            hold_released_at: mode.as_ref().and_then(|row| row.hold_released_at),
            halts: standing,
        })
    }

    /// Messages released in each of the last `hours` hours, by the hour.
    pub async fn releases_by_hour(&self, hours: i64) -> Result<Vec<(DateTime<Utc>, u32)>, StoreError> {
        let since = hour_of(self.store.clock().now()) - TimeDelta::hours(hours);
        let rows: Vec<(DateTime<Utc>, i32)> = release_count::Entity::find()
            .select_only()
            .column(release_count::Column::Hour)
            .column(release_count::Column::Released)
            .filter(release_count::Column::Tenant.eq(self.tenant.as_str()))
            .filter(release_count::Column::Hour.gte(since))
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(rows.into_iter().map(|(hour, count)| (hour, count as u32)).collect())
    }
}

impl Tx<'_> {
    pub async fn set_send_mode(&mut self, mode: SendMode, by: &Actor) -> Result<(), StoreError> {
        let before = self.view().sending().await?.mode;
        self.put_mode(mode, by, None, None).await?;
        let event = self
            .event(by.clone(), EventKind::SendModeChanged)
            .with_detail(json!({ "before": before.as_str(), "after": mode.as_str() }));
        self.append(event).await?;
        self.wake_unsent().await
    }

    async fn put_mode(
        &mut self,
        mode: SendMode,
        by: &Actor,
        held_at: Option<DateTime<Utc>>,
        hold_released_at: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        let row = send_mode::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            mode: Set(mode.as_str().to_owned()),
            changed_by: Set(by.as_text()),
            changed_at: Set(self.now()),
            held_at: Set(held_at),
            hold_released_at: Set(hold_released_at),
        };
        use send_mode::Column as C;
        send_mode::Entity::insert(row)
            .on_conflict(
                OnConflict::column(C::Tenant)
                    .update_columns([C::Mode, C::ChangedBy, C::ChangedAt, C::HeldAt, C::HoldReleasedAt])
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        Ok(())
    }

    /// Stops sending. A second halt of the same scope replaces the first one's reason.
    pub async fn halt(&mut self, scope: &HaltScope, reason: &str, by: &Actor) -> Result<(), StoreError> {
        let (kind, value) = scope.columns();
        let row = halt::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            kind: Set(kind.to_owned()),
            value: Set(value),
            reason: Set(reason.to_owned()),
            halted_by: Set(by.as_text()),
            halted_at: Set(self.now()),
        };
        use halt::Column as C;
        halt::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([C::Tenant, C::Kind, C::Value])
                    .update_columns([C::Reason, C::HaltedBy, C::HaltedAt])
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        let event =
            self.event(by.clone(), EventKind::Halted).with_detail(json!({ "scope": code(scope), "reason": reason }));
        self.append(event).await
    }

    /// Lets sending go on; answers whether such a halt stood.
    pub async fn resume(&mut self, scope: &HaltScope, by: &Actor) -> Result<bool, StoreError> {
        let (kind, value) = scope.columns();
        let done =
            halt::Entity::delete_by_id((self.tenant.to_string(), kind.to_owned(), value)).exec(&self.txn).await?;
        if done.rows_affected == 0 {
            return Ok(false);
        }
        let event = self.event(by.clone(), EventKind::Resumed).with_detail(json!({ "scope": code(scope) }));
        self.append(event).await?;
        self.wake_unsent().await?;
        Ok(true)
    }

    /// The flood guard holds everything until a person looks.
    pub async fn hold_flood(&mut self, words: &str) -> Result<(), StoreError> {
        let now = self.now();
        send_mode::Entity::update_many()
            .col_expr(send_mode::Column::HeldAt, Expr::value(now))
            .filter(send_mode::Column::Tenant.eq(self.tenant.as_str()))
            .filter(send_mode::Column::HeldAt.is_null())
            .exec(&self.txn)
            .await?;
        let event = self.event(Actor::system("outbox"), EventKind::FloodHeld).with_detail(json!({ "words": words }));
        self.append(event).await
    }

    /// A person looked and lets the held messages go; for the next hour the guard stands aside.
    pub async fn release_flood(&mut self, by: &Actor) -> Result<bool, StoreError> {
        let now = self.now();
        let done = send_mode::Entity::update_many()
            .col_expr(send_mode::Column::HeldAt, Expr::value(Option::<DateTime<Utc>>::None))
            .col_expr(send_mode::Column::HoldReleasedAt, Expr::value(now))
            .filter(send_mode::Column::Tenant.eq(self.tenant.as_str()))
            .filter(send_mode::Column::HeldAt.is_not_null())
            .exec(&self.txn)
            .await?;
        if done.rows_affected == 0 {
            return Ok(false);
        }
        let event = self.event(by.clone(), EventKind::FloodReleased);
        self.append(event).await?;
        self.wake_unsent().await?;
        Ok(true)
    }

    /// Counts releases of this hour; answers how many there are by now.
    pub async fn count_releases(&mut self, more: u32) -> Result<u32, StoreError> {
        let hour = hour_of(self.now());
        use release_count::Column as C;
        let row = release_count::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            hour: Set(hour),
            released: Set(more as i32),
        };
        release_count::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([C::Tenant, C::Hour])
                    .value(C::Released, Expr::col((release_count::Entity, C::Released)).add(Expr::value(more as i32)))
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        let count: Option<i32> = release_count::Entity::find_by_id((self.tenant.to_string(), hour))
            .select_only()
            .column(C::Released)
            .into_tuple()
            .one(&self.txn)
            .await?;
        Ok(count.unwrap_or(0) as u32)
    }
}

impl Store {
    /// Takes or keeps the lead of `name` for `holder` until `now + lease`. One leader at a time over all replicas.
    pub async fn lead(&self, name: &str, holder: Uuid, lease: TimeDelta) -> Result<bool, StoreError> {
        let now = self.clock().now();
        let row = leader::ActiveModel { name: Set(name.to_owned()), holder: Set(holder), until: Set(now + lease) };
        use leader::Column as C;
        let free = Condition::any()
            .add(Expr::col((leader::Entity, C::Until)).lt(Expr::value(now)))
            .add(Expr::col((leader::Entity, C::Holder)).eq(Expr::value(holder)));
        let done = leader::Entity::insert(row)
            .on_conflict(
                OnConflict::column(C::Name).update_columns([C::Holder, C::Until]).action_cond_where(free).to_owned(),
            )
            .exec_without_returning(&self.inner.writing)
            .await?;
        Ok(done > 0)
    }

    /// Gives a lead back before its end.
    pub async fn resign(&self, name: &str, holder: Uuid) -> Result<(), StoreError> {
        leader::Entity::delete_many()
            .filter(leader::Column::Name.eq(name))
            .filter(leader::Column::Holder.eq(holder))
            .exec(&self.inner.db)
            .await?;
        Ok(())
    }
}

fn hour_of(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.duration_trunc(TimeDelta::hours(1)).unwrap_or(instant)
}
