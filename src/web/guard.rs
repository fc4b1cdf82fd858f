//! What every request goes through before a handler sees it: origin, session, role, form token. A handler cannot be
//! reached any other way, because only a declared route becomes a service.

use std::rc::Rc;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;

use super::answer::{Answer, forget_what_was_done};
use super::auth::{Visitor, visitor};
use super::call::Call;
use super::error::WebError;
use super::forms::Form;
use super::state::WebState;
use crate::domain::Role;

/// Bytes of a request's body that are read at most: forms and webhooks are small.
const MAX_BODY: usize = 64 * 1024;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Machines: load balancers, EHRs, providers. No cookie is looked at; the handler checks what it must.
    Machine,
    /// Only from this machine, and not through a proxy.
    Loopback,
    /// Any browser, signed in or not.
    Anyone,
    /// Every member of staff.
    SignedIn,
    /// Staff with one of these roles.
    Roles(&'static [Role]),
}

/// A route as the table declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInfo {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
    /// Answers in the demo only.
    pub demo: bool,
    /// Bytes of a request's body that are read at most.
    pub max_body: usize,
}

/// A route with what answers it.
pub struct Declared {
    pub info: RouteInfo,
    handler: Rc<dyn Fn(Call) -> LocalBoxFuture<'static, Answer>>,
}

impl Declared {
    pub fn get<F, Fut>(path: &'static str, access: Access, handler: F) -> Self
    where
        F: Fn(Call) -> Fut + 'static,
        Fut: Future<Output = Answer> + 'static,
    {
        Self::new("GET", path, access, handler)
    }

    pub fn post<F, Fut>(path: &'static str, access: Access, handler: F) -> Self
    where
        F: Fn(Call) -> Fut + 'static,
        Fut: Future<Output = Answer> + 'static,
    {
        Self::new("POST", path, access, handler)
    }

    fn new<F, Fut>(method: &'static str, path: &'static str, access: Access, handler: F) -> Self
    where
        F: Fn(Call) -> Fut + 'static,
        Fut: Future<Output = Answer> + 'static,
    {
        let info = RouteInfo { method, path, access, demo: false, max_body: MAX_BODY };
        Self { info, handler: Rc::new(move |call| Box::pin(handler(call))) }
    }

    /// A route for machines, of whatever method.
    pub fn machine<F, Fut>(method: &'static str, path: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> Fut + 'static,
        Fut: Future<Output = Answer> + 'static,
    {
        Self::new(method, path, Access::Machine, handler)
    }

    /// The same route for larger bodies.
    pub fn taking(mut self, bytes: usize) -> Self {
        self.info.max_body = bytes;
        self
    }

    /// The same route, in the demo only.
    pub fn in_demo(mut self) -> Self {
        self.info.demo = true;
        self
    }
}

/// Answers one request of a declared route.
pub async fn answer(
    state: &WebState,
    declared: &Declared,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let began = std::time::Instant::now();
    let RouteInfo { method, path, access, .. } = declared.info;
    let mut known = None;
    let result = match admit(state, &declared.info, &request, payload, &mut known).await {
        Ok(call) => (declared.handler)(call).await,
        Err(error) => Err(error),
    };
    let mut response = match result {
        Ok(response) => response,
        Err(error) => error.into_response(state, known.as_ref(), &request),
    };
    if matches!(access, Access::SignedIn | Access::Roles(_)) {
        forget_what_was_done(&request, &mut response);
    }
    // The pattern, never the path: a path can name a patient.
    let (status, duration_ms) = (response.status().as_u16(), began.elapsed().as_millis() as u64);
    if matches!(access, Access::Machine | Access::Loopback) {
        tracing::debug!(method, path, status, duration_ms, "answered {method} {path} with {status}");
    } else {
        let staff = known.map(|visitor| visitor.staff.login);
        tracing::info!(method, path, status, duration_ms, staff, "answered {method} {path} with {status}");
    }
    response
}

/// Lets a request in, or says why not.
async fn admit(
    state: &WebState,
    info: &RouteInfo,
    request: &HttpRequest,
    payload: web::Payload,
    known: &mut Option<Visitor>,
) -> Result<Call, WebError> {
    if info.demo && state.demo.is_none() {
        return Err(WebError::NotFound);
    }
    if info.access == Access::Loopback && !is_local(request) {
        return Err(WebError::NotFound);
    }
    let by_browser = !matches!(info.access, Access::Machine | Access::Loopback);
    let changes = *request.method() != Method::GET;
    if by_browser && changes && !is_same_origin(state, request) {
        return Err(WebError::CrossSite);
    }
    if by_browser {
        *known = visitor(state, request).await?;
    }
    match (info.access, known.as_ref()) {
        (Access::SignedIn | Access::Roles(_), None) => return Err(WebError::SignInNeeded),
        (Access::Roles(roles), Some(visitor)) if !visitor.has_any(roles) => return Err(WebError::Forbidden),
        _ => {}
    }
    let body = match payload.to_bytes_limited(info.max_body).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(WebError::BadInput("The request broke off.".to_owned(), "Send it again.")),
        Err(_) => return Err(WebError::TooLarge),
    };
    let form = if by_browser && changes { Form::parse(&body) } else { Form::default() };
    if let Some(visitor) = known.as_ref().filter(|_| changes) {
        // Signing in needs no token of the session that it replaces.
        if info.access != Access::Anyone && !form.carries(&visitor.csrf) {
            return Err(WebError::StaleForm);
        }
    }
    Ok(Call::new(state.clone(), request.clone(), known.clone(), body, form))
}

/// Whether a browser says that the request comes from a page of ours. Browsers send `Origin` with every POST.
fn is_same_origin(state: &WebState, request: &HttpRequest) -> bool {
    let text = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else { return false };
    let ours = url::Url::parse(&state.settings.server.public_url).map(|url| url.origin().ascii_serialization());
    if ours.is_ok_and(|ours| ours == origin) {
        return true;
    }
    // On a gateway without TLS, which is a loopback one, `localhost` and `127.0.0.1` are both its name.
    !state.is_secure() && origin.strip_prefix("http://").is_some_and(|name| Some(name) == text(header::HOST))
}

/// Whether the peer is this machine and speaks for nobody else.
fn is_local(request: &HttpRequest) -> bool {
    let forwarded = ["forwarded", "x-forwarded-for", "via"].iter().any(|name| request.headers().contains_key(*name));
    !forwarded && request.peer_addr().is_some_and(|peer| peer.ip().is_loopback())
}
