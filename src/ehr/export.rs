//! Bulk Data Access, the server's side of it: start an export, ask how far it is, read its manifest, end it (Bulk Data
//! IG STU2 and STU3; STU4 ballot where it differs). What is done with the files is the pull's business.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::header::{ACCEPT, CONTENT_LOCATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::json;

use super::client::{FHIR_JSON, FhirClient, Repeat, json_body, not_fhir, refused};
use super::error::{EhrError, NotFhir, Refusal};
use super::http::{Outgoing, Reply};
use super::plan::{Ask, Choice, Export, PlanSource, TypePlan};
use super::retry;
use crate::domain::ResourceType;
use crate::fhir::export_manifest::ExportManifest;

/// What clinical rules read, and what exports carry. Appointments are in no vendor's export, and change too fast for one.
const CLINICAL: [ResourceType; 8] = [
    ResourceType::CarePlan,
    ResourceType::Condition,
    ResourceType::Encounter,
    ResourceType::Immunization,
    ResourceType::MedicationRequest,
    ResourceType::Observation,
    ResourceType::Procedure,
    ResourceType::ServiceRequest,
];

/// The types that come by export: what the operator names; else, where the operator wants exports, all clinical types;
/// else those that would have to be asked for patient by patient or id by id.
pub(super) fn exported(
    export: Choice<Export>,
    named: Option<&[ResourceType]>,
    types: &BTreeMap<ResourceType, TypePlan>,
) -> BTreeSet<ResourceType> {
    if export.value == Export::Off {
        return BTreeSet::new();
    }
    if let Some(named) = named {
        return named.iter().copied().collect();
    }
    let tedious = |kind: &ResourceType| {
        // Who says how a type is to be asked for wants no export of it.
        let by_plan = |of_type: &TypePlan| of_type.ask.source != PlanSource::Override;
        types.get(kind).is_some_and(|it| by_plan(it) && matches!(it.ask.value, Ask::ByPatient | Ask::ById))
    };
    CLINICAL.into_iter().filter(|kind| export.source == PlanSource::Override || tedious(kind)).collect()
}

/// What is to be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRequest {
    pub target: ExportTarget,
    pub types: Vec<ResourceType>,
    /// Only what changed since; everything without it.
    pub since: Option<DateTime<Utc>>,
}

/// Whose resources: the text stands in a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExportTarget {
    System,
    Patients,
    Group(String),
}

impl ExportTarget {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "system" => Some(Self::System),
            "patients" => Some(Self::Patients),
            _ => text.strip_prefix("Group/").map(|id| Self::Group(id.to_owned())),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::System => "$export".to_owned(),
            Self::Patients => "Patient/$export".to_owned(),
            Self::Group(id) => format!("Group/{id}/$export"),
        }
    }
}

impl std::fmt::Display for ExportTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Patients => f.write_str("patients"),
            Self::Group(id) => write!(f, "Group/{id}"),
        }
    }
}

/// How far an export is.
#[derive(Debug, Clone)]
pub enum ExportStatus {
    UnderWay {
        /// The server's own words, such as `40%`; letters, digits and a few signs of them.
        progress: Option<String>,
        retry_after: Option<Duration>,
    },
    Ready(ExportManifest),
    /// The server does not know the export any more (404, 410).
    Lost,
}

