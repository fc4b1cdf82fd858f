//! Events as a plain table keeps them: nothing sealed, no leaf, no code, the same indexes. What `beckon bench history`
//! holds the history against.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Store, StoreError, Tx, View};
use crate::domain::{EhrId, EventKind, PatientId};

mod plain {
    #![expect(clippy::disallowed_methods, reason = "sea-orm's macros name `begin` in code that nobody calls")]

    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "bench_event")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub at: DateTimeUtc,
        pub kind: String,
        pub ehr: String,
        pub patient: String,
        pub detail: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// One row.
#[derive(Debug, Clone)]
pub struct PlainEvent {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub kind: String,
    pub patient: String,
    pub detail: String,
}

impl Store {
    /// Makes the table with the history's indexes.
    pub async fn make_plain_events(&self) -> Result<(), StoreError> {
        let (id, at) =
            if self.is_sqlite() { ("uuid_text", "timestamp_with_timezone_text") } else { ("uuid", "timestamptz") };
        let table = format!(
            "CREATE TABLE bench_event (id {id} NOT NULL PRIMARY KEY, tenant text NOT NULL, at {at} NOT NULL, kind text \
             NOT NULL, ehr text NOT NULL, patient text NOT NULL, detail text NOT NULL)"
        );
        for sql in [
            table.as_str(),
            "CREATE INDEX bench_event_at ON bench_event (tenant, at)",
            "CREATE INDEX bench_event_patient ON bench_event (tenant, ehr, patient, at)",
            "CREATE INDEX bench_event_kind ON bench_event (tenant, kind, at)",
        ] {
            self.inner.db.execute_unprepared(sql).await?;
        }
        if self.is_sqlite() {
            super::statistics::state(&self.inner.db).await?;
        }
        Ok(())
    }
}

impl Tx<'_> {
    pub async fn insert_plain_events(&mut self, ehr: &EhrId, rows: Vec<PlainEvent>) -> Result<(), StoreError> {
        let rows = rows.into_iter().map(|it| plain::ActiveModel {
            id: Set(it.id),
            tenant: Set(self.tenant.to_string()),
            at: Set(it.at),
            kind: Set(it.kind),
            ehr: Set(ehr.to_string()),
            patient: Set(it.patient),
            detail: Set(it.detail),
        });
        plain::Entity::insert_many(rows).exec_without_returning(&self.txn).await?;
        Ok(())
    }
}

impl View<'_> {
    /// The newest rows, with what they say read as JSON.
    pub async fn plain_events(
        &self,
        ehr: &EhrId,
        patient: Option<&PatientId>,
        kind: Option<EventKind>,
        limit: u64,
    ) -> Result<Vec<(PlainEvent, serde_json::Value)>, StoreError> {
        use plain::Column as C;
        let mut query = plain::Entity::find().filter(C::Tenant.eq(self.tenant.as_str()));
        if let Some(patient) = patient {
            query = query.filter(C::Ehr.eq(ehr.as_str())).filter(C::Patient.eq(patient.as_str()));
        }
        if let Some(kind) = kind {
            query = query.filter(C::Kind.eq(kind.as_str()));
        }
        let rows = query.order_by_desc(C::At).order_by_desc(C::Id).limit(limit).all(&self.conn).await?;
        let read = rows.into_iter().map(|row| {
            let detail = serde_json::from_str(&row.detail).unwrap_or_default();
            let it = PlainEvent { id: row.id, at: row.at, kind: row.kind, patient: row.patient, detail: row.detail };
            (it, detail)
        });
        Ok(read.collect())
    }
}
