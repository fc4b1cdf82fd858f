//! Reading by id, alone and in batches.

use beckon::domain::{ResourceKey, ResourceType};
use beckon::ehr::error::{EhrError, NotFhir, Refusal};
use beckon::ehr::read::Read;
use serde_json::json;

use super::canned::{Answer, with_token};
use super::support::{Gate, Site};

fn patient(id: &str) -> ResourceKey {
    ResourceKey::new(ResourceType::Patient, id)
}

#[tokio::test]
async fn a_resource_is_there_or_gone_or_unchanged() {
    let site = Site::open().await;
    site.patient("ada");
    site.patient("gone");
    assert!(site.hospital.delete("Patient", "gone"));
    let Read::Found(found) = site.client.read(&patient("ada"), None).await.unwrap() else { panic!("not found") };
    assert_eq!((found.resource["id"].as_str(), found.etag.as_deref()), (Some("ada"), Some("W/\"1\"")));
    assert_eq!(site.client.read(&patient("ada"), Some("1")).await.unwrap(), Read::NotModified);
    assert!(matches!(site.client.read(&patient("ada"), Some("0")).await.unwrap(), Read::Found(_)));
    assert_eq!(site.client.read(&patient("gone"), None).await.unwrap(), Read::Gone { deleted: true });
    assert_eq!(site.client.read(&patient("never"), None).await.unwrap(), Read::Gone { deleted: false });
}

#[tokio::test]
async fn a_wrong_address_does_not_look_like_a_deleted_patient() {
    let server = with_token(|_, _| Answer::html(404)).await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    let error = gate.client.read(&patient("ada"), None).await.unwrap_err();
    assert!(matches!(error, EhrError::NotFhir { status: 404, what: NotFhir::Html, .. }), "{error}");
}

#[tokio::test]
async fn a_merged_patient_leads_to_the_survivor() {
    let server = with_token(|asked, origin| match asked.path.as_str() {
        "/fhir/Patient/old" => Answer::json(301, &json!({})).with("location", &format!("{origin}/fhir/Patient/new")),
        "/fhir/Patient/silent" => Answer::json(200, &json!({"resourceType": "Patient", "id": "survivor"})),
        "/fhir/Patient/slash" => Answer::json(302, &json!({})).with("location", "/fhir/v2/Patient/slash"),
        "/fhir/v2/Patient/slash" => Answer::json(200, &json!({"resourceType": "Patient", "id": "slash"})),
        _ => Answer::json(200, &json!({"resourceType": "Location", "id": "wrong"})),
    })
    .await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    let read = async |id: &str| gate.client.read(&patient(id), None).await;
    assert_eq!(read("old").await.unwrap(), Read::Moved(patient("new")));
    assert_eq!(read("silent").await.unwrap(), Read::Moved(patient("survivor")));
    assert!(matches!(read("slash").await.unwrap(), Read::Found(_)));
    assert!(matches!(read("wrong").await, Err(EhrError::NotFhir { what: NotFhir::WrongResource, .. })));
}

#[tokio::test]
async fn references_to_this_server_become_relative() {
    let server = with_token(|_, origin| {
        let subject = json!({"reference": format!("{origin}/fhir/Patient/ada")});
        Answer::json(200, &json!({"resourceType": "Condition", "id": "c", "subject": subject}))
    })
    .await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    let key = ResourceKey::new(ResourceType::Condition, "c");
    let Read::Found(found) = gate.client.read(&key, None).await.unwrap() else { panic!("not found") };
    assert_eq!(found.resource["subject"]["reference"], "Patient/ada");
}

#[tokio::test]
async fn a_batch_answers_each_question_on_its_own() {
    let site = Site::open().await;
    site.patient("ada");
    let keys = [patient("ada"), patient("never"), ResourceKey::new(ResourceType::Location, "loc-boston")];
    let answers = site.client.batch_read(&keys).await.unwrap();
    assert!(matches!(answers[0], Ok(Read::Found(_))));
    assert!(matches!(answers[1], Ok(Read::Gone { .. })));
    assert!(matches!(answers[2], Ok(Read::Found(_))));
    assert!(site.client.batch_read(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_batch_with_too_few_answers_is_no_answer() {
    let server = with_token(|_, _| {
        Answer::json(
            200,
            &json!({"resourceType": "Bundle", "type": "batch-response", "entry": [{"response": {"status": "404"}}]}),
        )
    })
    .await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    let error = gate.client.batch_read(&[patient("a"), patient("b")]).await.unwrap_err();
    assert!(matches!(error, EhrError::NotFhir { what: NotFhir::WrongResource, .. }), "{error}");
}

#[tokio::test]
async fn protected_records_are_told_from_missing_rights() {
    let server = with_token(|asked, _| {
        let outcome = |code: &str| {
            json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code,
            "diagnostics": "Ada Lovelace is protected"}]})
        };
        match asked.path.as_str() {
            "/fhir/Patient/vip" => Answer::json(403, &outcome("suppressed")),
            _ => {
                Answer::json(403, &outcome("forbidden")).with("www-authenticate", "Bearer error=\"insufficient_scope\"")
            }
        }
    })
    .await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    for (id, expected) in [("vip", Refusal::Restricted), ("ada", Refusal::Forbidden)] {
        let error = gate.client.read(&patient(id), None).await.unwrap_err();
        assert!(matches!(&error, EhrError::Refused { refusal, .. } if *refusal == expected), "{error}");
        assert!(!error.to_string().contains("Lovelace"), "{error}");
        assert!(!error.is_transient());
    }
    assert_eq!(server.count("/token"), 1, "a 403 is never answered with a new token");
    assert_eq!(server.count("/fhir/Patient"), 2, "nor with a retry");
}
