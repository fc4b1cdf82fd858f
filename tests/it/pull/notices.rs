//! Subscriptions in every dialect: made, shaken hands over, heard, missed and mended. A notice is a hint; what is true is
//! read with our own token.

use beckon::domain::{Reason, ReminderState, ResourceKey, ResourceType};
use beckon::ehr::connection::EhrConnection;
use beckon::ehr::scopes::ScopeSet;
use beckon::pull::{self, Mode, PullOptions};
use beckon::sandbox::{Fault, FaultKind, HospitalOptions, SubscriptionManner};
use beckon::store::{SubscriptionRow, SubscriptionState};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::house::{ADA, House, Setup, each_house_with};

fn subscribing(ehr: &mut EhrConnection) {
    let scopes = format!("{} system/Subscription.cruds", EhrConnection::DEFAULT_SCOPES);
    ehr.scopes = ScopeSet::for_backend(&scopes).unwrap();
}

fn with(hospital: fn(&mut HospitalOptions)) -> Setup {
    Setup { connection: subscribing, hospital, ..Setup::default() }
}

fn backport() -> Setup {
    with(|_| {})
}

impl House {
    pub async fn heed(&self) -> usize {
        let client = self.gateway.clients.get(&self.ehr).await.unwrap();
        let mut options = PullOptions::new(self.settings(), Mode::Increment, "test");
        options.public_url = Some(self.url.clone());
        pull::heed(&self.t.store, &client, &options).await.unwrap()
    }

    /// The EHR delivers what it has to tell, and we heed it.
    async fn told(&self) -> usize {
        self.hospital.advance_to(self.now()).await;
        self.heed().await
    }

    async fn subscriptions(&self) -> Vec<SubscriptionRow> {
        self.view().subscriptions(&self.ehr).await.unwrap()
    }

