//! Two records of one person become one: the survivor is reminded, in the person's own right, and nobody twice.

use beckon::domain::{
    EnrolmentState, EventKind, OptOut, OptOutId, OptOutScope, PatientId, Phi, Reason, ReminderState, RuleId,
};
use beckon::pull::Mode;
use beckon::sandbox::{Fault, FaultKind};
use beckon::store::EventFilter;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::house::{ADA, ADA_PHONE, House, each_house, mobile, operator, patient};

const BO_PHONE: &str = "+13125550124";

/// Ada's visit is three days and an hour away; Bo's record is hers too, with another number, and nobody knows yet.
async fn two_records(house: &House) {
    house.ada_is_due_in_an_hour().await;
    house.patient("bo", mobile(BO_PHONE));
    house.sync().await;
}

fn linked(id: &str, phone: &str, kind: &str, other: &str) -> Value {
    let mut record = patient(id, mobile(phone));
    record["link"] = json!([{"other": {"reference": format!("Patient/{other}")}, "type": kind}]);
    if kind == "replaced-by" {
        record["active"] = json!(false);
    }
    record
}

async fn ada_is_merged_into_bo(house: &House) {
    house.later(TimeDelta::minutes(1));
    house.hospital.put(linked(ADA, ADA_PHONE, "replaced-by", "bo")).unwrap();
    house.sync().await;
}

fn numbers(house: &House) -> Vec<String> {
    house.texts().into_iter().map(|text| text.to).collect()
}

#[tokio::test]
async fn the_survivor_is_reminded_of_the_visit_that_still_names_the_replaced_record() {
    each_house(async |house| {
        two_records(&house).await;
        ada_is_merged_into_bo(&house).await;
        let replaced = (ReminderState::Cancelled, Some(Reason::PatientReplaced));
        assert_eq!(house.stands(ADA).await, replaced);
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(numbers(&house), [BO_PHONE]);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        let filter = EventFilter { kinds: vec![EventKind::PatientMerged], limit: 10, ..EventFilter::default() };
        assert_eq!(house.view().events(&filter).await.unwrap().len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_went_out_for_the_replaced_record_is_not_said_again_to_the_survivor() {
    each_house(async |house| {
        two_records(&house).await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(numbers(&house), [ADA_PHONE]);
        let start = house.now() + TimeDelta::days(3) - TimeDelta::hours(1);
        house.hospital.put(linked(ADA, ADA_PHONE, "replaced-by", "bo")).unwrap();
        house.book("visit", "bo", start);
        house.sync().await;
        house.live(TimeDelta::days(1)).await;
        assert_eq!(numbers(&house), [ADA_PHONE], "the same step of the same visit");
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        // The step of the day before was told to nobody yet.
        house.live(TimeDelta::days(2)).await;
        assert_eq!(numbers(&house), [ADA_PHONE, BO_PHONE]);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_opt_out_of_the_replaced_record_holds_for_the_survivor() {
    each_house(async |house| {
        two_records(&house).await;
        let opt_out = OptOut {
            id: OptOutId(house.t.store.new_id()),
            scope: OptOutScope::All,
            address: None,
            patient: Some(PatientId::new(ADA)),
            source: "staff".to_owned(),
            words: Some(Phi::new("no messages please".to_owned())),
            at: house.now(),
            revoked_at: None,
        };
        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        tx.add_opt_out(Some(&house.ehr), &opt_out, &operator()).await.unwrap();
        tx.commit().await.unwrap();
        ada_is_merged_into_bo(&house).await;
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        assert_eq!(house.stands("bo").await, (ReminderState::Withheld, Some(Reason::OptedOut)));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_was_switched_off_for_the_replaced_record_stays_off_until_somebody_switches_it_on() {
    each_house(async |house| {
        two_records(&house).await;
        let switch = async |patient: &str, state| {
            let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
            let rule = RuleId::new("appointment-reminder");
            tx.set_enrolment(&house.ehr, &PatientId::new(patient), &rule, state, &operator()).await.unwrap();
            tx.commit().await.unwrap();
        };
        switch(ADA, EnrolmentState::Off).await;
        ada_is_merged_into_bo(&house).await;
        house.live(TimeDelta::minutes(30)).await;
        assert!(house.reminders("bo").await.is_empty());
        switch("bo", EnrolmentState::On).await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(numbers(&house), [BO_PHONE]);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_denial_that_stands_in_the_replaced_chart_is_honoured() {
    each_house(async |house| {
        house
            .hospital
            .put(json!({"resourceType": "Consent", "id": "no", "status": "active",
                "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
                "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
                "patient": {"reference": "Patient/ada"}, "provision": {"type": "deny"}}))
            .unwrap();
        two_records(&house).await;
        ada_is_merged_into_bo(&house).await;
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        assert_eq!(house.stands("bo").await, (ReminderState::Withheld, Some(Reason::ConsentDenied)));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_record_whose_read_leads_elsewhere_is_merged() {
    each_house(async |house| {
        two_records(&house).await;
        let moved = FaultKind::MovedTo { id: "bo".to_owned() };
        house.hospital.delete("Patient", ADA);
        house.hospital.inject(Fault::new(moved).on("/fhir/Patient/ada").always());
        house.pull(Mode::Full).await;
        assert_eq!(house.stands(ADA).await, (ReminderState::Cancelled, Some(Reason::PatientReplaced)));
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(numbers(&house), [BO_PHONE]);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_survivor_that_names_the_record_it_replaced_is_believed_though_that_one_looks_alive() {
    each_house(async |house| {
        two_records(&house).await;
        house.later(TimeDelta::minutes(1));
        house.hospital.put(linked("bo", BO_PHONE, "replaces", ADA)).unwrap();
        house.sync().await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(numbers(&house), [BO_PHONE]);
        assert_eq!(house.stands(ADA).await.1, Some(Reason::PatientReplaced));

        // Taken back: each record is a person of its own again.
        house.patient("bo", mobile(BO_PHONE));
        house.sync().await;
        house.live(TimeDelta::days(2)).await;
        let after = numbers(&house).split_off(1);
        assert!(!after.is_empty() && after.iter().all(|to| to == ADA_PHONE), "{after:?}: ada hears of her visit again");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_merge_in_the_last_minute_is_noticed_right_before_sending() {
    each_house(async |house| {
        two_records(&house).await;
        house.hospital.put(linked(ADA, ADA_PHONE, "replaced-by", "bo")).unwrap();
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty(), "the replaced record gets nothing");
        house.sync().await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(numbers(&house), [BO_PHONE]);
        house.close().await;
    })
    .await;
}
