//! What the EHR's consent records forbid is not done, whenever they were written.

use beckon::domain::{CheckResult, Reason, ReminderState, ResourceType};
use beckon::ehr::plan::Ask;
use beckon::pull::{Mode, RunState};
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::house::{ADA, House, Setup, each_house, each_house_with};

/// An active Consent of Ada's about privacy.
fn consent(id: &str, provision: Value) -> Value {
    json!({
        "resourceType": "Consent", "id": id, "status": "active", "patient": {"reference": format!("Patient/{ADA}")},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "provision": provision
    })
}

fn denial() -> Value {
    consent("no", json!({"type": "deny"}))
}

fn with(mut resource: Value, change: Value) -> Value {
    resource.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    resource
}

const WITHHELD: (ReminderState, Option<Reason>) = (ReminderState::Withheld, Some(Reason::ConsentDenied));

async fn nothing_is_unexplained(house: &House) {
    assert_eq!(house.unexplained().await, Vec::<String>::new());
}

/// Name, result and words of a check of the last decision on Ada's first reminder.
async fn check(house: &House, name: &str) -> (CheckResult, String) {
    let reminder = house.reminder(ADA).await;
    let decision = house.view().decisions_on(reminder.id).await.unwrap().pop().unwrap();
    let check = decision.checks.into_iter().find(|it| it.name == name).unwrap();
    (check.result, check.words)
}

