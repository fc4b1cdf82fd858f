//! Writing: once, or not known. A write whose answer was lost is never repeated blindly (R4 http "conditional create",
//! "managing resource contention").

use reqwest::Method;
use reqwest::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, LOCATION};
use serde_json::Value;

use super::client::{FhirClient, Repeat, fhir_headers, json_body, post, refused};
use super::error::EhrError;
use super::http::{Outgoing, Reply};

/// What became of a write.
#[derive(Debug, Clone)]
pub enum Written {
    /// Created or updated by this request.
    Done(WrittenVersion),
    /// A conditional create found it there already; nothing changed.
    Existed(WrittenVersion),
    /// The request went out and no usable answer came back: it may or may not have happened. Search before doing it
    /// again.
    Unknown(EhrError),
}

/// Where the server keeps it now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WrittenVersion {
    pub id: Option<String>,
    pub version_id: Option<String>,
    pub etag: Option<String>,
}

/// Our own identifier of what is created.
#[derive(Debug, Clone, Copy)]
pub struct IdentifierKey<'a> {
    pub system: &'a str,
    pub value: &'a str,
}

impl FhirClient {
    /// Creates a resource; with `if_none_exist` only where none carries that identifier yet.
    ///
    /// # Errors
    /// The server said no, or was never reached: nothing was created. `Refusal::Conflict` means that several carry
    /// the identifier already.
    pub async fn create(
        &self,
        resource: &Value,
        if_none_exist: Option<IdentifierKey<'_>>,
    ) -> Result<Written, EhrError> {
        let type_name = resource["resourceType"].as_str().ok_or(EhrError::NotWritable("resourceType"))?;
        let mut headers = fhir_headers();
        let mut repeat = Repeat::IfNotProcessed;
        if let Some(identifier) = if_none_exist {
            let token = format!("{}|{}", identifier.system, identifier.value);
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("identifier", &token).finish();
            let query =
                HeaderValue::from_str(&query).map_err(|_| EhrError::NotWritable("an identifier of plain text"))?;
            headers.insert(HeaderName::from_static("if-none-exist"), query);
            repeat = Repeat::IfItFailed;
        }
        let body = self.release().of_r4(resource).to_string().into_bytes();
        let request = post(self.url(type_name), headers, body);
        let reply = match self.written(request, repeat).await? {
            Ok(reply) => reply,
            Err(unknown) => return Ok(Written::Unknown(unknown)),
        };
        match version(&reply, type_name) {
            // 200 answers a conditional create that found one; it has no other meaning for a create.
            Ok(version) if reply.status == 200 && if_none_exist.is_some() => Ok(Written::Existed(version)),
            Ok(version) => Ok(Written::Done(version)),
            Err(error) => Ok(Written::Unknown(error)),
        }
    }

    /// Replaces a resource that is still the version named by `etag`.
    ///
    /// # Errors
    /// As [`FhirClient::create`]; `Refusal::Conflict` means that it changed meanwhile.
    pub async fn update(&self, resource: &Value, etag: &str) -> Result<Written, EhrError> {
        let type_name = resource["resourceType"].as_str().ok_or(EhrError::NotWritable("resourceType"))?;
        let id = resource["id"].as_str().ok_or(EhrError::NotWritable("id"))?;
        let mut headers = fhir_headers();
        let etag = HeaderValue::from_str(etag).map_err(|_| EhrError::NotWritable("a usable version"))?;
        headers.insert(IF_MATCH, etag);
        let url = self.url(&format!("{type_name}/{id}"));
        let body = self.release().of_r4(resource).to_string().into_bytes();
        let request = Outgoing { method: Method::PUT, url, headers, body };
        let reply = match self.written(request, Repeat::IfNotProcessed).await? {
            Ok(reply) => reply,
            Err(unknown) => return Ok(Written::Unknown(unknown)),
        };
        Ok(match version(&reply, type_name) {
            Ok(version) => Written::Done(WrittenVersion { id: version.id.or(Some(id.to_owned())), ..version }),
            Err(error) => Written::Unknown(error),
        })
    }

    /// The inner error is an answer lost after the request went out.
    async fn written(&self, request: Outgoing, repeat: Repeat) -> Result<Result<Reply, EhrError>, EhrError> {
        match self.send(request, repeat).await {
            Ok(reply) if (200..300).contains(&reply.status) => Ok(Ok(reply)),
            // The server, or one in front of it, failed somewhere on the way.
            Ok(reply) if reply.status >= 500 && reply.status != 501 => Ok(Err(refused(&reply))),
            Ok(reply) => Err(refused(&reply)),
            Err(error @ (EhrError::TimedOut { .. } | EhrError::Interrupted { .. } | EhrError::TooLarge { .. })) => {
                Ok(Err(error))
            }
            Err(error) => Err(error),
        }
    }
}

/// Id and version of what was written: from `Location`, else from the body, which may be empty.
fn version(reply: &Reply, type_name: &str) -> Result<WrittenVersion, EhrError> {
    let etag = reply.header(ETAG).map(str::to_owned);
    let location = reply.header(LOCATION).or_else(|| reply.header("content-location"));
    if let Some((id, version)) = location.and_then(|location| from_location(location, type_name)) {
        let version_id = version.or_else(|| etag.as_deref().map(unquote));
        return Ok(WrittenVersion { id: Some(id), version_id, etag });
    }
    let body = if reply.body.is_empty() { Value::Null } else { json_body(reply)? };
    let of_type = body["resourceType"] == type_name;
    let id = body["id"].as_str().filter(|_| of_type).map(str::to_owned);
    let in_body = body["meta"]["versionId"].as_str().filter(|_| of_type).map(str::to_owned);
    let version_id = in_body.or_else(|| etag.as_deref().map(unquote));
    Ok(WrittenVersion { id, version_id, etag })
}

fn unquote(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

/// Reads `[base]/[type]/[id]/_history/[version]`.
fn from_location(location: &str, type_name: &str) -> Option<(String, Option<String>)> {
    let path = location.split(['?', '#']).next()?;
    let (path, version) = match path.split_once("/_history/") {
        Some((path, version)) => (path, Some(version.to_owned())),
        None => (path, None),
    };
    let (before, id) = path.rsplit_once('/')?;
    let is_type = before.rsplit('/').next() == Some(type_name);
    (is_type && !id.is_empty()).then(|| (id.to_owned(), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_location_names_id_and_version() {
        let some = |id: &str, version: Option<&str>| Some((id.to_owned(), version.map(str::to_owned)));
        for (location, expected) in [
            ("https://e/fhir/Communication/7/_history/2", some("7", Some("2"))),
            ("Communication/7", some("7", None)),
            ("https://e/fhir/Communication/7?x=1", some("7", None)),
            ("https://e/fhir/Patient/7", None),
            ("https://e/fhir/Communication/", None),
        ] {
            assert_eq!(from_location(location, "Communication"), expected, "{location}");
        }
        assert_eq!(unquote("W/\"3\""), "3");
    }
}
