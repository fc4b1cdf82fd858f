//! Reminders: planned, claimed when due, settled with a decision.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, LockBehavior, LockType, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::alike::{chunks, padded, slices};
use super::keyring::Class;
use super::tables::{decision, message, reminder};
use super::{StoreError, Tx, View, of_ehr, patient_subject};
use crate::domain::{
    Decision, DecisionId, EhrId, MessageId, Occasion, OccasionKey, PatientId, PlannedReminder, Reason, Reminder,
    ReminderId, ReminderState, ResourceKey, ResourceType, RuleId, RuleVersionId, StepId, Verdict,
};

/// How a claimed reminder ends its turn.
#[derive(Debug, Clone)]
pub struct Decided {
    pub reminder: Reminder,
    pub decision: Decision,
    /// The message that a release made.
    pub message: Option<MessageId>,
}

impl Tx<'_> {
    /// Inserts planned reminders; one that stands already is left as it is. Answers the new ones.
    pub async fn insert_reminders(
        &mut self,
        ehr: &EhrId,
        patient: &PatientId,
        plans: Vec<PlannedReminder>,
    ) -> Result<Vec<Reminder>, StoreError> {
        self.insert_reminders_of(ehr, plans.into_iter().map(|plan| (patient.clone(), plan)).collect()).await
    }

    /// The same for many patients at once.
    pub async fn insert_reminders_of(
        &mut self,
        ehr: &EhrId,
        plans: Vec<(PatientId, PlannedReminder)>,
    ) -> Result<Vec<Reminder>, StoreError> {
        let now = self.now();
        let new: Vec<Reminder> = plans
            .into_iter()
            .map(|(patient, plan)| Reminder {
                id: ReminderId(self.store.new_id()),
                ehr: ehr.clone(),
                patient,
                state: ReminderState::Planned,
                reason: None,
                next_at: plan.due_at,
                updated_at: now,
                plan,
            })
            .collect();
        for chunk in chunks(new.clone(), 200) {
            use reminder::Column as C;
            reminder::Entity::insert_many(chunk.iter().map(|it| self.model(it, now)))
                .on_conflict(
                    OnConflict::columns([C::Tenant, C::Ehr, C::Patient, C::Rule, C::Occasion, C::Step])
                        .do_nothing()
                        .to_owned(),
                )
                .exec_without_returning(&self.txn)
                .await?;
        }
        Ok(new)
    }

    fn model(&self, it: &Reminder, now: DateTime<Utc>) -> reminder::ActiveModel {
        reminder::ActiveModel {
            id: Set(it.id.0),
            tenant: Set(self.tenant.to_string()),
            ehr: Set(it.ehr.to_string()),
            rule: Set(it.plan.rule.to_string()),
            rule_version: Set(it.plan.rule_version.to_string()),
            patient: Set(it.patient.to_string()),
            occasion: Set(it.plan.occasion.key.to_string()),
            replaces: Set(it.plan.occasion.replaces.as_ref().map(ToString::to_string)),
            resource_type: Set(it.plan.occasion.resource.resource_type.as_str().to_owned()),
            resource_id: Set(it.plan.occasion.resource.id.clone()),
            step: Set(it.plan.step.to_string()),
            anchor_at: Set(it.plan.occasion.anchor),
            due_at: Set(it.plan.due_at),
            expires_at: Set(it.plan.expires_at),
            priority: Set(it.plan.priority.into()),
            state: Set(it.state.as_str().to_owned()),
            reason: Set(it.reason.map(|reason| reason.as_str().to_owned())),
            next_at: Set(it.next_at),
            decision: Set(None),
            message: Set(None),
            leased_by: Set(None),
            leased_until: Set(None),
            created_at: Set(now),
            updated_at: Set(now),
        }
    }

    /// Takes over a new plan for a reminder that is still open, or that ended without a message and holds again.
    pub async fn update_reminder(
        &mut self,
        id: ReminderId,
        plan: &PlannedReminder,
        next_at: DateTime<Utc>,
        reopen: bool,
    ) -> Result<(), StoreError> {
        let mut open = vec![ReminderState::Planned.as_str(), ReminderState::Waiting.as_str()];
        if reopen {
            open.extend([ReminderState::Cancelled.as_str(), ReminderState::Withheld.as_str()]);
        }
        let mut update = reminder::Entity::update_many()
            .col_expr(reminder::Column::RuleVersion, Expr::value(plan.rule_version.as_str()))
            .col_expr(reminder::Column::AnchorAt, Expr::value(plan.occasion.anchor))
            .col_expr(reminder::Column::DueAt, Expr::value(plan.due_at))
            .col_expr(reminder::Column::ExpiresAt, Expr::value(plan.expires_at))
            .col_expr(reminder::Column::Priority, Expr::value(i32::from(plan.priority)))
            .col_expr(reminder::Column::NextAt, Expr::value(next_at))
            .col_expr(reminder::Column::UpdatedAt, Expr::value(self.now()));
        if reopen {
            update = update
                .col_expr(reminder::Column::State, Expr::value(ReminderState::Planned.as_str()))
                .col_expr(reminder::Column::Reason, Expr::value(Option::<String>::None));
        }
        update
            .filter(reminder::Column::Id.eq(id.0))
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reminder::Column::State.is_in(open))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Ends open reminders that no longer hold. One that was released meanwhile stays released.
    pub async fn end_reminders(&mut self, ended: &[(ReminderId, Reason)]) -> Result<(), StoreError> {
        for (id, reason) in ended {
            reminder::Entity::update_many()
                .col_expr(reminder::Column::State, Expr::value(reason.ends_as().as_str()))
                .col_expr(reminder::Column::Reason, Expr::value(reason.as_str()))
                .col_expr(reminder::Column::UpdatedAt, Expr::value(self.now()))
                .filter(reminder::Column::Id.eq(id.0))
                .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
                .filter(is_open())
                .exec(&self.txn)
                .await?;
        }
        Ok(())
    }

    /// Takes up to `limit` due reminders for `lease` long; another replica does not see them meanwhile.
    /// With `only` those of one EHR.
    pub async fn claim_reminders(
        &mut self,
        holder: Uuid,
        lease: TimeDelta,
        only: Option<&EhrId>,
        limit: u64,
    ) -> Result<Vec<Reminder>, StoreError> {
        let now = self.now();
        let rows = reminder::Entity::find()
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(of_ehr(reminder::Column::Ehr, only))
            .filter(is_open())
            .filter(reminder::Column::NextAt.lte(now))
            .filter(
                Condition::any()
                    .add(reminder::Column::LeasedUntil.is_null())
                    .add(reminder::Column::LeasedUntil.lte(now)),
            )
            .order_by_asc(reminder::Column::NextAt)
            .order_by_asc(reminder::Column::Priority)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(&self.txn)
            .await?;
        reminder::Entity::update_many()
            .col_expr(reminder::Column::LeasedBy, Expr::value(holder))
            .col_expr(reminder::Column::LeasedUntil, Expr::value(now + lease))
            .filter(reminder::Column::Id.is_in(padded(rows.iter().map(|row| row.id))))
            .exec(&self.txn)
            .await?;
        rows.into_iter().map(reminder_of).collect()
    }

    /// Looks again at once at what waits only because sending was switched off, halted or held.
    pub(super) async fn wake_unsent(&mut self) -> Result<(), StoreError> {
        let now = self.now();
        let held = [Reason::SendingOff, Reason::Halted, Reason::HeldForPerson, Reason::NotSafeAddress];
        reminder::Entity::update_many()
            .col_expr(reminder::Column::NextAt, Expr::value(now))
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reminder::Column::State.eq(ReminderState::Waiting.as_str()))
            .filter(reminder::Column::Reason.is_in(held.map(Reason::as_str)))
            .exec(&self.txn)
            .await?;
        message::Entity::update_many()
            .col_expr(message::Column::NextAttemptAt, Expr::value(now))
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::NextAttemptAt.gt(now))
            .filter(message::Column::State.eq("queued"))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Gives up the lease on reminders that are to be decided anew at once.
    pub async fn put_back_reminders(&mut self, holder: Uuid, ids: &[ReminderId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        reminder::Entity::update_many()
            .col_expr(reminder::Column::LeasedBy, Expr::value(Option::<Uuid>::None))
            .col_expr(reminder::Column::LeasedUntil, Expr::value(Option::<DateTime<Utc>>::None))
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reminder::Column::Id.is_in(padded(ids.iter().map(|id| id.0))))
            .filter(reminder::Column::LeasedBy.eq(holder))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Of these reminders, those that `holder` still holds and that are still open: the rest were changed meanwhile by
    /// a new plan, a person or another replica, and what was decided on them is void.
    pub async fn still_held(&mut self, holder: Uuid, ids: &[ReminderId]) -> Result<Vec<ReminderId>, StoreError> {
        let rows: Vec<Uuid> = reminder::Entity::find()
            .select_only()
            .column(reminder::Column::Id)
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reminder::Column::Id.is_in(padded(ids.iter().map(|id| id.0))))
            .filter(reminder::Column::LeasedBy.eq(holder))
            .filter(is_open())
            .lock(LockType::Update)
            .into_tuple()
            .all(&self.txn)
            .await?;
        Ok(rows.into_iter().map(ReminderId).collect())
    }

    /// Stores decisions and moves their reminders to where the verdicts say. The leases end.
    pub async fn settle_reminders(&mut self, decided: &[Decided]) -> Result<(), StoreError> {
        let subjects: Vec<String> =
            decided.iter().map(|it| patient_subject(&it.reminder.ehr, &it.reminder.patient)).collect();
        self.prepare_keys(Class::Message, subjects.iter().map(String::as_str)).await?;
        let mut alike: BTreeMap<_, Vec<&Decided>> = BTreeMap::new();
        for it in decided {
            let (state, reason, next_at) = outcome(&it.decision.verdict, it.reminder.next_at);
            let until = (next_at != it.reminder.next_at).then_some(next_at);
            alike.entry((state.as_str(), reason.map(Reason::as_str), until)).or_default().push(it);
        }
        for ((state, reason, next_at), decided) in alike {
            for chunk in slices(&decided, 100) {
                self.end_turn(chunk, state, reason, next_at).await?;
            }
        }
        let rows: Vec<(&Decided, String)> = decided.iter().zip(subjects).collect();
        let build = |(it, subject): (&Decided, String)| {
            let id = it.decision.id.to_string();
            let (state, reason, _) = outcome(&it.decision.verdict, it.reminder.next_at);
            Ok(decision::ActiveModel {
                id: Set(it.decision.id.0),
                tenant: Set(self.tenant.to_string()),
                ehr: Set(it.reminder.ehr.to_string()),
                patient: Set(it.reminder.patient.to_string()),
                reminder: Set(it.reminder.id.0),
                rule_version: Set(it.decision.rule_version.to_string()),
                verdict: Set(state.as_str().to_owned()),
                reason: Set(reason.map(|reason| reason.as_str().to_owned())),
                body: Set(self.seal_json(Class::Message, &subject, "decision", "body", &id, &it.decision)?),
                decided_at: Set(it.decision.at),
            })
        };
        self.insert_in_step(rows, 64, build, None).await
    }

    /// Ends the turn of reminders that end it alike, in one statement.
    async fn end_turn(
        &mut self,
        decided: &[&Decided],
        state: &'static str,
        reason: Option<&'static str>,
        next_at: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        use reminder::Column as C;
        let mut decisions = CaseStatement::new();
        let mut messages = CaseStatement::new();
        for it in decided {
            let this = || Expr::col(C::Id).eq(it.reminder.id.0);
            decisions = decisions.case(this(), Expr::value(it.decision.id.0));
            if let Some(message) = it.message {
                messages = messages.case(this(), Expr::value(message.0));
            }
        }
        let mut update = reminder::Entity::update_many()
            .col_expr(C::State, Expr::value(state))
            .col_expr(C::Reason, Expr::value(reason))
            .col_expr(C::Decision, decisions.into())
            .col_expr(C::LeasedBy, Expr::value(Option::<Uuid>::None))
            .col_expr(C::LeasedUntil, Expr::value(Option::<DateTime<Utc>>::None))
            .col_expr(C::UpdatedAt, Expr::value(self.now()));
        update = if decided.iter().any(|it| it.message.is_some()) {
            update.col_expr(C::Message, messages.into())
        } else {
            update.col_expr(C::Message, Expr::value(Option::<Uuid>::None))
        };
        if let Some(next_at) = next_at {
            update = update.col_expr(C::NextAt, Expr::value(next_at));
        }
        update
            .filter(C::Id.is_in(padded(decided.iter().map(|it| it.reminder.id.0))))
            .filter(C::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }
}

