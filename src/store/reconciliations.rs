//! What each day's reconciliation found, and the rows that it looks at.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Value, json};

use super::tables::{event, mirror, patient, quarantine, reconciliation, reminder};
use super::{StoreError, Tx, View};
use crate::domain::{Actor, EhrId, Event, EventKind, EventOutcome, PatientId, ReminderState, ResourceType};

/// One day of one EHR, as it was last reconciled.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconciliation {
    pub ehr: EhrId,
    pub day: NaiveDate,
    /// `explained`, `unexplained` or `incomplete`: not everything could be asked.
    pub outcome: String,
    pub unexplained: u32,
    pub stuck: u32,
    /// Counts, reasons and logical ids.
    pub report: Value,
    pub made_by: String,
    pub made_at: DateTime<Utc>,
}

/// When a patient was last planned, and when next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanningState {
    pub planned_at: Option<DateTime<Utc>>,
    pub replan_at: Option<DateTime<Utc>>,
}

/// Reminders by state and reason.
pub type Standing = BTreeMap<String, BTreeMap<String, u64>>;

impl Tx<'_> {
    /// Keeps what a reconciliation found; one of the same day takes the place of the one before.
    pub async fn keep_reconciliation(&mut self, it: &Reconciliation, by: &Actor) -> Result<(), StoreError> {
        use reconciliation::Column as C;
        let row = reconciliation::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(it.ehr.to_string()),
            day: Set(it.day.to_string()),
            outcome: Set(it.outcome.clone()),
            unexplained: Set(i32::try_from(it.unexplained).unwrap_or(i32::MAX)),
            stuck: Set(i32::try_from(it.stuck).unwrap_or(i32::MAX)),
            report: Set(it.report.to_string()),
            made_by: Set(by.as_text()),
            made_at: Set(self.now()),
        };
        reconciliation::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([C::Tenant, C::Ehr, C::Day])
                    .update_columns([C::Outcome, C::Unexplained, C::Stuck, C::Report, C::MadeBy, C::MadeAt])
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        let outcome = if it.outcome == "explained" { EventOutcome::Done } else { EventOutcome::Failed };
        let event = self.event(by.clone(), EventKind::DayReconciled).about_ehr(&it.ehr).with_outcome(outcome);
        let detail = json!({
            "day": it.day, "outcome": it.outcome, "unexplained": it.unexplained, "stuck": it.stuck,
        });
        self.append(event.with_detail(detail)).await
    }
}

