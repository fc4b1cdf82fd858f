//! What the SMS provider posts: checked, stored, answered; what it means is worked out afterwards.

use actix_web::HttpResponse;

use super::answer::Answer;
use super::call::Call;
use super::error::WebError;
use super::forms::Form;
use crate::config::Sms;
use crate::outbox::{Intake, IntakeError, Report};

/// TwiML that says nothing: an answer to the patient goes out as a message of its own, under all its checks.
const SILENCE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response></Response>";

/// `POST /hooks/twilio/{secret}/status`
pub async fn sms_status(call: Call) -> Answer {
    let url = address(&call, Sms::status_url)?;
    let form = Form::parse(&call.body);
    intake(&call)?.sms_status(report(&call, &url, &form)).await.map_err(refused)?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /hooks/twilio/{secret}/inbound`
pub async fn sms_inbound(call: Call) -> Answer {
    let url = address(&call, Sms::inbound_url)?;
    let form = Form::parse(&call.body);
    intake(&call)?.sms_inbound(report(&call, &url, &form)).await.map_err(refused)?;
    Ok(HttpResponse::Ok().content_type("text/xml; charset=utf-8").body(SILENCE))
}

fn intake(call: &Call) -> Result<&Intake, WebError> {
    call.state.intake.as_ref().ok_or(WebError::NotFound)
}

/// The address as the provider was told it: the request's own may have been rewritten by a proxy.
fn address(call: &Call, of: fn(&Sms, &crate::config::Server) -> String) -> Result<String, WebError> {
    let settings = &call.state.settings;
    let sms = settings.sms.as_ref().ok_or(WebError::NotFound)?;
    let query = call.request.query_string();
    let address = of(sms, &settings.server);
    Ok(if query.is_empty() { address } else { format!("{address}?{query}") })
}

fn report<'a>(call: &'a Call, url: &'a str, form: &'a Form) -> Report<'a> {
    let signature = call.request.headers().get("x-twilio-signature").and_then(|value| value.to_str().ok());
    Report { secret: call.path("secret"), url, form: form.fields(), signature: signature.unwrap_or_default() }
}

fn refused(error: IntakeError) -> WebError {
    match error {
        IntakeError::Unknown => WebError::NotFound,
        IntakeError::Signature => WebError::BadSignature,
        IntakeError::Malformed(error) => {
            tracing::warn!(%error, "a provider's report cannot be read");
            WebError::BadInput("The report cannot be read.".to_owned(), "Send what the provider's API documents.")
        }
        IntakeError::Store(error) => error.into(),
    }
}
