//! The rules that ship with Beckon, each with patients who show what it does.

use std::path::{Path, PathBuf};

use beckon::domain::ResourceType;
use beckon::rules::{Facilities, Facility, ReadingLevel, starter_rules, text_sheets};
use serde_json::{Value, json};

use super::fixtures::{World, at, starter, starters};

#[test]
fn the_starter_rules_have_no_problems_and_no_warnings() {
    let (rules, problems) = starter_rules();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    let ids: Vec<&str> = rules.iter().map(|rule| rule.id().as_str()).collect();
    assert_eq!(
        ids,
        [
            "annual-wellness",
            "appointment-cancelled",
            "appointment-moved",
            "appointment-reminder",
            "childhood-immunization",
            "colorectal-screening",
            "diabetes-check-up",
            "diabetes-hba1c",
            "discharge-follow-up",
            "flu-season",
            "hypertension-check",
            "mammogram",
            "medication-renewal",
            "new-patient",
            "no-show-follow-up",
            "post-procedure",
            "same-day-reminder",
            "video-visit",
        ]
    );
}

#[test]
fn every_translation_that_ships_waits_for_a_person_to_read_it_over() {
    for rule in starters() {
        assert_eq!(rule.languages().collect::<Vec<_>>(), ["en", "es"], "{}", rule.id());
        assert!(rule.is_cleared("en", &[]), "{}", rule.id());
        assert!(!rule.is_cleared("es", &[]), "{}", rule.id());
    }
}

#[test]
fn every_text_of_the_starter_rules_is_short_and_easy_to_read() {
    let mut told = Vec::new();
    for rule in starters() {
        for sheet in text_sheets(rule) {
            let level = sheet.reading.expect("both languages have a measure");
            // Sixth to eighth grade or easier; quite easy on the INFLESZ scale.
            let easy = match level {
                ReadingLevel::FleschKincaid(grade) => grade <= 8.0,
                ReadingLevel::Inflesz(score) => score >= 65.0,
            };
            let short = sheet.segments.as_ref().is_none_or(|size| size.segments <= 2);
            if !easy || !short {
                told.push(format!(
                    "{} {} {} {}: {}",
                    rule.id(),
                    sheet.language,
                    sheet.channel,
                    sheet.variant,
                    level.words()
                ));
            }
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn every_text_of_the_starter_rules_can_be_shown() {
    for rule in starters() {
        for file in rule.rule().templates.keys().filter(|file| file.matches('.').count() == 3 && file.contains(".txt"))
        {
            let parts: Vec<&str> = file.split('.').collect();
            let channel = beckon::domain::Channel::parse(parts[1]).unwrap();
            let body = beckon::rules::render_sample(rule, parts[0], channel, parts[2]).unwrap();
            assert!(body.text.expose().contains("Example Clinic"), "{file}");
            assert_eq!(body.html.is_some(), parts[1] == "email", "{file}");
        }
    }
}

#[test]
fn each_example_patient_gets_what_the_example_says() {
    let mut seen = Vec::new();
    for rule in starters() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules").join(rule.id().as_str()).join("examples");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{}: one who is due, one who is not, and an edge", rule.id());
        for file in files {
            check(rule.id().as_str(), &file);
            seen.push(file);
        }
    }
    assert_eq!(seen.len(), 55);
}

fn check(rule: &str, file: &Path) {
    let example: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let text = |key: &str| example[key].as_str().unwrap();
    let now = at(text("now"));
    // As the mirror keeps them.
    let resources: Vec<Value> =
        example["resources"].as_array().unwrap().iter().map(beckon::fhir::prune::prune).collect();
    let mut world = World::new(beckon::fhir::prune::prune(&example["patient"]), resources);
    let zone = Some(text("facility_zone").parse().unwrap());
    world.facilities = Facilities { default: Facility { name: None, zone }, ..Facilities::default() };
    if let Some(before) = example.get("before") {
        let earlier = before["resources"].as_array().unwrap().iter().map(beckon::fhir::prune::prune).collect();
        let later = std::mem::replace(&mut world.resources, earlier);
        world.replan(&[starter("appointment-reminder"), starter(rule)], at(before["now"].as_str().unwrap()));
        world.resources = later;
    }
    world.covered = Some(now);
    let plan = world.plan(&[starter(rule)], now);
    let reminders: Vec<Value> = plan
        .reminders
        .iter()
        .map(|it| json!({ "step": it.step.as_str(), "due_at": it.due_at.format("%Y-%m-%dT%H:%M:%SZ").to_string() }))
        .collect();
    let not_applicable: Vec<Value> = plan
        .not_applicable
        .iter()
        .map(|it| match &it.step {
            Some(step) => {
                json!({ "resource": it.resource.to_string(), "step": step.as_str(), "reason": it.reason.as_str() })
            }
            None => json!({ "resource": it.resource.to_string(), "reason": it.reason.as_str() }),
        })
        .collect();
    assert_eq!(json!(reminders), example["reminders"], "{}", file.display());
    assert_eq!(json!(not_applicable), example["not_applicable"], "{}", file.display());
    // Each resource is counted: what is not a reminder has a reason.
    let about = resource_type(rule);
    for resource in example["resources"].as_array().unwrap().iter().filter(|it| it["resourceType"] == about.as_str()) {
        let id = resource["id"].as_str().unwrap();
        assert!(
            plan.reminders.iter().any(|it| it.occasion.resource.id == id)
                || plan.not_applicable.iter().any(|it| it.resource.id == id),
            "{id} in {}",
            file.display()
        );
    }
}

fn resource_type(rule: &str) -> ResourceType {
    starter(rule).rule().resource
}
