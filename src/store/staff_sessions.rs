//! Sessions of staff. The store knows a session by the SHA-256 of its token: who reads the database cannot use it.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use super::staff::staff_of;
use super::tables::{staff, staff_session};
use super::{StoreError, Tx, View};
use crate::domain::{Actor, EventKind, EventOutcome, Staff};

/// A session that is about to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// SHA-256 of the token that only the browser knows.
    pub token_digest: Vec<u8>,
    /// What every form of this session carries.
    pub csrf: String,
    /// The session ends then, whatever happens.
    pub expires_at: DateTime<Utc>,
}

/// A session that holds, and whose it is.
#[derive(Debug, Clone)]
pub struct StaffSession {
    pub staff: Staff,
    pub csrf: String,
    pub last_seen_at: DateTime<Utc>,
}

impl Tx<'_> {
    /// Begins a session for somebody who proved who they are, and records it. Sessions that ran out are swept.
    pub async fn complete_sign_in(&mut self, staff: &Staff, session: NewSession) -> Result<(), StoreError> {
        self.clear_tries(staff.id).await?;
        let now = self.now();
        staff_session::Entity::delete_many()
            .filter(staff_session::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff_session::Column::ExpiresAt.lte(now))
            .exec(&self.txn)
            .await?;
        let row = staff_session::ActiveModel {
            token_digest: Set(session.token_digest),
            tenant: Set(self.tenant.to_string()),
            staff: Set(staff.id.0),
            csrf: Set(session.csrf),
            created_at: Set(now),
            last_seen_at: Set(now),
            expires_at: Set(session.expires_at),
        };
        staff_session::Entity::insert(row).exec_without_returning(&self.txn).await?;
        let signed_in = self.event(Actor::Staff(staff.login.clone()), EventKind::SignedIn);
        self.append(signed_in).await
    }

    /// Records that somebody proved who they are without a session of pages, at `place`.
    pub async fn identified(&mut self, staff: &Staff, place: &str) -> Result<(), StoreError> {
        self.clear_tries(staff.id).await?;
        let event = self.event(Actor::Staff(staff.login.clone()), EventKind::SignedIn);
        self.append(event.with_detail(json!({ "at": place }))).await
    }

    /// Records a sign-in that was refused. A login that is not ours is not kept: people type passwords there.
    pub async fn refuse_sign_in(&mut self, known: Option<&Staff>, because: &str) -> Result<(), StoreError> {
        let actor = known.map_or_else(|| Actor::system("web"), |staff| Actor::Staff(staff.login.clone()));
        let refused = self
            .event(actor, EventKind::SignInRefused)
            .with_outcome(EventOutcome::Refused)
            .with_detail(json!({ "because": because }));
        self.append(refused).await
    }

    /// Ends a session and records it. Answers whether there was one.
    pub async fn sign_out(&mut self, token_digest: &[u8]) -> Result<bool, StoreError> {
        let session = staff_session::Entity::find_by_id(token_digest.to_vec())
            .filter(staff_session::Column::Tenant.eq(self.tenant.as_str()))
            .one(&self.txn)
            .await?;
        let Some(session) = session else { return Ok(false) };
        self.delete_session(token_digest).await?;
        if let Some(owner) = staff::Entity::find_by_id(session.staff).one(&self.txn).await? {
            let signed_out = self.event(Actor::Staff(owner.login), EventKind::SignedOut);
            self.append(signed_out).await?;
        }
        Ok(true)
    }

    /// Moves a session's last sign of life to now.
    pub async fn touch_session(&mut self, token_digest: &[u8]) -> Result<(), StoreError> {
        staff_session::Entity::update_many()
            .col_expr(staff_session::Column::LastSeenAt, Expr::value(self.now()))
            .filter(staff_session::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff_session::Column::TokenDigest.eq(token_digest.to_vec()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    async fn delete_session(&mut self, token_digest: &[u8]) -> Result<(), StoreError> {
        staff_session::Entity::delete_many()
            .filter(staff_session::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff_session::Column::TokenDigest.eq(token_digest.to_vec()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }
}

impl View<'_> {
    /// The session with this digest, if it is neither too old nor idle for longer than `idle`, and its account stands.
    pub async fn staff_session(
        &self,
        token_digest: &[u8],
        idle: TimeDelta,
    ) -> Result<Option<StaffSession>, StoreError> {
        let now = self.store.clock().now();
        let session = staff_session::Entity::find_by_id(token_digest.to_vec())
            .filter(staff_session::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff_session::Column::ExpiresAt.gt(now))
            .filter(staff_session::Column::LastSeenAt.gt(now - idle))
            .one(&self.conn)
            .await?;
        let Some(session) = session else { return Ok(None) };
        let owner = staff::Entity::find_by_id(session.staff)
            .filter(staff::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff::Column::DisabledAt.is_null())
            .one(&self.conn)
            .await?;
        let Some(owner) = owner else { return Ok(None) };
        Ok(Some(StaffSession { staff: staff_of(owner)?, csrf: session.csrf, last_seen_at: session.last_seen_at }))
    }
}
