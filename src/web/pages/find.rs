//! Finding patients by what a caller says: name, record number, telephone, email or birth date. The store finds equal
//! values only (blind indexes), so a part of a name is found by its first three letters and then compared.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::names::full_name;
use crate::domain::{EhrId, EmailAddress, Patient, PatientId, PhoneNumber};
use crate::fhir::read;
use crate::store::normalised_name;
use crate::web::call::Call;
use crate::web::error::WebError;

/// Patients that are shown at most; more than this is not an answer.
pub const MOST: usize = 20;

/// Candidates of one name prefix that are compared.
const CANDIDATES: u64 = 300;

type Key = (EhrId, PatientId);

/// A patient that was found.
pub struct Found {
    pub key: Key,
    pub name: String,
    pub born: String,
    pub mrn: String,
    pub patient: Patient,
}

/// Patients that what was typed may mean, by name; one more than `MOST` tells that there are more.
pub async fn find(call: &Call, typed: &str) -> Result<Vec<Found>, WebError> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(Vec::new());
    }
    let region = &call.state.settings.organisation.region;
    let view = call.state.view();
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    let mut by_name = false;
    if let Ok(email) = EmailAddress::parse(typed) {
        keys.extend(view.find_patients("email", &email.expose().to_lowercase(), CANDIDATES).await?);
    } else if typed.parse::<NaiveDate>().is_ok() {
        keys.extend(view.find_patients("birth_date", typed, CANDIDATES).await?);
    } else {
        keys.extend(view.find_patients("mrn", &typed.to_lowercase(), CANDIDATES).await?);
        if let Ok(phone) = PhoneNumber::parse(typed, region) {
            keys.extend(view.find_patients("phone", phone.expose(), CANDIDATES).await?);
        }
        if keys.is_empty() {
            by_name = true;
            keys = name_candidates(call, typed).await?;
        }
    }
    let now = call.state.now();
    let resources = view.patient_resources(&keys).await?;
    let mut found = BTreeMap::new();
    for (key, body) in resources {
        let Some(patient) = read::patient(&body, now).value else { continue };
        if by_name && !is_called(&patient, typed) {
            continue;
        }
        let name = full_name(&patient);
        let born = patient.birth_date.clone().map(|date| date.into_inner()).unwrap_or_default();
        let mrn = patient.mrn.first().map(|(_, value)| value.expose().clone()).unwrap_or_default();
        found.insert((name.to_lowercase(), key.clone()), Found { key, name, born, mrn, patient });
    }
    Ok(found.into_values().take(MOST + 1).collect())
}

/// Whoever shares the longest word's first three letters, as family or as given name.
async fn name_candidates(call: &Call, typed: &str) -> Result<BTreeSet<Key>, WebError> {
    let words = words_of(typed);
    let Some(longest) = words.iter().max_by_key(|word| word.chars().count()) else { return Ok(BTreeSet::new()) };
    let start: String = longest.chars().take(3).collect();
    let view = call.state.view();
    let mut keys = BTreeSet::new();
    for (kind, value) in [("family", longest), ("given", longest), ("family3", &start), ("given3", &start)] {
        keys.extend(view.find_patients(kind, value, CANDIDATES).await?);
    }
    Ok(keys)
}

/// Whether every typed word begins one of the patient's names.
fn is_called(patient: &Patient, typed: &str) -> bool {
    let names: Vec<String> = patient
        .names
        .iter()
        .flat_map(|name| name.given.iter().chain(name.family.iter()))
        .map(|part| normalised_name(part.expose()))
        .collect();
    words_of(typed).iter().all(|word| names.iter().any(|name| name.starts_with(word.as_str())))
}

fn words_of(typed: &str) -> Vec<String> {
    typed.split([' ', ',']).map(normalised_name).filter(|word| !word.is_empty()).collect()
}
