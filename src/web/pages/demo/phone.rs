//! The patients' phones, one a number, each with a box to answer as the patient.

use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::hospital::{ask, tell};
use crate::web::answer::{Answer, page, redirect};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{address, code_words, moment};

/// Phones that are drawn at once.
const PHONES: usize = 12;

/// Texts of one phone that are drawn.
const TEXTS: usize = 12;

/// A text as the simulated phone company tells it.
#[derive(Deserialize)]
struct Text {
    direction: String,
    to: String,
    from: String,
    body: String,
    status: String,
    created: DateTime<Utc>,
}

struct Bubble {
    from_patient: bool,
    text: String,
    at: String,
    status: String,
}

struct Phone {
    number: String,
    /// The number that wrote to it: where an answer goes.
    gateway: String,
    bubbles: Vec<Bubble>,
    newest: DateTime<Utc>,
}

#[derive(Template)]
#[template(path = "demo_phone.html")]
struct PhonePage {
    shell: Shell,
    phones: Vec<Phone>,
    number: String,
    hidden: usize,
    organisation: String,
}

/// `GET /demo/phone`
pub async fn phone(call: Call) -> Answer {
    let texts: Vec<Text> = ask(&call, "texts").await?;
    let number = call.query("number").to_owned();
    let mut phones = phones(texts, &call);
    phones.sort_by_key(|phone| std::cmp::Reverse(phone.newest));
    phones.retain(|phone| number.is_empty() || phone.number.contains(&number));
    let hidden = phones.len().saturating_sub(PHONES);
    phones.truncate(PHONES);
    let shell = Shell::of(&call, "Phones", "/demo/phone").await?;
    page(&PhonePage { shell, phones, number, hidden, organisation: call.state.settings.organisation.name.clone() })
}

/// `POST /demo/phone/reply`
pub async fn reply(call: Call) -> Answer {
    let (from, to, body) = (call.field("from"), call.field("to"), call.field("body"));
    if from.is_empty() || body.is_empty() {
        return Err(WebError::BadInput("There is nothing to send.".to_owned(), "Go back and write an answer."));
    }
    tell(&call, "replies", &json!({ "from": from, "to": to, "body": body })).await?;
    Ok(redirect(&address("/demo/phone", &[("number", call.field("number"))])))
}

fn phones(texts: Vec<Text>, call: &Call) -> Vec<Phone> {
    let zone = call.state.zone();
    let mut phones: Vec<Phone> = Vec::new();
    for text in texts {
        let from_patient = text.direction == "inbound";
        let (patient, gateway) = if from_patient { (text.from, text.to) } else { (text.to, text.from) };
        let bubble = Bubble {
            from_patient,
            text: text.body,
            at: moment(text.created, zone),
            status: if from_patient { String::new() } else { code_words(&text.status) },
        };
        match phones.iter_mut().find(|phone| phone.number == patient) {
            Some(phone) => {
                phone.bubbles.push(bubble);
                phone.newest = phone.newest.max(text.created);
            }
            None => {
                phones.push(Phone { number: patient, gateway, bubbles: vec![bubble], newest: text.created });
            }
        }
    }
    for phone in &mut phones {
        let old = phone.bubbles.len().saturating_sub(TEXTS);
        phone.bubbles.drain(..old);
    }
    phones
}
