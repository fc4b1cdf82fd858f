//! Read, vread, search and the pages of a search.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{Duration, SecondsFormat};
use serde_json::{Value, json};

use super::archive::{Found, Version};
use super::outcome::{outcome, refuse};
use super::personality::{Dialect, Searchable};
use super::refusals;
use super::search::{self, Kept, Match, references_of};
use super::server::Ehr;
use super::smart::Grant;
use crate::sandbox::faults::FaultKind;
use crate::sandbox::http::{Reply, Request, http_date, pairs};

pub fn versioned(status: u16, version: &Version) -> Reply {
    Reply::fhir(status, version.body()).with("etag", version.etag()).with("last-modified", http_date(version.updated))
}

pub fn missing(ehr: &Ehr, kind: &str, id: &str) -> Option<Reply> {
    match ehr.archive.read(kind, id) {
        Found::Here(_) => None,
        Found::Gone => Some(refuse(410, "deleted", &format!("{kind}/{id} was deleted"))),
        Found::Never => Some(refuse(404, "not-found", &format!("{kind}/{id} is not known"))),
    }
}

pub fn read(ehr: &Ehr, request: &Request, kind: &str, id: &str, grant: &Grant) -> Reply {
    if let Err(reply) = Ehr::require(grant, kind, 'r') {
        return reply;
    }
    let is_move = |fault: &FaultKind| matches!(fault, FaultKind::MovedTo { .. });
    if let Some(FaultKind::MovedTo { id }) = ehr.faults.strike(&request.method, &request.path, is_move) {
        return Reply::empty(301).with("location", format!("{}/{kind}/{id}", ehr.base));
    }
    if let Some(reply) = missing(ehr, kind, id) {
        return reply;
    }
    let Found::Here(version) = ehr.archive.read(kind, id) else { return refuse(404, "not-found", "not known") };
    if request.header("if-none-match").is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == version.etag())) {
        return Reply::empty(304).with("etag", version.etag());
    }
    versioned(200, &version)
}

pub fn vread(ehr: &Ehr, kind: &str, id: &str, number: &str, grant: &Grant) -> Reply {
    if let Err(reply) = Ehr::require(grant, kind, 'r') {
        return reply;
    }
    match number.parse().ok().and_then(|number| ehr.archive.version(kind, id, number)) {
        Some(version) if version.resource.is_some() => versioned(200, &version),
        Some(_) => refuse(410, "deleted", "this version is a deletion"),
        None => refuse(404, "not-found", &format!("{kind}/{id} has no such version")),
    }
}

pub fn search(ehr: &Ehr, request: &Request, kind: &str, grant: &Grant) -> Reply {
    if let Err(reply) = Ehr::require(grant, kind, 's') {
        return reply;
    }
    let Some(offer) = ehr.personality.offers(kind).filter(|it| !matches!(it.search, Searchable::Never)) else {
        return refuse(405, "not-supported", &format!("a search of {kind} is not offered"));
    };
    let mut fields = pairs(request.query.as_bytes());
    if request.method == "POST" {
        if !request.is_form() {
            return refuse(415, "invalid", "_search takes a form");
        }
        if ehr.personality.dialect == Dialect::Epic {
            // Since 2026 the query of a POST is not read.
            fields.clear();
        }
        fields.extend(request.form());
    }
    let (fields, practice) = match refusals::practice(ehr, fields) {
        Ok(fields) => fields,
        Err(reply) => return reply,
    };
    let deaf =
        ehr.faults.strike(&request.method, &request.path, |kind| matches!(kind, FaultKind::IgnoreParameter { .. }));
    let known = |name: &str| {
        !matches!(&deaf, Some(FaultKind::IgnoreParameter { name: ignored }) if ignored == name)
            && (offer.last_updated || name != "_lastUpdated")
            && offer.params.is_none_or(|known| known.contains(&name) || name == "_lastUpdated")
    };
    let mut query = match search::parse(kind, fields, known) {
        Ok(query) => query,
        Err(text) => return refuse(400, "invalid", &text),
    };
    if !query.ignored.is_empty() && request.header("prefer").is_some_and(|prefer| prefer.contains("handling=strict")) {
        return refuse(400, "not-supported", &format!("unknown search parameters: {}", query.ignored.join(", ")));
    }
    query.understood.extend(practice);
    if let Some(reply) = refusals::of_question(ehr, request, offer, &query) {
        return reply;
    }
    let versions = ehr.archive.filter(kind, |resource| query.matches(resource, &ehr.base));
    let mut matches: Vec<Match> = versions.into_iter().map(|version| Match { version }).collect();
    if let Some(reply) = refusals::of_answer(ehr, kind, matches.len()) {
        return reply;
    }
    query.order(&mut matches);
    let mut self_query = url::form_urlencoded::Serializer::new(String::new());
    self_query.extend_pairs(&query.understood);
    let self_link = format!("{}/{kind}?{}", ehr.base, self_query.finish());
    if query.summary || query.count == Some(0) {
        return Reply::fhir(
            200,
            &json!({"resourceType": "Bundle", "type": "searchset", "total": matches.len(),
                                        "meta": {"lastUpdated": stamp(ehr)}, "link": [{"relation": "self", "url": self_link}]}),
        );
    }
    let count = query.count.unwrap_or(ehr.personality.page).clamp(1, ehr.personality.page_limit);
    let ids = matches.iter().map(|found| found.version.id().to_owned()).collect();
    let kept = Kept::new(kind.to_owned(), ids, count, query.includes, self_link);
    let token = ehr.entropy.token();
    let mut bundle = page(ehr, request, &kept, &token, 0, grant);
    for remark in refusals::remarks(ehr, &query.ignored, matches.len()) {
        push(&mut bundle, remark);
    }
    ehr.pages.keep(token, kept, ehr.clock.now(), Duration::minutes(ehr.personality.paging_minutes));
    Reply::fhir(200, &bundle)
}

