//! Reading resources as hospitals really send them.

use beckon::domain::{AppointmentStatus, Deceased, PatientId, PatientStatus};
use beckon::fhir::{prune, read};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::fields::{now, with};

fn patient(over: Value) -> Value {
    with(json!({"resourceType": "Patient", "id": "p1"}), over)
}

fn appointment(over: Value) -> Value {
    with(
        json!({"resourceType": "Appointment", "id": "a1", "status": "booked",
            "start": "2026-03-05T09:00:00-06:00", "end": "2026-03-05T09:30:00-06:00",
            "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"},
                            {"actor": {"reference": "Location/l1"}, "status": "accepted"}]}),
        over,
    )
}

#[test]
fn the_dead_are_never_read_as_alive() {
    for (fields, expected) in [
        (json!({}), Some(Deceased::No)),
        (json!({"deceasedBoolean": false}), Some(Deceased::No)),
        (json!({"deceasedBoolean": true}), Some(Deceased::Yes)),
        (json!({"deceasedDateTime": "2026-01-01"}), Some(Deceased::Yes)),
        (json!({"deceasedDateTime": "about Easter"}), Some(Deceased::Yes)),
        (json!({"deceasedDateTime": {"value": "2026"}}), Some(Deceased::Yes)),
        (json!({"_deceasedDateTime": {"extension": [{"url": "x"}]}}), Some(Deceased::Yes)),
        (json!({"deceasedBoolean": false, "deceasedDateTime": "2026"}), Some(Deceased::Yes)),
        (json!({"deceasedBoolean": "true"}), None),
        (json!({"deceasedBoolean": "false"}), None),
    ] {
        let read = read::patient(&patient(fields.clone()), now());
        assert_eq!(read.value.as_ref().map(|p| p.deceased), expected, "{fields}");
        assert_eq!(read.fatal().is_some(), expected.is_none(), "{fields}");
    }
}

#[test]
fn a_record_that_must_not_be_used_says_so() {
    let link = |kind: &str, other: &str| json!({"link": [{"type": kind, "other": {"reference": other}}]});
    for (fields, expected) in [
        (json!({}), Some(PatientStatus::Active)),
        (json!({"active": true}), Some(PatientStatus::Active)),
        (json!({"active": false}), Some(PatientStatus::Inactive)),
        (json!({"active": "false"}), None),
        (link("replaced-by", "Patient/p2"), Some(PatientStatus::ReplacedBy(PatientId::from("p2")))),
        (
            with(link("replaced-by", "Patient/p2"), json!({"active": false})),
            Some(PatientStatus::ReplacedBy(PatientId::from("p2"))),
        ),
        (link("replaces", "Patient/p2"), Some(PatientStatus::Active)),
        (link("seealso", "RelatedPerson/r2"), Some(PatientStatus::Active)),
        (link("replaced-by", "https://other/fhir/Patient/p2"), Some(PatientStatus::Inactive)),
        (link("replaced-by", "RelatedPerson/r2"), Some(PatientStatus::Inactive)),
        (json!({"link": [{"type": "replaced-by"}]}), Some(PatientStatus::Inactive)),
        (link("merged-away", "Patient/p2"), None),
        (json!({"modifierExtension": [{"url": "https://x/test-patient"}]}), None),
        (json!({"implicitRules": "https://x/rules"}), None),
        (json!({"id": null}), None),
        (json!({"id": "../p1"}), None),
        (json!({"resourceType": "Person"}), None),
    ] {
        let read = read::patient(&patient(fields.clone()), now());
        assert_eq!(read.value.map(|p| p.status), expected, "{fields}");
    }
}

