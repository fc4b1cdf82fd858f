//! Signing in and staying signed in, through HTTP.

use beckon::domain::{Actor, EventKind, Role};
use beckon::store::EventFilter;
use beckon::web::auth;
use chrono::TimeDelta;

use crate::support::gateway::{Gateway, PASSWORD, Setup};
use crate::support::{TestStore, each_database};

async fn events(gateway: &Gateway, kind: EventKind) -> Vec<beckon::domain::Event> {
    let filter = EventFilter { kinds: vec![kind], limit: 100, ..EventFilter::default() };
    gateway.t.store.view(&gateway.t.tenant).events(&filter).await.unwrap()
}

#[tokio::test]
async fn staff_sign_in_work_and_sign_out_and_each_is_recorded() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        gateway.add_staff("ada", &[Role::Clinician]).await;
        let mut browser = gateway.browser();
        assert_eq!(browser.get("/").await.leads_to(), "/sign-in");
        assert_eq!(browser.get("/?day=2026-03-02").await.leads_to(), "/sign-in?next=%2F%3Fday%3D2026-03-02");

        let entered = browser.sign_in(" Ada ", PASSWORD).await;
        assert_eq!((entered.status, entered.leads_to()), (303, "/"));
        let today = browser.get("/").await;
        assert_eq!(today.status, 200);
        assert!(today.shows("ada&#39;s name") && today.shows("Test Clinic") && today.shows("Clinician"));

        let before = browser.cookie.clone();
        assert_eq!(browser.post("/sign-out", &[]).await.leads_to(), "/sign-in");
        assert!(browser.cookie.is_none(), "the browser is told to forget");
        browser.cookie = before;
        assert_eq!(browser.get("/").await.leads_to(), "/sign-in", "and the session is gone for good");

        assert_eq!(events(&gateway, EventKind::SignedIn).await[0].actor, Actor::Staff("ada".to_owned()));
        assert_eq!(events(&gateway, EventKind::SignedOut).await.len(), 1);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_token_from_before_the_sign_in_opens_nothing() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        gateway.add_staff("ada", &[Role::Admin]).await;
        let mut browser = gateway.browser();
        let planted = "beckon=0000000000000000000000000000000000000000000000000000000000000000";
        browser.cookie = Some(planted.to_owned());
        browser.sign_in("ada", PASSWORD).await;
        let first = browser.cookie.clone().unwrap();
        assert_ne!(first, planted, "signing in gives a new token");
        assert_eq!(first.len(), "beckon=".len() + 64, "of 256 bits");

        browser.sign_in("ada", PASSWORD).await;
        assert_ne!(browser.cookie.clone().unwrap(), first, "each time");
        for old in [planted.to_owned(), first] {
            browser.cookie = Some(old);
            assert_eq!(browser.get("/").await.leads_to(), "/sign-in");
        }
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_form_without_this_sessions_token_or_from_elsewhere_changes_nothing() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        let browser = gateway.signed_in(Role::Admin).await;
        let other = gateway.signed_in(Role::Admin).await;
        let origin = Some(gateway.origin.clone());
        let cases = [
            ("no token", None, origin.clone()),
            ("a wrong token", Some("0".repeat(64)), origin.clone()),
            ("another session's token", other.csrf.clone(), origin.clone()),
            ("no origin", browser.csrf.clone(), None),
            ("another origin", browser.csrf.clone(), Some("https://evil.example".to_owned())),
            ("an opaque origin", browser.csrf.clone(), Some("null".to_owned())),
        ];
        for (what, csrf, origin) in cases {
            let mut attempt = browser.clone();
            (attempt.csrf, attempt.origin) = (csrf, origin);
            assert_eq!(attempt.post("/sign-out", &[]).await.status, 403, "{what}");
            assert_eq!(attempt.get("/").await.status, 200, "{what}: still signed in");
        }
        let mut stranger = gateway.browser();
        stranger.origin = Some("https://evil.example".to_owned());
        assert_eq!(stranger.sign_in("ada", PASSWORD).await.status, 403, "nor can another site sign somebody in");
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_idle_session_ends_and_a_busy_one_ends_later() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        let mut idle = gateway.signed_in(Role::Admin).await;
        let mut busy = idle.clone();
        for _ in 0..4 {
            gateway.t.clock.advance(TimeDelta::minutes(14));
            assert_eq!(busy.get("/").await.status, 200, "each request is a sign of life");
        }
        gateway.t.clock.advance(TimeDelta::minutes(16));
        assert_eq!(idle.get("/").await.leads_to(), "/sign-in");
        assert_eq!(idle.post("/sign-out", &[]).await.status, 401, "a form is told so, not sent on");

        let mut busy = gateway.signed_in(Role::Admin).await;
        for minutes in (10..600).step_by(10) {
            gateway.t.clock.advance(TimeDelta::minutes(10));
            assert_eq!(busy.get("/").await.status, 200, "after {minutes} minutes");
        }
        gateway.t.clock.advance(TimeDelta::minutes(10));
        assert_eq!(busy.get("/").await.leads_to(), "/sign-in", "ten hours are the end, busy or not");
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn five_failures_rest_an_account_for_fifteen_minutes() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        gateway.add_staff("ada", &[Role::Admin]).await;
        let mut browser = gateway.browser();
        for _ in 0..5 {
            let refused = browser.sign_in("ada", "wrong password").await;
            assert_eq!(refused.status, 422);
            assert!(refused.shows("role=\"alert\"") && browser.cookie.is_none());
        }
        let right = browser.sign_in("ada", PASSWORD).await;
        assert_eq!(right.status, 422, "the right password no longer helps");
        let unknown = browser.sign_in("nobody", PASSWORD).await;
        assert_eq!(
            right.body.replace("ada", "?"),
            unknown.body.replace("nobody", "?"),
            "which logins exist, and rest, is not told"
        );
        gateway.t.clock.advance(TimeDelta::minutes(16));
        assert_eq!(browser.sign_in("ada", PASSWORD).await.status, 303);

        let refusals = events(&gateway, EventKind::SignInRefused).await;
        assert_eq!(refusals.len(), 7);
        assert!(!format!("{refusals:?}").contains("nobody"), "a login that is not ours is not kept");

        let mut again = gateway.browser();
        for _ in 0..4 {
            again.sign_in("ada", "wrong password").await;
        }
        assert_eq!(again.sign_in("ada", PASSWORD).await.status, 303, "a success clears the count");
        for _ in 0..4 {
            again.sign_in("ada", "wrong password").await;
        }
        assert_eq!(again.sign_in("ada", PASSWORD).await.status, 303);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn many_tries_at_once_are_still_counted() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        gateway.add_staff("ada", &[Role::Admin]).await;
        futures_util::future::join_all((0..8).map(|_| {
            let mut browser = gateway.browser();
            async move { browser.sign_in("ada", "wrong password").await.status }
        }))
        .await;
        assert_eq!(gateway.browser().sign_in("ada", PASSWORD).await.status, 422);
        let refusals = events(&gateway, EventKind::SignInRefused).await;
        let looked_at = refusals.iter().filter(|event| event.detail["because"] == "wrong password").count();
        assert_eq!(looked_at, 5, "no more than five passwords were looked at");
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn disabling_an_account_ends_its_sessions_at_once() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        gateway.add_staff("ada", &[Role::Admin]).await;
        let mut browser = gateway.browser();
        browser.sign_in("ada", PASSWORD).await;
        assert_eq!(browser.get("/").await.status, 200);
        let by = Actor::Cli("root".to_owned());
        let mut tx = gateway.t.store.write(&gateway.t.tenant).await.unwrap();
        assert!(tx.disable_staff(by.clone(), "ada").await.unwrap());
        assert!(!tx.disable_staff(by, "ada").await.unwrap(), "there is nothing left to disable");
        tx.commit().await.unwrap();
        assert_eq!(browser.get("/").await.leads_to(), "/sign-in");
        assert_eq!(browser.sign_in("ada", PASSWORD).await.status, 422);
        let staff = gateway.t.store.view(&gateway.t.tenant).staff().await.unwrap();
        assert!(staff[0].disabled_at.is_some());
        assert_eq!(events(&gateway, EventKind::StaffDisabled).await.len(), 1);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_login_is_given_once() {
    each_database(async |t| {
        let entropy = t.store.entropy().clone();
        let mut made = Vec::new();
        for login in ["ada", "ADA"] {
            let new =
                auth::new_account(login, "Ada", &[Role::Admin], PASSWORD.to_owned().into(), &entropy).await.unwrap();
            let mut tx = t.store.write(&t.tenant).await.unwrap();
            let added = tx.add_staff(Actor::Cli("root".to_owned()), new).await;
            made.push(added.map(|staff| staff.login).map_err(|error| error.to_string()));
            if made[0].is_ok() && made.len() == 1 {
                tx.commit().await.unwrap();
            }
        }
        assert_eq!(made[0], Ok("ada".to_owned()));
        assert!(made[1].as_ref().unwrap_err().contains("already an account"), "{made:?}");
    })
    .await;
}

