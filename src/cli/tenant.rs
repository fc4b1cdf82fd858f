//! `beckon tenant`

use clap::Subcommand;
use serde_json::json;

use super::open::At;
use super::{Failure, output};
use crate::domain::TenantId;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a tenant: beckon tenant add north "North Hospital"
    Add { id: String, name: String },
    List {
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(at: &At, command: Command) -> Result<(), Failure> {
    let opened = at.open().await?;
    match command {
        Command::Add { id, name } => {
            let valid = !id.is_empty() && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if !valid {
                return Err(Failure::Usage("a tenant id is made of a-z, 0-9 and hyphens".to_owned()));
            }
            let made = opened.store.add_tenant(&TenantId::new(id.clone()), &name).await.map_err(Failure::remote)?;
            if !made {
                return Err(Failure::Problem(format!("there is a tenant {id:?} already")));
            }
            println!("Added {id}.");
        }
        Command::List { json: as_json } => {
            let tenants = opened.store.tenants().await.map_err(Failure::remote)?;
            if as_json {
                let rows: Vec<_> = tenants.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect();
                return output::json(&rows);
            }
            let rows: Vec<Vec<String>> = tenants.into_iter().map(|(id, name)| vec![id.to_string(), name]).collect();
            output::table(&["ID", "NAME"], &rows, "There is no tenant yet.");
        }
    }
    Ok(())
}