#[tokio::test]
async fn a_denial_recorded_at_the_ehr_is_honoured() {
    each_house(async |house| {
        house.hospital.put(denial()).unwrap();
        house.ada_is_due_in_an_hour().await;
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty(), "{:?}", house.texts());
        assert_eq!(house.stands(ADA).await, WITHHELD);
        let reminder = house.reminder(ADA).await;
        let decision = house.view().decisions_on(reminder.id).await.unwrap().pop().unwrap();
        let fact = decision.facts.iter().find(|it| it.name == "Consent").unwrap();
        assert_eq!(fact.source.as_ref().unwrap().key.to_string(), "Consent/no", "the decision names its evidence");
        nothing_is_unexplained(&house).await;
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_denial_recorded_after_the_last_pull_is_honoured() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.hospital.put(denial()).unwrap();
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty(), "{:?}", house.texts());
        assert_eq!(house.stands(ADA).await, WITHHELD);
        nothing_is_unexplained(&house).await;
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_denial_that_is_taken_back_lets_the_reminder_go_once() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.hospital.put(denial()).unwrap();
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.stands(ADA).await, WITHHELD);

        // Something else about her consents changes: it is decided anew, and the denial still holds.
        house.hospital.put(with(denial(), json!({"dateTime": "2026-03-01"}))).unwrap();
        house.sync().await;
        house.live(TimeDelta::hours(1)).await;
        assert_eq!(house.stands(ADA).await, WITHHELD);
        assert!(house.texts().is_empty(), "{:?}", house.texts());

        house.hospital.put(with(denial(), json!({"status": "inactive"}))).unwrap();
        house.sync().await;
        house.live(TimeDelta::hours(1)).await;
        assert_eq!(house.texts().len(), 1, "{:?}", house.texts());
        house.sync().await;
        house.live(TimeDelta::hours(1)).await;
        assert_eq!(house.texts().len(), 1, "{:?}", house.texts());
        nothing_is_unexplained(&house).await;
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_denial_that_no_pull_ever_saw_is_missed_when_it_is_deleted() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.hospital.put(denial()).unwrap();
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.stands(ADA).await, WITHHELD);
        assert!(house.hospital.delete("Consent", "no"));
        house.pull(Mode::Full).await;
        house.live(TimeDelta::hours(1)).await;
        assert_eq!(house.texts().len(), 1, "{:?}", house.texts());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_denial_with_an_end_is_waited_for() {
    each_house(async |house| {
        let end = house.now() + TimeDelta::hours(3);
        house.hospital.put(consent("no", json!({"type": "deny", "period": {"end": end.to_rfc3339()}}))).unwrap();
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(2));
        house.settle().await;
        assert_eq!(house.stands(ADA).await, (ReminderState::Waiting, Some(Reason::ConsentDenied)));
        house.live_until(end).await;
        assert!(house.texts().is_empty(), "{:?}", house.texts());
        house.live(TimeDelta::hours(1)).await;
        assert_eq!(house.texts().len(), 1, "{:?}", house.texts());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_consent_that_cannot_be_understood_sends_nothing_and_is_shown() {
    for record in [
        with(denial(), json!({"status": "on-file"})),
        with(denial(), json!({"modifierExtension": [{"url": "http://hospital.example/not-quite"}]})),
        consent("no", json!({"type": "deny", "code": [{"text": "No messages to the mobile"}]})),
        consent(
            "no",
            json!({"type": "deny", "code": [{"coding": [{"system": "http://hospital.example/codes", "code": "NM"}]}]}),
        ),
    ] {
        each_house(async |house| {
            house.hospital.put(record.clone()).unwrap();
            house.ada_is_due_in_an_hour().await;
            house.live(TimeDelta::hours(2)).await;
            assert!(house.texts().is_empty(), "{record}: {:?}", house.texts());
            let expected = (ReminderState::Withheld, Some(Reason::ConsentUnclear));
            assert_eq!(house.stands(ADA).await, expected, "{record}");
            let aside = house.view().quarantined(&house.ehr, 10).await.unwrap();
            assert_eq!(aside.iter().map(|it| it.resource_id.as_str()).collect::<Vec<_>>(), ["no"], "{record}");

            // The hospital mends the record.
            house.hospital.put(consent("no", json!({"type": "permit"}))).unwrap();
            house.sync().await;
            house.live(TimeDelta::hours(1)).await;
            assert_eq!(house.texts().len(), 1, "{record}");
            assert!(house.view().quarantined(&house.ehr, 10).await.unwrap().is_empty(), "{record}");
            nothing_is_unexplained(&house).await;
            house.close().await;
        })
        .await;
    }
}

#[tokio::test]
async fn consents_about_other_matters_stop_nothing() {
    each_house(async |house| {
        let code = |system: &str, code: &str| json!([{"coding": [{"system": system, "code": code}]}]);
        let research = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]});
        for (n, record) in [
            with(denial(), json!({"scope": research})),
            with(denial(), json!({"status": "rejected"})),
            consent("x", json!({"type": "deny", "period": {"end": "2026-01-01"}})),
            consent("x", json!({"type": "deny", "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HMARKT"}]})),
            consent("x", json!({"type": "deny", "code": code("http://hl7.org/fhir/contact-point-system", "email")})),
            consent("x", json!({"type": "deny", "code": code("http://loinc.org", "34133-9")})),
            consent("x", json!({"type": "deny", "actor": [{"reference": {"reference": "Organization/exchange"}}]})),
            with(denial(), json!({"patient": {"reference": "Patient/bob"}})),
        ]
        .into_iter()
        .enumerate()
        {
            house.hospital.put(with(record, json!({"id": format!("c{n}")}))).unwrap();
        }
        house.ada_is_due_in_an_hour().await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1, "{:?}", house.stands(ADA).await);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_last_of_many_consents_counts_as_the_first_does() {
    each_house(async |house| {
        for n in 0..70 {
            house.hospital.put(consent(&format!("a{n:02}"), json!({"type": "permit"}))).unwrap();
        }
        house.hospital.put(with(denial(), json!({"id": "z"}))).unwrap();
        house.ada_is_due_in_an_hour().await;
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty(), "{:?}", house.texts());
        assert_eq!(house.stands(ADA).await, WITHHELD);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_answers_with_everybodys_consents_costs_nobody_a_reminder() {
    each_house(async |house| {
        let bobs = with(denial(), json!({"patient": {"reference": "Patient/bob"}}));
        house.hospital.put(bobs).unwrap();
        house.ada_is_due_in_an_hour().await;
        let deaf = FaultKind::IgnoreParameter { name: "patient".to_owned() };
        house.hospital.inject(Fault::new(deaf).on("/fhir/Consent").always());
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1, "{:?}", house.stands(ADA).await);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn while_consents_cannot_be_read_the_reminder_waits() {
    // In one batch with the rest, and one by one where the server takes no batches.
    for batches in [true, false] {
        let setup = if batches {
            Setup::default()
        } else {
            Setup { connection: |ehr| ehr.settings.plan.batch = Some(false), ..Setup::default() }
        };
        each_house_with(setup, async |house| {
            house.ada_is_due_in_an_hour().await;
            let fault = if batches {
                house.hospital.forget_tokens();
                house.later(TimeDelta::minutes(10));
                let scopes =
                    "system/Patient.rs system/Appointment.rs system/Location.rs system/Condition.rs".to_owned();
                Fault::new(FaultKind::GrantScopes { scopes })
            } else {
                Fault::new(FaultKind::HtmlInsteadOfJson).on("/fhir/Consent")
            };
            house.hospital.inject(fault.always());
            house.live(TimeDelta::hours(1)).await;
            assert!(house.texts().is_empty(), "{:?}", house.texts());
            let expected = (ReminderState::Waiting, Some(Reason::EhrUnreadable));
            assert_eq!(house.stands(ADA).await, expected, "batches: {batches}");
            assert_eq!(check(&house, "consent_read").await.0, CheckResult::Unknown);
            house.hospital.clear_faults();
            house.hospital.forget_tokens();
            house.live(TimeDelta::hours(2)).await;
            assert_eq!(house.texts().len(), 1, "batches: {batches}");
            house.close().await;
        })
        .await;
    }
}

#[tokio::test]
async fn an_ehr_without_consents_is_served_and_the_decision_says_so() {
    let without = |ask: fn(&mut beckon::ehr::connection::EhrConnection)| Setup { connection: ask, ..Setup::default() };
    for (setup, words) in [
        (
            without(|ehr| {
                ehr.settings.plan.ask.insert(ResourceType::Consent, Ask::NotOffered);
            }),
            "offers no search",
        ),
        (
            without(|ehr| {
                let scopes = "system/Appointment.rs system/Communication.crus system/Condition.rs system/Location.rs \
                              system/Patient.rs";
                ehr.scopes = beckon::ehr::scopes::ScopeSet::for_backend(scopes).unwrap();
            }),
            "does not ask for its scope",
        ),
    ] {
        each_house_with(setup, async |house| {
            house.hospital.put(denial()).unwrap();
            house.ada_is_due_in_an_hour().await;
            let report = house.sync().await;
            assert_eq!(report.state, RunState::Done, "{report:#?}");
            let note = report.of(ResourceType::Consent).unwrap().note.clone().unwrap();
            assert!(note.contains(words), "{note}");
            house.live(TimeDelta::hours(2)).await;
            assert_eq!(house.texts().len(), 1);
            let (result, said) = check(&house, "consent_read").await;
            assert_eq!(result, CheckResult::NotApplicable);
            assert!(said.contains(words), "{said}");
            assert_eq!(house.asked("GET", "/fhir/Consent"), 0);
            house.close().await;
        })
        .await;
    }
}