    /// Subscribed, shaken hands, and quiet.
    async fn subscribed(&self) {
        self.ada();
        self.book("visit", ADA, self.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        self.sync().await;
        self.told().await;
        self.later(TimeDelta::minutes(3));
        self.told().await;
        let all = self.subscriptions().await;
        assert!(!all.is_empty() && all.iter().all(|it| it.state == SubscriptionState::Active), "{all:#?}");
    }

    async fn open_reminders(&self, patient: &str) -> usize {
        self.reminders(patient).await.iter().filter(|it| it.state.is_open()).count()
    }

    fn searches(&self) -> usize {
        self.asked("GET", "/fhir/Appointment?") + self.asked("GET", "/fhir/Patient?")
    }
}

#[tokio::test]
async fn a_cancelled_visit_cancels_its_reminder_without_a_pull_in_every_dialect() {
    let dialects: [(fn(&mut HospitalOptions), &str); 3] = [
        (|_| {}, "backport"),
        (|options| options.personality.subscriptions = Some(SubscriptionManner::CLASSIC), "classic"),
        (
            |options| {
                options.personality.fhir_version = "5.0.0";
                options.personality.subscriptions = Some(SubscriptionManner::R5);
            },
            "r5",
        ),
    ];
    for (hospital, dialect) in dialects {
        each_house_with(with(hospital), async |house| {
            house.subscribed().await;
            assert!(house.subscriptions().await.iter().all(|it| it.dialect == dialect), "{dialect}");
            house.later(TimeDelta::minutes(5));
            let searches = house.searches();
            house.appointment("visit", ADA, house.now() + TimeDelta::days(3), "cancelled");
            assert!(house.told().await > 0, "{dialect}");
            assert_eq!(
                house.stands(ADA).await,
                (ReminderState::Cancelled, Some(Reason::ResourceCancelled)),
                "{dialect}"
            );
            // The classic dialect does not say which: what changed is asked for.
            assert_eq!(house.searches() > searches, dialect == "classic", "{dialect}");
            house.close().await;
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_not_told_is_asked_for_by_its_number() {
    each_house_with(backport(), async |house| {
        house.subscribed().await;
        let start = house.now() + TimeDelta::days(3);
        house.appointment("visit", ADA, start, "booked");
        house.told().await;
        house.hospital.inject(Fault::new(FaultKind::NoticeLost));
        house.appointment("visit", ADA, start, "cancelled");
        house.told().await;
        assert_ne!(house.stands(ADA).await.0, ReminderState::Cancelled, "nobody told");
        house.patient("bo", json!([]));
        house.book("other", "bo", house.now() + TimeDelta::days(9));
        house.told().await;
        house.later(TimeDelta::seconds(70));
        let searches = house.searches();
        house.heed().await;
        assert_eq!(house.stands(ADA).await.0, ReminderState::Cancelled);
        assert!(house.asked("GET", "/fhir/Subscription/") > 0 && house.searches() == searches, "by $events alone");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn where_the_server_keeps_no_events_everything_that_changed_is_asked_for() {
    fn forgetful(options: &mut HospitalOptions) {
        options.personality.subscriptions = Some(SubscriptionManner { kept_events: 1, ..SubscriptionManner::HAPI });
    }
    each_house_with(with(forgetful), async |house| {
        house.subscribed().await;
        let start = house.now() + TimeDelta::days(3);
        house.hospital.inject(Fault::new(FaultKind::NoticeLost));
        house.appointment("visit", ADA, start, "cancelled");
        house.told().await;
        house.book("other", ADA, house.now() + TimeDelta::days(9));
        house.told().await;
        house.later(TimeDelta::seconds(70));
        let searches = house.searches();
        house.heed().await;
        house.later(TimeDelta::seconds(70));
        house.heed().await;
        assert!(house.searches() > searches);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_notice_that_comes_twice_or_late_changes_nothing() {
    each_house_with(backport(), async |house| {
        house.subscribed().await;
        let start = house.now() + TimeDelta::days(3);
        house.hospital.inject(Fault::new(FaultKind::NoticeTwice));
        house.appointment("visit", ADA, start, "cancelled");
        let reads = house.asked("GET", "/fhir/Appointment/visit") + house.asked("POST", "/fhir");
        house.told().await;
        let after = house.asked("GET", "/fhir/Appointment/visit") + house.asked("POST", "/fhir");
        assert_eq!(after - reads, 1, "read once for both");
        house.hospital.inject(Fault::new(FaultKind::NoticeOvertaken));
        house.appointment("visit", ADA, start, "booked");
        house.book("other", ADA, start + TimeDelta::days(1));
        house.told().await;
        house.later(TimeDelta::seconds(70));
        house.heed().await;
        assert_eq!(house.view().mirrored_ids(&house.ehr, ResourceType::Appointment).await.unwrap().len(), 2);
        let key = ResourceKey::new(ResourceType::Appointment, "visit");
        let visit = house.view().mirror_resource(&house.ehr, &key).await.unwrap().unwrap();
        assert_eq!(visit.body["status"], "booked", "the older notice did not undo the newer state");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_subscription_that_the_server_gave_up_is_asked_for_again() {
    each_house_with(backport(), async |house| {
        house.subscribed().await;
        for subscription in house.hospital.resources("Subscription") {
            let mut broken = subscription;
            broken["status"] = json!("error");
            house.hospital.put(broken).unwrap();
        }
        // Silence, longer than two heartbeats.
        house.later(TimeDelta::minutes(11));
        house.heed().await;
        house.heed().await;
        house.told().await;
        house.later(TimeDelta::minutes(3));
        house.told().await;
        let states: Vec<Value> =
            house.hospital.resources("Subscription").iter().map(|it| it["status"].clone()).collect();
        assert!(!states.is_empty() && states.iter().all(|it| it == "active"), "{states:?}");
        house.appointment("visit", ADA, house.now() + TimeDelta::days(3), "cancelled");
        house.told().await;
        assert_eq!(house.stands(ADA).await.0, ReminderState::Cancelled);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_subscription_that_the_server_lost_is_made_again() {
    each_house_with(backport(), async |house| {
        house.subscribed().await;
        let before = house.hospital.resources("Subscription").len();
        for subscription in house.hospital.resources("Subscription") {
            house.hospital.delete("Subscription", subscription["id"].as_str().unwrap());
        }
        house.later(TimeDelta::minutes(11));
        for _ in 0..4 {
            house.told().await;
        }
        house.later(TimeDelta::minutes(3));
        house.told().await;
        assert_eq!(house.hospital.resources("Subscription").len(), before);
        assert!(house.subscriptions().await.iter().all(|it| it.state == SubscriptionState::Active));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_forged_notice_does_nothing_but_make_us_look() {
    each_house_with(backport(), async |house| {
        house.subscribed().await;
        let subscription = house.subscriptions().await.remove(0);
        let url = format!("{}/subscriptions/{}/{}", house.url, house.ehr, subscription.secrets.path.expose());
        let key = subscription.secrets.key.expose().clone();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let cancelled = json!({"resourceType": "Appointment", "id": "visit", "status": "cancelled"});
        let post = |url: &str, key: &str, body: &Value| http.post(url).bearer_auth(key).json(body).send();

        let guessed = format!("{}/subscriptions/{}/{}", house.url, house.ehr, "0".repeat(64));
        assert_eq!(post(&guessed, &key, &cancelled).await.unwrap().status(), 404);
        let wrong = post(&url, &"0".repeat(64), &cancelled).await.unwrap();
        assert_eq!((wrong.status().as_u16(), wrong.text().await.unwrap()), (401, String::new()));
        assert_eq!(http.post(&url).json(&cancelled).send().await.unwrap().status(), 401);
        let broken = http.post(&url).bearer_auth(&key).body("<html>").send().await.unwrap();
        assert_eq!(broken.status(), 422);
        assert_eq!(house.heed().await, 0, "nothing of it was kept");

        // Whoever knows the secret can make us look, and no more.
        assert_eq!(post(&url, &key, &cancelled).await.unwrap().status(), 200);
        let put = http.put(format!("{url}/Patient/nobody")).bearer_auth(&key).json(&json!({"resourceType": "Patient"}));
        assert_eq!(put.send().await.unwrap().status(), 200);
        let gone = http.delete(format!("{url}/Appointment/visit")).bearer_auth(&key);
        assert_eq!(gone.send().await.unwrap().status(), 200);
        assert_eq!(house.heed().await, 3);
        assert_eq!(house.stands(ADA).await.0, ReminderState::Planned, "the EHR says that it is booked");

        // Empty ones ask for everything that changed: once a minute, however many come.
        let searches = house.searches();
        for _ in 0..30 {
            assert_eq!(http.post(&url).bearer_auth(&key).send().await.unwrap().status(), 200);
        }
        for _ in 0..10 {
            house.heed().await;
        }
        let asked = house.searches() - searches;
        assert!(asked <= 2, "{asked} searches for 30 empty notices");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_subscribed_to_without_the_scope_and_what_is_switched_off_is_ended() {
    each_house_with(Setup::default(), async |house| {
        house.ada();
        house.sync().await;
        assert!(house.subscriptions().await.is_empty() && house.asked("POST", "/fhir/Subscription") == 0);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn athenahealth_tells_of_every_visit_by_signed_notices_of_its_own_kind() {
    each_house_with(crate::personalities::athena(), async |house| {
        house.ada();
        house.sync().await;
        house.told().await;
        house.later(TimeDelta::minutes(3));
        house.told().await;
        let all = house.subscriptions().await;
        assert!(all.len() >= 5 && all.iter().all(|it| it.state == SubscriptionState::Active), "{all:#?}");
        assert!(house.view().mirrored_ids(&house.ehr, ResourceType::Appointment).await.unwrap().is_empty());

        // Nobody lists appointments here: the notice alone leads to it, and the roster keeps it from then on.
        let start = house.now() + TimeDelta::days(3) + TimeDelta::hours(2);
        house.hospital.inject(Fault::new(FaultKind::NoticeTwice));
        house.book("visit", ADA, start);
        house.told().await;
        assert_eq!(house.stands(ADA).await.0, ReminderState::Planned);
        house.later(TimeDelta::minutes(1));
        house.appointment("visit", ADA, start + TimeDelta::days(1), "booked");
        house.told().await;
        assert!(house.reminders(ADA).await.iter().any(|it| it.plan.due_at > start - TimeDelta::days(3)), "it moved");
        house.later(TimeDelta::minutes(1));
        house.appointment("visit", ADA, start + TimeDelta::days(1), "cancelled");
        house.told().await;
        assert_eq!(house.open_reminders(ADA).await, 0);
        assert_eq!(house.asked("GET", "/fhir/Appointment?"), 0);

        // What is not signed with the key of the subscription is not taken.
        let subscription = house.subscriptions().await.remove(0);
        let url = format!("{}/subscriptions/{}/{}", house.url, house.ehr, subscription.secrets.path.expose());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for signature in ["", "sha256=00", &format!("sha256={}", "0".repeat(64))] {
            let forged = http.post(&url).header("x-hub-signature", signature).json(&json!({"resourceType": "Bundle"}));
            assert_eq!(forged.send().await.unwrap().status(), 401, "{signature:?}");
        }
        house.close().await;
    })
    .await;
}
