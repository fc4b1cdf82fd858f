//! The public keys with which EHRs check that a request for access is ours.

use actix_web::HttpResponse;
use actix_web::http::header;

use super::answer::Answer;
use super::call::Call;
use super::error::WebError;
use crate::domain::EhrId;
use crate::ehr::connect::{self, ConnectError};
use crate::ehr::keys;

/// `GET /ehr/{id}/jwks.json`
pub async fn jwks(call: Call) -> Answer {
    let state = &call.state;
    let id = EhrId::new(call.path("id"));
    let connection = connect::load(&state.store, &state.tenant, &id).await.map_err(failed)?;
    let ring = connect::keys(&state.store, &state.tenant, &connection.id).await.map_err(failed)?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, format!("public, max-age={}", keys::JWKS_MAX_AGE_SECONDS)))
        .json(ring.jwks(state.now())))
}

fn failed(error: ConnectError) -> WebError {
    match error {
        ConnectError::Unknown(_) | ConnectError::BadId(_) => WebError::NotFound,
        ConnectError::Store(error) => error.into(),
        error => {
            tracing::error!(%error, "keys cannot be published");
            WebError::Internal("keys cannot be published")
        }
    }
}
