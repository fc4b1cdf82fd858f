//! Signing in and out.

use askama::Template;
use secrecy::SecretString;

use super::account::normal_login;
use super::password::verify_password;
use super::session::{begin, forget, presented};
use crate::domain::{Role, Staff};
use crate::store::SignInTry;
use crate::web::answer::{Answer, page_with_status, redirect};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Bare;
use crate::web::state::Demo;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    bare: Bare,
    login: String,
    next: String,
    problem: Option<&'static str>,
    demo_roles: Vec<(&'static str, &'static str)>,
}

/// `GET /sign-in`
pub async fn sign_in_page(call: Call) -> Answer {
    let next = safe_next(call.query("next"));
    if call.visitor.is_some() {
        return Ok(redirect(next));
    }
    show(&call, String::new(), next.to_owned(), None)
}

/// `POST /sign-in`
pub async fn sign_in(call: Call) -> Answer {
    let login = normal_login(call.field("login"));
    let next = safe_next(call.field("next"));
    let state = &call.state;

    let mut tx = state.store.write(&state.tenant).await?;
    let tried = tx.begin_sign_in(&login).await?;
    tx.commit().await?;

    let (staff, hash, because) = match tried {
        SignInTry::Refused => (None, None, "no such account"),
        SignInTry::Resting { staff, .. } => (Some(staff), None, "too many failures"),
        SignInTry::Counted { staff, password_hash } => (Some(staff), Some(password_hash), "wrong password"),
    };
    let password = SecretString::from(call.field("password").to_owned());
    let right = verify_password(hash, password).await.map_err(|_| WebError::Internal("a password was not checked"))?;
    match staff {
        Some(staff) if right => enter(&call, &staff, next).await,
        staff => {
            let mut tx = state.store.write(&state.tenant).await?;
            tx.refuse_sign_in(staff.as_ref(), because).await?;
            tx.commit().await?;
            tracing::warn!(because, "sign-in refused");
            // One text for every cause: which logins exist is nobody's business.
            let problem = "That did not work. Check login and password. After several failures an account rests for \
                           15 minutes; an administrator can help.";
            show(&call, login, next.to_owned(), Some(problem))
        }
    }
}

/// `POST /demo/sign-in`: one click a role, on simulated data only.
pub async fn demo_sign_in(call: Call) -> Answer {
    let role = Role::parse(call.field("role")).ok_or(WebError::NotFound)?;
    let staff = call.state.view().staff_by_login(&Demo::login(role)).await?;
    let staff = staff.filter(|staff| staff.disabled_at.is_none()).ok_or(WebError::NotFound)?;
    enter(&call, &staff, safe_next(call.field("next"))).await
}

/// `POST /sign-out`
pub async fn sign_out(call: Call) -> Answer {
    if let Some(visitor) = &call.visitor {
        let mut tx = call.state.store.write(&call.state.tenant).await?;
        tx.sign_out(&visitor.token_digest).await?;
        tx.commit().await?;
    }
    let mut answer = redirect("/sign-in");
    answer.add_removal_cookie(&forget(&call.state)).map_err(|_| WebError::Internal("a cookie was not set"))?;
    // The browser also drops what it kept of the pages (ASVS 5.0, 14.3.1).
    answer.headers_mut().insert(
        actix_web::http::header::HeaderName::from_static("clear-site-data"),
        actix_web::http::header::HeaderValue::from_static("\"cache\", \"storage\""),
    );
    Ok(answer)
}

async fn enter(call: &Call, staff: &Staff, next: &str) -> Answer {
    let state = &call.state;
    let (session, cookie) = begin(state);
    let mut tx = state.store.write(&state.tenant).await?;
    if let Some(old) = presented(state, &call.request) {
        tx.sign_out(&old).await?;
    }
    tx.complete_sign_in(staff, session).await?;
    tx.commit().await?;
    let mut answer = redirect(next);
    answer.add_cookie(&cookie).map_err(|_| WebError::Internal("a cookie was not set"))?;
    Ok(answer)
}

fn show(call: &Call, login: String, next: String, problem: Option<&'static str>) -> Answer {
    let demo_roles = if call.state.demo.is_some() {
        vec![
            ("clinician", "Clinician: patients and why"),
            ("admin", "Administrator: sending, alerts"),
            ("compliance", "Compliance: the history"),
        ]
    } else {
        Vec::new()
    };
    let status = if problem.is_some() { 422 } else { 200 };
    let bare = Bare::new(&call.state, "Sign in");
    page_with_status(&SignInPage { bare, login, next, problem, demo_roles }, status)
}

/// A place of ours to go on to; anything else leads to the first page.
fn safe_next(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(['\\', '\r', '\n', '\t'])
        && !next.starts_with("/sign-");
    if ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::safe_next;

    #[test]
    fn only_places_of_ours_follow_a_sign_in() {
        for (given, expected) in [
            ("/reminders?state=waiting", "/reminders?state=waiting"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/sign-in?next=/sign-in", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
        ] {
            assert_eq!(safe_next(given), expected, "{given}");
        }
    }
}
