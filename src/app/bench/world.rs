//! What the sending bench sends about: patients with an address, an appointment in three days each, and on request an
//! EHR that can be asked for them.

use std::sync::Arc;
use std::sync::mpsc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::house::{House, file, monday};
use super::meter::FOREIGN;
use crate::app::AppError;
use crate::clock::Clock;
use crate::domain::{Actor, ResourceType};
use crate::ehr::connect::{self, ConnectError};
use crate::ehr::connection::{BaseUrl, EhrConnection, EhrSettings, Vendor};
use crate::ehr::scopes::ScopeSet;
use crate::sandbox::{Hospital, HospitalOptions, JwksSource};

const CLIENT: &str = "beckon-bench";

/// When everybody's reminder falls due.
pub(super) fn due_at() -> DateTime<Utc> {
    monday() + TimeDelta::minutes(30)
}

/// The place of care.
pub(super) fn location() -> Value {
    json!({"resourceType": "Location", "id": "loc", "name": "Main Building", "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": "America/Chicago"}]})
}

/// One patient, who reads mail only.
pub(super) fn patient(number: u32) -> Value {
    json!({"resourceType": "Patient", "id": format!("p{number}"), "active": true, "birthDate": "1980-02-03",
        "meta": {"versionId": "1"}, "gender": "female",
        "identifier": [{"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
            "system": "http://hospital.example/mrn", "value": format!("M{number:07}")}],
        "name": [{"use": "official", "family": format!("Lovelace{number}"), "given": ["Ada"]}],
        "telecom": [{"system": "email", "value": format!("ada.{number}@example.org"), "use": "home"}],
        "address": [{"use": "home", "city": "Chicago", "state": "IL", "postalCode": "60601", "country": "US"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}, "preferred": true}]})
}

/// Her appointment: made two weeks ago, three days after the reminder falls due.
pub(super) fn appointment(number: u32) -> Value {
    let start = due_at() + TimeDelta::days(3);
    json!({"resourceType": "Appointment", "id": format!("a{number}"), "status": "booked", "meta": {"versionId": "1"},
        "created": (monday() - TimeDelta::days(14)).to_rfc3339(),
        "start": start.to_rfc3339(), "end": (start + TimeDelta::minutes(30)).to_rfc3339(),
        "participant": [
            {"actor": {"reference": format!("Patient/p{number}")}, "status": "needs-action"},
            {"actor": {"reference": "Location/loc"}, "status": "accepted"}]})
}

/// Everything of a type.
pub(super) fn all(kind: ResourceType, people: u32) -> Box<dyn Iterator<Item = Value>> {
    match kind {
        ResourceType::Location => Box::new(std::iter::once(location())),
        ResourceType::Patient => Box::new((0..people).map(patient)),
        ResourceType::Appointment => Box::new((0..people).map(appointment)),
        _ => Box::new(std::iter::empty()),
    }
}

/// A simulated EHR on threads of its own.
pub(super) struct Ehr {
    hospital: Arc<Hospital>,
    _stop: oneshot::Sender<()>,
}

impl Ehr {
    /// Starts it with everybody in it, and connects the house.
    pub(super) async fn start(house: &House, people: u32) -> Result<Self, AppError> {
        let mut options = HospitalOptions::new(house.clock.clone());
        options.patients = 0;
        options.script = false;
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name(format!("{FOREIGN}ehr"))
                .enable_all()
                .build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async move {
                // Nobody listens any more only when the bench has ended.
                let _ended = tell.send(Hospital::start(options).await);
                let _stopped = stopped.await;
            });
        };
        std::thread::Builder::new()
            .name(format!("{FOREIGN}ehr"))
            .spawn(serve)
            .map_err(|error| file("the bench's EHR", error))?;
        let started = tokio::task::spawn_blocking(move || told.recv()).await;
        let hospital = match started {
            Ok(Ok(started)) => Arc::new(started?),
            _ => return Err(AppError::Bench("the simulated EHR did not start".to_owned())),
        };
        for kind in [ResourceType::Location, ResourceType::Patient, ResourceType::Appointment] {
            for resource in all(kind, people) {
                hospital.put(resource)?;
            }
        }
        let connection = EhrConnection {
            tenant: house.tenant.clone(),
            id: house.ehr.clone(),
            base_url: BaseUrl::parse(&hospital.fhir_base()).map_err(ConnectError::from)?,
            vendor: Vendor::Hapi,
            client_id: CLIENT.to_owned(),
            scopes: ScopeSet::for_backend(EhrConnection::DEFAULT_SCOPES)
                .map_err(|error| AppError::BenchSettings(error.to_string()))?,
            settings: EhrSettings::default(),
        };
        let ring = connect::add(&house.store, &connection, Actor::system("bench")).await?;
        let jwks = JwksSource::Inline(ring.jwks(house.clock.now()));
        hospital.register_client(CLIENT, jwks, EhrConnection::DEFAULT_SCOPES);
        Ok(Self { hospital, _stop: stop })
    }

    /// Requests that it answered.
    pub(super) fn requests(&self) -> usize {
        self.hospital.requests().len()
    }
}
