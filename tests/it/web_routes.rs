//! Default deny: every route, walked as every role and as nobody.

use beckon::domain::Role;
use beckon::web::{Access, declared};

use crate::support::each_database;
use crate::support::gateway::{Browser, Gateway, Page, Setup};

const ADMIN: Role = Role::Admin;
const CLINICIAN: Role = Role::Clinician;
const COMPLIANCE: Role = Role::Compliance;

/// Who may what. A route that is not here fails the test: whoever adds one says here whom it is for.
fn expected() -> Vec<(&'static str, &'static str, Access)> {
    vec![
        ("GET", "/healthz", Access::Machine),
        ("GET", "/readyz", Access::Machine),
        ("GET", "/metrics", Access::Loopback),
        ("GET", "/ehr/{ehr}/jwks.json", Access::Machine),
        ("POST", "/hooks/twilio/{secret}/status", Access::Machine),
        ("POST", "/hooks/twilio/{secret}/inbound", Access::Machine),
        ("POST", "/subscriptions/{ehr}/{secret}", Access::Machine),
        ("POST", "/subscriptions/{ehr}/{secret}/{type}/{id}", Access::Machine),
        ("PUT", "/subscriptions/{ehr}/{secret}/{type}/{id}", Access::Machine),
        ("DELETE", "/subscriptions/{ehr}/{secret}/{type}/{id}", Access::Machine),
        ("GET", "/assets/{name}", Access::Anyone),
        ("GET", "/sign-in", Access::Anyone),
        ("POST", "/sign-in", Access::Anyone),
        ("POST", "/sign-out", Access::SignedIn),
        ("POST", "/demo/sign-in", Access::Anyone),
        ("GET", "/", Access::SignedIn),
        ("GET", "/reminders", Access::SignedIn),
        ("GET", "/reminders/{id}", Access::Roles(&[CLINICIAN, COMPLIANCE])),
        ("GET", "/messages", Access::SignedIn),
        ("GET", "/messages/{id}", Access::Roles(&[CLINICIAN, COMPLIANCE])),
        ("GET", "/replies", Access::Roles(&[CLINICIAN, COMPLIANCE])),
        ("GET", "/patients", Access::Roles(&[CLINICIAN, COMPLIANCE])),
        ("POST", "/patients", Access::Roles(&[CLINICIAN, COMPLIANCE])),
        ("GET", "/patients/{ehr}/{patient}", Access::Roles(&[CLINICIAN, COMPLIANCE])),
        ("POST", "/patients/{ehr}/{patient}/rules/{rule}", Access::Roles(&[CLINICIAN])),
        ("POST", "/patients/{ehr}/{patient}/opt-outs", Access::Roles(&[CLINICIAN])),
        ("GET", "/worklist", Access::SignedIn),
        ("POST", "/worklist/{id}/acknowledge", Access::Roles(&[ADMIN, CLINICIAN])),
        ("GET", "/tasks", Access::Roles(&[CLINICIAN, COMPLIANCE])),
        ("POST", "/tasks/{id}/done", Access::Roles(&[CLINICIAN])),
        ("GET", "/quarantine", Access::SignedIn),
        ("GET", "/rules", Access::SignedIn),
        ("GET", "/rules/{rule}", Access::SignedIn),
        ("POST", "/rules/{rule}/review", Access::Roles(&[ADMIN, CLINICIAN])),
        ("POST", "/rules/{rule}/live", Access::Roles(&[ADMIN, CLINICIAN])),
        ("POST", "/rules/{rule}/revert", Access::Roles(&[ADMIN, CLINICIAN])),
        ("POST", "/rules/{rule}/clinics", Access::Roles(&[ADMIN, CLINICIAN])),
        ("POST", "/rules/{rule}/retire", Access::Roles(&[ADMIN, CLINICIAN])),
        ("GET", "/accounts", Access::SignedIn),
        ("GET", "/accounts/{ehr}/{day}", Access::Roles(&[CLINICIAN, COMPLIANCE])),
        ("GET", "/sending", Access::Roles(&[ADMIN])),
        ("POST", "/sending/mode", Access::Roles(&[ADMIN])),
        ("POST", "/sending/halt", Access::Roles(&[ADMIN])),
        ("POST", "/sending/resume", Access::Roles(&[ADMIN])),
        ("POST", "/sending/release", Access::Roles(&[ADMIN])),
        ("GET", "/connections", Access::Roles(&[ADMIN])),
        ("GET", "/connections/{ehr}", Access::Roles(&[ADMIN])),
        ("GET", "/connections/{ehr}/requests", Access::Roles(&[ADMIN])),
        ("POST", "/connections/{ehr}/pull", Access::Roles(&[ADMIN])),
        ("POST", "/connections/{ehr}/retry", Access::Roles(&[ADMIN])),
        ("POST", "/connections/{ehr}/scopes", Access::Roles(&[ADMIN])),
        ("POST", "/connections/{ehr}/budget", Access::Roles(&[ADMIN])),
        ("POST", "/connections/{ehr}/keys", Access::Roles(&[ADMIN])),
        ("GET", "/history", Access::Roles(&[COMPLIANCE])),
        ("POST", "/history", Access::Roles(&[COMPLIANCE])),
        ("POST", "/history/questions", Access::Roles(&[COMPLIANCE])),
        ("POST", "/history/questions/{id}/remove", Access::Roles(&[COMPLIANCE])),
        ("POST", "/history/export", Access::Roles(&[COMPLIANCE])),
        ("GET", "/history/checkpoints", Access::Roles(&[COMPLIANCE])),
        ("GET", "/history/checkpoints/{size}", Access::Roles(&[COMPLIANCE])),
        ("POST", "/patients/{ehr}/{patient}/packet", Access::Roles(&[COMPLIANCE])),
        ("GET", "/demo/phone", Access::SignedIn),
        ("POST", "/demo/phone/reply", Access::SignedIn),
        ("GET", "/demo/mail", Access::SignedIn),
        ("GET", "/demo/ehr", Access::SignedIn),
    ]
}

