//! What load balancers and monitoring ask.

use actix_web::HttpResponse;

use super::answer::{Answer, text};
use super::call::Call;
use super::error::WebError;

/// `GET /healthz`: the process answers.
pub async fn healthz(_call: Call) -> Answer {
    Ok(text("ok\n"))
}

/// `GET /readyz`: the database answers, so that requests make sense here.
pub async fn readyz(call: Call) -> Answer {
    match call.state.store.tenants().await {
        Ok(_) => Ok(text("ready\n")),
        Err(error) => {
            tracing::error!(%error, "not ready: the database does not answer");
            Ok(HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body("no database\n"))
        }
    }
}

/// `GET /metrics`, in the Prometheus text format.
pub async fn metrics(call: Call) -> Answer {
    let render = call.state.metrics.as_ref().ok_or(WebError::NotFound)?;
    Ok(text(render()))
}