/// What a verdict makes of a reminder.
fn outcome(verdict: &Verdict, next_at: DateTime<Utc>) -> (ReminderState, Option<Reason>, DateTime<Utc>) {
    match verdict {
        Verdict::Release(_) => (ReminderState::Released, None, next_at),
        Verdict::Withhold(reason) => (ReminderState::Withheld, Some(*reason), next_at),
        Verdict::Wait { until, reason } => (ReminderState::Waiting, Some(*reason), *until),
        Verdict::Expire(reason) => (ReminderState::Expired, Some(*reason), next_at),
        Verdict::Cancel(reason) => (ReminderState::Cancelled, Some(*reason), next_at),
    }
}

impl View<'_> {
    /// Every reminder of these patients, in any state.
    pub async fn reminders_of_patients(
        &self,
        ehr: &EhrId,
        patients: &[PatientId],
    ) -> Result<HashMap<PatientId, Vec<Reminder>>, StoreError> {
        let rows = reminder::Entity::find()
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reminder::Column::Ehr.eq(ehr.as_str()))
            .filter(reminder::Column::Patient.is_in(padded(patients.iter().map(PatientId::as_str))))
            .order_by_asc(reminder::Column::DueAt)
            .all(&self.conn)
            .await?;
        let mut by_patient: HashMap<PatientId, Vec<Reminder>> = HashMap::new();
        for row in rows {
            let it = reminder_of(row)?;
            by_patient.entry(it.patient.clone()).or_default().push(it);
        }
        Ok(by_patient)
    }

    pub async fn reminder(&self, id: ReminderId) -> Result<Option<Reminder>, StoreError> {
        let row = reminder::Entity::find_by_id(id.0)
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .one(&self.conn)
            .await?;
        row.map(reminder_of).transpose()
    }

    /// All decisions on a reminder, oldest first.
    pub async fn decisions_on(&self, id: ReminderId) -> Result<Vec<Decision>, StoreError> {
        let rows = decision::Entity::find()
            .filter(decision::Column::Tenant.eq(self.tenant.as_str()))
            .filter(decision::Column::Reminder.eq(id.0))
            .order_by_asc(decision::Column::DecidedAt)
            .order_by_asc(decision::Column::Id)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().map(|row| row.body.as_slice())).await?;
        rows.iter()
            .map(|row| keys.open_json("decision", "decision", "body", &DecisionId(row.id).to_string(), &row.body))
            .collect()
    }

    /// The next instant at which an open reminder is due, if there is one.
    pub async fn next_reminder_at(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(reminder::Entity::find()
            .select_only()
            .column(reminder::Column::NextAt)
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(is_open())
            .order_by_asc(reminder::Column::NextAt)
            .into_tuple()
            .one(&self.conn)
            .await?)
    }
}

