//! The life of a signing key by the runbook: published, waited for, signing, retired, each step in the history; put off
//! where the EHR cannot follow; and withdrawn at once in an emergency.

use beckon::clock::Clock as _;
use beckon::domain::{Actor, EventKind};
use beckon::ehr::clients::Clients;
use beckon::ehr::connect;
use beckon::ehr::connection::EhrConnection;
use beckon::ehr::keys::{KeyRing, SigningAlg};
use beckon::ehr::rotation::{self, Step};
use beckon::ehr::scopes::ScopeSet;
use beckon::sandbox::{Hospital, HospitalOptions, JwksSource};
use beckon::store::EventFilter;
use chrono::TimeDelta;

use super::support::{CLIENT, Naps, connection};
use crate::support::{TestStore, each_database};

const ES: SigningAlg = SigningAlg::Es384;

fn actor() -> Actor {
    Actor::Cli("root".to_owned())
}

async fn fetched(t: &TestStore, ehr: &EhrConnection) {
    let mut tx = t.store.write(&t.tenant).await.unwrap();
    tx.note_jwks_fetched(&ehr.id).await.unwrap();
    tx.commit().await.unwrap();
}

async fn tend(t: &TestStore, ehr: &EhrConnection, refused: Option<&str>) -> Vec<Step> {
    rotation::tend(&t.store, &t.tenant, &ehr.id, refused).await.unwrap()
}

async fn ring(t: &TestStore, ehr: &EhrConnection) -> KeyRing {
    connect::keys(&t.store, &t.tenant, &ehr.id).await.unwrap()
}

async fn signer(t: &TestStore, ehr: &EhrConnection) -> String {
    ring(t, ehr).await.signer(ES, t.clock.now()).unwrap().kid().to_owned()
}

async fn published(t: &TestStore, ehr: &EhrConnection) -> usize {
    ring(t, ehr).await.jwks(t.clock.now())["keys"].as_array().unwrap().len()
}

async fn told(t: &TestStore, kind: EventKind) -> usize {
    let filter = EventFilter { kinds: vec![kind], limit: 50, ..EventFilter::default() };
    t.store.view(&t.tenant).events(&filter).await.unwrap().len()
}

#[tokio::test]
async fn keys_are_renewed_by_themselves_without_a_moment_in_which_the_ehr_cannot_follow() {
    each_database(async |t| {
        let ehr = connection("https://ehr.example/fhir");
        connect::add(&t.store, &ehr, actor()).await.unwrap();
        let first = signer(&t, &ehr).await;
        assert!(tend(&t, &ehr, None).await.is_empty());
        t.clock.advance(TimeDelta::days(90));
        assert!(tend(&t, &ehr, None).await.is_empty(), "nobody fetches the keys: a new one would be seen by nobody");
        fetched(&t, &ehr).await;
        let steps = tend(&t, &ehr, None).await;
        assert!(matches!(steps[..], [Step::Published { .. }, Step::Published { .. }]), "{steps:?}");
        assert_eq!((published(&t, &ehr).await, signer(&t, &ehr).await), (4, first.clone()));
        assert!(tend(&t, &ehr, None).await.is_empty(), "one rotation at a time");

        // Shortly before the switch nobody has fetched the new key: it is put off, and the old one stays.
        t.clock.advance(TimeDelta::minutes(11 * 60 + 30));
        let steps = tend(&t, &ehr, None).await;
        assert!(matches!(steps[..], [Step::PutOff { .. }, Step::PutOff { .. }]), "{steps:?}");
        t.clock.advance(TimeDelta::hours(1));
        assert_eq!((published(&t, &ehr).await, signer(&t, &ehr).await), (4, first.clone()));

        fetched(&t, &ehr).await;
        t.clock.advance(TimeDelta::minutes(11 * 60 + 5));
        let steps = tend(&t, &ehr, None).await;
        assert!(matches!(steps[..], [Step::Signs { .. }, Step::Signs { .. }]), "{steps:?}");
        let second = signer(&t, &ehr).await;
        assert_ne!(second, first);
        assert_eq!(published(&t, &ehr).await, 4, "what the old key signed may still be on its way");
        t.clock.advance(TimeDelta::minutes(25));
        assert_eq!(published(&t, &ehr).await, 2);
        assert_eq!(tend(&t, &ehr, None).await, [Step::Retired(2)]);
        assert_eq!(ring(&t, &ehr).await.keys().len(), 2, "the old private keys are destroyed");
        for (kind, times) in [
            (EventKind::EhrKeyCreated, 4),
            (EventKind::EhrKeyPutOff, 2),
            (EventKind::EhrKeySigns, 2),
            (EventKind::EhrKeyRetired, 2),
        ] {
            assert_eq!(told(&t, kind).await, times, "{kind:?}");
        }

        let off = |settings: &mut beckon::ehr::connection::EhrSettings| settings.rotate_keys_days = Some(0);
        let detail = serde_json::json!({"rotate_every_days": 0});
        connect::change_settings(&t.store, &t.tenant, &ehr.id, off, detail, actor()).await.unwrap();
        t.clock.advance(TimeDelta::days(400));
        fetched(&t, &ehr).await;
        assert!(tend(&t, &ehr, None).await.is_empty(), "the operator does it");
    })
    .await;
}

