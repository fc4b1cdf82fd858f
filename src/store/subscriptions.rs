//! Subscriptions at EHRs.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keyring::{Class, NOBODY};
use super::tables::subscription;
use super::{StoreError, Tx, View};
use crate::domain::{EhrId, Phi};

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    pub id: Uuid,
    pub ehr: EhrId,
    /// `classic`, `backport`, `r5` or `athena`.
    pub dialect: String,
    /// What it is about: a type, or a topic.
    pub name: String,
    pub secrets: SubscriptionSecrets,
    /// Its id at the EHR.
    pub remote_id: Option<String>,
    pub state: SubscriptionState,
    pub error: Option<String>,
    /// How often the EHR promised to be heard; 0 where it promised nothing.
    pub heartbeat_seconds: u32,
    /// The number of the last event.
    pub last_event: Option<u64>,
    /// The first event that is missing, and since when.
    pub gap_from: Option<u64>,
    pub gap_since: Option<DateTime<Utc>>,
    /// Somebody said that something changed, and not what.
    pub poll_wanted_at: Option<DateTime<Utc>>,
    pub polled_at: Option<DateTime<Utc>>,
    pub heard_at: Option<DateTime<Utc>>,
    pub tries: u32,
    /// When it is to be looked at again.
    pub next_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

/// What only the EHR and we know. Never printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionSecrets {
    /// The last part of the address.
    pub path: Phi<String>,
    /// The bearer, or the key that notices are signed with.
    pub key: Phi<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionState {
    /// We want it; the EHR may or may not know.
    Wanted,
    /// The EHR has it and has not said that it is active.
    Requested,
    Active,
    /// The EHR gave it up.
    Error,
}

impl SubscriptionState {
    const ALL: [Self; 4] = [Self::Wanted, Self::Requested, Self::Active, Self::Error];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Requested => "requested",
            Self::Active => "active",
            Self::Error => "error",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        let unknown = || StoreError::Corrupt { what: "subscription", reason: "its state is not known".to_owned() };
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(unknown)
    }
}

/// By which an address is found without being kept.
const DIGEST: &str = "subscription";

impl Tx<'_> {
    /// Keeps a subscription as it stands now.
    pub async fn keep_subscription(&mut self, row: &SubscriptionRow) -> Result<(), StoreError> {
        self.prepare_keys(Class::Tenant, [NOBODY]).await?;
        let secrets =
            self.seal_json(Class::Tenant, NOBODY, "subscription", "secrets", &row.id.to_string(), &row.secrets)?;
        let digest = self.view().blind(DIGEST, row.secrets.path.expose()).await?;
        let signed = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok());
        let model = subscription::ActiveModel {
            id: Set(row.id),
            tenant: Set(self.tenant.to_string()),
            ehr: Set(row.ehr.to_string()),
            dialect: Set(row.dialect.clone()),
            name: Set(row.name.clone()),
            digest: Set(digest),
            secrets: Set(secrets),
            remote_id: Set(row.remote_id.clone()),
            state: Set(row.state.as_str().to_owned()),
            error: Set(row.error.clone()),
            heartbeat_seconds: Set(row.heartbeat_seconds.cast_signed()),
            last_event: Set(signed(row.last_event)),
            gap_from: Set(signed(row.gap_from)),
            gap_since: Set(row.gap_since),
            poll_wanted_at: Set(row.poll_wanted_at),
            polled_at: Set(row.polled_at),
            heard_at: Set(row.heard_at),
            tries: Set(row.tries.cast_signed()),
            next_at: Set(row.next_at),
            created_at: Set(row.created_at),
        };
        if subscription::Entity::find_by_id(row.id).one(&self.txn).await?.is_some() {
            subscription::Entity::update(model).exec(&self.txn).await?;
        } else {
            subscription::Entity::insert(model).exec_without_returning(&self.txn).await?;
        }
        Ok(())
    }
}

impl Tx<'_> {
    /// Forgets a subscription; its address answers nobody any more.
    pub async fn remove_subscription(&mut self, id: Uuid) -> Result<(), StoreError> {
        subscription::Entity::delete_many()
            .filter(subscription::Column::Id.eq(id))
            .filter(subscription::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }
}

impl View<'_> {
    /// The subscriptions at an EHR, by name.
    pub async fn subscriptions(&self, ehr: &EhrId) -> Result<Vec<SubscriptionRow>, StoreError> {
        let rows = subscription::Entity::find()
            .filter(subscription::Column::Tenant.eq(self.tenant.as_str()))
            .filter(subscription::Column::Ehr.eq(ehr.as_str()))
            .order_by_asc(subscription::Column::Dialect)
            .order_by_asc(subscription::Column::Name)
            .all(&self.conn)
            .await?;
        self.read_subscriptions(rows).await
    }

    pub async fn subscription(&self, id: Uuid) -> Result<Option<SubscriptionRow>, StoreError> {
        let row = subscription::Entity::find_by_id(id)
            .filter(subscription::Column::Tenant.eq(self.tenant.as_str()))
            .one(&self.conn)
            .await?;
        Ok(self.read_subscriptions(row.into_iter().collect()).await?.pop())
    }

    /// The subscription whose notices come to this address.
    pub async fn subscription_at(&self, ehr: &EhrId, secret: &str) -> Result<Option<SubscriptionRow>, StoreError> {
        let digest = self.blind(DIGEST, secret).await?;
        let row = subscription::Entity::find()
            .filter(subscription::Column::Tenant.eq(self.tenant.as_str()))
            .filter(subscription::Column::Ehr.eq(ehr.as_str()))
            .filter(subscription::Column::Digest.eq(digest))
            .one(&self.conn)
            .await?;
        Ok(self.read_subscriptions(row.into_iter().collect()).await?.pop())
    }

    async fn read_subscriptions(&self, rows: Vec<subscription::Model>) -> Result<Vec<SubscriptionRow>, StoreError> {
        let sealed: Vec<&[u8]> = rows.iter().map(|row| row.secrets.as_slice()).collect();
        let keys = self.load_keys(sealed).await?;
        let mut read = Vec::with_capacity(rows.len());
        let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        for row in rows {
            let place = row.id.to_string();
            read.push(SubscriptionRow {
                secrets: keys.open_json("subscription", "subscription", "secrets", &place, &row.secrets)?,
                id: row.id,
                ehr: EhrId::new(row.ehr),
                dialect: row.dialect,
                name: row.name,
                remote_id: row.remote_id,
                state: SubscriptionState::parse(&row.state)?,
                error: row.error,
                heartbeat_seconds: row.heartbeat_seconds.cast_unsigned(),
                last_event: number(row.last_event),
                gap_from: number(row.gap_from),
                gap_since: row.gap_since,
                poll_wanted_at: row.poll_wanted_at,
                polled_at: row.polled_at,
                heard_at: row.heard_at,
                tries: row.tries.cast_unsigned(),
                next_at: row.next_at,
                created_at: row.created_at,
            });
        }
        Ok(read)
    }
}
