//! The ledger of what an EHR was asked: paths without ids, and parameters without values.

use askama::Template;

use crate::domain::EhrId;
use crate::store::{EhrRequest, RequestFilter};
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{Badge, address, moment};

const ROWS: u64 = 100;

/// One request, as a table shows it.
pub struct RequestRow {
    pub at: String,
    pub what: String,
    pub badge: Badge,
    pub status: String,
    pub millis: u32,
    pub token: &'static str,
}

impl RequestRow {
    pub fn of(it: &EhrRequest, zone: chrono_tz::Tz) -> Self {
        let (tone, icon, word) = match (it.status, it.outcome.as_str()) {
            (Some(200..=399), "answered") => ("arrived", "check", "Answered"),
            (Some(429 | 503), _) => ("planned", "pause", "Asked to slow down"),
            (Some(400..=499), _) => ("needs", "cross", "Refused"),
            (Some(_), "answered") => ("needs", "warn", "Failed there"),
            (_, "unreachable") => ("needs", "warn", "No connection"),
            (_, "timed_out") => ("needs", "late", "No answer in time"),
            (_, "too_large") => ("needs", "warn", "Answer too large"),
            _ => ("needs", "warn", "Broke off"),
        };
        Self {
            at: moment(it.at, zone),
            what: format!("{} {}", it.method, it.route),
            badge: Badge { tone, icon, word },
            status: match (it.status, it.is_retry) {
                (Some(status), false) => status.to_string(),
                (Some(status), true) => format!("{status}, repeated"),
                (None, true) => "repeated".to_owned(),
                (None, false) => String::new(),
            },
            millis: it.millis,
            token: match it.token.as_str() {
                "token" => "Token",
                "assertion" => "Signed assertion",
                _ => "None",
            },
        }
    }
}

#[derive(Template)]
#[template(path = "connection_requests.html")]
struct RequestsPage {
    shell: Shell,
    id: String,
    troubled: bool,
    rows: Vec<RequestRow>,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /connections/{ehr}/requests`
pub async fn requests(call: Call) -> Answer {
    let ehr = EhrId::new(call.path("ehr"));
    call.state.view().ehr(&ehr).await?.ok_or(WebError::NotFound)?;
    let troubled = call.query("troubled") == "yes";
    let before = call.query("before").parse().ok();
    let filter = RequestFilter { troubled, before, limit: ROWS + 1 };
    let mut found = call.state.view().ehr_requests(&ehr, &filter).await?;
    let more = found.len() as u64 > ROWS;
    found.truncate(ROWS as usize);
    let path = format!("/connections/{ehr}/requests");
    let at = |before: &str| address(&path, &[("troubled", if troubled { "yes" } else { "" }), ("before", before)]);
    page(&RequestsPage {
        shell: Shell::of(&call, format!("Requests to {ehr}"), "/connections").await?,
        next: found.last().filter(|_| more).map(|last| at(&last.id.to_string())),
        first: before.map(|_| at("")),
        rows: found.iter().map(|it| RequestRow::of(it, call.state.zone())).collect(),
        id: ehr.to_string(),
        troubled,
    })
}
