//! What the gateway cannot have seen at the demo's hospital, by the plan of its connection: everything else must be
//! mirrored or set aside.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::app::{AppError, Gateway};
use crate::domain::ResourceType;
use crate::ehr::client::FhirClient;
use crate::ehr::plan::{Ask, CapabilityPlan};
use crate::sandbox::Hospital;

pub(super) struct Reach {
    patients: Ask,
    appointments: Ask,
    /// Ids that the roster names.
    named_patients: BTreeSet<String>,
    named_locations: BTreeSet<String>,
    named_appointments: BTreeSet<String>,
    /// Patients of appointments that are mirrored.
    booked: BTreeSet<String>,
    /// Patients in whose name nobody may be written to any more.
    closed: BTreeSet<String>,
    earliest: DateTime<Utc>,
    latest: DateTime<Utc>,
}

impl Reach {
    pub async fn of(
        hospital: &Hospital,
        gateway: &Gateway,
        client: &FhirClient,
        plan: &CapabilityPlan,
        began: DateTime<Utc>,
    ) -> Result<Self, AppError> {
        let ehr = &client.connection().id;
        let view = gateway.store.view(&gateway.tenant);
        let ask = |kind| plan.of(kind).map_or(Ask::NotOffered, |of_type| of_type.ask.value);
        let named = async |kind| -> Result<BTreeSet<String>, AppError> {
            Ok(view.roster(ehr, kind, "", u64::from(u32::MAX)).await?.into_iter().collect())
        };
        let mirrored = view.mirrored_ids(ehr, ResourceType::Appointment).await?;
        let appointments = hospital.resources("Appointment");
        let is_mirrored = |it: &&Value| id(it).is_some_and(|id| mirrored.contains(&id));
        let booked = appointments.iter().filter(is_mirrored).filter_map(|it| actor(it, "Patient/"));
        let closed = hospital.resources("Patient").iter().filter(|it| is_closed(it)).filter_map(id).collect();
        let settings = &client.connection().settings;
        Ok(Self {
            patients: ask(ResourceType::Patient),
            appointments: ask(ResourceType::Appointment),
            named_patients: named(ResourceType::Patient).await?,
            named_locations: named(ResourceType::Location).await?,
            named_appointments: named(ResourceType::Appointment).await?,
            booked: booked.collect(),
            closed,
            earliest: began - TimeDelta::days(settings.appointment_days_back.into()),
            latest: gateway.store.clock().now() + TimeDelta::days(settings.appointment_days_ahead.into()),
        })
    }

    /// Whether no question that the plan asks can have brought this.
    pub fn is_beyond(&self, kind: ResourceType, resource: &Value) -> bool {
        let named = id(resource);
        match kind {
            ResourceType::Patient => {
                self.patients == Ask::ById
                    && named.is_none_or(|id| !self.named_patients.contains(&id) && !self.booked.contains(&id))
            }
            ResourceType::Appointment => match self.appointments {
                Ask::WholeType | Ask::NotOffered => false,
                Ask::ById => named.is_none_or(|id| !self.named_appointments.contains(&id)),
                Ask::ByPatient => {
                    let patient = actor(resource, "Patient/");
                    let asked = patient.is_some_and(|id| self.is_asked_for(&id));
                    !asked || self.is_another_time(resource)
                }
                Ask::ByLocationDay => {
                    let place = actor(resource, "Location/");
                    place.is_none_or(|id| !self.named_locations.contains(&id)) || self.is_another_time(resource)
                }
            },
            _ => false,
        }
    }

    fn is_asked_for(&self, patient: &str) -> bool {
        !self.closed.contains(patient) && (self.patients == Ask::WholeType || self.named_patients.contains(patient))
    }

    fn is_another_time(&self, appointment: &Value) -> bool {
        let start = appointment["start"].as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        start.is_none_or(|at| at < self.earliest || at > self.latest)
    }
}

fn id(resource: &Value) -> Option<String> {
    resource["id"].as_str().map(str::to_owned)
}

fn is_closed(patient: &Value) -> bool {
    let replaced = patient["link"].as_array().is_some_and(|all| all.iter().any(|it| it["type"] == "replaced-by"));
    let dead = patient["deceasedBoolean"] == true || patient["deceasedDateTime"].is_string();
    patient["active"] == false || replaced || dead
}

fn actor(appointment: &Value, kind: &str) -> Option<String> {
    let participants = appointment["participant"].as_array()?;
    participants.iter().find_map(|it| it["actor"]["reference"].as_str()?.strip_prefix(kind).map(str::to_owned))
}
