use super::*;
use crate::domain::{ContactPoint, Deceased, PatientId, PatientStatus, Phi};
use chrono_tz::{America, Asia, Europe};

fn patient(state: &str, zip: &str, country: &str, phones: &[&str]) -> Patient {
    let some = |text: &str| (!text.is_empty()).then(|| Phi::new(text.to_owned()));
    Patient {
        id: PatientId::new("p1"),
        status: PatientStatus::Active,
        deceased: Deceased::No,
        mrn: vec![],
        names: vec![],
        telecom: phones
            .iter()
            .map(|number| ContactPoint {
                system: ContactSystem::Phone,
                value: Phi::new((*number).to_owned()),
                use_: None,
                rank: None,
                start: None,
                end: None,
            })
            .collect(),
        gender: None,
        birth_date: None,
        languages: vec![],
        interpreter_required: false,
        address_state: some(state),
        address_postal_code: some(zip),
        address_country: some(country),
        stated_zone: None,
        restricted: false,
    }
}

fn zones(patient: &Patient, set: Option<Tz>, facility: Option<Tz>) -> Zones {
    let facility = Facility { name: None, zone: facility };
    zone_candidates(patient, set, &facility, &Settings::default(), "2026-06-10T15:00:00Z".parse().unwrap())
}

fn names(zones: &Zones) -> Vec<(&'static str, ZoneSource)> {
    zones.candidates.iter().map(|it| (it.zone.name(), it.source)).collect()
}

#[test]
fn every_piece_of_evidence_counts_at_once() {
    use ZoneSource::{Address, AreaCode, Facility};
    let traveller = patient("Massachusetts", "01944", "US", &["+15125550100", "(808) 555-0100"]);
    assert_eq!(
        names(&zones(&traveller, None, Some(America::New_York))),
        [
            ("America/New_York", Address),
            ("America/Chicago", AreaCode),
            ("Pacific/Honolulu", AreaCode),
            ("America/New_York", Facility)
        ]
    );
}

#[test]
fn a_zone_that_somebody_set_beats_all_evidence() {
    let abroad = patient("", "", "KZ", &["+15125550100"]);
    let found = zones(&abroad, Some(Asia::Almaty), Some(America::New_York));
    assert_eq!(names(&found), [("Asia/Almaty", ZoneSource::Explicit)]);
    assert!(found.is_resolved());

    let stated = Patient { stated_zone: Some(Europe::Berlin), ..patient("TX", "", "US", &[]) };
    assert_eq!(names(&zones(&stated, None, None)), [("Europe/Berlin", ZoneSource::Explicit)]);
}

#[test]
fn states_with_two_zones_give_both_unless_the_zip_code_tells() {
    for (state, zip, expected) in [
        ("TX", "", &["America/Chicago", "America/Denver"][..]),
        ("TX", "78701", &["America/Chicago"]),
        ("TX", "79901", &["America/Denver"]),
        ("TX", "79837", &["America/Chicago", "America/Denver"]),
        ("Idaho", "83814-1234", &["America/Los_Angeles"]),
        ("IN", "46402", &["America/Chicago"]),
        ("IN", "46204", &["America/New_York"]),
        ("TN", "37402", &["America/New_York"]),
        ("AZ", "86515", &["America/Phoenix", "America/Denver"]),
        ("ny", "", &["America/New_York"]),
    ] {
        let found = zones(&patient(state, zip, "", &[]), None, None);
        let found: Vec<_> = found.candidates.iter().map(|it| it.zone.name()).collect();
        assert_eq!(found, expected, "{state} {zip}");
    }
}

#[test]
fn evidence_abroad_is_placed_or_holds_the_reminder() {
    for (who, resolved) in [
        (patient("", "", "", &[]), true),
        (patient("", "", "DE", &[]), true),
        (patient("ON", "", "Canada", &[]), true),
        (patient("Nowhere", "", "Canada", &[]), false),
        (patient("", "", "Kazakhstan", &[]), false),
        (patient("NY", "10001", "US", &["+77012345678"]), false),
        (patient("NY", "10001", "US", &["+4915123456789"]), true),
        // Toll-free numbers and texts that are no state say nothing.
        (patient("N.Y.", "", "US", &["+18005550100"]), true),
    ] {
        assert_eq!(zones(&who, None, Some(America::New_York)).is_resolved(), resolved, "{:?}", who.address_country);
    }
    assert!(!zones(&patient("", "", "", &["+18005550199"]), None, None).is_resolved(), "no evidence at all");
}