#[test]
fn a_patient_is_greeted_by_the_name_they_use_now() {
    let read = read::patient(
        &patient(json!({"name": [
            {"use": "maiden", "family": "Byron"},
            {"use": "old", "text": "Old Name"},
            {"use": "nickname", "text": "Addie"},
            {"use": "official", "family": "Lovelace", "given": ["Augusta", "Ada"]},
            {"use": "usual", "text": "Past Usual", "period": {"end": "2020"}},
            {"use": "usual", "given": ["Ada", null, 7]},
            {"use": "usual", "text": "Unreadable Period", "period": {"end": "soon"}},
            {"use": "family-name"},
            {},
            "Ada",
        ]})),
        now(),
    );
    let names: Vec<String> = read.value.as_ref().unwrap().names.iter().map(|name| name.full().into_inner()).collect();
    assert_eq!(names, ["Ada", "Augusta Ada Lovelace", "Addie", "Unreadable Period"]);
    let paths: Vec<&str> = read.issues.iter().map(|issue| issue.path.as_str()).collect();
    assert_eq!(
        paths,
        ["Patient.name[6].period", "Patient.name[7].use", "Patient.name[7]", "Patient.name[8]", "Patient.name[9]"]
    );
}

#[test]
fn telecom_that_may_no_longer_be_the_patients_is_left_out() {
    let read = read::patient(
        &patient(json!({"telecom": [
            {"system": "phone", "value": "+15125550100", "use": "mobile", "rank": 2},
            {"system": "email", "value": "ada@example.org", "rank": 1},
            {"system": "phone", "value": "+15125550101", "use": "old"},
            {"system": "phone", "value": "+15125550102", "period": {"end": "2024-05-01"}},
            {"system": "phone", "value": "+15125550103", "period": {"end": "2026-03-02"}},
            {"system": "phone", "value": "+15125550104", "period": {"end": "no date"}},
            {"system": "phone", "value": "+15125550105", "period": {"end": "2026-04-01T10:00:00"}, "rank": 0},
            {"value": "+15125550106"},
            {"system": "phone"},
            {"system": "pigeon", "value": "loft 4", "use": "sky", "rank": "first"},
        ]})),
        now(),
    );
    let patient = read.value.unwrap();
    let current: Vec<&str> = patient.current_telecom(now()).iter().map(|point| point.value.expose().as_str()).collect();
    assert_eq!(current, ["ada@example.org", "+15125550100", "+15125550103", "+15125550105", "loft 4"]);
    let issues: Vec<String> = read.issues.iter().map(|issue| format!("{} {}", issue.path, issue.reason)).collect();
    assert_eq!(
        issues,
        [
            "Patient.telecom[5].period is not a date of the calendar",
            "Patient.telecom[6].period has no offset from UTC, so the moment cannot be told",
            "Patient.telecom[6].rank is not a positive integer",
            "Patient.telecom[7] has a value but no system (R4 cpt-2)",
            "Patient.telecom[8] has no value",
            "Patient.telecom[9].use is not a use of the value set",
            "Patient.telecom[9].rank is not a positive integer",
        ]
    );
}

