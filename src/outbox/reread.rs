//! Reading at the EHR, right before sending, what a decision rests on: the driving resources, the Patients and the
//! patients' consent records, in batches where the server takes them. What cannot be read is said to be so.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::Outbox;
use crate::domain::{EhrId, PatientId, ResourceKey, ResourceType};
use crate::ehr::batch::Answers;
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::offer::Offer;
use crate::ehr::read::Read;
use crate::ehr::search::Search;
use crate::fhir;

/// Questions asked in one batch request.
const READ_BATCH: usize = 40;
/// Batch requests under way at once.
const READS_AT_ONCE: usize = 4;

/// What became of re-reading one resource.
#[derive(Debug, Clone)]
pub(super) enum Reread {
    Fresh(Value),
    Unreadable,
    Gone,
    /// Merged into another record.
    Moved(ResourceKey),
}

/// What became of asking for a patient's consent records.
#[derive(Debug, Clone)]
pub(super) enum ConsentReading {
    /// All of them, in force or not.
    Fresh(Vec<Value>),
    /// There may be some; why they are not known.
    Unreadable(&'static str),
    /// The EHR has none that could be asked for.
    NotKept(&'static str),
}

/// Everything that was read for one batch of reminders.
#[derive(Debug, Default)]
pub(super) struct Freshly {
    pub(super) resources: HashMap<ResourceKey, Reread>,
    pub(super) consents: HashMap<PatientId, ConsentReading>,
}

#[derive(Debug, Clone)]
enum Question {
    Read(ResourceKey),
    Consents(PatientId),
}

const NO_ANSWER: &str = "the consent records could not be read from the EHR";
const NOT_GRANTED: &str = "the EHR did not grant the scope to read consent records";

impl Outbox {
    pub(super) async fn reread(&self, ehr: &EhrId, keys: Vec<ResourceKey>, patients: &[PatientId]) -> Freshly {
        let mut freshly = Freshly::default();
        let client = match self.ehrs.get(ehr).await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, %ehr, "the EHR cannot be read before sending; what rests on it waits");
                freshly.resources = keys.into_iter().map(|key| (key, Reread::Unreadable)).collect();
                return freshly;
            }
        };
        let mut questions: Vec<Question> = keys.into_iter().map(Question::Read).collect();
        let instead = match client.offer(ResourceType::Consent).await {
            Ok(Offer::Searchable) => None,
            Ok(Offer::NotGranted) => Some(ConsentReading::Unreadable(NOT_GRANTED)),
            Ok(offer @ (Offer::NotOffered | Offer::NotAsked)) => Some(ConsentReading::NotKept(offer.words())),
            Err(error) => {
                tracing::warn!(%error, %ehr, "whether the EHR has consent records cannot be told; what rests on it waits");
                Some(ConsentReading::Unreadable(NO_ANSWER))
            }
        };
        match instead {
            None => questions.extend(patients.iter().cloned().map(Question::Consents)),
            Some(reading) => freshly.consents = patients.iter().map(|it| (it.clone(), reading.clone())).collect(),
        }
        let batches = client.plan().await.is_ok_and(|plan| plan.batch.value);
        let chunks: Vec<Vec<Question>> = questions.chunks(READ_BATCH).map(<[Question]>::to_vec).collect();
        let answered = stream::iter(chunks).map(|chunk| {
            let client = client.clone();
            async move { ask(&client, ehr, batches, chunk).await }
        });
        for part in answered.buffer_unordered(READS_AT_ONCE).collect::<Vec<_>>().await {
            freshly.resources.extend(part.resources);
            freshly.consents.extend(part.consents);
        }
        freshly
    }
}

async fn ask(client: &FhirClient, ehr: &EhrId, batches: bool, questions: Vec<Question>) -> Freshly {
    let (mut keys, mut patients) = (Vec::new(), Vec::new());
    for question in questions {
        match question {
            Question::Read(key) => keys.push(key),
            Question::Consents(patient) => patients.push(patient),
        }
    }
    let searches: Vec<Search> = patients.iter().map(consents_of).collect();
    let answers =
        if batches { client.batch(&keys, &searches).await } else { Ok(one_by_one(client, &keys, &searches).await) };
    let answers = match answers {
        // A server may offer batches and yet not let our scopes use them: a batch is a POST.
        Err(error) if !error.is_transient() => {
            tracing::warn!(%error, %ehr, "this EHR refuses batches; reading one by one");
            Ok(one_by_one(client, &keys, &searches).await)
        }
        answers => answers,
    };
    match answers {
        Ok(answers) => Freshly {
            resources: keys.into_iter().zip(answers.reads.into_iter().map(reread_of)).collect(),
            consents: patients
                .into_iter()
                .zip(answers.searches)
                .map(|(patient, found)| {
                    let reading = consent_reading(&patient, found);
                    (patient, reading)
                })
                .collect(),
        },
        Err(error) => {
            tracing::warn!(%error, %ehr, "a batch read before sending failed");
            Freshly {
                resources: keys.into_iter().map(|key| (key, Reread::Unreadable)).collect(),
                consents: patients.into_iter().map(|it| (it, ConsentReading::Unreadable(NO_ANSWER))).collect(),
            }
        }
    }
}

async fn one_by_one(client: &FhirClient, keys: &[ResourceKey], searches: &[Search]) -> Answers {
    let mut answers = Answers::default();
    for key in keys {
        answers.reads.push(client.read(key, None).await);
    }
    for search in searches {
        answers.searches.push(client.find_all(search.clone()).await);
    }
    answers
}

/// Not narrowed by status: what a server takes for inactive is not for it to judge.
fn consents_of(patient: &PatientId) -> Search {
    Search::new(ResourceType::Consent).with("patient", patient.as_str()).with("_count", "50")
}

/// A server that ignores the question's `patient` answers with those of others too, which are left out. One whose
/// patient cannot be read was found for this patient, and stays.
fn consent_reading(patient: &PatientId, found: Result<Vec<Value>, EhrError>) -> ConsentReading {
    match found {
        Ok(found) => ConsentReading::Fresh(
            found
                .into_iter()
                .filter(|it| fhir::read::subject_of(it).is_none_or(|subject| subject == *patient))
                .collect(),
        ),
        Err(error) => {
            tracing::warn!(%error, "a patient's consent records could not be read before sending");
            ConsentReading::Unreadable(NO_ANSWER)
        }
    }
}

fn reread_of(answer: Result<Read, EhrError>) -> Reread {
    match answer {
        Ok(Read::Found(found)) => Reread::Fresh(found.resource),
        Ok(Read::Gone { .. }) => Reread::Gone,
        Ok(Read::Moved(survivor)) => Reread::Moved(survivor),
        Ok(Read::NotModified) | Err(_) => Reread::Unreadable,
    }
}
