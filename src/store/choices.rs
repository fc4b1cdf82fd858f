//! Clinics' defaults and patients' choices about one visit.

use std::collections::BTreeSet;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

use super::tables::{clinic_default, patient_choice};
use super::{StoreError, Tx, View};
use crate::domain::{Actor, ClinicDefault, EhrId, EventKind, OccasionKey, PatientChoice, PatientId, ReplyId, RuleId};

/// "I confirmed, stop asking".
const ENOUGH: &str = "enough";

impl Tx<'_> {
    /// Switches a rule for everybody who comes to a place (`None`: for the whole organisation), or takes that back with
    /// `on` = `None`. Whom it may concern is planned anew.
    pub async fn set_clinic_default(
        &mut self,
        ehr: &EhrId,
        location: Option<&str>,
        rule: &RuleId,
        on: Option<bool>,
        by: &Actor,
    ) -> Result<(), StoreError> {
        use clinic_default::Column as C;
        let place = location.unwrap_or_default().to_owned();
        match on {
            None => {
                let key = (self.tenant.to_string(), ehr.to_string(), place.clone(), rule.to_string());
                clinic_default::Entity::delete_by_id(key).exec(&self.txn).await?;
            }
            Some(on) => {
                let row = clinic_default::ActiveModel {
                    tenant: Set(self.tenant.to_string()),
                    ehr: Set(ehr.to_string()),
                    location: Set(place.clone()),
                    rule: Set(rule.to_string()),
                    state: Set(if on { "on" } else { "off" }.to_owned()),
                    changed_by: Set(by.as_text()),
                    changed_at: Set(self.now()),
                };
                clinic_default::Entity::insert(row)
                    .on_conflict(
                        OnConflict::columns([C::Tenant, C::Ehr, C::Location, C::Rule])
                            .update_columns([C::State, C::ChangedBy, C::ChangedAt])
                            .to_owned(),
                    )
                    .exec_without_returning(&self.txn)
                    .await?;
            }
        }
        let event = self.event(by.clone(), EventKind::ClinicDefaultChanged).about_ehr(ehr).about_rule(rule);
        self.append(event.with_detail(json!({ "location": location, "on": on }))).await?;
        let version = self.view().live_version(rule).await?;
        let live = match version {
            Some(version) => self.view().rule_version(rule, &version).await?,
            None => None,
        };
        let kinds: BTreeSet<_> = live.map(|rule| rule.resource).into_iter().collect();
        self.open_cohort(&kinds, std::slice::from_ref(rule), "a clinic's default changed").await
    }

    /// Records that a patient wants to hear no more about one visit, and asks for the open reminders to be looked at.
    pub async fn enough_of(
        &mut self,
        ehr: &EhrId,
        patient: &PatientId,
        occasion: &OccasionKey,
        source: &str,
        reply: Option<ReplyId>,
        by: &Actor,
    ) -> Result<(), StoreError> {
        use patient_choice::Column as C;
        let row = patient_choice::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            patient: Set(patient.to_string()),
            occasion: Set(occasion.to_string()),
            choice: Set(ENOUGH.to_owned()),
            source: Set(source.to_owned()),
            reply: Set(reply.map(|id| id.0)),
            note: Set(None),
            made_by: Set(by.as_text()),
            made_at: Set(self.now()),
        };
        patient_choice::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([C::Tenant, C::Ehr, C::Patient, C::Occasion])
                    .update_columns([C::Choice, C::Source, C::Reply, C::MadeBy, C::MadeAt])
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        let event = self.event(by.clone(), EventKind::PatientChose).about_patient(ehr, patient);
        self.append(event.with_detail(json!({ "choice": ENOUGH, "occasion": occasion, "source": source }))).await
    }
}

impl View<'_> {
    /// Every default of an EHR's clinics.
    pub async fn clinic_defaults(&self, ehr: &EhrId) -> Result<Vec<ClinicDefault>, StoreError> {
        let rows = clinic_default::Entity::find()
            .filter(clinic_default::Column::Tenant.eq(self.tenant.as_str()))
            .filter(clinic_default::Column::Ehr.eq(ehr.as_str()))
            .order_by_asc(clinic_default::Column::Rule)
            .order_by_asc(clinic_default::Column::Location)
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| ClinicDefault {
                location: Some(row.location).filter(|location| !location.is_empty()),
                rule: RuleId::new(row.rule),
                // An unknown word switches off: silence is mended by a person, a wrong message is not.
                on: row.state == "on",
                by: row.changed_by,
                at: row.changed_at,
            })
            .collect())
    }

    /// What these patients asked for about single visits.
    pub async fn choices_of(&self, ehr: &EhrId, patients: &[PatientId]) -> Result<Vec<PatientChoice>, StoreError> {
        let rows = patient_choice::Entity::find()
            .filter(patient_choice::Column::Tenant.eq(self.tenant.as_str()))
            .filter(patient_choice::Column::Ehr.eq(ehr.as_str()))
            .filter(patient_choice::Column::Patient.is_in(patients.iter().map(PatientId::as_str)))
            .order_by_desc(patient_choice::Column::MadeAt)
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| PatientChoice {
                patient: PatientId::new(row.patient),
                occasion: OccasionKey::new(row.occasion),
                source: row.source,
                reply: row.reply.map(ReplyId),
                by: row.made_by,
                at: row.made_at,
            })
            .collect())
    }
}