async fn at_a_hospital(t: &TestStore) -> (Hospital, EhrConnection) {
    let mut options = HospitalOptions::new(t.clock.clone());
    options.patients = 0;
    let hospital = Hospital::start(options).await.unwrap();
    let mut ehr = connection(&hospital.fhir_base());
    ehr.settings.signing_alg = Some(ES);
    let ring = connect::add(&t.store, &ehr, actor()).await.unwrap();
    hospital.register_client(CLIENT, JwksSource::Inline(ring.jwks(t.clock.now())), "system/*.cruds");
    (hospital, ehr)
}

fn clients(t: &TestStore) -> Clients {
    Clients::new(t.store.clone(), t.tenant.clone(), Naps::new(t.clock.clone()))
}

#[tokio::test]
async fn an_ehr_that_has_not_seen_the_new_key_is_asked_with_the_old_one() {
    each_database(async |t| {
        let (hospital, ehr) = at_a_hospital(&t).await;
        let first = signer(&t, &ehr).await;
        connect::rotate(&t.store, &t.tenant, &ehr.id, ES, TimeDelta::hours(1), actor()).await.unwrap();
        t.clock.advance(TimeDelta::minutes(61));
        let second = signer(&t, &ehr).await;
        assert_ne!(first, second);
        // The hospital was given the keys by value, and knows the first one only.
        let client = clients(&t).get(&ehr.id).await.unwrap();
        client.tokens().get().await.unwrap();
        assert_eq!(client.tokens().refused_key(), Some(second.clone()));
        let steps = tend(&t, &ehr, Some(&second)).await;
        assert!(matches!(&steps[..], [Step::PutOff { kid, .. }] if *kid == second), "{steps:?}");
        assert_eq!(signer(&t, &ehr).await, first, "the old one goes on");
        let watch = t.store.view(&t.tenant).ehr_watch(&ehr.id).await.unwrap();
        let words = rotation::trouble(&ring(&t, &ehr).await, &watch, &ehr.id, t.clock.now()).unwrap();
        assert!(words.contains(&second), "{words}");

        // Somebody enters the new key; from its time on it is taken, and nothing is left to be said.
        let jwks = ring(&t, &ehr).await.jwks(t.clock.now());
        hospital.register_client(CLIENT, JwksSource::Inline(jwks), "system/*.cruds");
        t.clock.advance(TimeDelta::minutes(12 * 60 + 5));
        client.tokens().set_keys(ring(&t, &ehr).await);
        client.tokens().get().await.unwrap();
        assert_eq!(client.tokens().refused_key(), None);
        tend(&t, &ehr, None).await;
        assert_eq!(signer(&t, &ehr).await, second);
        let watch = t.store.view(&t.tenant).ehr_watch(&ehr.id).await.unwrap();
        assert_eq!(rotation::trouble(&ring(&t, &ehr).await, &watch, &ehr.id, t.clock.now()), None);
        hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_stolen_key_is_withdrawn_at_once_and_a_gateway_that_runs_signs_with_the_new_one() {
    each_database(async |t| {
        let (hospital, ehr) = at_a_hospital(&t).await;
        let clients = clients(&t);
        let client = clients.get(&ehr.id).await.unwrap();
        let token = client.tokens().get().await.unwrap();
        let stolen = signer(&t, &ehr).await;
        let left = connect::replace_compromised(&t.store, &t.tenant, &ehr.id, ES, actor()).await.unwrap();
        let jwks = left.jwks(t.clock.now());
        assert!(!jwks.to_string().contains(&stolen));
        assert!(ring(&t, &ehr).await.keys().iter().all(|it| it.key.kid() != stolen), "its private half is destroyed");
        assert_eq!((told(&t, EventKind::EhrKeyWithdrawn).await, told(&t, EventKind::EhrKeyRetired).await), (1, 1));
        hospital.register_client(CLIENT, JwksSource::Inline(jwks), "system/*.cruds");
        client.tokens().invalidate(&token).await;
        clients.refresh().await;
        clients.get(&ehr.id).await.unwrap().tokens().get().await.unwrap();
        hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_runs_takes_up_changed_scopes_and_keeps_what_did_not_change() {
    each_database(async |t| {
        let (hospital, ehr) = at_a_hospital(&t).await;
        let clients = clients(&t);
        let client = clients.get(&ehr.id).await.unwrap();
        client.tokens().get().await.unwrap();
        let tokens = || hospital.requests().iter().filter(|it| it.path.ends_with("/token")).count();
        assert_eq!(tokens(), 1);
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        tx.set_granted_scopes(&ehr.id, "system/*.cruds").await.unwrap();
        tx.commit().await.unwrap();
        clients.refresh().await;
        clients.get(&ehr.id).await.unwrap().tokens().get().await.unwrap();
        assert_eq!(tokens(), 1, "the same client goes on");

        let more = ehr.scopes.clone().with(&ScopeSet::for_backend("system/Task.c").unwrap());
        connect::change_scopes(&t.store, &t.tenant, &ehr.id, more.clone(), actor()).await.unwrap();
        clients.refresh().await;
        let client = clients.get(&ehr.id).await.unwrap();
        assert_eq!(client.connection().scopes, more);
        client.tokens().get().await.unwrap();
        assert_eq!((tokens(), told(&t, EventKind::EhrChanged).await), (2, 1));
        hospital.stop().await;
    })
    .await;
}
