//! Every text that went in or out, who has opted out, and which status callbacks are due.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::fate::{self, Fate};
use crate::clock::{Clock, Entropy};
use crate::sandbox::faults::{FaultKind, Faults};

/// How to reach the text service.
#[derive(Debug, Clone, Serialize)]
pub struct PhoneAccount {
    pub sid: String,
    pub auth_token: String,
    /// The hospital's own number.
    pub number: String,
    /// A messaging service that sends from the same number.
    pub service_sid: String,
}

/// One text.
#[derive(Debug, Clone, Serialize)]
pub struct Text {
    pub sid: String,
    /// `outbound-api`, `outbound-reply` (the service's own answer to STOP) or `inbound`.
    pub direction: &'static str,
    pub to: String,
    pub from: String,
    pub body: String,
    pub status: &'static str,
    pub error_code: Option<u32>,
    pub created: DateTime<Utc>,
    pub sent: Option<DateTime<Utc>>,
    pub updated: DateTime<Utc>,
    pub num_segments: usize,
    pub status_callback: Option<String>,
    pub validity_period: Option<u32>,
    pub messaging_service_sid: Option<String>,
}

/// A step of a text's way: the state changes and a callback goes out.
#[derive(Debug, Clone)]
pub struct Step {
    pub at: DateTime<Utc>,
    pub sid: String,
    pub status: &'static str,
    pub error_code: Option<u32>,
}

#[derive(Debug, Default)]
pub struct State {
    pub texts: Vec<Text>,
    pub places: HashMap<String, usize>,
    pub steps: Vec<Step>,
    /// (hospital's number, patient's number).
    pub opted_out: HashSet<(String, String)>,
    pub inbound_url: Option<String>,
}

/// The text service and all telephones.
pub struct Phone {
    pub account: PhoneAccount,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub http: reqwest::Client,
    pub faults: Arc<Faults>,
    pub callback_delay: TimeDelta,
    state: Mutex<State>,
}

/// What a sender asks for, already checked.
pub struct Outgoing {
    pub to: String,
    pub body: String,
    pub status_callback: Option<String>,
    pub validity_period: Option<u32>,
    pub messaging_service_sid: Option<String>,
}

fn rank(status: &str) -> u8 {
    match status {
        "queued" => 0,
        "sent" => 1,
        _ => 2,
    }
}

const STOP_WORDS: [&str; 8] = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"];
const START_WORDS: [&str; 3] = ["START", "YES", "UNSTOP"];

impl Phone {
    pub fn new(
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        http: reqwest::Client,
        faults: Arc<Faults>,
        callback_delay: TimeDelta,
        inbound_url: Option<String>,
    ) -> Self {
        let hex = |prefix: &str| format!("{prefix}{}", &entropy.token()[..32]);
        let account = PhoneAccount {
            sid: hex("AC"),
            auth_token: entropy.token()[..32].to_owned(),
            number: "+18005550100".to_owned(),
            service_sid: hex("MG"),
        };
        let state = Mutex::new(State { inbound_url, ..State::default() });
        Self { account, clock, entropy, http, faults, callback_delay, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self, direction: &'static str, from: String, to: String, body: String, status: &'static str) -> Text {
        let now = self.clock.now();
        Text {
            sid: format!("SM{}", &self.entropy.token()[..32]),
            direction,
            num_segments: fate::segments(&body),
            to,
            from,
            body,
            status,
            error_code: None,
            created: now,
            sent: (status != "queued").then_some(now),
            updated: now,
            status_callback: None,
            validity_period: None,
            messaging_service_sid: None,
        }
    }

    /// Takes a text and plans its way.
    pub fn take(&self, outgoing: Outgoing) -> Text {
        let mut text = self.text("outbound-api", self.account.number.clone(), outgoing.to, outgoing.body, "queued");
        text.status_callback = outgoing.status_callback;
        text.validity_period = outgoing.validity_period;
        text.messaging_service_sid = outgoing.messaging_service_sid;
        let (end, error_code) = match fate::of(&text.to) {
            Fate::Undelivered(code) | Fate::Refused(code) => ("undelivered", Some(code)),
            Fate::Delivered => ("delivered", None),
        };
        let step = |turns: i32, status, error_code| Step {
            at: text.created + self.callback_delay * turns,
            sid: text.sid.clone(),
            status,
            error_code,
        };
        let mut steps = vec![step(1, "sent", None), step(2, end, error_code)];
        if self.faults.strikes("POST", "/2010-04-01/", &FaultKind::CallbacksReversed) {
            steps = vec![step(2, end, error_code), step(2, "sent", None)];
        }
        if self.faults.strikes("POST", "/2010-04-01/", &FaultKind::CallbackTwice) {
            steps = steps.iter().flat_map(|step| [step.clone(), step.clone()]).collect();
        }
        let mut state = self.state();
        state.steps.extend(steps);
        state.keep(text.clone());
        text
    }

    /// Keeps what a patient wrote, honours STOP and START, and says how the webhook describes it.
    pub fn take_inbound(&self, from: &str, to: &str, body: &str) -> Text {
        let text = self.text("inbound", from.to_owned(), to.to_owned(), body.to_owned(), "received");
        let word = body.trim().to_uppercase();
        let pair = (to.to_owned(), from.to_owned());
        let mut state = self.state();
        state.keep(text.clone());
        let answer = if STOP_WORDS.contains(&word.as_str()) {
            state.opted_out.insert(pair).then_some("You have successfully been unsubscribed. You will not receive any more messages from this number. Reply START to resubscribe.")
        } else if START_WORDS.contains(&word.as_str()) && state.opted_out.remove(&pair) {
            Some(
                "You have successfully been re-subscribed to messages from this number. Reply HELP for help. Reply STOP to unsubscribe.",
            )
        } else {
            None
        };
        if let Some(answer) = answer {
            let answer = self.text("outbound-reply", to.to_owned(), from.to_owned(), answer.to_owned(), "delivered");
            state.keep(answer);
        }
        text
    }

    /// The steps that are due by `now`, in order, already taken; each with its text as it now stands.
    pub fn due(&self, now: DateTime<Utc>) -> Vec<(Step, Text)> {
        let mut state = self.state();
        let mut due: Vec<Step> = state.steps.extract_if(.., |step| step.at <= now).collect();
        // Stable: steps of one instant keep their order.
        due.sort_by_key(|step| step.at);
        due.into_iter()
            .filter_map(|step| {
                let place = *state.places.get(&step.sid)?;
                let text = &mut state.texts[place];
                if rank(step.status) > rank(text.status) {
                    text.status = step.status;
                    text.error_code = step.error_code;
                    text.sent.get_or_insert(step.at);
                    text.updated = step.at;
                }
                let text = text.clone();
                Some((step, text))
            })
            .collect()
    }

    /// Every text, oldest first.
    pub fn texts(&self) -> Vec<Text> {
        self.state().texts.clone()
    }
}

impl State {
    fn keep(&mut self, text: Text) {
        self.places.insert(text.sid.clone(), self.texts.len());
        self.texts.push(text);
    }
}
