//! Checks of what is not an EHR: the mail relay and the SMS provider.

use super::AppError;
use crate::config::Settings;
use crate::ehr::doctor::{Health, Line, Report};
use crate::outbox::Providers;

/// Connects to each provider without sending anything. The database was opened before, or the command would not run.
pub async fn local(settings: &Settings) -> Report {
    let mut lines = vec![line("database", Health::Good, "open and up to date", &[])];
    match Providers::from_settings(settings).map_err(AppError::from) {
        Err(error) => lines.push(line("providers", Health::Bad, &error.to_string(), &[])),
        Ok(providers) => {
            lines.push(match &providers.email {
                None => line("email", Health::Doubtful, "not set up", &["add a section [smtp] to send mail"]),
                Some(email) => match email.check().await {
                    Ok(protection) => line("email", Health::Good, &format!("the relay answers ({protection})"), &[]),
                    Err(error) => line(
                        "email",
                        Health::Bad,
                        &error.to_string(),
                        &["check smtp.host, smtp.port, smtp.security and the relay's certificate"],
                    ),
                },
            });
            lines.push(match &providers.sms {
                None => line("sms", Health::Doubtful, "not set up", &["add a section [sms] to send texts"]),
                Some(_) => {
                    line("sms", Health::Good, "set up; a text to a safe address proves it (send-mode test)", &[])
                }
            });
        }
    }
    Report { lines }
}

fn line(what: &str, health: Health, found: &str, advice: &[&str]) -> Line {
    Line {
        what: what.to_owned(),
        health,
        found: found.to_owned(),
        advice: advice.iter().map(|text| (*text).to_owned()).collect(),
    }
}
