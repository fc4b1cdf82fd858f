//! Reading by id: is it there, is it still the same, has it become another record?

use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use serde_json::Value;

use crate::domain::ResourceKey;

use super::client::{Arrived, FhirClient, json_body, not_fhir, refused};
use super::error::{EhrError, NotFhir};
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
}

/// Whether the answer is the resource asked for; a server may answer with the survivor of a merge.
pub(super) fn identify(resource: Value, etag: Option<String>, key: &ResourceKey) -> Option<Read> {
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
