//! A fresh count of the day's Appointments at the EHR: each is mirrored, set aside, newer than the last pull, or named.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::{ResourceKey, ResourceType};
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::plan::{Ask, CapabilityPlan};
use crate::ehr::read::Read;
use crate::ehr::search::Search;
use crate::fhir::read;
use crate::store::{Store, StoreError, Whose};

use super::super::listing::instant;
use super::super::run::PullError;
use super::{AtEhr, Missing};

const KIND: ResourceType = ResourceType::Appointment;
/// Patients, places or ids between two looks at the list.
const CHUNK: u64 = 500;

type Window = (DateTime<Utc>, DateTime<Utc>);

/// What a count found: Appointments by id, and why it is not all.
#[derive(Default)]
struct Found {
    by_id: BTreeMap<String, Seen>,
    problem: Option<String>,
}

struct Seen {
    start: Option<DateTime<Utc>>,
    changed: Option<DateTime<Utc>>,
}

pub(super) async fn hold_against_mirror(
    store: &Store,
    client: &FhirClient,
    window: Window,
    unexplained: &mut BTreeSet<Missing>,
) -> Result<AtEhr, PullError> {
    let connection = client.connection();
    let view = store.view(&connection.tenant);
    let ehr = &connection.id;
    let ask = match client.capability().await {
        Ok(capability) => {
            let plan = CapabilityPlan::derive(connection, &capability);
            plan.of(KIND).map_or(Ask::NotOffered, |of_type| of_type.ask.value)
        }
        Err(error) => return Ok(AtEhr { problem: Some(error.to_string()), ..AtEhr::default() }),
    };
    let found = count(store, client, ask, window).await?;
    let ids: Vec<String> = found.by_id.keys().cloned().collect();
    let mirrored = view.mirrored_starts(ehr, &ids).await?;
    let quarantined: BTreeSet<String> = view.quarantined_among(ehr, &ids).await?.into_iter().collect();
    // What changed after the last complete pull began is the next one's.
    let pulled = view.covered_types(ehr).await?.into_iter().find(|(kind, _)| *kind == KIND).map(|(_, at)| at);
    let is_newer = |seen: &Seen| match (seen.changed, pulled) {
        (_, None) => true,
        (Some(changed), Some(pulled)) => changed >= pulled,
        (None, Some(_)) => false,
    };
    let mut counted = AtEhr {
        how: ask.words(),
        at_ehr: found.by_id.len() as u64,
        out_of_roster: (ask == Ask::WholeType).then_some(0),
        problem: found.problem,
        ..AtEhr::default()
    };
    for (id, seen) in &found.by_id {
        let key = ResourceKey::new(KIND, id.as_str());
        match mirrored.get(id) {
            Some(start) if *start == seen.start => counted.mirrored += 1,
            _ if quarantined.contains(id) => counted.quarantined += 1,
            _ if is_newer(seen) => counted.newer += 1,
            Some(_) => {
                let words = "it begins at another time in the mirror than at the EHR";
                unexplained.insert(Missing::of_resource(&key, words));
            }
            None => {
                let words = "it is at the EHR, and neither mirrored nor in quarantine";
                unexplained.insert(Missing::of_resource(&key, words));
            }
        }
    }
    if counted.problem.is_none() {
        let here = view.appointments_between(ehr, window.0, window.1).await?;
        let unseen = here.into_iter().map(|(id, _)| id).filter(|id| !found.by_id.contains_key(id)).collect();
        counted.gone_since = look_up(client, unseen, &is_newer, &mut counted.problem, unexplained).await;
    }
    Ok(counted)
}

