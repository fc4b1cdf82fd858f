//! Reading by id: is it there, is it still the same, has it become another record?

use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::domain::ResourceKey;
use crate::fhir::bundle::{BatchEntry, batch_response};

use super::client::{Arrived, FhirClient, Repeat, fhir_headers, json_body, not_fhir, post, refused};
use super::error::{EhrError, NotFhir, Refusal};
use super::http::Reply;

/// What a read by id found.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    Found(Found),
    /// Not there now: never was (404) or known to be deleted (410). Both mean: no outreach rests on it.
    Gone {
        deleted: bool,
    },
    /// Merged into another record of the same type.
    Moved(ResourceKey),
    /// Still the version that was named.
    NotModified,
}

/// A resource as the server has it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub resource: Value,
    /// To be sent back as `If-Match` when it is updated.
    pub etag: Option<String>,
}

impl FhirClient {
    /// Reads one resource. With `known_version` (a `meta.versionId`) the server may answer that nothing changed.
    ///
    /// # Errors
    /// Whatever a request can end in. A 404 that is a page for people is an error, not a missing resource: a wrong
    /// address must not look like a deleted patient.
    pub async fn read(&self, key: &ResourceKey, known_version: Option<&str>) -> Result<Read, EhrError> {
        let mut headers = HeaderMap::new();
        if let Some(etag) = known_version.and_then(|version| HeaderValue::from_str(&format!("W/\"{version}\"")).ok()) {
            headers.insert(IF_NONE_MATCH, etag);
        }
        let reply = match self.get(self.url(&key.to_string()), &headers, Some(key)).await? {
            Arrived::Moved(survivor) => return Ok(Read::Moved(survivor)),
            Arrived::Reply(reply) => reply,
        };
        match reply.status {
            200 => self.found(&reply, key),
            304 if known_version.is_some() => Ok(Read::NotModified),
            404 | 410 if reply.body.is_empty() || json_body(&reply).is_ok() => {
                Ok(Read::Gone { deleted: reply.status == 410 })
            }
            404 | 410 => Err(json_body(&reply).err().unwrap_or_else(|| refused(&reply))),
            _ => Err(refused(&reply)),
        }
    }

    fn found(&self, reply: &Reply, key: &ResourceKey) -> Result<Read, EhrError> {
        let resource = self.body(reply)?;
        if resource["resourceType"] == "OperationOutcome" {
            return Err(refused(reply));
        }
        let etag = reply.header(ETAG).map(str::to_owned);
        identify(resource, etag, key).ok_or_else(|| not_fhir(reply, NotFhir::WrongResource))
    }

    /// Reads several resources in one request, each answered on its own and in order.
    ///
    /// # Errors
    /// The batch as a whole failed, or its answers cannot be matched with the questions.
    pub async fn batch_read(&self, keys: &[ResourceKey]) -> Result<Vec<Result<Read, EhrError>>, EhrError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let entries: Vec<Value> =
            keys.iter().map(|key| json!({"request": {"method": "GET", "url": key.to_string()}})).collect();
        let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let request = post(self.connection().base_url.url().clone(), fhir_headers(), batch.to_string().into_bytes());
        let reply = self.send(request, Repeat::Freely).await?;
        if reply.status != 200 {
            return Err(refused(&reply));
        }
        let wrong = || not_fhir(&reply, NotFhir::WrongResource);
        let answers = batch_response(self.body(&reply)?).map_err(|_| wrong())?;
        if answers.len() != keys.len() {
            return Err(wrong());
        }
        Ok(keys.iter().zip(answers).map(|(key, answer)| batch_answer(&reply, key, answer)).collect())
    }
}

fn batch_answer(reply: &Reply, key: &ResourceKey, answer: BatchEntry) -> Result<Read, EhrError> {
    match (answer.status, answer.resource) {
        (Some(200), Some(resource)) => {
            identify(resource, answer.etag, key).ok_or_else(|| not_fhir(reply, NotFhir::WrongResource))
        }
        (Some(status @ (404 | 410)), _) => Ok(Read::Gone { deleted: status == 410 }),
        (status, _) => {
            let status = status.unwrap_or(reply.status);
            let refusal = match status {
                401 => Refusal::Unauthorized,
                403 => Refusal::Forbidden,
                500..=599 => Refusal::ServerFault,
                _ => Refusal::Other,
            };
            let codes = answer.outcome.map(|outcome| vec![outcome.summary()]).unwrap_or_default();
            Err(EhrError::Refused { place: reply.place.clone(), status, refusal, codes })
        }
    }
}

/// Whether the answer is the resource asked for; a server may answer with the survivor of a merge.
fn identify(resource: Value, etag: Option<String>, key: &ResourceKey) -> Option<Read> {
    if resource["resourceType"] != key.resource_type.as_str() {
        return None;
    }
    let id = resource["id"].as_str()?;
    if id != key.id {
        return Some(Read::Moved(ResourceKey::new(key.resource_type, id)));
    }
    let from_meta = || resource["meta"]["versionId"].as_str().map(|version| format!("W/\"{version}\""));
    let etag = etag.or_else(from_meta);
    Some(Read::Found(Found { resource, etag }))
}
