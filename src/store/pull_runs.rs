//! Pull runs, and how far each type was pulled.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;

use super::alike::padded;
use super::tables::{patient, pull_run, watermark};
use super::{StoreError, Tx, View};
use crate::domain::{EhrId, PatientId, ResourceType, RunId};

/// How far one type was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// `increment` or `snapshot`: how the last completed run read it.
    pub mode: String,
    /// By the server's clock: everything changed before this instant was stored. The next increment begins a little
    /// before it.
    pub since: Option<DateTime<Utc>>,
    pub completed_run: Option<RunId>,
    /// When a run last read this type to its last page, by our clock.
    pub completed_at: Option<DateTime<Utc>>,
    /// The same for the last run that listed everything: only such a run can tell what was deleted.
    pub full_completed_at: Option<DateTime<Utc>>,
}

/// One run, as a listing shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct PullRunRow {
    pub id: RunId,
    pub ehr: EhrId,
    /// `running`, `done`, `partial`, `failed` or `abandoned`.
    pub state: String,
    pub triggered_by: String,
    /// Counts by type; no PHI.
    pub counts: Value,
    /// Why it did not end well, without PHI.
    pub error: Option<String>,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Tx<'_> {
    /// Opens a run. Runs of this EHR that began before `stale` and never ended are marked as abandoned.
    pub async fn begin_pull_run(
        &mut self,
        ehr: &EhrId,
        triggered_by: &str,
        stale: DateTime<Utc>,
    ) -> Result<RunId, StoreError> {
        pull_run::Entity::update_many()
            .col_expr(pull_run::Column::State, Expr::value("abandoned"))
            .col_expr(pull_run::Column::FinishedAt, Expr::value(self.now()))
            .filter(pull_run::Column::Tenant.eq(self.tenant.as_str()))
            .filter(pull_run::Column::Ehr.eq(ehr.as_str()))
            .filter(pull_run::Column::State.eq("running"))
            .filter(pull_run::Column::StartedAt.lt(stale))
            .exec(&self.txn)
            .await?;
        let id = RunId(self.store.new_id());
        pull_run::Entity::insert(pull_run::ActiveModel {
            id: Set(id.0),
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            state: Set("running".to_owned()),
            triggered_by: Set(triggered_by.to_owned()),
            counts: Set("{}".to_owned()),
            error: Set(None),
            started_at: Set(self.now()),
            finished_at: Set(None),
        })
        .exec_without_returning(&self.txn)
        .await?;
        Ok(id)
    }

    /// Keeps the counts so far, for those who watch.
    pub async fn note_pull_run(&mut self, run: RunId, counts: &Value) -> Result<(), StoreError> {
        pull_run::Entity::update_many()
            .col_expr(pull_run::Column::Counts, Expr::value(counts.to_string()))
            .filter(pull_run::Column::Id.eq(run.0))
            .filter(pull_run::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    pub async fn finish_pull_run(
        &mut self,
        run: RunId,
        state: &str,
        counts: &Value,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        pull_run::Entity::update_many()
            .col_expr(pull_run::Column::State, Expr::value(state))
            .col_expr(pull_run::Column::Counts, Expr::value(counts.to_string()))
            .col_expr(pull_run::Column::Error, Expr::value(error))
            .col_expr(pull_run::Column::FinishedAt, Expr::value(self.now()))
            .filter(pull_run::Column::Id.eq(run.0))
            .filter(pull_run::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Moves the watermark of one type. Only to be called once the last page is stored.
    pub async fn set_watermark(&mut self, ehr: &EhrId, kind: ResourceType, mark: &Watermark) -> Result<(), StoreError> {
        use watermark::Column as C;
        watermark::Entity::insert(watermark::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            resource_type: Set(kind.as_str().to_owned()),
            mode: Set(mark.mode.clone()),
            since: Set(mark.since),
            completed_run: Set(mark.completed_run.map(|run| run.0)),
            completed_at: Set(mark.completed_at),
            full_completed_at: Set(mark.full_completed_at),
        })
        .on_conflict(
            OnConflict::columns([C::Tenant, C::Ehr, C::ResourceType])
                .update_columns([C::Mode, C::Since, C::CompletedRun, C::CompletedAt, C::FullCompletedAt])
                .to_owned(),
        )
        .exec_without_returning(&self.txn)
        .await?;
        Ok(())
    }
}

impl View<'_> {
    /// The watermarks of an EHR, by type.
    pub async fn watermarks(&self, ehr: &EhrId) -> Result<BTreeMap<ResourceType, Watermark>, StoreError> {
        let rows = watermark::Entity::find()
            .filter(watermark::Column::Tenant.eq(self.tenant.as_str()))
            .filter(watermark::Column::Ehr.eq(ehr.as_str()))
            .all(&self.conn)
            .await?;
        let read = |row: watermark::Model| {
            let mark = Watermark {
                mode: row.mode,
                since: row.since,
                completed_run: row.completed_run.map(RunId),
                completed_at: row.completed_at,
                full_completed_at: row.full_completed_at,
            };
            Some((ResourceType::parse(&row.resource_type)?, mark))
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// The last runs of an EHR, newest first.
    pub async fn pull_runs(&self, ehr: &EhrId, limit: u64) -> Result<Vec<PullRunRow>, StoreError> {
        let rows = pull_run::Entity::find()
            .filter(pull_run::Column::Tenant.eq(self.tenant.as_str()))
            .filter(pull_run::Column::Ehr.eq(ehr.as_str()))
            .order_by_desc(pull_run::Column::StartedAt)
            .order_by_desc(pull_run::Column::Id)
            .limit(limit)
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| PullRunRow {
                id: RunId(row.id),
                ehr: EhrId::new(row.ehr),
                state: row.state,
                triggered_by: row.triggered_by,
                counts: serde_json::from_str(&row.counts).unwrap_or_default(),
                error: row.error,
                started_at: row.started_at,
                finished_at: row.finished_at,
            })
            .collect())
    }

    /// Which of these patients were never read.
    pub async fn unknown_patients(&self, ehr: &EhrId, patients: &[PatientId]) -> Result<Vec<PatientId>, StoreError> {
        let mut known: HashSet<String> = HashSet::new();
        for chunk in patients.chunks(512) {
            let rows: Vec<String> = patient::Entity::find()
                .select_only()
                .column(patient::Column::Id)
                .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
                .filter(patient::Column::Ehr.eq(ehr.as_str()))
                .filter(patient::Column::Id.is_in(padded(chunk.iter().map(PatientId::as_str))))
                .into_tuple()
                .all(&self.conn)
                .await?;
            known.extend(rows);
        }
        Ok(patients.iter().filter(|patient| !known.contains(patient.as_str())).cloned().collect())
    }
}