#[test]
fn every_route_is_in_this_table_with_whom_it_is_for() {
    let mut table: Vec<_> = declared().into_iter().map(|route| (route.method, route.path, route.access)).collect();
    let mut expected = expected();
    table.sort_by_key(|(method, path, _)| (*path, *method));
    expected.sort_by_key(|(method, path, _)| (*path, *method));
    assert_eq!(table, expected);
}

/// A path that the route matches. The things it names do not exist: what is tested is who gets as far as looking.
fn example(path: &str) -> String {
    let mut example = path.to_owned();
    for (name, value) in [
        ("{name}", "beckon.css"),
        ("{id}", "0195f0a0-0000-7000-8000-000000000000"),
        ("{ehr}", "main"),
        ("{patient}", "p-1"),
        ("{rule}", "appointment-reminder"),
        ("{provider}", "twilio"),
        ("{secret}", "none"),
        ("{day}", "2026-03-02"),
        ("{size}", "1"),
        ("{type}", "Appointment"),
    ] {
        example = example.replace(name, value);
    }
    assert!(!example.contains('{'), "no example for {example}");
    example
}

async fn walk(gateway: &Gateway, role: Option<Role>) {
    let browser: Browser = match role {
        Some(role) => gateway.signed_in(role).await,
        None => gateway.browser(),
    };
    // Signing out comes last: the other routes need the session.
    let mut routes = declared();
    routes.sort_by_key(|route| route.path == "/sign-out");
    for route in routes {
        // Two routes sign somebody else in; what is walked is this session.
        let mut browser = browser.clone();
        let path = example(route.path);
        let page: Page = if route.method == "GET" { browser.get(&path).await } else { browser.post(&path, &[]).await };
        let what = format!("{} {path} as {role:?}: {} {}", route.method, page.status, page.leads_to());
        let to_sign_in = page.status == 303 && page.leads_to().starts_with("/sign-in?next=");
        let sent_away = page.status == 401 || to_sign_in || (path == "/" && page.leads_to() == "/sign-in");
        let refused = page.status == 403;
        assert!(page.status < 500 || page.status == 502, "{what}");
        if route.demo && gateway.state.demo.is_none() {
            assert_eq!(page.status, 404, "{what}");
            continue;
        }
        match (route.access, role) {
            (Access::SignedIn | Access::Roles(_), None) => assert!(sent_away, "{what}"),
            (Access::Roles(roles), Some(role)) if !roles.contains(&role) => assert!(refused, "{what}"),
            (Access::Machine, _) => assert!(!sent_away, "{what}"),
            _ => assert!(!sent_away && !refused, "{what}"),
        }
    }
}

#[tokio::test]
async fn every_route_answers_whom_it_is_for_and_nobody_else() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        for role in [None, Some(ADMIN), Some(CLINICIAN), Some(COMPLIANCE)] {
            walk(&gateway, role).await;
        }
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_demos_routes_follow_the_same_rules() {
    let t = crate::support::TestStore::sqlite().await;
    let gateway =
        Gateway::start_with(t, Setup { demo: Some("http://127.0.0.1:9".to_owned()), ..Setup::default() }).await;
    for role in [None, Some(CLINICIAN)] {
        walk(&gateway, role).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_address_says_nothing_to_anybody() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        let mut staff = gateway.signed_in(ADMIN).await;
        let mut nobody = gateway.browser();
        for path in ["/nothing", "/patients/x/y/z/w", "/reminders/", "/.env", "/api/v1/nothing"] {
            let (theirs, ours) = (staff.get(path).await, nobody.get(path).await);
            assert_eq!((theirs.status, ours.status), (404, 404), "{path}");
            assert_eq!(theirs.body, ours.body, "{path}: the same words for both");
        }
        assert!(nobody.get("/api/v1/nothing").await.header("content-type").starts_with("application/json"));
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_browsers_safe() {
    let t = crate::support::TestStore::sqlite().await;
    let gateway =
        Gateway::start_with(t, Setup { public_url: Some("https://beckon.example"), ..Setup::default() }).await;
    let mut staff = gateway.signed_in(ADMIN).await;
    for path in ["/", "/sign-in", "/nothing", "/assets/beckon.css"] {
        let page = staff.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"), "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        assert!(page.header("strict-transport-security").contains("max-age=31536000"), "{path}");
        let kept = page.header("cache-control");
        assert_eq!(kept == "no-store", path != "/assets/beckon.css", "{path}: {kept}");
        assert!(!page.shows("<script") && !page.shows(" style=") && !page.shows("onclick"), "{path}");
    }
    gateway.stop().await;
}
