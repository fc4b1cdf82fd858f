//! The same seed and day make the same people; every awkward case is there; memory does not grow.

use std::collections::BTreeSet;
use std::io::Write;

use beckon::sandbox::generator::write_ndjson;
use beckon::sandbox::{AwkwardKind as K, Generator};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

fn today() -> NaiveDate {
    "2026-03-02".parse().unwrap()
}

fn ndjson(seed: u64, patients: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_ndjson(&mut out, seed, today(), patients).unwrap();
    out
}

#[test]
fn the_same_seed_and_day_make_the_same_bytes() {
    assert_eq!(ndjson(7, 120), ndjson(7, 120));
    assert_ne!(ndjson(7, 120), ndjson(8, 120));
    let generator = Generator::new(7, today());
    let in_turn: Vec<_> = generator.charts(50).map(|chart| chart.resources).collect();
    assert_eq!(generator.chart(49).resources, in_turn[49], "a chart does not depend on the charts before it");
    let last = generator.chart(999_999);
    assert_eq!((last.patient.as_str(), last.resources[0]["id"].as_str()), ("p1000000", Some("p1000000")));
}

/// Counts what passes through and keeps nothing.
struct Meter(u64);

impl Write for Meter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The most memory that this process ever had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs in a process of its own, where nothing else takes memory.
#[test]
#[ignore = "started by many_patients_stream_through_flat_memory"]
fn peak_of_many_patients() {
    write_ndjson(&mut Meter(0), 1, today(), 100).unwrap();
    let few = peak_kib();
    let mut meter = Meter(0);
    let lines = write_ndjson(&mut meter, 1, today(), 2000).unwrap();
    let many = peak_kib();
    assert!(lines > 2000 * 8, "a patient has a chart: {lines} lines");
    assert!(meter.0 > 12 << 20, "{} bytes written", meter.0);
    assert!(many < few + 4096, "{few} KiB for 100 patients, {many} KiB for 2000");
}