#[test]
fn the_preferred_language_comes_first() {
    let language = |code: &str| json!({"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}});
    let preferred = |code: &str| with(language(code), json!({"preferred": true}));
    for (communication, expected, issues) in [
        (json!([language("en-US"), preferred("es-MX")]), vec!["es-MX", "en-US"], 0),
        (json!([language("es")]), vec!["es"], 0),
        (json!(language("es")), vec!["es"], 0),
        (json!([]), vec![], 0),
        (json!([{"language": {"text": "Spanish"}}]), vec![], 1),
        (json!([language("Spanish (Mexico)")]), vec![], 1),
        (
            json!([{"language": {"coding": [{"system": "urn:oid:1.2", "code": "SPA"},
                                            {"system": "urn:ietf:bcp:47", "code": "es"}]}}]),
            vec!["es"],
            0,
        ),
    ] {
        let read = read::patient(&patient(json!({"communication": communication})), now());
        let tags: Vec<String> = read.value.unwrap().languages.into_iter().map(|language| language.tag).collect();
        assert_eq!(tags, expected, "{communication}");
        assert_eq!(read.issues.len(), issues, "{communication}");
    }
}

#[test]
fn a_patient_carries_what_zone_and_age_rest_on() {
    let read = read::patient(
        &patient(json!({
            "birthDate": "1961-04", "gender": "female",
            "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/tz-code", "valueCode": "America/Denver"},
                          {"url": "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired", "valueBoolean": true}],
            "identifier": [
                {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
                 "system": "urn:h", "value": "00123"},
                {"type": {"coding": [{"code": "MR"}]}, "value": "old", "use": "old"},
                {"type": {"coding": [{"code": "SS"}]}, "value": "999-99-9999"}],
            "address": [{"use": "old", "state": "NY"}, {"use": "work", "state": "NJ"},
                        {"use": "home", "state": "TX", "period": {"end": "2020"}},
                        {"state": "CO", "postalCode": "80014", "country": "US"}],
            "meta": {"security": [{"code": "R"}]},
        })),
        now(),
    );
    let patient = read.value.unwrap();
    assert_eq!(patient.birth_date.unwrap().into_inner(), "1961-04");
    assert_eq!(patient.stated_zone, Some(chrono_tz::America::Denver));
    assert_eq!(
        patient.mrn.iter().map(|(s, v)| (s.as_str(), v.expose().as_str())).collect::<Vec<_>>(),
        [("urn:h", "00123")]
    );
    assert_eq!(patient.address_state.unwrap().into_inner(), "CO");
    assert!(patient.interpreter_required && patient.restricted);

    for (birth_date, expected) in [("1961", true), ("1961-04-31", false), ("4/1/1961", false), ("61", false)] {
        let read = read::patient(&self::patient(json!({"birthDate": birth_date})), now());
        assert_eq!(read.value.unwrap().birth_date.is_some(), expected, "{birth_date}");
    }
}

#[test]
fn an_appointment_whose_time_or_patient_cannot_be_told_is_quarantined() {
    let patient = json!({"reference": "Patient/p1"});
    for (fields, fatal) in [
        (json!({}), None),
        (
            json!({"start": "2026-03-05T09:00:00"}),
            Some("Appointment.start has no offset from UTC, so the moment cannot be told"),
        ),
        (json!({"start": "2026-03-05"}), Some("Appointment.start is only a date, not a moment")),
        (json!({"start": 1_772_000_000}), Some("Appointment.start is not a string")),
        (
            json!({"end": "2026-03-05T09:30:00"}),
            Some("Appointment.end has no offset from UTC, so the moment cannot be told"),
        ),
        (json!({"end": "2026-03-05T08:30:00-06:00"}), Some("Appointment.end lies before the start")),
        (json!({"end": "2026-03-05T15:00:00Z"}), None),
        (json!({"start": null, "end": null}), Some("Appointment.start is missing from a booked appointment")),
        (json!({"start": null, "end": null, "status": "pending"}), None),
        (json!({"start": null, "end": null, "status": "proposed"}), None),
        (json!({"status": "rescheduled"}), Some("Appointment.status is missing or not a code of the value set")),
        (json!({"status": null}), Some("Appointment.status is missing or not a code of the value set")),
        (json!({"id": null}), Some("Appointment.id is missing or is not an id")),
        (json!({"participant": null}), Some("Appointment.participant there are no participants")),
        (
            json!({"participant": [{"actor": {"reference": "Practitioner/x"}}]}),
            Some("Appointment.participant no participant is a patient of this EHR"),
        ),
        (
            json!({"participant": [{"actor": {"reference": "https://other/fhir/Patient/p1"}}]}),
            Some("Appointment.participant no participant is a patient of this EHR"),
        ),
        (
            json!({"participant": [{"actor": {"type": "Patient", "identifier": {"value": "7"}}}]}),
            Some("Appointment.participant no participant is a patient of this EHR"),
        ),
        (json!({"participant": {"actor": patient}}), None),
        (
            json!({"participant": [{"actor": patient, "modifierExtension": [{"url": "x"}]}]}),
            Some(
                "Appointment.participant[0].modifierExtension changes the meaning of the element and is not understood",
            ),
        ),
    ] {
        let read = read::appointment(&appointment(fields.clone()));
        let found = read.fatal().map(|issue| format!("{} {}", issue.path, issue.reason));
        assert_eq!(found.as_deref(), fatal, "{fields}");
        assert_eq!(read.value.is_none(), fatal.is_some(), "{fields}");
    }
}

