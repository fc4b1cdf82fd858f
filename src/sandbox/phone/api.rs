//! The Messages API: send, list, fetch (Twilio API 2010-04-01).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fate::{self, Fate};
use super::ledger::{Outgoing, Phone, Text};
use crate::sandbox::http::{Reply, Request, pairs};

fn refuse(status: u16, code: u32, text: &str) -> Reply {
    Reply::json(
        status,
        &json!({"code": code, "message": text, "more_info": format!("https://www.twilio.com/docs/errors/{code}"), "status": status}),
    )
}

impl Phone {
    /// Answers a request below `/2010-04-01/`.
    pub fn answer(&self, request: &Request) -> Reply {
        let basic = STANDARD.encode(format!("{}:{}", self.account.sid, self.account.auth_token));
        if request.header("authorization") != Some(&format!("Basic {basic}")) {
            return refuse(401, 20003, "Authenticate").with("www-authenticate", "Basic realm=\"Twilio API\"");
        }
        let prefix = format!("/2010-04-01/Accounts/{}/", self.account.sid);
        let Some(rest) = request.path.strip_prefix(&prefix) else {
            return refuse(404, 20404, "The requested resource was not found");
        };
        match (request.method.as_str(), rest) {
            ("POST", "Messages.json") => self.send(request),
            ("GET", "Messages.json") => self.list(request),
            ("GET", one) => match one.strip_prefix("Messages/").and_then(|sid| sid.strip_suffix(".json")) {
                Some(sid) => self.fetch(sid),
                None => refuse(404, 20404, "The requested resource was not found"),
            },
            _ => refuse(405, 20004, "Method not allowed"),
        }
    }

    fn send(&self, request: &Request) -> Reply {
        if !request.is_form() {
            return refuse(400, 21604, "A 'To' phone number is required.");
        }
        let fields = request.form();
        let field = |wanted: &str| {
            fields
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_str())
                .filter(|value| !value.is_empty())
        };
        let Some(to) = field("To") else { return refuse(400, 21604, "A 'To' phone number is required.") };
        if !fate::is_e164(to) {
            return refuse(400, 21211, &format!("Invalid 'To' Phone Number: {to}"));
        }
        let service = field("MessagingServiceSid");
        match (field("From"), service) {
            (None, None) => return refuse(400, 21603, "A 'From' phone number is required."),
            (Some(from), _) if from != self.account.number => {
                return refuse(
                    400,
                    21606,
                    &format!("The 'From' phone number {from} is not a valid, message-capable number of this account."),
                );
            }
            (None, Some(service)) if service != self.account.service_sid => {
                return refuse(404, 20404, "The requested messaging service was not found");
            }
            _ => {}
        }
        let Some(body) = field("Body") else { return refuse(400, 21602, "Message body is required.") };
        if body.chars().count() > 1600 {
            return refuse(400, 21617, "The concatenated message body exceeds the 1600 character limit");
        }
        let callback = field("StatusCallback");
        if let Some(url) = callback
            && !url::Url::parse(url).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.contains('_'))
            })
        {
            return refuse(400, 21609, &format!("The StatusCallback URL {url} is not a valid URL."));
        }
        let validity = match field("ValidityPeriod").map(str::parse::<u32>) {
            None => None,
            Some(Ok(seconds)) if (1..=36_000).contains(&seconds) => Some(seconds),
            Some(_) => return refuse(400, 20001, "Invalid ValidityPeriod"),
        };
        if let Fate::Refused(code) = fate::of(to) {
            return refuse(400, code, "'To' number is not a valid mobile number");
        }
        if self.state().opted_out.contains(&(self.account.number.clone(), to.to_owned())) {
            return refuse(400, 21610, "Attempt to send to unsubscribed recipient");
        }
        let text = self.take(Outgoing {
            to: to.to_owned(),
            body: body.to_owned(),
            status_callback: callback.map(str::to_owned),
            validity_period: validity,
            messaging_service_sid: service.map(str::to_owned),
        });
        let mut answer = self.shape(&text);
        if text.messaging_service_sid.is_some() {
            // The service picks a sender later.
            answer["from"] = Value::Null;
            answer["status"] = json!("accepted");
        }
        Reply::json(201, &answer)
    }

    fn fetch(&self, sid: &str) -> Reply {
        let state = self.state();
        match state.places.get(sid) {
            Some(place) => Reply::json(200, &self.shape(&state.texts[*place])),
            None => refuse(404, 20404, "The requested message was not found"),
        }
    }

    fn list(&self, request: &Request) -> Reply {
        let fields = pairs(request.query.as_bytes());
        let number = |wanted: &str, default: usize| {
            fields.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
        };
        let size = number("PageSize", 50).clamp(1, 1000);
        let page = number("Page", 0);
        let fits = |text: &Text| {
            let day = text.sent.unwrap_or(text.created).date_naive().to_string();
            fields.iter().all(|(name, value)| match name.as_str() {
                "To" => text.to == *value,
                "From" => text.from == *value,
                "DateSent" => day == value.get(..10).unwrap_or_default(),
                // `DateSent>=…` arrives as a field called `DateSent>`.
                "DateSent>" => day.as_str() >= value.get(..10).unwrap_or_default(),
                "DateSent<" => day.as_str() <= value.get(..10).unwrap_or_default(),
                _ => true,
            })
        };
        let state = self.state();
        let found: Vec<&Text> = state.texts.iter().rev().filter(|text| fits(text)).collect();
        let messages: Vec<Value> = found.iter().skip(page * size).take(size).map(|text| self.shape(text)).collect();
        let uri = |page: usize| {
            let kept = fields.iter().filter(|(name, _)| !matches!(name.as_str(), "Page" | "PageSize" | "PageToken"));
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(kept).append_pair("PageSize", &size.to_string()).append_pair("Page", &page.to_string());
            format!("/2010-04-01/Accounts/{}/Messages.json?{}", self.account.sid, query.finish())
        };
        let more = found.len() > (page + 1) * size;
        Reply::json(
            200,
            &json!({
                "messages": messages, "page": page, "page_size": size, "start": page * size, "end": (page * size + messages.len()).saturating_sub(1),
                "uri": uri(page), "first_page_uri": uri(0),
                "next_page_uri": more.then(|| uri(page + 1)), "previous_page_uri": (page > 0).then(|| uri(page.saturating_sub(1)))
            }),
        )
    }

    fn shape(&self, text: &Text) -> Value {
        let date = |at: chrono::DateTime<chrono::Utc>| at.format("%a, %d %b %Y %H:%M:%S +0000").to_string();
        json!({
            "account_sid": self.account.sid, "api_version": "2010-04-01", "body": text.body, "date_created": date(text.created),
            "date_sent": text.sent.map(date), "date_updated": date(text.updated), "direction": text.direction,
            "error_code": text.error_code, "error_message": text.error_code.map(|_| "Simulated failure"), "from": text.from,
            "messaging_service_sid": text.messaging_service_sid, "num_media": "0", "num_segments": text.num_segments.to_string(),
            "price": null, "price_unit": "USD", "sid": text.sid, "status": text.status,
            "subresource_uris": {"media": format!("/2010-04-01/Accounts/{}/Messages/{}/Media.json", self.account.sid, text.sid)},
            "to": text.to, "uri": format!("/2010-04-01/Accounts/{}/Messages/{}.json", self.account.sid, text.sid)
        })
    }
}
