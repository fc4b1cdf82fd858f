//! `beckon staff`

use std::io::{BufRead as _, IsTerminal as _};

use clap::Subcommand;
use secrecy::SecretString;
use serde_json::json;

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::Role;
use crate::web::auth;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add an account; the password is read from standard input:
    /// beckon staff add ada --name "Ada Lovelace" --role admin --role clinician
    Add {
        login: String,
        #[arg(long)]
        name: String,
        /// admin, clinician or compliance; may be given several times.
        #[arg(long, required = true, value_parser = ["admin", "clinician", "compliance"])]
        role: Vec<String>,
    },
    List {
        #[arg(long)]
        json: bool,
    },
    /// Disable an account and end its sessions.
    Disable { login: String },
}

pub(super) async fn run(at: &At, command: Command) -> Result<(), Failure> {
    let opened = at.open().await?;
    match command {
        Command::Add { login, name, role } => {
            let roles: Vec<Role> = role.iter().filter_map(|role| Role::parse(role)).collect();
            if std::io::stdin().is_terminal() {
                eprintln!("Password for {login} (at least {} characters, then Enter):", auth::MIN_PASSWORD);
            }
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map_err(|error| Failure::Usage(error.to_string()))?;
            let password = SecretString::from(line.trim_end_matches(['\r', '\n']).to_owned());
            let account = auth::new_account(&login, &name, &roles, password, opened.store.entropy())
                .await
                .map_err(|error| Failure::Usage(error.to_string()))?;
            let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
            tx.add_staff(actor(), account).await.map_err(|error| Failure::Problem(error.to_string()))?;
            tx.commit().await.map_err(Failure::remote)?;
            println!("Added {login}.");
        }
        Command::List { json: as_json } => {
            let staff = opened.store.view(&opened.tenant).staff().await.map_err(Failure::remote)?;
            if as_json {
                return output::json(&staff.iter().map(|it| json!(it)).collect::<Vec<_>>());
            }
            let rows: Vec<Vec<String>> = staff
                .iter()
                .map(|it| {
                    let roles: Vec<&str> = it.roles.iter().map(|role| role.as_str()).collect();
                    let state = if it.disabled_at.is_some() { "disabled" } else { "active" };
                    vec![it.login.clone(), it.display_name.clone(), roles.join(", "), state.to_owned()]
                })
                .collect();
            output::table(
                &["LOGIN", "NAME", "ROLES", "STATE"],
                &rows,
                "There is no account yet: beckon staff add LOGIN --name NAME --role admin",
            );
        }
        Command::Disable { login } => {
            let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
            let done = tx.disable_staff(actor(), &login).await.map_err(Failure::remote)?;
            tx.commit().await.map_err(Failure::remote)?;
            if !done {
                return Err(Failure::Problem(format!("no active account is called {login:?}")));
            }
            println!("Disabled {login}; their sessions ended.");
        }
    }
    Ok(())
}