#[test]
fn a_cancellation_gets_through_although_its_times_are_broken() {
    for (status, times) in [
        ("cancelled", json!({"start": "2026-03-05T09:00:00"})),
        ("entered-in-error", json!({"start": null, "end": null})),
        ("noshow", json!({"end": "2026-03-01T00:00:00Z"})),
        ("fulfilled", json!({"start": "yesterday"})),
    ] {
        let read = read::appointment(&with(appointment(times), json!({"status": status})));
        let value = read.value.unwrap();
        assert_eq!(value.status, AppointmentStatus::parse(status).unwrap());
        assert_eq!(value.start, None, "{status}");
    }
}

#[test]
fn an_appointment_names_its_people_its_service_and_why_it_was_cancelled() {
    let read = read::appointment(&appointment(json!({
        "status": "cancelled", "created": "2026-01-01",
        "serviceType": [{}, {"coding": [{"code": "1", "display": "Cardiology"}]}],
        "cancelationReason": {"coding": [{"code": "pat-dec"}]},
        "participant": [
            {"actor": {"reference": "Patient/p1/_history/4"}, "status": "declined"},
            {"actor": {"reference": "Patient/p2"}, "status": "coming"},
            {"type": [{"coding": [{"code": "ATND"}]}], "status": "accepted"}],
    })));
    let value = read.value.unwrap();
    assert!(value.declined_by(&PatientId::from("p1")));
    assert!(!value.declined_by(&PatientId::from("p2")) && !value.confirmed_by(&PatientId::from("p2")));
    assert_eq!(value.patients().count(), 2);
    assert_eq!(value.participants[2].actor, None);
    assert_eq!(value.service.unwrap().into_inner(), "Cardiology");
    assert_eq!(value.cancelation_reason, ["pat-dec"]);
    assert_eq!(value.created, None);
    assert_eq!(read.issues.len(), 2, "{:?}", read.issues);
}

#[test]
fn a_location_tells_its_zone_where_it_can() {
    let location = |extension: Value| {
        let value = json!({"resourceType": "Location", "id": "l1", "name": "Main", "extension": extension,
            "address": {"state": "AZ", "postalCode": "86001"}, "partOf": {"reference": "Location/l0"},
            "telecom": [{"system": "fax", "value": "1"}, {"system": "phone", "value": "+15125550100"}]});
        read::location(&value, now())
    };
    let zone = |url: &str, name: &str| json!([{"url": format!("http://hl7.org/fhir/StructureDefinition/{url}"), "valueCode": name}]);
    let phoenix = Some(chrono_tz::America::Phoenix);
    assert_eq!(location(zone("timezone", "America/Phoenix")).value.unwrap().zone, phoenix);
    assert_eq!(location(zone("tz-code", "America/Phoenix")).value.unwrap().zone, phoenix);
    let wrong = location(zone("timezone", "Mountain Time"));
    assert_eq!(wrong.issues.len(), 1);
    let wrong = wrong.value.unwrap();
    assert_eq!((wrong.zone, wrong.part_of.as_deref()), (None, Some("l0")));
    assert_eq!((wrong.address_state.as_deref(), wrong.phone.as_deref()), (Some("AZ"), Some("+15125550100")));
}