fn stamp(ehr: &Ehr) -> String {
    ehr.clock.now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn push(bundle: &mut Value, entry: Value) {
    match bundle["entry"].as_array_mut() {
        Some(entries) => entries.push(entry),
        None => bundle["entry"] = json!([entry]),
    }
}

/// `GET {base}?_getpages=token-offset`.
pub fn next_page(ehr: &Ehr, request: &Request, grant: &Grant) -> Reply {
    let expired = || refusals::expired(ehr);
    let fields = pairs(request.query.as_bytes());
    let Some((_, continuation)) = fields.iter().find(|(name, _)| name == "_getpages") else {
        return refuse(400, "invalid", "search across types is not offered");
    };
    if ehr.faults.strikes(&request.method, &request.path, &FaultKind::ExpiredPaging) {
        return expired();
    }
    let parts = continuation.rsplit_once('-').and_then(|(token, offset)| Some((token, offset.parse::<usize>().ok()?)));
    let Some((token, offset)) = parts else { return expired() };
    let Some(kept) = ehr.pages.find(token, ehr.clock.now()) else { return expired() };
    if let Err(reply) = Ehr::require(grant, &kept.kind, 's') {
        return reply;
    }
    Reply::fhir(200, &page(ehr, request, &kept, token, offset, grant))
}

/// One page, with each resource as it stands now; what was deleted meanwhile is left out.
fn page(ehr: &Ehr, request: &Request, kept: &Kept, token: &str, offset: usize, grant: &Grant) -> Value {
    let ids = kept.ids.iter().skip(offset).take(kept.count);
    let here = |kind: &str, id: &str| match ehr.archive.read(kind, id) {
        Found::Here(version) => Some(version),
        Found::Gone | Found::Never => None,
    };
    let found: Vec<Arc<Version>> = ids.filter_map(|id| here(&kept.kind, id)).collect();
    let mut entries: Vec<Value> = found.iter().map(|version| entry(ehr, &kept.kind, version, "match")).collect();
    if ehr.faults.strikes(&request.method, &request.path, &FaultKind::DuplicateEntries) {
        entries.extend_from_within(..);
    }
    let mut included = BTreeSet::new();
    for (_, param) in kept.includes.iter().filter(|(source, _)| *source == kept.kind) {
        included.extend(found.iter().flat_map(|version| references_of(version.body(), &kept.kind, param)));
    }
    // What the token may not read is not included.
    for (kind, id) in included.iter().filter(|(kind, _)| grant.allows(kind, 'r')) {
        entries.extend(here(kind, id).map(|version| entry(ehr, kind, &version, "include")));
    }
    let mut links = vec![json!({"relation": "self", "url": kept.self_link})];
    let mut next = offset + kept.count;
    let hollow = ehr.faults.strikes(&request.method, &request.path, &FaultKind::PageWithoutMatch);
    if hollow {
        next = offset;
        let text = "the matches follow on the next page";
        entries =
            vec![json!({"resource": outcome("information", "informational", text), "search": {"mode": "outcome"}})];
    }
    if next < kept.ids.len() {
        let mut url = next_link(ehr, request, token, offset, next);
        if hollow {
            // Another URL than that of a page already read.
            url.push_str("&again=1");
        }
        links.push(json!({"relation": "next", "url": url}));
    }
    let mut bundle = json!({"resourceType": "Bundle", "id": token.get(..16), "meta": {"lastUpdated": stamp(ehr)}, "type": "searchset",
                            "total": kept.ids.len(), "link": links});
    if !entries.is_empty() {
        bundle["entry"] = Value::Array(entries);
    }
    bundle
}

fn next_link(ehr: &Ehr, request: &Request, token: &str, here: usize, next: usize) -> String {
    let wrong = |kind: &FaultKind| matches!(kind, FaultKind::NextLoop | FaultKind::NextOnOtherOrigin { .. });
    match ehr.faults.strike(&request.method, &request.path, wrong) {
        Some(FaultKind::NextOnOtherOrigin { origin }) => format!("{origin}/fhir?_getpages={token}-{next}"),
        Some(FaultKind::NextLoop) => format!("{}?_getpages={token}-{here}", ehr.base),
        _ => format!("{}?_getpages={token}-{next}", ehr.base),
    }
}

fn entry(ehr: &Ehr, kind: &str, version: &Version, mode: &str) -> Value {
    json!({"fullUrl": format!("{}/{kind}/{}", ehr.base, version.id()), "resource": version.body(), "search": {"mode": mode}})
}
