//! `beckon optout`

use clap::Subcommand;
use serde_json::json;

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::{Address, Channel, EmailAddress, OptOut, OptOutId, OptOutScope, Phi, PhoneNumber, RuleId};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Record one: beckon optout add --patient MRN-1042 --source "front desk" --words "please no texts" --channel sms
    Add {
        /// MRN, FHIR id, or EHR/ID.
        #[arg(long, required_unless_present = "address")]
        patient: Option<String>,
        /// A phone number or email address, whoever uses it.
        #[arg(long)]
        address: Option<String>,
        /// Only this channel; without it, all.
        #[arg(long, value_parser = ["email", "sms", "voice", "pickup", "in_person"])]
        channel: Option<String>,
        /// Only this rule.
        #[arg(long, conflicts_with = "channel")]
        rule: Option<String>,
        /// How it reached us, such as "front desk" or "phone call".
        #[arg(long)]
        source: String,
        /// The person's own words.
        #[arg(long)]
        words: Option<String>,
    },
    /// List them, newest first.
    List {
        #[arg(long, default_value_t = 100)]
        limit: u64,
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(at: &At, command: Command) -> Result<(), Failure> {
    let opened = at.open().await?;
    match command {
        Command::Add { patient, address, channel, rule, source, words } => {
            let region = &opened.settings.organisation.region;
            let address = address.map(|text| parse_address(&text, region)).transpose()?;
            let found = match &patient {
                Some(text) => Some(opened.patient(text).await?),
                None => None,
            };
            let scope = match (channel.as_deref().and_then(Channel::parse), rule) {
                (Some(channel), _) => OptOutScope::Channel(channel),
                (None, Some(rule)) => OptOutScope::Rule(RuleId::new(rule)),
                (None, None) => OptOutScope::All,
            };
            let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
            let opt_out = OptOut {
                id: OptOutId(opened.store.new_id()),
                scope,
                address,
                patient: found.as_ref().map(|(_, patient)| patient.clone()),
                source,
                words: words.map(Phi::new),
                at: tx.now(),
                revoked_at: None,
            };
            let ehr = found.as_ref().map(|(ehr, _)| ehr);
            tx.add_opt_out(ehr, &opt_out, &actor()).await.map_err(Failure::remote)?;
            tx.commit().await.map_err(Failure::remote)?;
            println!("Recorded {}. It holds from now on.", opt_out.id);
        }
        Command::List { limit, json: as_json } => {
            let all = opened.store.view(&opened.tenant).opt_outs(limit).await.map_err(Failure::remote)?;
            if as_json {
                return output::json(&all.iter().map(|it| json!(it)).collect::<Vec<_>>());
            }
            let rows: Vec<Vec<String>> = all
                .iter()
                .map(|it| {
                    vec![
                        it.at.to_rfc3339(),
                        scope_words(&it.scope),
                        it.patient.as_ref().map_or_else(String::new, ToString::to_string),
                        it.address.as_ref().map_or("", Address::expose).to_owned(),
                        it.source.clone(),
                        it.revoked_at.map_or_else(|| "in force".to_owned(), |at| format!("taken back {at}")),
                    ]
                })
                .collect();
            output::table(&["SINCE", "SCOPE", "PATIENT", "ADDRESS", "SOURCE", "STATE"], &rows, "Nobody has opted out.");
        }
    }
    Ok(())
}

fn parse_address(text: &str, region: &str) -> Result<Address, Failure> {
    if text.contains('@') {
        return EmailAddress::parse(text).map(Address::Email).map_err(|error| Failure::Usage(error.to_string()));
    }
    PhoneNumber::parse(text, region).map(Address::Phone).map_err(|error| Failure::Usage(error.to_string()))
}

fn scope_words(scope: &OptOutScope) -> String {
    match scope {
        OptOutScope::All => "all".to_owned(),
        OptOutScope::Channel(channel) => channel.to_string(),
        OptOutScope::Rule(rule) => format!("rule {rule}"),
    }
}
