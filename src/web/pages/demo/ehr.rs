//! The Communication resources as the EHR has them.

use askama::Template;
use serde_json::Value;

use super::hospital::ask;
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::shell::Shell;
use crate::web::words::code_words;

/// Resources that are drawn at once.
const RESOURCES: usize = 50;

struct Resource {
    title: String,
    status: String,
    subject: String,
    sent: String,
    text: String,
    json: String,
}

#[derive(Template)]
#[template(path = "demo_ehr.html")]
struct EhrPage {
    shell: Shell,
    resources: Vec<Resource>,
    hidden: usize,
}

/// `GET /demo/ehr`
pub async fn ehr(call: Call) -> Answer {
    let mut found: Vec<Value> = ask(&call, "communications").await?;
    found.sort_by_key(|it| {
        std::cmp::Reverse(it.pointer("/meta/lastUpdated").and_then(Value::as_str).map(str::to_owned))
    });
    let hidden = found.len().saturating_sub(RESOURCES);
    let resources = found.iter().take(RESOURCES).map(resource).collect();
    page(&EhrPage { shell: Shell::of(&call, "EHR", "/demo/ehr").await?, resources, hidden })
}

fn resource(it: &Value) -> Resource {
    let text = |path: &str| it.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    Resource {
        title: format!("Communication/{}, version {}", text("/id"), text("/meta/versionId")),
        status: code_words(&text("/status")),
        subject: text("/subject/reference"),
        sent: text("/sent"),
        text: text("/payload/0/contentString"),
        json: serde_json::to_string_pretty(it).unwrap_or_default(),
    }
}
