//! `beckon tasks`

use clap::Subcommand;

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::TaskId;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What was handed to people: beckon tasks list --json
    List {
        /// Also those that are done.
        #[arg(long)]
        all: bool,
        #[arg(long, default_value_t = 100)]
        limit: u64,
        #[arg(long)]
        json: bool,
    },
    /// Say that you did it: beckon tasks done 0198c0de-…
    Done {
        /// The task's id, as `beckon tasks list` shows it.
        id: String,
    },
}

pub(super) async fn run(at: &At, command: Command) -> Result<(), Failure> {
    let opened = at.open().await?;
    match command {
        Command::List { all, limit, json } => {
            let tasks =
                opened.store.view(&opened.tenant).staff_tasks(!all, None, limit).await.map_err(Failure::remote)?;
            if json {
                return output::json(&tasks);
            }
            let rows: Vec<Vec<String>> = tasks
                .into_iter()
                .map(|task| {
                    vec![
                        task.id.to_string(),
                        format!("{}/{}", task.ehr, task.patient),
                        task.rule.to_string(),
                        task.opened_at.format("%Y-%m-%d %H:%M UTC").to_string(),
                        task.done.map_or_else(|| "open".to_owned(), |(by, _)| format!("done by {by}")),
                        task.reason.words().to_owned(),
                    ]
                })
                .collect();
            output::table(&["ID", "PATIENT", "RULE", "SINCE", "STATE", "WHY"], &rows, "No task waits for anybody.");
            Ok(())
        }
        Command::Done { id } => {
            let parsed: TaskId = id.parse().map_err(|_| Failure::Usage(format!("{id:?} is not the id of a task")))?;
            let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
            let done = tx.finish_staff_task(parsed, &actor()).await.map_err(Failure::remote)?;
            tx.commit().await.map_err(Failure::remote)?;
            if done {
                println!("Done.");
                Ok(())
            } else {
                let words = "no task of this id is open; `beckon tasks list` shows those that are";
                Err(Failure::Problem(words.to_owned()))
            }
        }
    }
}
