//! Kick-off: what is exported, and of whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

use super::jobs::{Content, File, Job, deletion};
use super::manner::{ExportManner, Level};
use crate::sandbox::ehr::archive::{Found, Version};
use crate::sandbox::ehr::outcome::{outcome, refuse};
use crate::sandbox::ehr::personality::TYPES;
use crate::sandbox::ehr::server::Ehr;
use crate::sandbox::ehr::smart::Grant;
use crate::sandbox::faults::FaultKind;
use crate::sandbox::http::{Reply, Request, pairs};

const FORMATS: [&str; 3] = ["application/fhir+ndjson", "application/ndjson", "ndjson"];

/// What was asked for.
struct Wish {
    types: Vec<String>,
    since: Option<DateTime<Utc>>,
}

/// `GET` or `POST` of `$export`; `group` is the id of the Group level.
pub fn kick_off(ehr: &Ehr, request: &Request, level: Level, group: Option<&str>, grant: &Grant) -> Reply {
    let Some(manner) = ehr.personality.export.as_ref().filter(|it| it.levels.contains(&level)) else {
        return refuse(404, "not-supported", "this export is not offered");
    };
    let offered = if request.method == "POST" { manner.by_post } else { manner.by_get };
    if !offered {
        return refuse(405, "not-supported", "this method does not start an export here");
    }
    if !request.header("prefer").is_some_and(|prefer| prefer.contains("respond-async")) {
        return refuse(400, "invalid", "an export needs Prefer: respond-async");
    }
    if manner.one_at_a_time && ehr.exports.counts().0 > 0 {
        let reply = refuse(429, "throttled", "another export is under way");
        return reply.with("retry-after", manner.retry_after.unwrap_or(60).to_string());
    }
    let wish = match wish(request) {
        Ok(wish) => wish,
        Err(text) => return refuse(400, "invalid", &text),
    };
    if let Some(unknown) = wish.types.iter().find(|kind| ehr.personality.offers(kind).is_none()) {
        return refuse(400, "not-supported", &format!("unknown type {unknown}"));
    }
    for kind in &wish.types {
        if let Err(reply) = Ehr::require(grant, kind, 'r') {
            return reply;
        }
    }
    let patients = match (level, group) {
        (Level::Group, Some(id)) => {
            if let Err(reply) = Ehr::require(grant, "Group", 'r') {
                return reply;
            }
            match ehr.archive.read("Group", id) {
                Found::Here(version) => Some(members(version.body())),
                _ => return refuse(404, "not-found", "there is no such Group"),
            }
        }
        _ => None,
    };
    let files = files(ehr, manner, &wish, level, patients.as_ref(), grant);
    let now = ehr.clock.now();
    let job = Job {
        request: format!("{}{}?{}", ehr.base, request.path.trim_start_matches("/fhir"), request.query),
        at: now,
        expires: now + Duration::days(manner.days),
        files: Arc::new(files),
        asked: 0,
    };
    let id = ehr.exports.keep(&ehr.entropy.token(), job);
    Reply::empty(202).with("content-location", format!("{}/_export/{id}", ehr.base))
}

fn wish(request: &Request) -> Result<Wish, String> {
    let mut fields = pairs(request.query.as_bytes());
    if request.method == "POST" {
        let body = request.json().filter(|body| body["resourceType"] == "Parameters");
        let body = body.ok_or("the body is not a Parameters resource")?;
        for parameter in body["parameter"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            let value = ["valueString", "valueInstant", "valueCode", "valueUri"];
            let value = value.iter().find_map(|key| parameter[*key].as_str()).unwrap_or_default().to_owned();
            fields.push((name, value));
        }
    }
    let mut wish = Wish { types: Vec::new(), since: None };
    for (name, value) in fields {
        match name.as_str() {
            "_type" => wish.types.extend(value.split(',').filter(|it| !it.is_empty()).map(str::to_owned)),
            "_since" => wish.since = Some(value.parse().map_err(|_| "_since is not an instant".to_owned())?),
            "_outputFormat" if !FORMATS.contains(&value.as_str()) => {
                return Err(format!("_outputFormat {value} is not offered"));
            }
            // Everything else may be ignored.
            _ => {}
        }
    }
    Ok(wish)
}

fn files(
    ehr: &Ehr,
    manner: &ExportManner,
    wish: &Wish,
    level: Level,
    patients: Option<&BTreeSet<String>>,
    grant: &Grant,
) -> Vec<File> {
    let all: Vec<String> = TYPES.iter().map(|kind| (*kind).to_owned()).collect();
    let types = if wish.types.is_empty() { &all } else { &wish.types };
    let exported = |kind: &&String| {
        kind.as_str() != "Subscription" && !manner.without.contains(&kind.as_str()) && grant.allows(kind, 'r')
    };
    let of_whom = |version: &Version, kind: &str, body: &Value| match level {
        Level::System => true,
        _ => whose(kind, version.id(), body).is_some_and(|id| patients.is_none_or(|known| known.contains(&id))),
    };
    let mut files = Vec::new();
    let mut gone = Vec::new();
    for kind in types.iter().filter(exported) {
        let found: Vec<Arc<Version>> = ehr
            .archive
            .filter(kind, |_| true)
            .into_iter()
            .filter(|version| wish.since.is_none_or(|since| version.updated > since))
            .filter(|version| of_whom(version, kind, version.body()))
            .collect();
        for part in found.chunks(manner.per_file.max(1)) {
            files.push(File { section: "output", kind: kind.clone(), content: Content::Resources(part.to_vec()) });
        }
        if let Some(since) = wish.since {
            gone.extend(ehr.archive.deleted_since(kind, since).into_iter().map(|id| (kind.clone(), id)));
        }
    }
    if !gone.is_empty() {
        let lines = gone.chunks(10).map(deletion).collect();
        files.push(File { section: "deleted", kind: "Bundle".to_owned(), content: Content::Lines(lines) });
    }
    let says = |kind: &FaultKind| matches!(kind, FaultKind::ExportOutcome { .. });
    if let Some(FaultKind::ExportOutcome { severity }) = ehr.faults.strike("GET", "/fhir/$export", says) {
        let line = outcome(&severity, "processing", "some resources of Ada Lovelace could not be exported");
        files.push(File { section: "error", kind: "OperationOutcome".to_owned(), content: Content::Lines(vec![line]) });
    }
    files
}

/// The ids of a Group's members.
fn members(group: &Value) -> BTreeSet<String> {
    let members = group["member"].as_array().into_iter().flatten();
    members.filter_map(|it| it["entity"]["reference"].as_str()?.strip_prefix("Patient/").map(str::to_owned)).collect()
}

/// Whose compartment a resource is in.
fn whose(kind: &str, id: &str, resource: &Value) -> Option<String> {
    if kind == "Patient" {
        return Some(id.to_owned());
    }
    let direct = ["subject", "patient", "for"].iter().find_map(|name| resource[*name]["reference"].as_str());
    let actors = || {
        let participants = resource["participant"].as_array().into_iter().flatten();
        participants.filter_map(|it| it["actor"]["reference"].as_str()).find(|it| it.starts_with("Patient/"))
    };
    direct.or_else(actors)?.strip_prefix("Patient/").map(str::to_owned)
}
