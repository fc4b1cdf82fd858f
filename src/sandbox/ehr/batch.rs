//! A batch Bundle: each entry on its own, each checked against the scopes.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::outcome::refuse;
use super::server::Ehr;
use super::smart::Grant;
use crate::sandbox::http::{Reply, Request};

pub fn run(ehr: &Ehr, request: &Request, grant: &Grant) -> Reply {
    let Some(bundle) = request.json().filter(|body| body["resourceType"] == "Bundle") else {
        return refuse(400, "structure", "the body is not a Bundle");
    };
    if bundle["type"] != "batch" {
        return refuse(400, "not-supported", "only batch Bundles are offered");
    }
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    let answers: Vec<Value> = entries.iter().map(|entry| answer(ehr, entry, grant)).collect();
    Reply::fhir(200, &json!({"resourceType": "Bundle", "type": "batch-response", "entry": answers}))
}

fn answer(ehr: &Ehr, entry: &Value, grant: &Grant) -> Value {
    let asked = &entry["request"];
    let (Some(method), Some(url)) = (asked["method"].as_str(), asked["url"].as_str()) else {
        return told(&refuse(400, "invalid", "entry.request needs method and url"));
    };
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut headers = HeaderMap::new();
    let fields = [("if-none-match", "ifNoneMatch"), ("if-match", "ifMatch"), ("if-none-exist", "ifNoneExist")];
    for (header, field) in fields {
        if let Some(value) = asked[field].as_str().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(HeaderName::from_static(header), value);
        }
    }
    headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static("application/fhir+json"));
    let path = path.trim_matches('/');
    if path.is_empty() {
        return told(&refuse(400, "invalid", "entry.request.url must name a type"));
    }
    let inner = Request {
        method: method.to_owned(),
        path: format!("{}/{path}", super::server::ROOT),
        query: query.to_owned(),
        headers,
        body: entry["resource"].to_string().into(),
    };
    told(&ehr.act(&inner, path, grant))
}

fn told(reply: &Reply) -> Value {
    let header = |wanted: &str| reply.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
    let mut response = json!({"status": reply.status.to_string()});
    for (field, name) in [("etag", "etag"), ("location", "location")] {
        if let Some(value) = header(name) {
            response[field] = Value::String(value);
        }
    }
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    if body.is_null() {
        json!({"response": response})
    } else if reply.status >= 400 {
        response["outcome"] = body;
        json!({"response": response})
    } else {
        json!({"resource": body, "response": response})
    }
}
