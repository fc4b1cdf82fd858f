//! Patients' names for lists, for those who may see them.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{EhrId, Patient, PatientId};
use crate::fhir::read;
use crate::rules::{Facility, Settings, Zones, zone_candidates};
use crate::web::access::viewed;
use crate::web::call::Call;
use crate::web::error::WebError;

/// A patient as a list shows them.
pub struct Named {
    pub href: String,
    pub name: String,
}

/// The names that a page shows. Empty for a visitor whose role sees no patients.
#[derive(Default)]
pub struct Names(HashMap<(EhrId, PatientId), String>);

impl Names {
    /// Looks names up for a page, and records that the visitor saw these patients.
    pub async fn of(
        call: &Call,
        page: &str,
        patients: impl IntoIterator<Item = (EhrId, PatientId)>,
    ) -> Result<Self, WebError> {
        if !call.sees_patients() {
            return Ok(Self::default());
        }
        let patients: BTreeSet<(EhrId, PatientId)> = patients.into_iter().collect();
        viewed(call, page, patients.clone()).await?;
        let now = call.state.now();
        let resources = call.state.view().patient_resources(&patients).await?;
        let names = resources
            .into_iter()
            .map(|(key, body)| (key, read::patient(&body, now).value.map_or_else(String::new, |it| full_name(&it))))
            .collect();
        Ok(Self(names))
    }

    /// How a list shows this patient, if the visitor may see it.
    pub fn show(&self, call: &Call, ehr: &EhrId, patient: &PatientId) -> Option<Named> {
        call.sees_patients().then(|| {
            let name = self.0.get(&(ehr.clone(), patient.clone())).filter(|name| !name.is_empty());
            Named {
                href: patient_address(ehr, patient),
                name: name.cloned().unwrap_or_else(|| format!("Patient {patient}")),
            }
        })
    }
}

/// The address of a patient's page.
pub fn patient_address(ehr: &EhrId, patient: &PatientId) -> String {
    format!("/patients/{ehr}/{patient}")
}

/// The name to show for a patient.
pub fn full_name(patient: &Patient) -> String {
    patient
        .greeting_name()
        .map(|name| name.full().into_inner())
        .filter(|name| !name.trim().is_empty())
        .unwrap_or_else(|| "No name on the record".to_owned())
}

/// The zones that the record and the organisation point to.
pub fn zones(call: &Call, patient: &Patient) -> Zones {
    let organisation = &call.state.settings.organisation;
    let settings = Settings { region: organisation.region.clone(), ..Settings::default() };
    let facility = Facility { name: None, zone: organisation.zone };
    zone_candidates(patient, None, &facility, &settings, call.state.now())
}