#[tokio::test]
async fn behind_tls_the_cookie_is_bound_to_this_host() {
    let t = TestStore::sqlite().await;
    let gateway =
        Gateway::start_with(t, Setup { public_url: Some("https://beckon.example"), ..Setup::default() }).await;
    gateway.add_staff("ada", &[Role::Admin]).await;
    let mut browser = gateway.browser();
    let entered = browser.sign_in("ada", PASSWORD).await;
    let cookie = entered.header("set-cookie");
    assert!(cookie.starts_with("__Host-beckon="), "{cookie}");
    for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    assert!(!cookie.contains("Domain") && !cookie.contains("Max-Age"), "{cookie}");
    browser.origin = Some(gateway.url.clone());
    assert_eq!(browser.post("/sign-out", &[]).await.status, 403, "only the public address is ours");
    gateway.stop().await;
}

#[tokio::test]
async fn the_demo_signs_in_by_one_click_and_serve_never_does() {
    let t = TestStore::sqlite().await;
    let gateway =
        Gateway::start_with(t, Setup { demo: Some("http://127.0.0.1:9".to_owned()), ..Setup::default() }).await;
    for role in Role::ALL {
        let mut browser = gateway.browser();
        assert!(browser.get("/sign-in").await.shows(&format!("name=\"role\" value=\"{}\"", role.as_str())));
        assert_eq!(browser.post("/demo/sign-in", &[("role", role.as_str())]).await.leads_to(), "/");
        assert_eq!(browser.get("/").await.status, 200);
    }
    let mut browser = gateway.browser();
    assert_eq!(browser.sign_in("demo-admin", "no password").await.status, 422, "nobody knows their passwords");

    // The same accounts behind a gateway that is no demo.
    let plain = Gateway::start(TestStore::sqlite().await).await;
    let mut browser = plain.browser();
    assert!(!browser.get("/sign-in").await.shows("name=\"role\""));
    assert_eq!(browser.post("/demo/sign-in", &[("role", "admin")]).await.status, 404);
    plain.stop().await;
    gateway.stop().await;
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_health_for_everybody() {
    let t = TestStore::sqlite().await;
    let gateway = Gateway::start(t).await;
    let mut nobody = gateway.browser();
    assert_eq!(nobody.get("/healthz").await.body, "ok\n");
    assert_eq!(nobody.get("/readyz").await.body, "ready\n");
    assert_eq!(nobody.get("/metrics").await.body, "up 1\n");
    let through_proxy = reqwest::Client::builder()
        .build()
        .unwrap()
        .get(format!("{}/metrics", gateway.url))
        .header("x-forwarded-for", "203.0.113.7")
        .send()
        .await
        .unwrap();
    assert_eq!(through_proxy.status(), 404);
    gateway.stop().await;
}