/// Reminders that are still to be decided. In literals: neither database matches parameters with the condition of the
/// partial index `reminder_due`.
pub(super) fn is_open() -> Condition {
    Condition::all().add(Expr::cust("state IN ('planned', 'waiting')"))
}

pub(super) fn reminder_of(row: reminder::Model) -> Result<Reminder, StoreError> {
    let corrupt = |reason: &str| StoreError::Corrupt { what: "reminder", reason: reason.to_owned() };
    let kind = ResourceType::parse(&row.resource_type).ok_or_else(|| corrupt("unknown resource type"))?;
    Ok(Reminder {
        id: ReminderId(row.id),
        ehr: EhrId::new(row.ehr),
        patient: PatientId::new(row.patient),
        plan: PlannedReminder {
            rule: RuleId::new(row.rule),
            rule_version: RuleVersionId::new(row.rule_version),
            step: StepId::new(row.step),
            occasion: Occasion {
                key: OccasionKey::new(row.occasion),
                resource: ResourceKey::new(kind, row.resource_id),
                anchor: row.anchor_at,
                replaces: row.replaces.map(OccasionKey::new),
            },
            due_at: row.due_at,
            expires_at: row.expires_at,
            priority: u8::try_from(row.priority).unwrap_or(u8::MAX),
        },
        state: ReminderState::parse(&row.state).ok_or_else(|| corrupt("unknown state"))?,
        reason: row.reason.as_deref().and_then(Reason::parse),
        next_at: row.next_at,
        updated_at: row.updated_at,
    })
}
