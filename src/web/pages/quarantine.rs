//! Resources that could not be used: which, where in them, and why.

use askama::Template;

use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::shell::Shell;
use crate::web::words::{address, moment};

const ROWS: u64 = 50;

const PATH: &str = "/quarantine";

struct Row {
    resource: String,
    ehr: String,
    path: String,
    reason: String,
    first: String,
    last: String,
}

#[derive(Template)]
#[template(path = "quarantine.html")]
struct QuarantinePage {
    shell: Shell,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /quarantine`
pub async fn quarantine(call: Call) -> Answer {
    let before = call.query("before").parse().ok();
    let mut found = call.state.view().list_quarantine(before, ROWS + 1).await?;
    let more = found.len() as u64 > ROWS;
    found.truncate(ROWS as usize);
    let zone = call.state.zone();
    page(&QuarantinePage {
        shell: Shell::of(&call, "Quarantine", PATH).await?,
        next: found.last().filter(|_| more).map(|last| address(PATH, &[("before", &last.id.to_string())])),
        first: before.map(|_| PATH.to_owned()),
        rows: found
            .into_iter()
            .map(|it| Row {
                resource: format!("{}/{}", it.resource_type, it.resource_id),
                ehr: it.ehr.to_string(),
                path: it.path,
                reason: it.reason,
                first: moment(it.first_seen_at, zone),
                last: moment(it.last_seen_at, zone),
            })
            .collect(),
    })
}
