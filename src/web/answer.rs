//! Ways to answer.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

use super::error::WebError;

/// What a handler gives back.
pub type Answer = Result<HttpResponse, WebError>;

/// A page.
pub fn page(template: &impl Template) -> Answer {
    page_with_status(template, 200)
}

/// A page with a status of its own, such as a form that was refused.
pub fn page_with_status(template: &impl Template, status: u16) -> Answer {
    let html = template.render().map_err(|_| WebError::Internal("a page could not be drawn"))?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html))
}

/// Sends the browser on with a GET, so that reloading does not repeat what was done.
pub fn redirect(to: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish()
}

/// Plain text for machines.
pub fn text(body: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(body.into())
}