#[test]
fn many_patients_stream_through_flat_memory() {
    let this = std::env::current_exe().unwrap();
    let run = std::process::Command::new(this)
        .args(["--exact", "sandbox::generator::peak_of_many_patients", "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_hundred_patients_show_every_awkward_case() {
    let generator = Generator::new(1, today());
    let awkward: Vec<_> = generator.charts(100).flat_map(|chart| chart.awkward).collect();
    let kinds: BTreeSet<K> = awkward.iter().map(|case| case.kind).collect();
    assert_eq!(kinds.len(), 45, "{kinds:?}");

    let charts: Vec<_> = generator.charts(100).collect();
    let of = |kind: K| {
        let case = awkward.iter().find(|case| case.kind == kind).unwrap();
        let chart = charts.iter().find(|chart| chart.patient == case.patient).unwrap();
        let shown = case.resource.as_ref().map(|name| {
            let id = name.split_once('/').unwrap().1;
            charts.iter().flat_map(|chart| &chart.resources).find(|resource| resource["id"] == id).unwrap().clone()
        });
        (chart.resources[0].clone(), shown.unwrap_or(Value::Null))
    };
    let mobiles = |patient: &Value| -> Vec<Value> {
        patient["telecom"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|point| point["use"] == "mobile")
            .map(|point| point["value"].clone())
            .collect()
    };
    assert_eq!(of(K::DeceasedBoolean).0["deceasedBoolean"], true);
    assert!(of(K::DeceasedDateTime).0["deceasedDateTime"].is_string());
    assert_eq!(of(K::DeceasedFalse).0["deceasedBoolean"], false);
    let (merged, survivor) = of(K::Merged);
    assert_eq!(merged["link"][0]["type"], "replaced-by");
    assert_eq!(merged["link"][0]["other"]["reference"], format!("Patient/{}", survivor["id"].as_str().unwrap()));
    assert_eq!(of(K::Inactive).0["active"], false);
    assert!(of(K::NoTelecom).0.get("telecom").is_none());
    assert!(mobiles(&of(K::HomePhoneOnly).0).is_empty() && of(K::HomePhoneOnly).0["telecom"][0]["use"] == "home");
    let (child, mother) = of(K::SharedMobile);
    assert_eq!(mobiles(&child), mobiles(&mother));
    assert_eq!(mother["gender"], "female");
    assert!(child["birthDate"].as_str().unwrap() > "2013");
    assert!(of(K::ExpiredTelecom).0["telecom"][0]["period"]["end"].as_str().unwrap() < "2026");
    assert_eq!(of(K::OldTelecom).0["telecom"][0]["use"], "old");
    assert!(of(K::NoLanguage).0.get("communication").is_none());
    assert_eq!(of(K::TwoLanguages).0["communication"][1]["preferred"], true);
    assert!(of(K::UnusableZone).0.get("address").is_none());
    assert!(of(K::PartialBirthDate).0["birthDate"].as_str().unwrap().len() < 10);
    assert!(of(K::BirthDateExtension).0["_birthDate"]["extension"].is_array());
    assert!(of(K::WrongTypeField).0["telecom"].is_object());
    assert_eq!(of(K::Minor).1["resourceType"], "RelatedPerson");
    assert_eq!(of(K::ConsentDeniesAll).1["provision"]["type"], "deny");
    assert!(!of(K::AppointmentWithoutPatient).1["participant"].to_string().contains("Patient/"));
    assert!(of(K::AppointmentWithoutParticipant).1.get("participant").is_none());
    let reversed = of(K::AppointmentEndBeforeStart).1;
    let instant = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>();
    assert!(instant(&reversed["end"]).unwrap() < instant(&reversed["start"]).unwrap());
    assert!(instant(&of(K::AppointmentStartWithoutOffset).1["start"]).is_err());
    assert_eq!(of(K::AppointmentCancelled).1["status"], "cancelled");
    assert_eq!(of(K::AppointmentDeclined).1["participant"][0]["status"], "declined");
    assert_eq!(of(K::ConditionRefuted).1["verificationStatus"]["coding"][0]["code"], "refuted");
    assert_eq!(of(K::ConditionResolved).1["clinicalStatus"]["coding"][0]["code"], "resolved");
    assert!(of(K::SensitiveCondition).1.to_string().contains("75544000"));
}

#[test]
fn people_are_as_mixed_as_a_hospital_sees_them() {
    let patients: Vec<Value> =
        Generator::new(3, today()).charts(1000).map(|chart| chart.resources[0].clone()).collect();
    let spoken = |code: &str| {
        patients
            .iter()
            .filter(|p| {
                p["communication"][0]["language"]["coding"][0]["code"]
                    .as_str()
                    .is_some_and(|found| found.starts_with(code))
            })
            .count()
    };
    assert!((650..850).contains(&spoken("en")), "{} speak English", spoken("en"));
    assert!((110..230).contains(&spoken("es")), "{} speak Spanish", spoken("es"));
    let states: BTreeSet<&str> = patients.iter().filter_map(|p| p["address"][0]["state"].as_str()).collect();
    assert!(states.len() >= 7, "{states:?}");
    let mobiles: Vec<&str> = patients
        .iter()
        .filter_map(|p| p["telecom"].as_array())
        .flatten()
        .filter(|t| t["use"] == "mobile")
        .filter_map(|t| t["value"].as_str())
        .collect();
    let different: BTreeSet<String> = mobiles
        .iter()
        .map(|value| value.chars().filter(char::is_ascii_digit).collect::<String>())
        .map(|digits| digits.trim_start_matches('1').to_owned())
        .collect();
    // Two shared mobiles are on purpose, and a few unreachable and invalid ones.
    assert!(mobiles.len() - different.len() <= 40, "{} of {} mobiles are different", different.len(), mobiles.len());
}
