//! What machines ask for: an EHR its connection's public keys, a messaging provider to report.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use aws_lc_rs::digest;

use super::answer::Answer;
use super::call::Call;
use super::error::WebError;
use crate::clock::hexadecimal;
use crate::domain::{EhrId, ResourceKey};
use crate::ehr::connect::{self, ConnectError};
use crate::ehr::keys::JWKS_MAX_AGE_SECONDS;
use crate::ehr::plan::Notices;
use crate::ehr::subscription::is_genuine;
use crate::outbox::{Intake, IntakeError, Report};

/// The public keys that a connection signs with (SMART asymmetric client authentication). That they were fetched is noted:
/// a new key signs only after the EHR may have seen it.
pub async fn jwks(call: Call) -> Answer {
    let id = EhrId::new(call.path("ehr"));
    connect::load(&call.state.store, &call.state.tenant, &id).await.map_err(unpublished)?;
    let ring = connect::keys(&call.state.store, &call.state.tenant, &id).await.map_err(unpublished)?;
    if call.state.view().jwks_fetch_is_news(&id).await? {
        let mut tx = call.state.store.write(&call.state.tenant).await?;
        tx.note_jwks_fetched(&id).await?;
        tx.commit().await?;
    }
    let keys = ring.jwks(call.state.now());
    let digest = digest::digest(&digest::SHA256, keys.to_string().as_bytes());
    let etag = format!("\"{}\"", hexadecimal(&digest.as_ref()[..16]));
    let known = call.request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|it| it.trim().trim_start_matches("W/") == etag));
    let mut answer = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((CACHE_CONTROL, format!("public, max-age={JWKS_MAX_AGE_SECONDS}")))
        .insert_header((ETAG, etag));
    Ok(if unchanged { answer.finish() } else { answer.json(keys) })
}

/// An EHR that is not ours has no keys; one that is ours and has none to show is our trouble, not the asker's.
fn unpublished(error: ConnectError) -> WebError {
    match error {
        ConnectError::Unknown(_) | ConnectError::BadId(_) => WebError::NotFound,
        ConnectError::Store(error) => WebError::Store(error),
        error => {
            tracing::error!(%error, "the keys of a connection cannot be read");
            WebError::Internal("the keys of a connection cannot be read")
        }
    }
}

/// What became of a text. Answered as soon as it is stored.
pub async fn sms_status(call: Call) -> Answer {
    let intake = intake(&call)?;
    let (url, form, signature) = signed(&call, "status");
    let report = Report { secret: call.path("secret"), url: &url, form: &form, signature: &signature };
    intake.sms_status(report).await.map_err(refusal)?;
    Ok(HttpResponse::NoContent().finish())
}

/// A text from a patient. The answer says nothing back: the outbox answers, if anybody does.
pub async fn sms_inbound(call: Call) -> Answer {
    let intake = intake(&call)?;
    let (url, form, signature) = signed(&call, "inbound");
    let report = Report { secret: call.path("secret"), url: &url, form: &form, signature: &signature };
    intake.sms_inbound(report).await.map_err(refusal)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/xml; charset=utf-8"))
        .body("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>"))
}

/// An EHR says that something changed. Kept and answered at once: what it says is looked at afterwards, and never believed.
pub async fn notice(call: Call) -> Answer {
    let ehr = EhrId::new(call.path("ehr"));
    let known = call.state.view().subscription_at(&ehr, call.path("secret")).await?;
    let Some(subscription) = known else { return Err(WebError::NotFound) };
    let header =
        |name: &str| call.request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let notices = Notices::parse(&subscription.dialect).unwrap_or(Notices::Off);
    let key = subscription.secrets.key.expose();
    if !is_genuine(notices, key, header("authorization"), header("x-hub-signature"), &call.body) {
        tracing::warn!(%ehr, "a notice came without the secret of its subscription");
        return Ok(HttpResponse::Unauthorized().finish());
    }
    if !call.body.is_empty() && serde_json::from_slice::<serde::de::IgnoredAny>(&call.body).is_err() {
        return Err(WebError::BadInput("The notice is no JSON".to_owned(), "Send application/fhir+json."));
    }
    let about = ResourceKey::from_reference(&format!("{}/{}", call.path("type"), call.path("id")));
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.add_notice(&ehr, subscription.id, about.as_ref(), &call.body).await?;
    tx.commit().await?;
    Ok(HttpResponse::Ok().finish())
}

fn intake(call: &Call) -> Result<&Intake, WebError> {
    call.state.intake.as_ref().ok_or(WebError::NotFound)
}

/// The address as the provider was told it (a proxy may have changed what we see), the form, and the signature.
fn signed(call: &Call, what: &str) -> (String, Vec<(String, String)>, String) {
    let mut url = format!("{}/hooks/twilio/{}/{what}", call.state.settings.server.public_url, call.path("secret"));
    let query = call.request.query_string();
    if !query.is_empty() {
        url = format!("{url}?{query}");
    }
    let form = url::form_urlencoded::parse(&call.body).into_owned().collect();
    let header = call.request.headers().get("X-Twilio-Signature").and_then(|value| value.to_str().ok());
    (url, form, header.unwrap_or_default().to_owned())
}

fn refusal(error: IntakeError) -> WebError {
    match error {
        IntakeError::Unknown => WebError::NotFound,
        IntakeError::Signature => WebError::BadSignature,
        IntakeError::Malformed(error) => {
            tracing::warn!(%error, "a webhook call could not be read");
            WebError::BadInput("The report cannot be read".to_owned(), "Send it as the provider documents it.")
        }
        IntakeError::Store(error) => WebError::Store(error),
    }
}
