//! Search for a patient. The form is sent by POST, so that no name stands in an address.

use std::collections::BTreeSet;

use askama::Template;

use super::find::{Found, MOST, find};
use super::names::patient_address;
use crate::web::access::viewed;
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::shell::Shell;

struct Row {
    href: String,
    name: String,
    born: String,
    mrn: String,
    reach: String,
}

#[derive(Template)]
#[template(path = "patients.html")]
struct PatientsPage {
    shell: Shell,
    typed: String,
    searched: bool,
    rows: Vec<Row>,
    more: bool,
}

/// `GET /patients`
pub async fn patients(call: Call) -> Answer {
    let shell = Shell::of(&call, "Patients", "/patients").await?;
    page(&PatientsPage { shell, typed: String::new(), searched: false, rows: Vec::new(), more: false })
}

/// `POST /patients`
pub async fn search(call: Call) -> Answer {
    let typed = call.field("who").to_owned();
    let mut found = find(&call, &typed).await?;
    let more = found.len() > MOST;
    found.truncate(MOST);
    let seen: BTreeSet<_> = found.iter().map(|it| it.key.clone()).collect();
    viewed(&call, "/patients", seen).await?;
    let now = call.state.now();
    let rows = found.into_iter().map(|it| row(it, now)).collect();
    let shell = Shell::of(&call, "Patients", "/patients").await?;
    page(&PatientsPage { shell, searched: !typed.is_empty(), typed, rows, more })
}

fn row(it: Found, now: chrono::DateTime<chrono::Utc>) -> Row {
    let reach: Vec<String> =
        it.patient.current_telecom(now).into_iter().map(|point| point.value.expose().clone()).collect();
    Row {
        href: patient_address(&it.key.0, &it.key.1),
        name: it.name,
        born: it.born,
        mrn: it.mrn,
        reach: reach.join(", "),
    }
}
