//! `beckon ehr keys`

use chrono::TimeDelta;
use clap::Subcommand;
use serde_json::json;

use super::open::{Opened, actor};
use super::{Failure, ehr, output};
use crate::domain::EhrId;
use crate::ehr::connect;
use crate::ehr::connection::EhrSettings;
use crate::ehr::keys::SigningAlg;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The keys, since when they sign, and until when they are published.
    List {
        id: String,
        #[arg(long)]
        json: bool,
    },
    /// Publish a new key at once, sign with it when the EHR has had time to learn it:
    /// beckon ehr keys rotate north                a key was stolen: beckon ehr keys rotate north --emergency
    Rotate {
        id: String,
        /// One algorithm only; without it both keys are renewed.
        #[arg(long, value_parser = ["RS384", "ES384"])]
        alg: Option<String>,
        /// Withdraw the old key now and sign with the new one now. Tokens are refused until the EHR fetches it.
        #[arg(long)]
        emergency: bool,
    },
    /// How keys are renewed by themselves, and how they are named to the EHR:
    /// beckon ehr keys settings north --rotate-every-days 60 --sync-hours 24
    Settings {
        id: String,
        /// Days after which a key is renewed; 0 never.
        #[arg(long)]
        rotate_every_days: Option<u16>,
        /// Hours that the EHR takes to see a new key.
        #[arg(long, value_parser = clap::value_parser!(u16).range(0..=720))]
        sync_hours: Option<u16>,
        /// Name the address of the keys in each assertion (jku), as some EHRs want it.
        #[arg(long, value_parser = ["yes", "no"])]
        jku: Option<String>,
        /// Sign with this algorithm, whatever the EHR says of itself; `any` lets it choose.
        #[arg(long, value_parser = ["RS384", "ES384", "any"])]
        alg: Option<String>,
    },
}

pub(super) async fn run(opened: &Opened, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { id, json: as_json } => list(opened, &id, as_json).await,
        Command::Rotate { id, alg, emergency } => {
            let connection = ehr::load(opened, &id).await?;
            let algs: Vec<SigningAlg> = match alg.as_deref().and_then(SigningAlg::parse) {
                Some(alg) => vec![alg],
                None => SigningAlg::ALL.to_vec(),
            };
            let (store, tenant, id) = (&opened.store, &opened.tenant, &connection.id);
            let hours = connection.settings.key_sync_hours;
            for alg in algs {
                if emergency {
                    connect::replace_compromised(store, tenant, id, alg, actor()).await.map_err(Failure::remote)?;
                } else {
                    let delay = TimeDelta::hours(hours.into());
                    connect::rotate(store, tenant, id, alg, delay, actor()).await.map_err(Failure::remote)?;
                }
            }
            if emergency {
                println!(
                    "The old keys are withdrawn and destroyed. The new ones are published and sign at once; the EHR"
                );
                println!(
                    "refuses them until it fetches the published keys anew: it may keep them 15 minutes, or longer."
                );
            } else {
                println!(
                    "The new keys are published. They sign in {hours} hours, when the EHR has had time to learn them,"
                );
                println!("and not before it has fetched them. The old ones sign until then.");
            }
            Ok(())
        }
        Command::Settings { id, rotate_every_days, sync_hours, jku, alg } => {
            let connection = ehr::load(opened, &id).await?;
            if rotate_every_days.is_none() && sync_hours.is_none() && jku.is_none() && alg.is_none() {
                return Err(Failure::Usage("nothing to change was named; see --help".to_owned()));
            }
            let address = format!("{}/ehr/{id}/jwks.json", opened.settings.server.public_url);
            let detail =
                json!({"rotate_every_days": rotate_every_days, "sync_hours": sync_hours, "jku": jku, "alg": alg});
            let change = |settings: &mut EhrSettings| {
                settings.rotate_keys_days = rotate_every_days.or(settings.rotate_keys_days);
                settings.key_sync_hours = sync_hours.unwrap_or(settings.key_sync_hours);
                match jku.as_deref() {
                    Some("yes") => settings.jku = Some(address),
                    Some(_) => settings.jku = None,
                    None => {}
                }
                if let Some(alg) = alg.as_deref() {
                    settings.signing_alg = SigningAlg::parse(alg);
                }
            };
            connect::change_settings(&opened.store, &opened.tenant, &connection.id, change, detail, actor())
                .await
                .map_err(Failure::remote)?;
            println!("Changed. A gateway that runs goes by it within seconds.");
            Ok(())
        }
    }
}

async fn list(opened: &Opened, id: &str, as_json: bool) -> Result<(), Failure> {
    ehr::load(opened, id).await?;
    let ehr = EhrId::new(id);
    let ring = connect::keys(&opened.store, &opened.tenant, &ehr).await.map_err(Failure::remote)?;
    let now = opened.store.clock().now();
    if as_json {
        return output::json(&ring.jwks(now));
    }
    let rows: Vec<Vec<String>> = ring
        .keys()
        .iter()
        .map(|it| {
            let signs = ring.signer(it.key.alg(), now).is_ok_and(|signer| signer.kid() == it.key.kid());
            let state = match (it.published_until, signs) {
                (Some(end), _) if end <= now => "to be destroyed".to_owned(),
                (_, true) => "signs".to_owned(),
                (_, false) if it.signs_from > now => {
                    format!("signs from {}", it.signs_from.format("%Y-%m-%d %H:%M UTC"))
                }
                _ => "signed until the next key did".to_owned(),
            };
            let until =
                it.published_until.map_or("renewed".to_owned(), |end| end.format("%Y-%m-%d %H:%M UTC").to_string());
            let made = it.created_at.format("%Y-%m-%d").to_string();
            vec![it.key.kid().to_owned(), it.key.alg().to_string(), made, state, until]
        })
        .collect();
    output::table(&["KEY ID", "ALGORITHM", "MADE", "STATE", "PUBLISHED UNTIL"], &rows, "No key is published.");
    Ok(())
}
