//! What was handed to people: reminders that could not go out, of rules that ask a person then.

use askama::Template;

use super::event_words::who_text;
use super::names::{Named, Names};
use super::titles::Titles;
use crate::domain::{Role, TaskId};
use crate::web::answer::{Answer, page, redirect};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{address, moment};

const ROWS: u64 = 50;

const PATH: &str = "/tasks";

struct Row {
    id: String,
    patient: Option<Named>,
    rule: String,
    reason: &'static str,
    since: String,
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    shell: Shell,
    all: bool,
    rows: Vec<Row>,
    can_finish: bool,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /tasks`
pub async fn tasks(call: Call) -> Answer {
    let all = call.query("all") == "yes";
    let before: Option<TaskId> = call.query("before").parse().ok();
    let mut found = call.state.view().staff_tasks(!all, before, ROWS + 1).await?;
    let more = found.len() as u64 > ROWS;
    found.truncate(ROWS as usize);
    let titles = Titles::of(&call).await?;
    let names = Names::of(&call, "tasks", found.iter().map(|it| (it.ehr.clone(), it.patient.clone()))).await?;
    let zone = call.state.zone();
    let page_at = |before: &str| address(PATH, &[("all", if all { "yes" } else { "" }), ("before", before)]);
    page(&TasksPage {
        shell: Shell::of(&call, "Tasks", PATH).await?,
        all,
        next: found.last().filter(|_| more).map(|last| page_at(&last.id.to_string())),
        first: before.map(|_| page_at("")),
        can_finish: call.has(Role::Clinician),
        rows: found
            .into_iter()
            .map(|it| Row {
                id: it.id.to_string(),
                patient: names.show(&call, &it.ehr, &it.patient),
                rule: titles.title(&it.rule),
                reason: it.reason.words(),
                since: moment(it.opened_at, zone),
                done: it.done.map(|(by, at)| format!("Done by {}, {}", who_text(&by), moment(at, zone))),
            })
            .collect(),
    })
}

/// `POST /tasks/{id}/done`
pub async fn done(call: Call) -> Answer {
    let id: TaskId = call.path("id").parse().map_err(|_| WebError::NotFound)?;
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    if !tx.finish_staff_task(id, &call.actor()?).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    Ok(redirect(PATH))
}
