//! A connection from adding to testing, through the store.

use beckon::domain::{Actor, EhrId, ResourceType};
use beckon::ehr::connect::{self, ConnectError};
use beckon::ehr::connection::Vendor;
use beckon::ehr::doctor::{self, Health, Report};
use beckon::ehr::keys::SigningAlg;
use beckon::ehr::plan::{Ask, CapabilityPlan, Changes, PlanSource, WriteBack};
use beckon::fhir::capability::Capability;
use beckon::sandbox::{Fault, FaultKind, Hospital, HospitalOptions, JwksSource};
use chrono::TimeDelta;
use serde_json::json;

use super::support::{CLIENT, Gate, Naps, Site, connection};
use crate::support::each_database;

fn actor() -> Actor {
    Actor::Cli("root".to_owned())
}

#[tokio::test]
async fn an_added_connection_works_and_its_keys_rotate_without_a_gap() {
    each_database(async |t| {
        let mut options = HospitalOptions::new(t.clock.clone());
        options.patients = 0;
        let hospital = Hospital::start(options).await.unwrap();
        let mut ehr = connection(&hospital.fhir_base());
        ehr.settings.page_size = Some(33);
        let ring = connect::add(&t.store, &ehr, actor()).await.unwrap();
        let publish = |ring: &beckon::ehr::keys::KeyRing| {
            let jwks = ring.jwks(beckon::clock::Clock::now(&*t.clock));
            hospital.register_client(CLIENT, JwksSource::Inline(jwks), "system/*.cruds");
        };
        publish(&ring);
        assert_eq!(connect::load(&t.store, &t.tenant, &ehr.id).await.unwrap(), ehr);
        assert_eq!(connect::list(&t.store, &t.tenant).await.unwrap(), [ehr.clone()]);
        assert!(connect::add(&t.store, &ehr, actor()).await.is_err(), "the id is taken");
        let unknown = connect::load(&t.store, &t.tenant, &EhrId::new("nowhere")).await;
        assert!(matches!(unknown, Err(ConnectError::Unknown(_))));

        let naps = Naps::new(t.clock.clone());
        let client = connect::open(&t.store, &t.tenant, &ehr.id, naps).await.unwrap();
        client.tokens().get().await.unwrap();

        let old = ring.signer(SigningAlg::Es384, beckon::clock::Clock::now(&*t.clock)).unwrap();
        let delay = TimeDelta::hours(12);
        connect::rotate(&t.store, &t.tenant, &ehr.id, SigningAlg::Es384, delay, actor()).await.unwrap();
        for (hours, keys, signs_with_old) in [(0, 3, true), (11, 3, true), (2, 2, false)] {
            t.clock.advance(TimeDelta::hours(hours));
            let ring = connect::keys(&t.store, &t.tenant, &ehr.id).await.unwrap();
            let now = beckon::clock::Clock::now(&*t.clock);
            assert_eq!(ring.jwks(now)["keys"].as_array().unwrap().len(), keys, "after {hours} h");
            let signer = ring.signer(SigningAlg::Es384, now).unwrap();
            assert_eq!(signer.kid() == old.kid(), signs_with_old, "after {hours} h");
            publish(&ring);
            client.tokens().set_keys(ring);
            let token = client.tokens().get().await.unwrap();
            client.tokens().invalidate(&token).await;
        }
        assert_eq!(connect::purge_keys(&t.store, &t.tenant, &ehr.id, actor()).await.unwrap(), 1);
        assert_eq!(connect::keys(&t.store, &t.tenant, &ehr.id).await.unwrap().keys().len(), 2);
        hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_id_that_cannot_stand_in_an_address_is_refused() {
    let t = crate::support::TestStore::sqlite().await;
    for bad in ["", "Main", "a b", "a/b", "ä"] {
        let mut ehr = connection("https://ehr.example/fhir");
        ehr.id = EhrId::new(bad);
        let result = connect::add(&t.store, &ehr, actor()).await;
        assert!(matches!(result, Err(ConnectError::BadId(_))), "{bad:?}");
    }
}

fn line<'a>(report: &'a Report, what: &str) -> &'a doctor::Line {
    report.lines.iter().find(|line| line.what == what).unwrap_or_else(|| panic!("no line {what}: {report:?}"))
}

#[tokio::test]
async fn a_good_connection_passes_every_check() {
    let site = Site::open().await;
    let report = doctor::test(&site.client).await;
    assert_eq!(report.health(), Health::Good, "{report:#?}");
    for what in [
        "discovery",
        "clocks",
        "token",
        "scopes",
        "capabilities",
        "pull of Appointment",
        "pull of Consent",
        "write-back",
    ] {
        line(&report, what);
    }
    assert!(line(&report, "pull of Patient").found.contains("_lastUpdated"));
}

#[tokio::test]
async fn a_bad_connection_is_told_with_advice() {
    let site = Site::open().await;
    let scopes = "system/Patient.rs system/Communication.rs".to_owned();
    site.hospital.inject(Fault::new(FaultKind::GrantScopes { scopes }));
    let report = doctor::test(&site.client).await;
    assert_eq!(line(&report, "scopes").health, Health::Bad);
    assert!(line(&report, "scopes").found.contains("system/Appointment.rs"));
    assert_eq!(line(&report, "write-back").health, Health::Bad);
    assert_eq!(line(&report, "pull of Appointment").health, Health::Bad, "{report:#?}");
    let consent = line(&report, "pull of Consent");
    assert!(consent.health == Health::Bad && consent.advice[0].contains("nothing is sent"), "{consent:?}");

    let without = Site::with(|ehr| _ = ehr.settings.plan.ask.insert(ResourceType::Consent, Ask::NotOffered)).await;
    let report = doctor::test(&without.client).await;
    let consent = line(&report, "pull of Consent");
    assert!(consent.health == Health::Doubtful && consent.advice[0].contains("optout add"), "{consent:?}");

    let stranger = Site::with(|ehr| ehr.client_id = "nobody".to_owned()).await;
    let report = doctor::test(&stranger.client).await;
    assert_eq!(line(&report, "token").health, Health::Bad);
    assert!(line(&report, "token").advice.len() >= 4);

    let nowhere = Gate::to("http://127.0.0.1:9/fhir", |_| {});
    let report = doctor::test(&nowhere.client).await;
    assert_eq!((report.lines.len(), report.health()), (1, Health::Bad));
}

fn capability(communication: serde_json::Value) -> Capability {
    Capability::read(&json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [{"mode": "server",
        "interaction": [{"code": "batch"}],
        "resource": [communication,
            {"type": "Patient", "interaction": [{"code": "read"}, {"code": "search-type"}], "searchParam": [{"name": "_lastUpdated"}]},
            {"type": "Appointment", "interaction": [{"code": "search-type"}], "searchParam": [{"name": "date"}]},
            {"type": "Location", "interaction": [{"code": "read"}]}]}]}))
    .unwrap()
}