#[test]
fn a_condition_is_active_only_if_it_says_so() {
    let status = |system: &str, code: &str| json!({"coding": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code}]});
    let clinical = |code: &str| json!({"clinicalStatus": status("condition-clinical", code)});
    let base = json!({"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.90", "code": "E11.9"}]}});
    for (fields, expected) in [
        (clinical("active"), Some(true)),
        (clinical("relapse"), Some(true)),
        (clinical("resolved"), Some(false)),
        (json!({}), Some(false)),
        (
            with(clinical("active"), json!({"verificationStatus": status("condition-ver-status", "confirmed")})),
            Some(true),
        ),
        (
            with(clinical("active"), json!({"verificationStatus": status("condition-ver-status", "refuted")})),
            Some(false),
        ),
        (with(clinical("active"), json!({"abatementString": "last summer"})), Some(false)),
        (with(clinical("active"), json!({"abatementBoolean": false})), Some(true)),
        (json!({"clinicalStatus": {"coding": [{"code": "active"}]}}), Some(true)),
        (json!({"clinicalStatus": {"text": "active"}}), None),
        (with(clinical("active"), json!({"subject": {"reference": "Group/g"}})), None),
    ] {
        let read = read::condition(&with(base.clone(), fields.clone()));
        assert_eq!(read.value.as_ref().map(read::Condition::is_active), expected, "{fields}");
        if let Some(condition) = read.value {
            assert_eq!(condition.codes[0].system.as_deref(), Some("http://hl7.org/fhir/sid/icd-10-cm"));
        }
    }
}

