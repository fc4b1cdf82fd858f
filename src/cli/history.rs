//! `beckon history`

use clap::Subcommand;
use serde_json::json;

use super::enrol::instant;
use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::EventKind;
use crate::store::EventFilter;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Search: beckon history search --patient MRN-1042 --from 2026-03-01 --to 2026-04-01 --json
    Search {
        /// MRN, FHIR id, or EHR/ID.
        #[arg(long)]
        patient: Option<String>,
        /// From this day, which begins where the organisation is, or instant on.
        #[arg(long)]
        from: Option<String>,
        /// Up to, not including, this day or instant.
        #[arg(long)]
        to: Option<String>,
        /// Only this kind, such as attempt.settled; may be given several times.
        #[arg(long)]
        kind: Vec<String>,
        #[arg(long, default_value_t = 200)]
        limit: u64,
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(at: &At, command: Command) -> Result<(), Failure> {
    let Command::Search { patient, from, to, kind, limit, json: as_json } = command;
    let opened = at.open().await?;
    let mut kinds = Vec::with_capacity(kind.len());
    for code in &kind {
        let known = || EventKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        let parsed = EventKind::parse(code);
        kinds.push(
            parsed.ok_or_else(|| Failure::Usage(format!("{code:?} is no kind of event; there are: {}", known())))?,
        );
    }
    let found = match &patient {
        Some(text) => Some(opened.patient(text).await?),
        None => None,
    };
    let filter = EventFilter {
        ehr: found.as_ref().map(|(ehr, _)| ehr.clone()),
        patient: found.as_ref().map(|(_, patient)| patient.clone()),
        kinds,
        from: from.as_deref().map(|text| instant(text, opened.zone())).transpose()?,
        until: to.as_deref().map(|text| instant(text, opened.zone())).transpose()?,
        before: None,
        limit,
    };
    // Who searched for what is part of the history too.
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    let mut event = tx.event(actor(), EventKind::HistorySearched).with_detail(json!({
        "from": filter.from, "until": filter.until, "kinds": kind, "limit": limit,
    }));
    if let Some((ehr, patient)) = &found {
        event = event.about_patient(ehr, patient);
    }
    let events = tx.view().events(&filter).await.map_err(Failure::remote)?;
    tx.append(event).await.map_err(Failure::remote)?;
    tx.commit().await.map_err(Failure::remote)?;
    if as_json {
        return output::json(&events);
    }
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|it| {
            vec![
                it.at.to_rfc3339(),
                it.kind.as_str().to_owned(),
                it.outcome.as_str().to_owned(),
                it.actor.as_text(),
                it.patient.as_ref().map_or_else(String::new, ToString::to_string),
                it.rule.as_ref().map_or_else(String::new, ToString::to_string),
            ]
        })
        .collect();
    output::table(&["AT (UTC)", "EVENT", "OUTCOME", "ACTOR", "PATIENT", "RULE"], &rows, "Nothing matches.");
    Ok(())
}