/// Mirrored on the day and not found at the EHR: each is read by its id before anything is said of it.
async fn look_up(
    client: &FhirClient,
    unseen: Vec<String>,
    is_newer: &impl Fn(&Seen) -> bool,
    problem: &mut Option<String>,
    unexplained: &mut BTreeSet<Missing>,
) -> u64 {
    let mut gone = 0;
    for id in unseen {
        let key = ResourceKey::new(KIND, id);
        match client.read(&key, None).await {
            // What was deleted shows in no search; the pull finds it with its next full listing.
            Ok(Read::Gone { .. } | Read::Moved(_)) => gone += 1,
            Ok(Read::Found(it)) if seen(&it.resource).is_some_and(|(_, seen)| is_newer(&seen)) => gone += 1,
            Ok(_) => {
                let words = "it is mirrored on this day, and the EHR has it on another";
                unexplained.insert(Missing::of_resource(&key, words));
            }
            Err(error) => *problem = problem.take().or_else(|| Some(error.to_string())),
        }
    }
    gone
}

async fn count(store: &Store, client: &FhirClient, ask: Ask, window: Window) -> Result<Found, StoreError> {
    let connection = client.connection();
    let view = store.view(&connection.tenant);
    let ehr = &connection.id;
    let mut found = Found::default();
    let dated = |search: Search| {
        search
            .with("date", format!("ge{}", instant(window.0)))
            .with("date", format!("lt{}", instant(window.1)))
            .with("_count", "200")
    };
    match ask {
        Ask::NotOffered => found.problem = Some("the server does not offer Appointments".to_owned()),
        Ask::WholeType => found.search(client, dated(Search::new(KIND)), window).await,
        Ask::ByPatient => {
            let mut after = String::new();
            loop {
                let patients = view.patients_in_order(ehr, Whose::Active, &after, CHUNK).await?;
                let Some(last) = patients.last() else { break };
                last.as_str().clone_into(&mut after);
                for patient in &patients {
                    let search = Search::new(KIND).with("patient", patient.as_str());
                    found.search(client, dated(search), window).await;
                }
            }
        }
        Ask::ByLocationDay => {
            let mut after = String::new();
            loop {
                let places = view.roster(ehr, ResourceType::Location, &after, CHUNK).await?;
                let Some(last) = places.last() else { break };
                after.clone_from(last);
                for place in &places {
                    found.search(client, dated(Search::new(KIND).with("location", place.as_str())), window).await;
                }
            }
        }
        Ask::ById => {
            let here = view.appointments_between(ehr, window.0, window.1).await?;
            let mut ids: BTreeSet<String> = here.into_iter().map(|(id, _)| id).collect();
            let mut after = String::new();
            loop {
                let named = view.roster(ehr, KIND, &after, CHUNK).await?;
                let Some(last) = named.last() else { break };
                after.clone_from(last);
                let new = view.never_mirrored(ehr, KIND, named).await?;
                ids.extend(new.into_iter().map(|key| key.id));
            }
            for id in ids {
                match client.read(&ResourceKey::new(KIND, id), None).await {
                    Ok(Read::Found(it)) => found.take(&it.resource, window),
                    Ok(_) => {}
                    Err(error) => found.failed(&error),
                }
            }
        }
    }
    Ok(found)
}

impl Found {
    async fn search(&mut self, client: &FhirClient, search: Search, window: Window) {
        match client.find_all(search).await {
            Ok(resources) => resources.iter().for_each(|resource| self.take(resource, window)),
            Err(error) => self.failed(&error),
        }
    }

    /// A server may ignore the dates: what begins on another day is left out.
    fn take(&mut self, resource: &Value, (from, to): Window) {
        if let Some((id, seen)) = seen(resource)
            && seen.start.is_some_and(|start| from <= start && start < to)
        {
            self.by_id.insert(id, seen);
        }
    }

    fn failed(&mut self, error: &EhrError) {
        self.problem = self.problem.take().or_else(|| Some(error.to_string()));
    }
}

fn seen(resource: &Value) -> Option<(String, Seen)> {
    let version = read::version_of(resource).filter(|version| version.key.resource_type == KIND)?;
    let start = resource["start"].as_str().and_then(|text| read::instant(text).ok());
    Some((version.key.id, Seen { start, changed: version.last_updated }))
}
