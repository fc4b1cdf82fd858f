//! What goes wrong, and how it is told: a calm page for people, JSON below `/api`.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::answer::{page_with_status, redirect};
use super::auth::Visitor;
use super::shell::Bare;
use super::state::WebState;
use crate::store::StoreError;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("there is nothing here")]
    NotFound,
    #[error("the address does not take this method")]
    WrongMethod,
    #[error("nobody is signed in")]
    SignInNeeded,
    #[error("the role does not allow it")]
    Forbidden,
    #[error("the request came from another site")]
    CrossSite,
    #[error("the form is not of this session")]
    StaleForm,
    #[error("the signature does not fit")]
    BadSignature,
    #[error("the request is too large")]
    TooLarge,
    /// What is wrong and what to do; without PHI.
    #[error("{0}")]
    BadInput(String, &'static str),
    #[error("{0} does not answer")]
    Unavailable(&'static str),
    #[error("{0}")]
    Internal(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    bare: Bare,
    what: String,
    to_do: String,
    signed_in: bool,
}

impl WebError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::SignInNeeded => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::CrossSite | Self::StaleForm | Self::BadSignature => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadInput(..) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Store(StoreError::Conflict(_)) => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::BAD_GATEWAY,
            Self::Internal(_) | Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Title, what happened, what to do.
    fn words(&self) -> (&'static str, String, String) {
        let (title, what, to_do) = match self {
            Self::NotFound => (
                "Nothing here",
                "There is no such page, or what it showed is gone.",
                "Check the address, or start from the first page.",
            ),
            Self::WrongMethod => {
                ("Not that way", "This address does not take such a request.", "Start from the first page.")
            }
            Self::SignInNeeded => {
                ("Please sign in", "You are not signed in, or your session has ended.", "Sign in and try again.")
            }
            Self::Forbidden => (
                "Not for your role",
                "Your account does not have the role that this page needs.",
                "If you need it for your work, ask an administrator.",
            ),
            Self::CrossSite => (
                "Refused",
                "This request did not come from a page of this gateway, so nothing was changed.",
                "Open the page here and do it again.",
            ),
            Self::StaleForm => (
                "This form is out of date",
                "The form belongs to an earlier session, so nothing was changed.",
                "Go back, reload the page, and do it again.",
            ),
            Self::BadSignature => (
                "Refused",
                "The signature does not fit, so nothing was taken in.",
                "Check the account's auth token and the public address in the settings.",
            ),
            Self::TooLarge => ("Too large", "The request is larger than any form here.", "Send less at once."),
            Self::BadInput(what, to_do) => ("That cannot be done", what.as_str(), *to_do),
            Self::Store(StoreError::Conflict(what)) => {
                ("That cannot be done", what.as_str(), "Reload the page to see how things stand.")
            }
            Self::Unavailable(what) => {
                return (
                    "No answer",
                    format!("{what} does not answer."),
                    "Try again in a moment. If it stays so, look at whether it runs.".to_owned(),
                );
            }
            Self::Internal(_) | Self::Store(_) => (
                "Something went wrong here",
                "The gateway could not do this. It is not your mistake, and nothing was half done.",
                "Try again. If it stays so, tell an administrator the time shown on this page.",
            ),
        };
        (title, what.to_owned(), to_do.to_owned())
    }

    pub fn into_response(self, state: &WebState, visitor: Option<&Visitor>, request: &HttpRequest) -> HttpResponse {
        let status = self.status();
        let staff = visitor.map(|visitor| visitor.staff.login.as_str());
        let route = request.match_pattern().unwrap_or_default();
        match &self {
            Self::Internal(_) | Self::Store(_) => tracing::error!(route, staff, error = %self, "a request failed"),
            Self::Forbidden | Self::CrossSite | Self::StaleForm | Self::BadSignature => {
                tracing::warn!(route, staff, error = %self, "a request was refused");
            }
            _ => {}
        }
        let (title, what, to_do) = self.words();
        if request.path().starts_with("/api/") {
            let body = serde_json::json!({ "error": { "what": what, "to_do": to_do } });
            return HttpResponse::build(status).json(body);
        }
        if matches!(self, Self::SignInNeeded) && request.method() == Method::GET {
            return redirect(&sign_in_address(request));
        }
        let what = if status.is_server_error() {
            format!("{what} ({})", state.now().format("%Y-%m-%d %H:%M:%S UTC"))
        } else {
            what
        };
        let page = ErrorPage { bare: Bare::new(state, title), what, to_do, signed_in: visitor.is_some() };
        page_with_status(&page, status.as_u16()).unwrap_or_else(|_| {
            HttpResponse::build(status).insert_header((header::CONTENT_TYPE, "text/plain")).body(title)
        })
    }
}

/// Where to sign in, coming back to this page after.
fn sign_in_address(request: &HttpRequest) -> String {
    let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
    if here == "/" {
        return "/sign-in".to_owned();
    }
    format!("/sign-in?next={}", url::form_urlencoded::byte_serialize(here.as_bytes()).collect::<String>())
}
