//! `beckon alerts`

use clap::Subcommand;

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::AlertId;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What needs a person: beckon alerts list --json
    List {
        /// Also those that are over.
        #[arg(long)]
        all: bool,
        #[arg(long, default_value_t = 100)]
        limit: u64,
        #[arg(long)]
        json: bool,
    },
    /// Say that you look after it: beckon alerts ack 0198c0de-…
    Ack {
        /// The alert's id, as `beckon alerts list` shows it.
        id: String,
    },
}

pub(super) async fn run(at: &At, command: Command) -> Result<(), Failure> {
    let opened = at.open().await?;
    match command {
        Command::List { all, limit, json } => {
            let alerts = opened.store.view(&opened.tenant).alerts(!all, None, limit).await.map_err(Failure::remote)?;
            if json {
                return output::json(&alerts);
            }
            let rows: Vec<Vec<String>> = alerts
                .into_iter()
                .map(|alert| {
                    let state = match (alert.resolved_at, &alert.acknowledged_by) {
                        (Some(_), _) => "over".to_owned(),
                        (None, Some(by)) => format!("seen by {by}"),
                        (None, None) => "open".to_owned(),
                    };
                    vec![
                        alert.id.to_string(),
                        alert.kind.as_str().to_owned(),
                        alert.subject,
                        alert.opened_at.format("%Y-%m-%d %H:%M UTC").to_string(),
                        state,
                        alert.words,
                    ]
                })
                .collect();
            output::table(&["ID", "KIND", "ABOUT", "SINCE", "STATE", "WORDS"], &rows, "Nothing needs a person.");
            Ok(())
        }
        Command::Ack { id } => {
            let parsed: AlertId =
                id.parse().map_err(|_| Failure::Usage(format!("{id:?} is not the id of an alert")))?;
            let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
            let done = tx.acknowledge_alert(parsed, &actor()).await.map_err(Failure::remote)?;
            tx.commit().await.map_err(Failure::remote)?;
            if done {
                println!("Acknowledged.");
                Ok(())
            } else {
                let words = "no alert of this id waits for anybody; `beckon alerts list` shows those that do";
                Err(Failure::Problem(words.to_owned()))
            }
        }
    }
}
