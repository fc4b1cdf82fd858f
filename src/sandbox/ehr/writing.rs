//! Create, conditional create, update with If-Match, delete (R4 http.html).

use serde_json::Value;

use super::archive::{Conditional, Version};
use super::outcome::refuse;
use super::reading::{missing, versioned};
use super::refusals;
use super::search;
use super::server::Ehr;
use super::smart::Grant;
use super::subscriptions;
use crate::sandbox::http::{Reply, Request, pairs};

/// The resource in the body, of the type that the path names.
fn body(request: &Request, kind: &str) -> Result<Value, Reply> {
    let content = request.header("content-type").unwrap_or_default();
    if !content.starts_with("application/fhir+json") && !content.starts_with("application/json") {
        return Err(refuse(415, "not-supported", "send application/fhir+json"));
    }
    let resource = request.json().ok_or_else(|| refuse(400, "structure", "the body is not JSON"))?;
    if resource["resourceType"] != kind {
        return Err(refuse(400, "invalid", &format!("the body is not a {kind}")));
    }
    Ok(resource)
}

fn created(ehr: &Ehr, kind: &str, version: &Version) -> Reply {
    let reply = if ehr.personality.empty_created {
        Reply::empty(201).with("etag", version.etag())
    } else {
        versioned(201, version)
    };
    reply.with("location", format!("{}/{kind}/{}/_history/{}", ehr.base, version.id(), version.number))
}

pub fn create(ehr: &Ehr, request: &Request, kind: &str, grant: &Grant) -> Reply {
    if !ehr.personality.offers(kind).is_some_and(|offer| offer.create) {
        return refuse(405, "not-supported", &format!("a {kind} cannot be created"));
    }
    if let Err(reply) = Ehr::require(grant, kind, 'c') {
        return reply;
    }
    let resource = match body(request, kind) {
        Ok(resource) => resource,
        Err(reply) => return reply,
    };
    if let Some(reply) = refusals::of_create(ehr, kind, &resource) {
        return reply;
    }
    if kind == "Subscription" {
        if let Some(reply) = subscriptions::refused(ehr, request, &resource) {
            return reply;
        }
        let version = ehr.archive.create(kind, resource);
        ehr.hooks.begin(version.id(), request.header("x-hub-secret"), ehr.archive.change_count());
        return created(ehr, kind, &version);
    }
    let Some(condition) = request.header("if-none-exist").filter(|_| ehr.personality.conditional_create) else {
        return created(ehr, kind, &ehr.archive.create(kind, resource));
    };
    let query = match search::parse(kind, pairs(condition.trim_start_matches('?').as_bytes()), |_| true) {
        Ok(query) if query.ignored.is_empty() && !query.criteria.is_empty() => query,
        // Creating without the condition could make a second copy.
        Ok(_) => return refuse(400, "invalid", "If-None-Exist has a parameter that is not known here"),
        Err(text) => return refuse(400, "invalid", &text),
    };
    match ehr.archive.create_if_none(kind, resource, |found| query.matches(found, &ehr.base)) {
        Conditional::Created(version) => created(ehr, kind, &version),
        Conditional::Existed(version) => versioned(200, &version)
            .with("location", format!("{}/{kind}/{}/_history/{}", ehr.base, version.id(), version.number)),
        Conditional::Several(count) => {
            refuse(412, "multiple-matches", &format!("{count} resources match If-None-Exist"))
        }
    }
}

pub fn update(ehr: &Ehr, request: &Request, kind: &str, id: &str, grant: &Grant) -> Reply {
    if !ehr.personality.offers(kind).is_some_and(|offer| offer.update) {
        return refuse(405, "not-supported", "update is not offered");
    }
    if let Err(reply) = Ehr::require(grant, kind, 'u') {
        return reply;
    }
    let resource = match body(request, kind) {
        Ok(resource) => resource,
        Err(reply) => return reply,
    };
    if resource["id"] != id {
        return refuse(400, "invalid", "the id of the body is not the id of the path");
    }
    if kind == "Subscription"
        && let Some(reply) = subscriptions::refused(ehr, request, &resource)
    {
        return reply;
    }
    let expected = match request
        .header("if-match")
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"').parse::<u32>())
    {
        None => None,
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => return refuse(400, "invalid", "If-Match is not a version"),
    };
    match ehr.archive.put(kind, id, resource, expected) {
        Ok((version, true)) => created(ehr, kind, &version),
        Ok((version, false)) => versioned(200, &version),
        Err(_) => refuse(ehr.personality.stale_status, "conflict", "the stored version is another one"),
    }
}

pub fn delete(ehr: &Ehr, kind: &str, id: &str, grant: &Grant) -> Reply {
    if let Err(reply) = Ehr::require(grant, kind, 'd') {
        return reply;
    }
    if let Some(reply) = missing(ehr, kind, id) {
        return reply;
    }
    ehr.archive.delete(kind, id);
    Reply::empty(204)
}