impl View<'_> {
    /// The last reconciled days, latest first.
    pub async fn reconciliations(&self, limit: u64) -> Result<Vec<Reconciliation>, StoreError> {
        let rows = reconciliation::Entity::find()
            .filter(reconciliation::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_desc(reconciliation::Column::Day)
            .order_by_asc(reconciliation::Column::Ehr)
            .limit(limit)
            .all(&self.conn)
            .await?;
        rows.into_iter().map(reconciliation_of).collect()
    }

    pub async fn reconciliation(&self, ehr: &EhrId, day: NaiveDate) -> Result<Option<Reconciliation>, StoreError> {
        let key = (self.tenant.to_string(), ehr.to_string(), day.to_string());
        let row = reconciliation::Entity::find_by_id(key).one(&self.conn).await?;
        row.map(reconciliation_of).transpose()
    }

    /// Mirrored Appointments that begin from `from` on and before `to`, with whose they are.
    pub async fn appointments_between(
        &self,
        ehr: &EhrId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<(String, Option<PatientId>)>, StoreError> {
        let rows: Vec<(String, Option<String>)> = mirror::Entity::find()
            .select_only()
            .columns([mirror::Column::Id, mirror::Column::Patient])
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::ResourceType.eq(ResourceType::Appointment.as_str()))
            .filter(mirror::Column::StartsAt.gte(from))
            .filter(mirror::Column::StartsAt.lt(to))
            .filter(mirror::Column::DeletedAt.is_null())
            .order_by_asc(mirror::Column::Id)
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(rows.into_iter().map(|(id, patient)| (id, patient.map(PatientId::new))).collect())
    }

    /// When these Appointments begin as the mirror has them; what is deleted or was never mirrored is left out.
    pub async fn mirrored_starts(
        &self,
        ehr: &EhrId,
        ids: &[String],
    ) -> Result<HashMap<String, Option<DateTime<Utc>>>, StoreError> {
        let mut starts = HashMap::new();
        for chunk in ids.chunks(500) {
            let rows: Vec<(String, Option<DateTime<Utc>>)> = mirror::Entity::find()
                .select_only()
                .columns([mirror::Column::Id, mirror::Column::StartsAt])
                .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
                .filter(mirror::Column::Ehr.eq(ehr.as_str()))
                .filter(mirror::Column::ResourceType.eq(ResourceType::Appointment.as_str()))
                .filter(mirror::Column::Id.is_in(chunk.iter().map(String::as_str)))
                .filter(mirror::Column::DeletedAt.is_null())
                .into_tuple()
                .all(&self.conn)
                .await?;
            starts.extend(rows);
        }
        Ok(starts)
    }

    /// Which of these Appointments are in quarantine.
    pub async fn quarantined_among(&self, ehr: &EhrId, ids: &[String]) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for chunk in ids.chunks(500) {
            let rows: Vec<String> = quarantine::Entity::find()
                .select_only()
                .column(quarantine::Column::ResourceId)
                .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
                .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
                .filter(quarantine::Column::ResourceType.eq(ResourceType::Appointment.as_str()))
                .filter(quarantine::Column::ResourceId.is_in(chunk.iter().map(String::as_str)))
                .filter(quarantine::Column::ResolvedAt.is_null())
                .into_tuple()
                .all(&self.conn)
                .await?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// When each of these patients was last planned, and is next.
    pub async fn planning_states(
        &self,
        ehr: &EhrId,
        patients: &[PatientId],
    ) -> Result<HashMap<PatientId, PlanningState>, StoreError> {
        type Row = (String, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
        let rows: Vec<Row> = patient::Entity::find()
            .select_only()
            .columns([patient::Column::Id, patient::Column::PlannedAt, patient::Column::ReplanAt])
            .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(patient::Column::Ehr.eq(ehr.as_str()))
            .filter(patient::Column::Id.is_in(patients.iter().map(PatientId::as_str)))
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|(id, planned_at, replan_at)| (PatientId::new(id), PlanningState { planned_at, replan_at }))
            .collect())
    }

    /// Reminders that fall due in a stretch of time, by state and reason; and whose they are.
    pub async fn due_between(
        &self,
        ehr: &EhrId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<(Standing, Vec<PatientId>), StoreError> {
        let rows: Vec<(String, Option<String>, String)> = reminder::Entity::find()
            .select_only()
            .columns([reminder::Column::State, reminder::Column::Reason, reminder::Column::Patient])
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reminder::Column::State.is_in(ReminderState::ALL.map(ReminderState::as_str)))
            .filter(reminder::Column::Ehr.eq(ehr.as_str()))
            .filter(reminder::Column::DueAt.gte(from))
            .filter(reminder::Column::DueAt.lt(to))
            .into_tuple()
            .all(&self.conn)
            .await?;
        let mut standing = Standing::new();
        let mut patients = Vec::new();
        for (state, reason, patient) in rows {
            *standing.entry(state).or_default().entry(reason.unwrap_or_default()).or_default() += 1;
            patients.push(PatientId::new(patient));
        }
        Ok((standing, patients))
    }

    /// What the history says was planned since `since`, and of which no reminder is left: rows do not vanish by any act
    /// of ours.
    pub async fn vanished_reminders(
        &self,
        ehr: &EhrId,
        since: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<Event>, StoreError> {
        let row = Query::select()
            .expr(Expr::val(1))
            .from(reminder::Entity)
            .and_where(
                Expr::col((reminder::Entity, reminder::Column::Id)).equals((event::Entity, event::Column::Reminder)),
            )
            .to_owned();
        let rows = event::Entity::find()
            .filter(event::Column::Tenant.eq(self.tenant.as_str()))
            .filter(event::Column::Kind.eq(EventKind::ReminderPlanned.as_str()))
            .filter(event::Column::Ehr.eq(ehr.as_str()))
            .filter(event::Column::At.gte(since))
            .filter(event::Column::Reminder.is_not_null())
            .filter(Expr::exists(row).not())
            .order_by_desc(event::Column::At)
            .limit(limit)
            .all(&self.conn)
            .await?;
        self.events_of(rows).await
    }
}

fn reconciliation_of(row: reconciliation::Model) -> Result<Reconciliation, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt { what: "reconciliation", reason };
    Ok(Reconciliation {
        ehr: EhrId::new(row.ehr),
        day: row.day.parse().map_err(|_| corrupt("the day is no date".to_owned()))?,
        outcome: row.outcome,
        unexplained: u32::try_from(row.unexplained).unwrap_or_default(),
        stuck: u32::try_from(row.stuck).unwrap_or_default(),
        report: serde_json::from_str(&row.report).map_err(|error| corrupt(error.to_string()))?,
        made_by: row.made_by,
        made_at: row.made_at,
    })
}
