//! A rule goes live only by two people: at the store, at the pages, and whatever the settings say.

use beckon::domain::{Actor, EventKind, ReminderState, Role, Rule, RuleAct, RuleId, RuleStage};
use beckon::rules::{CompiledRule, starter_rules};
use beckon::store::{EventFilter, StoreError};
use chrono::TimeDelta;

use crate::support::clinic::Clinic;
use crate::support::each_database;
use crate::support::gateway::Gateway;
use crate::support::house::{ADA, Setup, each_house_with};

/// The starter rule under another priority: a new version of it.
fn changed(priority: u8) -> Rule {
    let starter = starter_rules().0.into_iter().find(|it| it.id().as_str() == "appointment-reminder").unwrap();
    let rule = Rule { priority, ..starter.rule().clone() };
    CompiledRule::compile(rule).unwrap().rule().clone()
}

fn staff(login: &str) -> Actor {
    Actor::Staff(login.to_owned())
}

#[tokio::test]
async fn a_version_is_drafted_reviewed_and_made_live_by_different_people_and_can_be_taken_back() {
    each_database(async |t| {
        let clinic = Clinic::open(&t).await;
        let (id, new) = (clinic.rule.clone(), changed(7));
        let view = || t.store.view(&t.tenant);
        let first = view().live_version(&id).await.unwrap().unwrap();
        let act = async |what: &str, by: Actor| -> Result<(), String> {
            let mut tx = t.store.write(&t.tenant).await.unwrap();
            let done = match what {
                "review" => tx.review_rule(&id, &new.version, Some("read every line"), &by).await,
                "live" => tx.make_rule_live(&id, &new.version, None, &by).await,
                "revert" => tx.revert_rule(&id, &first, Some("too early"), &by).await,
                _ => tx.retire_rule(&id, None, &by).await,
            };
            match done {
                Ok(()) => tx.commit().await.map_err(|error| error.to_string()),
                Err(StoreError::Conflict(words)) => Err(words),
                Err(other) => panic!("{other}"),
            }
        };
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        assert!(tx.add_rule_version(&new, &staff("ada")).await.unwrap());
        assert!(!tx.add_rule_version(&new, &staff("ben")).await.unwrap(), "the same content is the same version");
        tx.commit().await.unwrap();

        assert!(act("live", staff("ben")).await.unwrap_err().contains("not reviewed yet"));
        assert!(act("review", staff("ada")).await.unwrap_err().contains("whoever wrote a version"));
        assert!(act("review", Actor::Cli("ben".to_owned())).await.unwrap_err().contains("only a person"));
        act("review", staff("ben")).await.unwrap();
        assert!(act("live", staff("ben")).await.unwrap_err().contains("whoever reviewed"));
        assert_eq!(view().live_version(&id).await.unwrap(), Some(first.clone()), "nothing changed so far");
        act("live", staff("ada")).await.unwrap();
        assert_eq!(view().live_version(&id).await.unwrap(), Some(new.version.clone()));
        act("revert", staff("cat")).await.unwrap();
        assert_eq!(view().live_version(&id).await.unwrap(), Some(first.clone()));
        act("retire", staff("cat")).await.unwrap();
        assert_eq!(view().live_version(&id).await.unwrap(), None);
        assert!(act("retire", staff("cat")).await.is_err());

        let acts: Vec<(RuleAct, String)> =
            view().rule_changes(Some(&id)).await.unwrap().into_iter().map(|it| (it.act, it.by)).collect();
        let told: Vec<(RuleAct, &str)> = acts.iter().map(|(act, by)| (*act, by.as_str())).collect();
        use RuleAct::{Drafted, Live, Retired, Reverted, Reviewed};
        assert_eq!(
            told,
            [
                (Drafted, "system:test"),
                (Live, "system:test"),
                (Drafted, "staff:ada"),
                (Reviewed, "staff:ben"),
                (Live, "staff:ada"),
                (Reverted, "staff:cat"),
                (Retired, "staff:cat"),
            ]
        );
        let stages: Vec<RuleStage> =
            view().rule_versions(Some(&id)).await.unwrap().into_iter().map(|it| it.stage).collect();
        assert_eq!(stages, [RuleStage::Former, RuleStage::Former]);
        let kinds = vec![EventKind::RulesLive, EventKind::RuleReviewed, EventKind::RuleRetired];
        let events = view().events(&EventFilter { kinds, limit: 50, ..EventFilter::default() }).await.unwrap();
        let of_rule = events.iter().filter(|it| it.rule.as_ref() == Some(&id)).count();
        assert_eq!(of_rule, 5, "each act is in the history");
    })
    .await;
}

