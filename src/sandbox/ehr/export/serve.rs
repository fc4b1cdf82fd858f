//! Status, manifest and files.

use serde_json::{Value, json};

use super::jobs::{File, Job};
use super::manner::Storage;
use crate::sandbox::ehr::outcome::refuse;
use crate::sandbox::ehr::server::Ehr;
use crate::sandbox::faults::FaultKind;
use crate::sandbox::http::{Reply, Request, http_date, pairs};

fn unknown() -> Reply {
    refuse(404, "not-found", "there is no such export")
}

/// `GET` and `DELETE` of the address that the kick-off answered.
pub fn status(ehr: &Ehr, request: &Request, id: &str) -> Reply {
    if request.method == "DELETE" {
        return if ehr.exports.end(id) { Reply::empty(202) } else { unknown() };
    }
    let strikes = |kind: &FaultKind| ehr.faults.strikes(&request.method, &request.path, kind);
    let Some(job) = ehr.exports.find(id, ehr.clock.now()) else { return unknown() };
    ehr.exports.asked(id);
    if strikes(&FaultKind::ExportForgotten) {
        ehr.exports.end(id);
        return unknown();
    }
    // One that asks for patience is never done at the first question.
    let patience = ehr.personality.export.as_ref().and_then(|manner| manner.retry_after);
    if strikes(&FaultKind::ExportUnderWay) || (patience.is_some() && job.asked == 0) {
        let reply = Reply::empty(202).with("x-progress", format!("{}% done", (job.asked * 10).min(99)));
        return match patience {
            Some(seconds) => reply.with("retry-after", seconds.to_string()),
            None => reply,
        };
    }
    let wrong = strikes(&FaultKind::ExportCountWrong);
    let part =
        pairs(request.query.as_bytes()).iter().find(|(name, _)| name == "part").and_then(|(_, it)| it.parse().ok());
    Reply::json(200, &manifest(ehr, id, &job, part.unwrap_or(0), wrong)).with("expires", http_date(job.expires))
}

fn manifest(ehr: &Ehr, id: &str, job: &Job, part: usize, wrong_count: bool) -> Value {
    let Some(manner) = &ehr.personality.export else { return Value::Null };
    let size = manner.part.unwrap_or(usize::MAX).max(1);
    let from = part.saturating_mul(size).min(job.files.len());
    let to = from.saturating_add(size).min(job.files.len());
    let mut sections: [(&str, Vec<Value>); 3] = [("output", vec![]), ("deleted", vec![]), ("error", vec![])];
    for (at, file) in job.files.iter().enumerate().take(to).skip(from) {
        let count = file.count() + usize::from(wrong_count && at == 0);
        let item = json!({"type": file.kind, "url": address(ehr, id, at), "count": count});
        if let Some((_, items)) = sections.iter_mut().find(|(name, _)| *name == file.section) {
            items.push(item);
        }
    }
    let mut manifest = json!({"transactionTime": job.at.to_rfc3339(), "requiresAccessToken": manner.requires_token});
    for (name, items) in sections {
        let name = if manner.draft && name == "error" { "outcome" } else { name };
        manifest[name] = Value::Array(items);
    }
    if manner.draft {
        manifest["manifestType"] = json!("bulk-export");
        manifest["extension"] = json!([]);
    } else {
        manifest["request"] = json!(job.request);
    }
    if to < job.files.len() {
        manifest["link"] = json!([{"relation": "next", "url": format!("{}/_export/{id}?part={}", ehr.base, part + 1)}]);
    }
    manifest
}

fn address(ehr: &Ehr, id: &str, number: usize) -> String {
    match ehr.personality.export.as_ref().map(|manner| manner.storage) {
        Some(Storage::Elsewhere) => in_storage(ehr, id, number),
        _ => format!("{}/_export/{id}/{number}.ndjson", ehr.base),
    }
}

fn in_storage(ehr: &Ehr, id: &str, number: usize) -> String {
    format!("{}/_storage/{id}/{number}.ndjson?signature=0123456789abcdef", ehr.storage)
}

fn find(ehr: &Ehr, request: &Request, id: &str, name: &str) -> Result<(Job, usize), Reply> {
    if ehr.faults.strikes(&request.method, &request.path, &FaultKind::ExportFileGone) {
        return Err(refuse(410, "not-found", "the file is not kept any more"));
    }
    let number = name.strip_suffix(".ndjson").and_then(|number| number.parse::<usize>().ok());
    let job = ehr.exports.find(id, ehr.clock.now());
    job.zip(number).filter(|(job, number)| *number < job.files.len()).ok_or_else(unknown)
}

fn content(file: &File) -> Reply {
    Reply::typed(200, "application/fhir+ndjson", file.ndjson())
}

/// A file on the server itself, or the way to the storage.
pub fn file(ehr: &Ehr, request: &Request, id: &str, name: &str) -> Reply {
    match find(ehr, request, id, name) {
        Ok((_, number)) if ehr.personality.export.as_ref().is_some_and(|it| it.storage == Storage::Redirect) => {
            Reply::empty(307).with("location", in_storage(ehr, id, number))
        }
        Ok((job, number)) => content(&job.files[number]),
        Err(reply) => reply,
    }
}

/// A file in the storage: whoever has the signed address may have it, and nobody may show another right.
pub fn from_storage(ehr: &Ehr, request: &Request) -> Reply {
    if request.header("authorization").is_some() {
        let words = "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>";
        return Reply::typed(400, "application/xml", words);
    }
    let path = request.path.trim_start_matches("/_storage/");
    match path.split_once('/').map(|(id, name)| find(ehr, request, id, name)) {
        Some(Ok((job, number))) if request.query.contains("signature=") => content(&job.files[number]),
        Some(Err(reply)) => reply,
        _ => Reply::empty(403),
    }
}
