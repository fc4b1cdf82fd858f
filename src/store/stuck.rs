//! Rows that stand where they should have moved on from: an act that was never finished, or that nobody takes up.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Select};
use serde::Serialize;
use uuid::Uuid;

use super::reminders::is_open;
use super::tables::{attempt, message, patient, pull_run, receipt, reminder, reply, write_back};
use super::{StoreError, View};
use crate::domain::EhrId;

/// One row that is stuck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stuck {
    /// `reminder`, `message`, `attempt`, `write_back`, `reply`, `receipt`, `pull_run` or `patient`.
    pub what: &'static str,
    pub id: String,
    /// What is wrong with it, in words.
    pub words: &'static str,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// How long the longest lease lasts, and some: what is older was left by a replica that died, and by all others since.
const LEFT: TimeDelta = TimeDelta::hours(1);
/// How long what is over may take to be noticed.
const NOTICED: TimeDelta = TimeDelta::minutes(15);
/// How long an outcome may stay unknown: the provider's own log is looked through for a day.
const LOOKED_UP: TimeDelta = TimeDelta::hours(24);
/// As many of a kind as are named.
const NAMED: u64 = 200;

impl View<'_> {
    /// Everything of an EHR's side of the house that is stuck, at most 200 of each kind.
    pub async fn stuck(&self, ehr: &EhrId) -> Result<Vec<Stuck>, StoreError> {
        let now = self.store.clock().now();
        let mut found = self.stuck_reminders(ehr, now).await?;
        found.extend(self.stuck_messages(ehr, now).await?);
        found.extend(self.stuck_write_backs_named(ehr, now).await?);
        found.extend(self.stuck_answers(now).await?);
        found.extend(self.stuck_pulls(ehr, now).await?);
        Ok(found)
    }

    async fn stuck_reminders(&self, ehr: &EhrId, now: DateTime<Utc>) -> Result<Vec<Stuck>, StoreError> {
        use reminder::Column as C;
        let open = || reminder::Entity::find().filter(is_open());
        let lost = Query::select()
            .expr(Expr::val(1))
            .from(message::Entity)
            .and_where(Expr::col((message::Entity, message::Column::Id)).equals((reminder::Entity, C::Message)))
            .to_owned();
        let released = || reminder::Entity::find().filter(C::State.eq("released"));
        let kinds: [(&'static str, C, Select<reminder::Entity>); 5] = [
            ("its time is over and it is still open", C::ExpiresAt, open().filter(C::ExpiresAt.lt(now - NOTICED))),
            (
                "it was due and nobody looks at it",
                C::NextAt,
                open().filter(C::NextAt.lt(now - LEFT)).filter(C::ExpiresAt.gte(now - NOTICED)),
            ),
            (
                "it is to be looked at only after its time is over",
                C::UpdatedAt,
                open().filter(Expr::col(C::NextAt).gt(Expr::col(C::ExpiresAt))),
            ),
            ("it was released and has no message", C::UpdatedAt, released().filter(C::Message.is_null())),
            (
                "it was released and its message is gone",
                C::UpdatedAt,
                released().filter(C::Message.is_not_null()).filter(Expr::exists(lost).not()),
            ),
        ];
        let mut found = Vec::new();
        for (words, since, query) in kinds {
            let rows: Vec<(Uuid, DateTime<Utc>)> = query
                .select_only()
                .columns([C::Id, since])
                .filter(C::Tenant.eq(self.tenant.as_str()))
                .filter(C::Ehr.eq(ehr.as_str()))
                .limit(NAMED)
                .into_tuple()
                .all(&self.conn)
                .await?;
            found.extend(named("reminder", words, rows));
        }
        Ok(found)
    }

    async fn stuck_messages(&self, ehr: &EhrId, now: DateTime<Utc>) -> Result<Vec<Stuck>, StoreError> {
        use message::Column as C;
        let queued = || message::Entity::find().filter(C::State.eq("queued"));
        let kinds: [(&'static str, C, Select<message::Entity>); 3] = [
            ("its time is over and it is still queued", C::ExpiresAt, queued().filter(C::ExpiresAt.lt(now - NOTICED))),
            (
                "its next try is overdue",
                C::NextAttemptAt,
                queued().filter(C::NextAttemptAt.lt(now - LEFT)).filter(C::ExpiresAt.gte(now - NOTICED)),
            ),
            (
                "whether it was sent could not be found out in a day",
                C::UpdatedAt,
                message::Entity::find().filter(C::State.eq("unknown")).filter(C::UpdatedAt.lt(now - LOOKED_UP)),
            ),
        ];
        let mut found = Vec::new();
        for (words, since, query) in kinds {
            let rows: Vec<(Uuid, DateTime<Utc>)> = query
                .select_only()
                .columns([C::Id, since])
                .filter(C::Tenant.eq(self.tenant.as_str()))
                .filter(C::Ehr.eq(ehr.as_str()))
                .limit(NAMED)
                .into_tuple()
                .all(&self.conn)
                .await?;
            found.extend(named("message", words, rows));
        }
        let rows: Vec<(Uuid, DateTime<Utc>)> = attempt::Entity::find()
            .select_only()
            .columns([attempt::Column::Id, attempt::Column::OpenedAt])
            .filter(attempt::Column::Tenant.eq(self.tenant.as_str()))
            .filter(attempt::Column::State.eq("opened"))
            .filter(attempt::Column::OpenedAt.lt(now - LEFT))
            .limit(NAMED)
            .into_tuple()
            .all(&self.conn)
            .await?;
        found.extend(named("attempt", "it was opened and never settled", rows));
        Ok(found)
    }

    async fn stuck_write_backs_named(&self, ehr: &EhrId, now: DateTime<Utc>) -> Result<Vec<Stuck>, StoreError> {
        use write_back::Column as C;
        let kinds: [(&'static str, C, Select<write_back::Entity>); 2] = [
            ("the EHR refused it for good", C::UpdatedAt, write_back::Entity::find().filter(C::State.eq("failed"))),
            ("its next try is overdue", C::NextAt, write_back::Entity::find().filter(C::NextAt.lt(now - LEFT))),
        ];
        let mut found = Vec::new();
        for (words, since, query) in kinds {
            let rows: Vec<(Uuid, DateTime<Utc>)> = query
                .select_only()
                .columns([C::Id, since])
                .filter(C::Tenant.eq(self.tenant.as_str()))
                .filter(C::Ehr.eq(ehr.as_str()))
                .limit(NAMED)
                .into_tuple()
                .all(&self.conn)
                .await?;
            found.extend(named("write_back", words, rows));
        }
        Ok(found)
    }

    async fn stuck_answers(&self, now: DateTime<Utc>) -> Result<Vec<Stuck>, StoreError> {
        let replies: Vec<(Uuid, DateTime<Utc>)> = reply::Entity::find()
            .select_only()
            .columns([reply::Column::Id, reply::Column::ReceivedAt])
            .filter(reply::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reply::Column::ProcessedAt.is_null())
            .filter(reply::Column::ReceivedAt.lt(now - LEFT))
            .limit(NAMED)
            .into_tuple()
            .all(&self.conn)
            .await?;
        let receipts: Vec<(Uuid, DateTime<Utc>)> = receipt::Entity::find()
            .select_only()
            .columns([receipt::Column::Id, receipt::Column::ReceivedAt])
            .filter(receipt::Column::Tenant.eq(self.tenant.as_str()))
            .filter(receipt::Column::ProcessedAt.is_null())
            .filter(receipt::Column::ReceivedAt.lt(now - LEFT))
            .limit(NAMED)
            .into_tuple()
            .all(&self.conn)
            .await?;
        let mut found: Vec<Stuck> = named("reply", "it came in and was never looked at", replies).collect();
        found.extend(named("receipt", "it came in and was never looked at", receipts));
        Ok(found)
    }

    async fn stuck_pulls(&self, ehr: &EhrId, now: DateTime<Utc>) -> Result<Vec<Stuck>, StoreError> {
        let runs: Vec<(Uuid, DateTime<Utc>)> = pull_run::Entity::find()
            .select_only()
            .columns([pull_run::Column::Id, pull_run::Column::StartedAt])
            .filter(pull_run::Column::Tenant.eq(self.tenant.as_str()))
            .filter(pull_run::Column::Ehr.eq(ehr.as_str()))
            .filter(pull_run::Column::State.eq("running"))
            .filter(pull_run::Column::StartedAt.lt(now - TimeDelta::hours(6)))
            .limit(NAMED)
            .into_tuple()
            .all(&self.conn)
            .await?;
        let unplanned: Vec<(String, DateTime<Utc>)> = patient::Entity::find()
            .select_only()
            .columns([patient::Column::Id, patient::Column::ReplanAt])
            .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(patient::Column::Ehr.eq(ehr.as_str()))
            .filter(patient::Column::ReplanAt.lt(now - LEFT))
            .limit(NAMED)
            .into_tuple()
            .all(&self.conn)
            .await?;
        let mut found: Vec<Stuck> = named("pull_run", "it began and never ended", runs).collect();
        found.extend(named("patient", "a new plan is overdue", unplanned));
        Ok(found)
    }
}

fn named<I: ToString>(
    what: &'static str,
    words: &'static str,
    rows: Vec<(I, DateTime<Utc>)>,
) -> impl Iterator<Item = Stuck> {
    rows.into_iter().map(move |(id, since)| Stuck { what, id: id.to_string(), words, since })
}
