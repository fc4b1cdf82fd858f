//! Reminders that were handed to people, each once.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;

use super::tables::staff_task;
use super::{StoreError, Tx, View};
use crate::domain::{Actor, EhrId, EventKind, PatientId, Reason, Reminder, ReminderId, RuleId, StaffTask, TaskId};

impl Tx<'_> {
    /// Hands a reminder to people, unless that was done before. Answers the task where it is new.
    pub async fn open_staff_task(&mut self, reminder: &Reminder, reason: Reason) -> Result<Option<TaskId>, StoreError> {
        let id = self.store.new_id();
        let row = staff_task::ActiveModel {
            id: Set(id),
            tenant: Set(self.tenant.to_string()),
            ehr: Set(reminder.ehr.to_string()),
            patient: Set(reminder.patient.to_string()),
            rule: Set(reminder.plan.rule.to_string()),
            reminder: Set(reminder.id.0),
            reason: Set(reason.as_str().to_owned()),
            opened_at: Set(self.now()),
            done_by: Set(None),
            done_at: Set(None),
        };
        let inserted = staff_task::Entity::insert(row)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(&self.txn)
            .await?;
        if inserted == 0 {
            return Ok(None);
        }
        let event = self
            .event(Actor::system("outbox"), EventKind::TaskOpened)
            .about_patient(&reminder.ehr, &reminder.patient)
            .about_rule(&reminder.plan.rule)
            .about_reminder(reminder.id)
            .with_detail(json!({ "task": TaskId(id), "reason": reason }));
        self.append(event).await?;
        Ok(Some(TaskId(id)))
    }

    /// Records that somebody did it. Answers whether it was open.
    pub async fn finish_staff_task(&mut self, id: TaskId, by: &Actor) -> Result<bool, StoreError> {
        let Some(task) = self.view().staff_task(id).await?.filter(|it| it.done.is_none()) else { return Ok(false) };
        staff_task::Entity::update_many()
            .col_expr(staff_task::Column::DoneAt, Expr::value(self.now()))
            .col_expr(staff_task::Column::DoneBy, Expr::value(by.as_text()))
            .filter(staff_task::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff_task::Column::Id.eq(id.0))
            .exec(&self.txn)
            .await?;
        let event = self
            .event(by.clone(), EventKind::TaskDone)
            .about_patient(&task.ehr, &task.patient)
            .about_rule(&task.rule)
            .about_reminder(task.reminder)
            .with_detail(json!({ "task": id }));
        self.append(event).await?;
        Ok(true)
    }
}

impl View<'_> {
    /// Tasks, newest first: the open ones, or all. `before` pages.
    pub async fn staff_tasks(
        &self,
        open_only: bool,
        before: Option<TaskId>,
        limit: u64,
    ) -> Result<Vec<StaffTask>, StoreError> {
        let mut query = staff_task::Entity::find().filter(staff_task::Column::Tenant.eq(self.tenant.as_str()));
        if open_only {
            query = query.filter(staff_task::Column::DoneAt.is_null());
        }
        if let Some(before) = before {
            query = query.filter(staff_task::Column::Id.lt(before.0));
        }
        let rows = query.order_by_desc(staff_task::Column::Id).limit(limit).all(&self.conn).await?;
        rows.into_iter().map(task_of).collect()
    }

    /// How many wait for somebody.
    pub async fn open_staff_tasks(&self) -> Result<u64, StoreError> {
        Ok(staff_task::Entity::find()
            .filter(staff_task::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff_task::Column::DoneAt.is_null())
            .count(&self.conn)
            .await?)
    }

    async fn staff_task(&self, id: TaskId) -> Result<Option<StaffTask>, StoreError> {
        let row = staff_task::Entity::find_by_id(id.0)
            .filter(staff_task::Column::Tenant.eq(self.tenant.as_str()))
            .one(&self.conn)
            .await?;
        row.map(task_of).transpose()
    }
}

fn task_of(row: staff_task::Model) -> Result<StaffTask, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "staff_task", reason: "an unknown reason".to_owned() };
    Ok(StaffTask {
        id: TaskId(row.id),
        ehr: EhrId::new(row.ehr),
        patient: PatientId::new(row.patient),
        rule: RuleId::new(row.rule),
        reminder: ReminderId(row.reminder),
        reason: Reason::parse(&row.reason).ok_or_else(corrupt)?,
        opened_at: row.opened_at,
        done: row.done_by.zip(row.done_at),
    })
}