impl FhirClient {
    /// Starts an export, and answers the address at which it can be asked for. Sent once: a second start would be a
    /// second export.
    ///
    /// # Errors
    /// As for any request; `Throttled` where another export of ours is under way.
    pub async fn start_export(&self, wanted: &ExportRequest) -> Result<String, EhrError> {
        let mut url = self.url(&wanted.target.path());
        let types: Vec<&str> = wanted.types.iter().map(|kind| kind.as_str()).collect();
        let since = wanted.since.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("_outputFormat", "application/fhir+ndjson").append_pair("_type", &types.join(","));
            if let Some(since) = &since {
                query.append_pair("_since", since);
            }
        }
        let request = Outgoing { headers: respond_async(), ..Outgoing::get(url, FHIR_JSON) };
        let mut reply = self.send(request, Repeat::Never).await?;
        if reply.status == 405 {
            // The STU4 ballot has POST only, and parameters that repeat.
            reply = self.send(self.start_by_post(wanted, since.as_deref()), Repeat::Never).await?;
        }
        if reply.status != 202 {
            return Err(refused(&reply));
        }
        let bad_link = || EhrError::BadLink { place: reply.place.clone(), what: "Content-Location" };
        let location = reply.header(CONTENT_LOCATION).ok_or_else(bad_link)?;
        let location = self.url("").join(location).map_err(|_| bad_link())?;
        self.same_origin(&reply, &location, "the status of the export")?;
        Ok(location.to_string())
    }

    fn start_by_post(&self, wanted: &ExportRequest, since: Option<&str>) -> Outgoing {
        let mut parameters = vec![json!({"name": "_outputFormat", "valueString": "application/fhir+ndjson"})];
        parameters.extend(wanted.types.iter().map(|kind| json!({"name": "_type", "valueString": kind.as_str()})));
        parameters.extend(since.map(|since| json!({"name": "_since", "valueInstant": since})));
        let mut headers = respond_async();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
        let body = json!({"resourceType": "Parameters", "parameter": parameters}).to_string().into_bytes();
        Outgoing { method: Method::POST, url: self.url(&wanted.target.path()), headers, body }
    }

    /// Asks how far an export is, once: when to ask again is the caller's business.
    ///
    /// # Errors
    /// The server says that the export failed, or as for any request.
    pub async fn export_status(&self, url: &str) -> Result<ExportStatus, EhrError> {
        let reply = self.send(Outgoing::get(self.status_url(url)?, "application/json"), Repeat::Never).await?;
        match reply.status {
            200 => {
                let body = json_body(&reply)?;
                let read = ExportManifest::read(&body);
                Ok(ExportStatus::Ready(read.map_err(|_| not_fhir(&reply, NotFhir::WrongResource))?))
            }
            202 => Ok(ExportStatus::UnderWay {
                progress: reply.header("x-progress").map(plain),
                retry_after: retry::retry_after(&reply.headers, reply.received),
            }),
            404 | 410 => Ok(ExportStatus::Lost),
            _ => Err(refused(&reply)),
        }
    }

    /// Where the manifest goes on: on the same server.
    ///
    /// # Errors
    /// The link leads elsewhere or nowhere.
    pub fn next_manifest(&self, url: &str, next: &str) -> Result<String, EhrError> {
        let base = self.status_url(url)?;
        let next = base.join(next).map_err(|_| bad_link(&base, "the manifest's next link"))?;
        Ok(self.status_url(next.as_str())?.to_string())
    }

    /// Tells the server that the files are not needed any more. An export that it does not know is one that is over.
    ///
    /// # Errors
    /// As for any request.
    pub async fn end_export(&self, url: &str) -> Result<(), EhrError> {
        let request = Outgoing { method: Method::DELETE, ..Outgoing::get(self.status_url(url)?, FHIR_JSON) };
        let reply: Reply = self.send(request, Repeat::Freely).await?;
        match reply.status {
            200..=299 | 404 | 410 => Ok(()),
            _ => Err(refused(&reply)),
        }
    }

    /// A stored address, checked again: the token goes with it.
    fn status_url(&self, url: &str) -> Result<Url, EhrError> {
        let base = self.connection().base_url.url();
        let url = Url::parse(url).map_err(|_| bad_link(base, "the status of the export"))?;
        if self.connection().base_url.is_same_origin(&url) {
            return Ok(url);
        }
        Err(EhrError::OtherOrigin {
            place: super::error::Place::of(&Method::GET, base),
            what: "the status of the export",
            expected: self.connection().base_url.origin(),
            found: url.origin().ascii_serialization(),
        })
    }
}

/// Whether the server will not start such an export whatever we wait for: the types are asked for another way.
pub fn is_final(error: &EhrError) -> bool {
    use Refusal as R;
    let refusals = [R::Forbidden, R::NotFound, R::Invalid, R::Unsupported, R::TooCostly, R::Restricted, R::Other];
    match error {
        EhrError::Refused { refusal, .. } => refusals.contains(refusal),
        EhrError::BadLink { .. } | EhrError::OtherOrigin { .. } | EhrError::NotFhir { .. } => true,
        _ => false,
    }
}

fn respond_async() -> HeaderMap {
    let prefer = (HeaderName::from_static("prefer"), HeaderValue::from_static("respond-async"));
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(FHIR_JSON)), prefer])
}

fn bad_link(url: &Url, what: &'static str) -> EhrError {
    EhrError::BadLink { place: super::error::Place::of(&Method::GET, url), what }
}

/// What of a server's words may be shown and kept.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || " %/.,:-".contains(*c)).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_comes_back_from_its_text() {
        for target in [ExportTarget::System, ExportTarget::Patients, ExportTarget::Group("e3.B-1".to_owned())] {
            assert_eq!(ExportTarget::parse(&target.to_string()), Some(target));
        }
        assert_eq!(ExportTarget::parse("Patient"), None);
        assert_eq!(ExportTarget::Group("g".to_owned()).path(), "Group/g/$export");
    }
}