#[test]
fn a_related_person_counts_only_within_their_time() {
    for (fields, expected) in [
        (json!({}), Some(true)),
        (json!({"active": false}), Some(false)),
        (json!({"period": {"end": "2025"}}), Some(false)),
        (json!({"period": {"start": "2027"}}), Some(false)),
        (json!({"period": {"start": "2020", "end": "2026-03-02"}}), Some(true)),
        (json!({"period": {"end": "when 18"}}), None),
        (json!({"active": "yes"}), None),
        (json!({"patient": null}), None),
    ] {
        let base = json!({"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": "Patient/p1"},
            "relationship": [{"coding": [{"code": "MTH"}]}]});
        let read = read::related_person(&with(base, fields.clone()), now());
        assert_eq!(read.value.map(|person| person.active), expected, "{fields}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![
            Just("2026-03-05T09:00:00Z"),
            Just("2026-03-05T09:00:00"),
            Just("Patient/p1"),
            Just("booked"),
            Just("active"),
            Just("replaced-by"),
            Just("phone"),
            Just("old"),
            Just("deny"),
            Just("2020-02"),
            Just("p1"),
            Just("é\u{0}ü"),
            Just(""),
        ]
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("id"),
        Just("meta"),
        Just("security"),
        Just("status"),
        Just("participant"),
        Just("actor"),
        Just("reference"),
        Just("start"),
        Just("end"),
        Just("name"),
        Just("telecom"),
        Just("system"),
        Just("value"),
        Just("use"),
        Just("rank"),
        Just("period"),
        Just("link"),
        Just("type"),
        Just("other"),
        Just("active"),
        Just("deceasedBoolean"),
        Just("deceasedDateTime"),
        Just("_deceasedDateTime"),
        Just("communication"),
        Just("language"),
        Just("coding"),
        Just("code"),
        Just("extension"),
        Just("url"),
        Just("provision"),
        Just("subject"),
        Just("patient"),
        Just("identifier"),
        Just("address"),
        Just("state"),
        Just("clinicalStatus"),
        Just("abatementString"),
        Just("birthDate"),
        Just("given"),
        Just("modifierExtension"),
        Just("implicitRules"),
        Just("serviceType"),
        Just("text"),
        Just("family"),
        Just("note"),
    ];
    leaf.prop_recursive(6, 96, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..12)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn any_resource(kind: &'static str, base: Value) -> impl Strategy<Value = Value> {
    prop::collection::vec(any_json(), 0..4).prop_map(move |parts| {
        let mut resource = base.clone();
        for part in parts {
            if let Value::Object(fields) = part {
                for (key, field) in fields {
                    resource[key] = field;
                }
            }
        }
        resource["resourceType"] = json!(kind);
        resource["id"] = json!("x1");
        resource
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_never_panics_and_a_missing_value_has_a_reason(value in any_json(), kind in 0..8_usize) {
        let kinds = ["Patient", "Appointment", "Location", "Condition", "RelatedPerson", "Consent", "Group", "Bundle"];
        let mut value = value;
        if let Value::Object(fields) = &mut value {
            fields.insert("resourceType".to_owned(), json!(kinds[kind]));
        }
        let patient = read::patient(&value, now());
        prop_assert_eq!(patient.value.is_none(), patient.fatal().is_some());
        let appointment = read::appointment(&value);
        prop_assert_eq!(appointment.value.is_none(), appointment.fatal().is_some());
        let location = read::location(&value, now());
        prop_assert_eq!(location.value.is_none(), location.fatal().is_some());
        let condition = read::condition(&value);
        prop_assert_eq!(condition.value.is_none(), condition.fatal().is_some());
        let person = read::related_person(&value, now());
        prop_assert_eq!(person.value.is_none(), person.fatal().is_some());
        let consent = read::consent(&value);
        prop_assert_eq!(consent.value.is_none(), consent.fatal().is_some());
        let _ = (read::subjects_of(&value), read::version_of(&value), read::group_members(&value), prune::prune(&value));
        let _ = beckon::fhir::bundle::SearchPage::read(value.clone());
        let _ = beckon::fhir::capability::Capability::read(&value);
    }

    #[test]
    fn the_mirrors_copy_of_a_patient_reads_as_the_original_does(
        value in any_resource("Patient", json!({"active": true}))
    ) {
        let kept = read::patient(&prune::prune(&value), now());
        prop_assert_eq!(kept.value, read::patient(&value, now()).value);
    }

    #[test]
    fn the_mirrors_copy_of_an_appointment_reads_as_the_original_does(value in any_resource("Appointment", appointment(json!({})))) {
        let kept = read::appointment(&prune::prune(&value));
        prop_assert_eq!(kept.value, read::appointment(&value).value);
    }

    #[test]
    fn the_mirrors_copy_of_a_consent_reads_as_the_original_does(
        value in any_resource("Consent", json!({"status": "active", "patient": {"reference": "Patient/p1"}}))
    ) {
        let kept = read::consent(&prune::prune(&value));
        prop_assert_eq!(kept.value, read::consent(&value).value);
    }

    #[test]
    fn the_mirrors_copy_of_a_condition_reads_as_the_original_does(
        value in any_resource("Condition", json!({"subject": {"reference": "Patient/p1"}}))
    ) {
        let (kept, original) = (read::condition(&prune::prune(&value)), read::condition(&value));
        prop_assert_eq!(kept.value, original.value);
    }
}

/// Realistic data lie beside the repository on some machines; they are no part of it.
#[test]
fn a_whole_synthetic_hospital_is_read_without_loss() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/synthea-100");
    if !folder.is_dir() {
        eprintln!("skipped: there are no synthetic resources at {}", folder.display());
        return;
    }
    let load = |kind: &str| -> Vec<Value> {
        let file = std::fs::File::open(folder.join(format!("{kind}.ndjson.gz"))).unwrap();
        let text = std::io::read_to_string(flate2::read::GzDecoder::new(file)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let patients = load("Patient");
    assert!(patients.len() >= 100);
    let mut dead = 0;
    for resource in &patients {
        let read = read::patient(resource, now());
        assert_eq!(read.issues, [], "{}", resource["id"]);
        dead += usize::from(read.value.as_ref().unwrap().deceased == Deceased::Yes);
        assert_eq!(read::patient(&prune::prune(resource), now()).value, read.value);
    }
    assert_eq!(dead, 14);
    let appointments = load("Appointment");
    for resource in &appointments {
        let read = read::appointment(resource);
        assert_eq!(read.issues, [], "{}", resource["id"]);
        assert_eq!(read::appointment(&prune::prune(resource)).value, read.value);
    }
    for resource in load("Condition") {
        assert!(read::condition(&resource).value.is_some(), "{}", resource["id"]);
    }
    for resource in load("Location") {
        assert!(read::location(&resource, now()).value.is_some(), "{}", resource["id"]);
    }
}
