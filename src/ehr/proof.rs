//! Proving that an EHR takes what its CapabilityStatement says it takes: one Communication about one test patient,
//! created, read back and looked for. What a hospital's EHR asks of a Communication cannot be known otherwise.

use serde_json::Value;

use crate::domain::{Channel, MessageState, PatientId, Phi, Recipient, ResourceKey, ResourceType};
use crate::fhir::write::{Category, CommunicationFacts, Course, communication, outreach_system};

use super::client::FhirClient;
use super::error::EhrError;
use super::read::Read;
use super::search::Search;
use super::write::Written;

/// Why a Communication is not proven to be taken.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("no Communication was created: {0}")]
    Refused(EhrError),
    #[error("it is not known whether the Communication was created ({0}); look at the test patient's record")]
    Unknown(EhrError),
    #[error("the EHR said that it created a Communication and did not say under which id")]
    Nameless,
    #[error("Communication/{id} was created and cannot be read back: {error}")]
    Unreadable { id: String, error: EhrError },
    #[error("Communication/{id} was created, but {what}; it is not used for messages")]
    Changed { id: String, what: &'static str },
}

/// Creates one Communication about `patient`, who should be a test patient, and looks for it. Answers its id.
///
/// # Errors
/// Any step that did not go as messages would need it.
pub async fn write(
    client: &FhirClient,
    gateway: &str,
    patient: &PatientId,
    proof_id: &str,
) -> Result<String, ProofError> {
    let now = client.now();
    let facts = CommunicationFacts {
        gateway: gateway.to_owned(),
        outreach_id: proof_id.to_owned(),
        rule: None,
        category: Category::Notification,
        channel: Channel::Email,
        subject: patient.clone(),
        about: Vec::new(),
        organization: None,
        course: Course::ToPerson {
            recipient: Recipient::Patient(patient.clone()),
            state: MessageState::Delivered,
            closed: false,
            not_done: None,
            sent: Some(now),
            received: None,
        },
        text: Phi::new("Test of the connection; nobody was written to".to_owned()),
        notes: Vec::new(),
    };
    let version = match client.create(&communication(&facts), None).await.map_err(ProofError::Refused)? {
        Written::Done(version) | Written::Existed(version) => version,
        Written::Unknown(error) => return Err(ProofError::Unknown(error)),
    };
    let id = version.id.ok_or(ProofError::Nameless)?;
    let unreadable = |error| ProofError::Unreadable { id: id.clone(), error };
    let changed = |what| Err(ProofError::Changed { id: id.clone(), what });
    let key = ResourceKey::new(ResourceType::Communication, &*id);
    let Read::Found(found) = client.read(&key, None).await.map_err(unreadable)? else {
        return changed("it is not there when it is read back");
    };
    let system = outreach_system(gateway);
    let is_ours = |it: &Value| {
        it["identifier"]
            .as_array()
            .is_some_and(|all| all.iter().any(|it| it["system"] == *system && it["value"] == proof_id))
    };
    if !is_ours(&found.resource) {
        return changed("the EHR did not keep our identifier, so that it could not be found again");
    }
    if found.resource["status"] != "completed" {
        return changed("the EHR changed its status");
    }
    let search = Search::new(ResourceType::Communication).with("patient", patient.as_str());
    if !client.find_all(search).await.map_err(unreadable)?.iter().any(is_ours) {
        return changed("a search of the patient's Communications does not find it");
    }
    Ok(id)
}
