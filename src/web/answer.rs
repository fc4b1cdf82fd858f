//! Ways to answer.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::call::Call;
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

/// The cookie with the word of what was just done. It would come back on every reload if it stood in the address.
const DONE: &str = "beckon-done";

/// Sends the browser on, with word of what was done for the next page, and for that one only.
pub fn redirect_done(call: &Call, to: &str, what: &'static str) -> HttpResponse {
    let done = Cookie::build(DONE, what)
        .path("/")
        .http_only(true)
        .secure(call.state.is_secure())
        .same_site(SameSite::Lax)
        .max_age(Duration::minutes(1))
        .finish();
    HttpResponse::SeeOther().insert_header((header::LOCATION, to)).cookie(done).finish()
}

/// What was done right before this page; empty where it was nothing.
pub fn what_was_done(request: &HttpRequest) -> String {
    request.cookie(DONE).map(|done| done.value().to_owned()).unwrap_or_default()
}

/// A page that was shown has said it.
pub fn forget_what_was_done(request: &HttpRequest, response: &mut HttpResponse) {
    if request.cookie(DONE).is_some() && response.status() == StatusCode::OK {
        let mut said = Cookie::build(DONE, "").path("/").finish();
        said.make_removal();
        // It fails only for a cookie that cannot stand in a header.
        let _told = response.add_cookie(&said);
    }
}

/// Plain text for machines.
pub fn text(body: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(body.into())
}