#[tokio::test]
async fn staff_review_compare_and_make_a_version_live_at_the_pages() {
    each_database(async |t| {
        Clinic::open(&t).await;
        let new = changed(7);
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        tx.add_rule_version(&new, &Actor::system("rules")).await.unwrap();
        tx.commit().await.unwrap();
        let gateway = Gateway::start(t).await;
        let home = "/rules/appointment-reminder";
        let version = new.version.as_str();
        let mut casey = gateway.signed_in(Role::Clinician).await;
        let page = casey.get(home).await;
        assert!(page.shows("Live on the word of the settings alone"), "{}", page.body);
        let live = page.body.split("against=").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let compared = casey.get(&format!("{home}?version={version}&against={live}")).await;
        assert!(compared.shows("- priority = 20") && compared.shows("+ priority = 7"), "{}", compared.body);

        let done = casey.post(&format!("{home}/review"), &[("version", version), ("note", "fine")]).await;
        assert_eq!((done.status, done.leads_to()), (303, format!("{home}?done=review").as_str()));
        let own = [("version", version), ("confirmed", "yes")];
        let refused = casey.post(&format!("{home}/live"), &own).await;
        assert_eq!(refused.status, 409);
        assert!(refused.shows("whoever reviewed a version cannot make it live"), "{}", refused.body);
        assert!(casey.get(home).await.shows("Whoever reviewed a version cannot make it live as well"));

        let mut admin = gateway.signed_in(Role::Admin).await;
        let asked = admin.post(&format!("{home}/live"), &[("version", version)]).await;
        assert!(asked.shows("live?") && asked.shows("Yes, make it live"), "{}", asked.body);
        let done = admin.post(&format!("{home}/live"), &own).await;
        assert_eq!(done.leads_to(), format!("{home}?done=live"));
        let page = admin.get(home).await;
        assert!(!page.shows("Live on the word of the settings alone"));
        assert!(page.shows("Go back to it"), "the version before can be gone back to");
        let mut compliance = gateway.signed_in(Role::Compliance).await;
        let page = compliance.get(home).await;
        assert!(page.shows("Made live") && page.shows("Reviewed") && !page.shows("Go back to it"));
        assert!(compliance.get("/rules").await.shows("Appointment reminder"));
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_settings_make_rules_live_at_the_first_start_only_and_retiring_cancels_what_was_planned() {
    let setup = Setup { rules: vec!["appointment-reminder", "no-show-follow-up"], ..Setup::default() };
    each_house_with(setup, async |house| {
        house.ada_is_due_in_an_hour().await;
        let retired = RuleId::new("appointment-reminder");
        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        tx.retire_rule(&retired, Some("a test"), &staff("ada")).await.unwrap();
        tx.commit().await.unwrap();
        house.settle().await;
        assert!(house.reminders(ADA).await.iter().all(|it| it.state == ReminderState::Cancelled));

        // A replica that starts later, with the same settings, makes nothing live again.
        house.second().await;
        let live: Vec<String> = house.view().live_rules().await.unwrap().iter().map(|it| it.id.to_string()).collect();
        assert_eq!(live, ["no-show-follow-up"]);

        let first = house.view().rule_versions(Some(&retired)).await.unwrap()[0].rule.version.clone();
        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        tx.revert_rule(&retired, &first, None, &staff("ada")).await.unwrap();
        tx.commit().await.unwrap();
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1, "what was cancelled stands again");
        house.close().await;
    })
    .await;
}
