//! A request that was let in.

use actix_web::HttpRequest;
use actix_web::web::Bytes;

use super::auth::Visitor;
use super::error::WebError;
use super::forms::Form;
use super::state::WebState;
use crate::domain::{Actor, Role, Staff};

/// What a handler is given: the guard has checked origin, session, role and form token.
pub struct Call {
    pub state: WebState,
    pub request: HttpRequest,
    pub visitor: Option<Visitor>,
    /// The body as it came; a webhook's signature covers these bytes.
    pub body: Bytes,
    form: Form,
    query: Form,
}

impl Call {
    pub fn new(state: WebState, request: HttpRequest, visitor: Option<Visitor>, body: Bytes, form: Form) -> Self {
        let query = Form::parse(request.query_string().as_bytes());
        Self { state, request, visitor, body, form, query }
    }

    /// A parameter of the address; empty where it is absent.
    pub fn query(&self, name: &str) -> &str {
        self.query.field(name)
    }

    /// A field of the form; empty where it is absent.
    pub fn field(&self, name: &str) -> &str {
        self.form.field(name)
    }

    /// A named part of the path.
    pub fn path(&self, name: &str) -> &str {
        self.request.match_info().get(name).unwrap_or_default()
    }

    /// Who asks. Routes for staff always have somebody.
    pub fn staff(&self) -> Result<&Staff, WebError> {
        self.visitor.as_ref().map(|visitor| &visitor.staff).ok_or(WebError::SignInNeeded)
    }

    pub fn has(&self, role: Role) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.staff.has(role))
    }

    /// Whether the visitor's work needs patients' data: an administrator's does not (minimum necessary).
    pub fn sees_patients(&self) -> bool {
        self.has(Role::Clinician) || self.has(Role::Compliance)
    }

    pub fn actor(&self) -> Result<Actor, WebError> {
        Ok(Actor::Staff(self.staff()?.login.clone()))
    }
}
