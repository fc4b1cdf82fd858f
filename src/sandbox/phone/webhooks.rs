//! What the text service posts to its customer: status callbacks and what patients write, signed.

use chrono::{DateTime, Utc};

use super::ledger::{Phone, Step, Text};
use super::signature::sign;

impl Phone {
    /// Posts the status callbacks that are due by `now`; says how many were answered with 2xx.
    pub async fn call_back(&self, now: DateTime<Utc>) -> usize {
        let mut taken = 0;
        for (step, text) in self.due(now) {
            let Some(url) = &text.status_callback else { continue };
            let fields = self.callback_fields(&step, &text);
            let token = format!("{}-{}", text.sid, step.status);
            let mut answer = self.post(url, &fields, &token).await;
            if answer.is_none_or(|status| status >= 500) {
                // One retry, as the service does by default.
                answer = self.post(url, &fields, &token).await;
            }
            taken += usize::from(answer.is_some_and(|status| (200..300).contains(&status)));
        }
        taken
    }

    fn callback_fields(&self, step: &Step, text: &Text) -> Vec<(String, String)> {
        let mut fields = vec![
            ("AccountSid", self.account.sid.clone()),
            ("ApiVersion", "2010-04-01".to_owned()),
            ("From", text.from.clone()),
            ("MessageSid", text.sid.clone()),
            ("MessageStatus", step.status.to_owned()),
            ("SmsSid", text.sid.clone()),
            ("SmsStatus", step.status.to_owned()),
            ("To", text.to.clone()),
        ];
        if let Some(code) = step.error_code {
            fields.push(("ErrorCode", code.to_string()));
        }
        if let Some(service) = &text.messaging_service_sid {
            fields.push(("MessagingServiceSid", service.clone()));
        }
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// A patient writes. The text is kept, STOP is honoured, then the webhook is posted; nothing when none is set or reachable.
    pub async fn reply_as(&self, from: &str, to: &str, body: &str) -> Option<u16> {
        let text = self.take_inbound(from, to, body);
        let url = self.state().inbound_url.clone()?;
        let fields: Vec<(String, String)> = [
            ("AccountSid", self.account.sid.as_str()),
            ("ApiVersion", "2010-04-01"),
            ("Body", body),
            ("From", from),
            ("FromCity", ""),
            ("FromCountry", "US"),
            ("FromState", ""),
            ("FromZip", ""),
            ("MessageSid", &text.sid),
            ("NumMedia", "0"),
            ("NumSegments", &text.num_segments.to_string()),
            ("SmsMessageSid", &text.sid),
            ("SmsSid", &text.sid),
            ("SmsStatus", "received"),
            ("To", to),
            ("ToCountry", "US"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        self.post(&url, &fields, &text.sid).await
    }

    async fn post(&self, url: &str, fields: &[(String, String)], token: &str) -> Option<u16> {
        let request = self
            .http
            .post(url)
            .header("X-Twilio-Signature", sign(&self.account.auth_token, url, fields))
            .header("I-Twilio-Idempotency-Token", token)
            .form(fields);
        match request.send().await {
            Ok(reply) => Some(reply.status().as_u16()),
            Err(error) => {
                tracing::warn!(error = %error.without_url(), "the simulated phone could not reach the webhook");
                None
            }
        }
    }
}
