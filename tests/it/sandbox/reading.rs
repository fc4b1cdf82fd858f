//! What the gateway reads in the simulated hospital's charts: two readings of the same specification, written apart.

use std::collections::BTreeMap;

use beckon::domain::{AppointmentStatus, ContactUse, Deceased, PatientId, PatientStatus, PhoneNumber};
use beckon::fhir::read;
use beckon::sandbox::{Awkward, AwkwardKind as K, Chart, Generator};
use serde_json::Value;

use super::support::monday;

fn charts(patients: u32) -> Vec<Chart> {
    Generator::new(1, monday().date_naive()).charts(patients).collect()
}

fn cases(charts: &[Chart]) -> BTreeMap<K, (&Awkward, &Value, Option<&Value>)> {
    let all = || charts.iter().flat_map(|chart| &chart.resources);
    let shown = |case: &Awkward| {
        let id = case.resource.as_ref()?.split_once('/')?.1;
        all().find(|resource| resource["id"] == id)
    };
    let each = charts.iter().flat_map(|chart| chart.awkward.iter().map(move |case| (case, &chart.resources[0])));
    each.map(|(case, patient)| (case.kind, (case, patient, shown(case)))).collect()
}

#[test]
fn awkward_patients_are_read_for_what_they_are() {
    let charts = charts(100);
    let cases = cases(&charts);
    let patient = |kind: K| read::patient(cases[&kind].1, monday()).value.unwrap();
    assert_eq!(patient(K::DeceasedBoolean).deceased, Deceased::Yes);
    assert_eq!(patient(K::DeceasedDateTime).deceased, Deceased::Yes);
    assert_eq!(patient(K::DeceasedFalse).deceased, Deceased::No);
    assert_eq!(patient(K::Inactive).status, PatientStatus::Inactive);
    let survivor = cases[&K::Merged].2.unwrap()["id"].as_str().unwrap();
    assert_eq!(patient(K::Merged).status, PatientStatus::ReplacedBy(PatientId::from(survivor)));
    assert!(patient(K::NoTelecom).telecom.is_empty());
    assert!(patient(K::HomePhoneOnly).telecom.iter().all(|point| point.use_ == Some(ContactUse::Home)));
    for gone in [K::ExpiredTelecom, K::OldTelecom] {
        assert!(patient(gone).current_telecom(monday()).is_empty(), "{gone:?}");
    }
    assert!(patient(K::NoLanguage).languages.is_empty());
    assert_eq!(patient(K::TwoLanguages).languages.iter().find(|l| l.preferred).unwrap().primary(), "es");
    assert_eq!(patient(K::UnusableZone).address_state.map(|_| ()), None);
    let age = |kind: K| patient(kind).age_on(monday().date_naive());
    assert!(age(K::Minor).unwrap() < 13 && (13..18).contains(&age(K::Adolescent).unwrap()));
    assert_eq!(age(K::NoBirthDate), None);
}

#[test]
fn awkward_appointments_and_conditions_are_read_for_what_they_are() {
    let charts = charts(100);
    let cases = cases(&charts);
    let appointment = |kind: K| read::appointment(cases[&kind].2.unwrap());
    for broken in [K::AppointmentEndBeforeStart, K::AppointmentStartWithoutOffset] {
        assert!(!appointment(broken).issues.is_empty(), "{broken:?} is noticed");
    }
    for nobody in [K::AppointmentWithoutPatient, K::AppointmentWithoutParticipant] {
        let read = appointment(nobody);
        assert!(read.value.is_none_or(|appointment| appointment.patients().next().is_none()), "{nobody:?}");
    }
    let status = |kind: K| appointment(kind).value.unwrap().status;
    assert_eq!(status(K::AppointmentCancelled), AppointmentStatus::Cancelled);
    assert_eq!(status(K::AppointmentEnteredInError), AppointmentStatus::EnteredInError);
    let patient = PatientId::from(cases[&K::AppointmentDeclined].0.patient.as_str());
    assert!(appointment(K::AppointmentDeclined).value.unwrap().declined_by(&patient));
    for gone in [K::ConditionRefuted, K::ConditionResolved, K::ConditionEnteredInError, K::ConditionWithoutStatus] {
        let condition = read::condition(cases[&gone].2.unwrap());
        assert!(condition.value.is_none_or(|condition| !condition.is_active()), "{gone:?}");
    }
    assert!(read::condition(cases[&K::SensitiveCondition].2.unwrap()).value.unwrap().is_active());
}

#[test]
fn plain_charts_are_read_without_a_complaint() {
    let charts = charts(400);
    for chart in charts.iter().filter(|chart| chart.awkward.is_empty()) {
        for resource in &chart.resources {
            let issues = match resource["resourceType"].as_str().unwrap() {
                "Patient" => read::patient(resource, monday()).issues,
                "Appointment" => read::appointment(resource).issues,
                "Condition" => read::condition(resource).issues,
                _ => continue,
            };
            assert!(issues.is_empty(), "{}: {issues:?}", resource["id"]);
        }
        let patient = read::patient(&chart.resources[0], monday()).value.unwrap();
        for point in patient.telecom.iter().filter(|point| point.use_ == Some(ContactUse::Mobile)) {
            let number = PhoneNumber::parse(point.value.expose(), "US");
            assert!(number.is_ok(), "{} of {}", point.value.expose(), chart.patient);
        }
    }
}
