//! Bulk export and subscriptions at a FHIR server that is not ours.

use beckon::domain::{Reason, ReminderState, ResourceType};
use beckon::ehr::connection::EhrConnection;
use beckon::store::SubscriptionState;
use chrono::TimeDelta;

use super::ehr::{EHR, PEOPLE, admit, beckon, beside_asking, pass, setup};
use super::fhir_server::FhirServer;
use crate::support::TestStore;
use crate::support::house::{House, appointment, each_house_with, mobile, patient};
use crate::support::tools::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_it_begins_and_cannot_end_costs_nothing_because_it_is_searched_instead() {
    each_house_with(setup(), async |mut house| {
        let scopes = "system/*.cruds";
        let Some(server) = beside_asking(&mut house, scopes, scopes).await else { return };
        admit(&house, &server).await;
        let set = ["ehr", "set", EHR, "--export", "patient", "--export-types", "Patient,Condition"];
        let (well, words) = beckon(&house, &setup(), &set).await;
        assert!(well, "{words}");
        let report = wait_for("everything is here", async || {
            pass(&house, &server, TimeDelta::minutes(1)).await;
            let report = house.sync().await;
            report.of(ResourceType::Condition)?.complete.then_some(report)
        })
        .await;
        // With its clock moved, this server answers the question for the state of an export with a fault of its own.
        let log = server.log();
        assert!(log.contains("%24export"), "{log}");
        let view = house.view();
        for kind in [ResourceType::Patient, ResourceType::Condition] {
            assert_eq!(report.of(kind).unwrap().quarantined, 0, "{report:#?}\n{log}");
            assert_eq!(view.mirrored_ids(&house.ehr, kind).await.unwrap().len(), PEOPLE, "{kind}");
        }
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

/// Connected with the right to subscribe, all subscriptions active.
async fn subscribed(house: &mut House, notices: &str) -> Option<FhirServer> {
    let scopes = format!("{} system/Subscription.cruds", EhrConnection::DEFAULT_SCOPES);
    let server = beside_asking(house, &scopes, &scopes).await?;
    admit(house, &server).await;
    let (well, words) = beckon(house, &setup(), &["ehr", "set", EHR, "--notices", notices]).await;
    assert!(well, "{words}");
    house.sync().await;
    wait_for("the subscriptions are active", async || {
        pass(house, &server, TimeDelta::minutes(3)).await;
        house.heed().await;
        let all = house.view().subscriptions(&house.ehr).await.unwrap();
        (!all.is_empty() && all.iter().all(|it| it.state == SubscriptionState::Active)).then_some(())
    })
    .await;
    Some(server)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_of_a_cancelled_visit_by_a_classic_subscription() {
    let mut house = House::open(TestStore::sqlite().await, &setup()).await;
    let Some(server) = subscribed(&mut house, "classic").await else { return };
    let start = house.now() + TimeDelta::days(3);
    server.put(appointment("visit-0", "p0", start, "cancelled", house.now() - TimeDelta::days(14))).await;
    wait_for("the notice is heeded", async || {
        pass(&house, &server, TimeDelta::seconds(61)).await;
        house.heed().await;
        (house.stands("p0").await == (ReminderState::Cancelled, Some(Reason::ResourceCancelled))).then_some(())
    })
    .await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_of_a_new_patient_and_a_new_visit_by_topics() {
    let mut house = House::open(TestStore::sqlite().await, &setup()).await;
    let Some(server) = subscribed(&mut house, "backport").await else { return };
    let searches = server.log().matches("GET /fhir/Appointment?").count();
    server.put(patient("late", mobile("+13125550177"))).await;
    let start = house.now() + TimeDelta::days(5);
    server.put(appointment("late-visit", "late", start, "booked", house.now() - TimeDelta::days(14))).await;
    wait_for("the notices are heeded", async || {
        pass(&house, &server, TimeDelta::seconds(5)).await;
        house.heed().await;
        (!house.reminders("late").await.is_empty()).then_some(())
    })
    .await;
    assert_eq!(server.log().matches("GET /fhir/Appointment?").count(), searches, "by the notice alone");
    house.close().await;
}
