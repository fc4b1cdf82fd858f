//! What a simulation foretells is what happens, and it leaves no trace.

use std::collections::BTreeMap;

use beckon::app::simulate::{Question, Simulated, compare, rules_of, simulate};
use beckon::domain::{Actor, OptOut, OptOutId, OptOutScope, PatientId, Rule};
use beckon::rules::{CompiledRule, starter_rules};
use chrono::{DateTime, TimeDelta, Utc};

use crate::support::house::{ADA, House, each_house, mobile};

async fn asked(house: &House, from: DateTime<Utc>, to: DateTime<Utc>, as_of: Option<DateTime<Utc>>) -> Simulated {
    let rules = rules_of(&house.gateway, None, None).await.unwrap();
    simulate(&house.gateway, &Question { from, to, as_of, rules }).await.unwrap()
}

/// `patient step: outcome channel at` of everything that was decided, in order.
fn told(simulated: &Simulated) -> Vec<String> {
    simulated
        .rows
        .iter()
        .filter(|row| row.outcome != "not_applicable")
        .map(|row| {
            let what = row.channel.as_deref().or(row.reason.as_deref()).unwrap_or_default();
            let at = row.at.map_or_else(String::new, |at| at.format("%dT%H:%M").to_string());
            format!("{} {}: {} {what} {at}", row.patient, row.step.as_ref().unwrap(), row.outcome)
        })
        .collect()
}

async fn rows(house: &House) -> BTreeMap<&'static str, u64> {
    let view = house.view();
    let reminders = view.count_reminders(&house.ehr).await.unwrap();
    [
        ("events", view.count_events().await.unwrap()),
        ("reminders", reminders.values().flat_map(BTreeMap::values).sum()),
        ("messages", house.messages().await.len() as u64),
        ("texts", house.texts().len() as u64),
        ("requests", house.hospital.requests().len() as u64),
    ]
    .into()
}

async fn three_people(house: &House) -> DateTime<Utc> {
    let start = house.now() + TimeDelta::days(3) + TimeDelta::hours(1);
    house.ada();
    house.patient("bo", mobile("+13125550110"));
    house.patient("cy", mobile("+13125550111"));
    for (id, who, status) in [("a", ADA, "booked"), ("b", "bo", "booked"), ("c", "cy", "cancelled")] {
        house.appointment(id, who, start, status);
    }
    house.sync().await;
    let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
    let opt_out = OptOut {
        id: OptOutId(house.t.store.new_id()),
        scope: OptOutScope::All,
        address: None,
        patient: Some(PatientId::new("bo")),
        source: "staff".to_owned(),
        words: None,
        at: tx.now(),
        revoked_at: None,
    };
    tx.add_opt_out(Some(&house.ehr), &opt_out, &Actor::Cli("root".to_owned())).await.unwrap();
    tx.commit().await.unwrap();
    start
}

#[tokio::test]
async fn a_simulation_foretells_what_happens_and_leaves_no_trace() {
    each_house(async |house| {
        let start = three_people(&house).await;
        let began = house.now();
        let before = rows(&house).await;
        let foretold = asked(&house, began, start, None).await;
        assert_eq!(rows(&house).await, before, "nothing was stored, asked or sent");
        assert_eq!(
            told(&foretold),
            [
                "ada three-days-before: send sms 02T19:00",
                "bo three-days-before: withhold opted_out 02T19:00",
                "ada one-day-before: send sms 04T19:00",
                "bo one-day-before: withhold opted_out 04T19:00",
            ]
        );
        let silent: Vec<_> = foretold.rows.iter().filter(|row| row.outcome == "not_applicable").collect();
        assert!(
            silent.iter().any(|it| (it.patient.as_str(), it.reason.as_deref()) == ("cy", Some("condition_not_met"))),
            "{silent:#?}"
        );

        house.live_until(start).await;
        let sent: Vec<String> =
            house.messages().await.iter().map(|it| it.message.created_at.format("%dT%H:%M").to_string()).collect();
        assert_eq!(sent, ["02T19:00", "04T19:00"]);

        // And over the past, after the visit took place: as of then it stood as booked.
        house.appointment("a", ADA, start, "fulfilled");
        house.later(TimeDelta::hours(2));
        house.sync().await;
        let replayed = asked(&house, began, start, Some(began)).await;
        assert_eq!(told(&replayed)[..2], told(&foretold)[..2], "{:?}", told(&replayed));
        assert_eq!(replayed.taken_back, 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn two_versions_of_a_rule_are_compared_before_anybody_is_contacted() {
    each_house(async |house| {
        let start = three_people(&house).await;
        let starter = starter_rules().0.into_iter().find(|it| it.id().as_str() == "appointment-reminder").unwrap();
        let mut changed: Rule = starter.rule().clone();
        changed.condition =
            "status = 'booked' and participant.actor.reference.where($this = 'Patient/ada').empty()".to_owned();
        changed.steps.truncate(1);
        let changed = CompiledRule::compile(changed).unwrap();
        let ask = async |rules: Vec<CompiledRule>| {
            simulate(&house.gateway, &Question { from: house.now(), to: start, as_of: None, rules }).await.unwrap()
        };
        let (live, draft) = (ask(vec![starter.clone()]).await, ask(vec![changed]).await);
        assert_eq!(compare(&live, &live), []);
        let told: Vec<String> = compare(&live, &draft)
            .iter()
            .map(|it| {
                let words = |row: &Option<beckon::app::simulate::Row>| {
                    row.as_ref().map_or("nothing".to_owned(), |row| format!("{} {}", row.patient, row.outcome))
                };
                format!("{} -> {}", words(&it.before), words(&it.after))
            })
            .collect();
        assert_eq!(told, ["ada send -> nothing", "ada send -> nothing", "bo withhold -> nothing"]);
        assert!(house.texts().is_empty());
        house.close().await;
    })
    .await;
}
