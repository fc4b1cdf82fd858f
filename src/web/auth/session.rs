//! The session's cookie: a random token that only the browser keeps; the store knows its digest.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};
use aws_lc_rs::digest::{SHA256, digest};
use chrono::TimeDelta;

use crate::domain::{Role, Staff};
use crate::store::{NewSession, StoreError};
use crate::web::state::WebState;

/// Who sent this request, once their session was found to hold.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub staff: Staff,
    /// What every form of this session carries.
    pub csrf: String,
    pub(super) token_digest: Vec<u8>,
}

impl Visitor {
    pub fn has_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.staff.has(*role))
    }
}

/// The visitor of this request, if their session holds; their last sign of life moves with it.
pub async fn visitor(state: &WebState, request: &HttpRequest) -> Result<Option<Visitor>, StoreError> {
    let Some(token_digest) = presented(state, request) else { return Ok(None) };
    let idle = TimeDelta::minutes(state.settings.session.idle_minutes.into());
    let Some(session) = state.view().staff_session(&token_digest, idle).await? else { return Ok(None) };
    // A write for every request would queue readers behind one another: a fifteenth of the time-out is exact enough.
    if state.now() - session.last_seen_at > idle / 15 {
        let mut tx = state.store.write(&state.tenant).await?;
        tx.touch_session(&token_digest).await?;
        tx.commit().await?;
    }
    Ok(Some(Visitor { staff: session.staff, csrf: session.csrf, token_digest }))
}

/// The digest of the token that the request carries.
pub(super) fn presented(state: &WebState, request: &HttpRequest) -> Option<Vec<u8>> {
    request.cookie(cookie_name(state)).map(|cookie| digest_of(cookie.value()))
}

/// A new session and the cookie that opens it. Always a new token: one from before the sign-in is worth nothing.
pub(super) fn begin(state: &WebState) -> (NewSession, Cookie<'static>) {
    let entropy = state.store.entropy();
    let token = entropy.token();
    let session = NewSession {
        token_digest: digest_of(&token),
        csrf: entropy.token(),
        expires_at: state.now() + TimeDelta::hours(state.settings.session.absolute_hours.into()),
    };
    (session, cookie(state, token))
}

/// The cookie that makes the browser forget its session.
pub(super) fn forget(state: &WebState) -> Cookie<'static> {
    let mut gone = cookie(state, String::new());
    gone.make_removal();
    gone
}

fn cookie(state: &WebState, token: String) -> Cookie<'static> {
    Cookie::build(cookie_name(state), token)
        .path("/")
        .http_only(true)
        .secure(state.is_secure())
        .same_site(SameSite::Lax)
        .finish()
}

/// `__Host-` binds the cookie to this very host over TLS; browsers refuse that name without TLS, as on loopback.
fn cookie_name(state: &WebState) -> &'static str {
    if state.is_secure() { "__Host-beckon" } else { "beckon" }
}

fn digest_of(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}
