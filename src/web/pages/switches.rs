//! What a clinician sets for a patient: a rule on, off or paused, and an opt-out on the patient's behalf.

use chrono::NaiveDate;

use super::names::patient_address;
use super::patient::{addresses, known};
use crate::domain::{Channel, EnrolmentState, OptOut, OptOutId, OptOutScope, Phi, RuleId};
use crate::web::answer::{Answer, redirect_done};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::words::date_begins;

/// Where an opt-out can come from, as staff may say it.
const SOURCES: [&str; 5] = ["in person", "phone call", "letter", "email", "portal message"];

/// Characters of a person's words that are kept at most.
const MAX_WORDS: usize = 1000;

/// `POST /patients/{ehr}/{patient}/rules/{rule}`
pub async fn switch_rule(call: Call) -> Answer {
    let (ehr, patient, _) = known(&call).await?;
    let rule = RuleId::new(call.path("rule"));
    if !call.state.view().live_rules().await?.iter().any(|live| live.id == rule) {
        return Err(WebError::NotFound);
    }
    let state = match call.field("state") {
        "on" => EnrolmentState::On,
        "off" => EnrolmentState::Off,
        "pause" => EnrolmentState::PausedUntil(pause_end(&call)?),
        _ => {
            return Err(bad(
                "It is not said whether the rule is to be on, off or paused.",
                "Choose one and try again.",
            ));
        }
    };
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.set_enrolment(&ehr, &patient, &rule, state, &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect_done(&call, &patient_address(&ehr, &patient), "rule"))
}

fn pause_end(call: &Call) -> Result<chrono::DateTime<chrono::Utc>, WebError> {
    let date: NaiveDate = call
        .field("until")
        .parse()
        .map_err(|_| bad("A pause needs the day on which it ends.", "Go back and choose a day."))?;
    let until = date_begins(date, call.state.zone());
    if until <= call.state.now() {
        return Err(bad("The pause would end in the past.", "Go back and choose a later day."));
    }
    Ok(until)
}

/// `POST /patients/{ehr}/{patient}/opt-outs`
pub async fn opt_out(call: Call) -> Answer {
    let (ehr, id, patient) = known(&call).await?;
    let scope = read_scope(call.field("scope"))
        .ok_or_else(|| bad("It is not said what the opt-out covers.", "Go back and choose what it covers."))?;
    let source = SOURCES
        .into_iter()
        .find(|source| *source == call.field("source"))
        .ok_or_else(|| bad("It is not said how the person told us.", "Go back and choose how."))?;
    let words = call.field("words");
    if words.chars().count() > MAX_WORDS {
        return Err(bad("The person's words are longer than 1000 characters.", "Go back and shorten them."));
    }
    // The form names an address by its place in the list: the address itself need not travel again.
    let address = match call.field("address") {
        "" => None,
        place => Some(
            place
                .parse::<usize>()
                .ok()
                .and_then(|place| addresses(&call, &patient).into_iter().nth(place))
                .ok_or_else(|| bad("The address is no longer on the record.", "Go back, reload, and choose again."))?,
        ),
    };
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    let recorded = OptOut {
        id: OptOutId(call.state.store.new_id()),
        scope,
        address,
        patient: Some(id.clone()),
        source: source.to_owned(),
        words: (!words.is_empty()).then(|| Phi::new(words.to_owned())),
        at: tx.now(),
        revoked_at: None,
    };
    tx.add_opt_out(Some(&ehr), &recorded, &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect_done(&call, &patient_address(&ehr, &id), "opt-out"))
}

fn read_scope(text: &str) -> Option<OptOutScope> {
    match text.split_once(':') {
        None if text == "all" => Some(OptOutScope::All),
        Some(("channel", channel)) => Channel::parse(channel).map(OptOutScope::Channel),
        Some(("rule", rule)) if !rule.is_empty() => Some(OptOutScope::Rule(RuleId::new(rule))),
        _ => None,
    }
}

fn bad(what: &str, to_do: &'static str) -> WebError {
    WebError::BadInput(what.to_owned(), to_do)
}
