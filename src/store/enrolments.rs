//! Clinicians' switches of a rule for a patient.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use super::alike::padded;
use super::tables::enrolment;
use super::{StoreError, Tx, View};
use crate::domain::{Actor, EhrId, Enrolment, EnrolmentState, EventKind, PatientId, RuleId};

impl Tx<'_> {
    /// Switches a rule for a patient, records who did it, and asks for a new plan.
    pub async fn set_enrolment(
        &mut self,
        ehr: &EhrId,
        patient: &PatientId,
        rule: &RuleId,
        state: EnrolmentState,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let (code, until) = columns(state);
        let row = enrolment::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            patient: Set(patient.to_string()),
            rule: Set(rule.to_string()),
            state: Set(code.to_owned()),
            until: Set(until),
            changed_by: Set(by.as_text()),
            changed_at: Set(now),
        };
        use enrolment::Column as C;
        enrolment::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([C::Tenant, C::Ehr, C::Patient, C::Rule])
                    .update_columns([C::State, C::Until, C::ChangedBy, C::ChangedAt])
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        // Whoever switches it for a survivor knows of the person: what was set for a replaced record is settled by that.
        let merges = self.view().merges(ehr, std::slice::from_ref(patient)).await?;
        let settled: Vec<&str> = merges.predecessors_of(patient).map(PatientId::as_str).collect();
        if !settled.is_empty() {
            enrolment::Entity::delete_many()
                .filter(enrolment::Column::Tenant.eq(self.tenant.as_str()))
                .filter(enrolment::Column::Ehr.eq(ehr.as_str()))
                .filter(enrolment::Column::Patient.is_in(settled))
                .filter(enrolment::Column::Rule.eq(rule.as_str()))
                .exec(&self.txn)
                .await?;
        }
        let event = self
            .event(by.clone(), EventKind::EnrolmentChanged)
            .about_patient(ehr, patient)
            .about_rule(rule)
            .with_detail(json!({ "state": code, "until": until }));
        self.append(event).await?;
        self.replan_patients(ehr, std::slice::from_ref(patient), now).await
    }
}

impl View<'_> {
    pub async fn enrolments_of(&self, ehr: &EhrId, patients: &[PatientId]) -> Result<Vec<Enrolment>, StoreError> {
        let rows = enrolment::Entity::find()
            .filter(enrolment::Column::Tenant.eq(self.tenant.as_str()))
            .filter(enrolment::Column::Ehr.eq(ehr.as_str()))
            .filter(enrolment::Column::Patient.is_in(padded(patients.iter().map(PatientId::as_str))))
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Enrolment {
                patient: PatientId::new(row.patient),
                rule: RuleId::new(row.rule),
                state: match (row.state.as_str(), row.until) {
                    ("on", _) => EnrolmentState::On,
                    ("paused", Some(until)) => EnrolmentState::PausedUntil(until),
                    // An unknown word switches off: silence is mended by a person, a wrong message is not.
                    _ => EnrolmentState::Off,
                },
                by: row.changed_by,
                at: row.changed_at,
            })
            .collect())
    }
}

fn columns(state: EnrolmentState) -> (&'static str, Option<DateTime<Utc>>) {
    match state {
        EnrolmentState::On => ("on", None),
        EnrolmentState::Off => ("off", None),
        EnrolmentState::PausedUntil(until) => ("paused", Some(until)),
    }
}
