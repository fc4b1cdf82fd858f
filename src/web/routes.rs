//! The table of routes: method, path, who may. What is not here does not exist.

use super::assets::asset;
use super::auth;
use super::guard::Access::{Anyone, Loopback, Machine, SignedIn};
use super::guard::{Declared, RouteInfo};
use super::health;
use super::pages::today;

/// Every route with its handler.
pub fn table() -> Vec<Declared> {
    vec![
        // Machines
        Declared::get("/healthz", Machine, health::healthz),
        Declared::get("/readyz", Machine, health::readyz),
        Declared::get("/metrics", Loopback, health::metrics),
        // Sign-in
        Declared::get("/assets/{name}", Anyone, asset),
        Declared::get("/sign-in", Anyone, auth::sign_in_page),
        Declared::post("/sign-in", Anyone, auth::sign_in),
        Declared::post("/sign-out", SignedIn, auth::sign_out),
        Declared::post("/demo/sign-in", Anyone, auth::demo_sign_in).in_demo(),
        // Pages
        Declared::get("/", SignedIn, today::today),
    ]
}

/// Every route, for documentation and for the test that walks them.
pub fn declared() -> Vec<RouteInfo> {
    table().into_iter().map(|declared| declared.info).collect()
}