#[test]
fn the_plan_follows_override_then_vendor_then_metadata() {
    let plain =
        capability(json!({"type": "Communication", "interaction": [{"code": "create"}], "conditionalCreate": true}));
    let mut ehr = connection("https://ehr.example/fhir");
    let plan = CapabilityPlan::derive(&ehr, &plain);
    let of = |plan: &CapabilityPlan, kind| {
        let of_type = *plan.of(kind).unwrap();
        (of_type.ask.value, of_type.changes.value)
    };
    assert_eq!(of(&plan, ResourceType::Patient), (Ask::WholeType, Changes::LastUpdated));
    assert_eq!(of(&plan, ResourceType::Appointment), (Ask::WholeType, Changes::Snapshot));
    assert_eq!(of(&plan, ResourceType::Location), (Ask::ById, Changes::Snapshot));
    assert_eq!(of(&plan, ResourceType::Consent), (Ask::NotOffered, Changes::Snapshot));
    assert_eq!((plan.write_back.value, plan.can_update, plan.batch.value), (WriteBack::ConditionalCreate, false, true));

    ehr.vendor = Vendor::Epic;
    let plan = CapabilityPlan::derive(&ehr, &plain);
    assert_eq!(of(&plan, ResourceType::Appointment), (Ask::ByPatient, Changes::Snapshot));
    // Its Communication is off until it was proven, and it takes no documents here.
    assert_eq!((plan.write_back.value, plan.write_back.source), (WriteBack::Unsupported, PlanSource::VendorProfile));
    ehr.settings.plan.communication_proven = true;
    assert_eq!(CapabilityPlan::derive(&ehr, &plain).write_back.value, WriteBack::SearchByPatient);
    ehr.settings.plan.communication_proven = false;
    // Not every installation has it.
    assert_eq!(of(&plan, ResourceType::Consent).0, Ask::NotOffered);
    let with_consents = capability(json!({"type": "Consent", "interaction": [{"code": "search-type"}]}));
    let plan = CapabilityPlan::derive(&ehr, &with_consents);
    assert_eq!(of(&plan, ResourceType::Consent).0, Ask::ByPatient);

    ehr.vendor = Vendor::Oracle;
    let plan = CapabilityPlan::derive(&ehr, &plain);
    assert_eq!(of(&plan, ResourceType::Appointment), (Ask::ByLocationDay, Changes::Snapshot));
    assert_eq!(plan.write_back.value, WriteBack::Unsupported);

    ehr.settings.plan.ask.insert(ResourceType::Appointment, Ask::WholeType);
    ehr.settings.plan.write_back = Some(WriteBack::SearchBeforeCreate);
    let plan = CapabilityPlan::derive(&ehr, &plain);
    assert_eq!(of(&plan, ResourceType::Appointment).0, Ask::WholeType);
    assert_eq!((plan.write_back.value, plan.write_back.source), (WriteBack::SearchBeforeCreate, PlanSource::Override));
}

#[test]
fn write_back_is_chosen_from_what_the_server_offers() {
    let ehr = connection("https://ehr.example/fhir");
    for (communication, expected) in [
        (
            json!({"type": "Communication", "interaction": [{"code": "create"}], "searchParam": [{"name": "identifier"}]}),
            WriteBack::SearchBeforeCreate,
        ),
        (json!({"type": "Communication", "interaction": [{"code": "create"}]}), WriteBack::CreateOnce),
        (
            json!({"type": "Communication", "interaction": [{"code": "read"}], "conditionalCreate": true}),
            WriteBack::Unsupported,
        ),
        (json!({"type": "Basic"}), WriteBack::Unsupported),
        (
            json!({"type": "Communication", "interaction": [{"code": "create"}], "searchParam": [{"name": "patient"}]}),
            WriteBack::SearchByPatient,
        ),
        (json!({"type": "DocumentReference", "interaction": [{"code": "create"}]}), WriteBack::DocumentReference),
        (json!({"type": "Task", "interaction": [{"code": "create"}]}), WriteBack::Task),
    ] {
        assert_eq!(CapabilityPlan::derive(&ehr, &capability(communication)).write_back.value, expected);
    }
}
