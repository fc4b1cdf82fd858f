//! The table of routes: method, path, who may. What is not here does not exist.

use super::assets::asset;
use super::auth;
use super::guard::Access::{Anyone, Loopback, Machine, Roles, SignedIn};
use super::guard::{Access, Declared, RouteInfo};
use super::pages::{
    accounts, connection, connection_acts, connection_requests, connections, demo, evidence, history, message,
    messages, patient, patients, quarantine, reminder, reminders, replies, rules, sending, switches, tasks, today,
    worklist,
};
use super::{health, machines};
use crate::domain::Role;

/// Pages about patients: an administrator's work does not need them.
const CARE: Access = Roles(&[Role::Clinician, Role::Compliance]);

/// What changes a patient's care.
const CLINICIAN: Access = Roles(&[Role::Clinician]);

/// Whoever acts on an alert; compliance watches and does not act.
const OPERATORS: Access = Roles(&[Role::Admin, Role::Clinician]);
const ADMIN: Access = Roles(&[Role::Admin]);
const COMPLIANCE: Access = Roles(&[Role::Compliance]);

/// Notices of an EHR hold ids, or at worst one resource.
const MAX_NOTICE: usize = 1024 * 1024;

/// Every route with its handler.
pub fn table() -> Vec<Declared> {
    vec![
        // Machines
        Declared::get("/healthz", Machine, health::healthz),
        Declared::get("/readyz", Machine, health::readyz),
        Declared::get("/metrics", Loopback, health::metrics),
        Declared::get("/ehr/{ehr}/jwks.json", Machine, machines::jwks),
        Declared::post("/hooks/twilio/{secret}/status", Machine, machines::sms_status),
        Declared::post("/hooks/twilio/{secret}/inbound", Machine, machines::sms_inbound),
        Declared::machine("POST", "/subscriptions/{ehr}/{secret}", machines::notice).taking(MAX_NOTICE),
        Declared::machine("POST", "/subscriptions/{ehr}/{secret}/{type}/{id}", machines::notice).taking(MAX_NOTICE),
        Declared::machine("PUT", "/subscriptions/{ehr}/{secret}/{type}/{id}", machines::notice).taking(MAX_NOTICE),
        Declared::machine("DELETE", "/subscriptions/{ehr}/{secret}/{type}/{id}", machines::notice).taking(MAX_NOTICE),
        // Sign-in
        Declared::get("/assets/{name}", Anyone, asset),
        Declared::get("/sign-in", Anyone, auth::sign_in_page),
        Declared::post("/sign-in", Anyone, auth::sign_in),
        Declared::post("/sign-out", SignedIn, auth::sign_out),
        Declared::post("/demo/sign-in", Anyone, auth::demo_sign_in).in_demo(),
        // Pages
        Declared::get("/", SignedIn, today::today),
        Declared::get("/reminders", SignedIn, reminders::reminders),
        Declared::get("/reminders/{id}", CARE, reminder::reminder),
        Declared::get("/messages", SignedIn, messages::messages),
        Declared::get("/messages/{id}", CARE, message::message),
        Declared::get("/replies", CARE, replies::replies),
        Declared::get("/patients", CARE, patients::patients),
        Declared::post("/patients", CARE, patients::search),
        Declared::get("/patients/{ehr}/{patient}", CARE, patient::patient),
        Declared::post("/patients/{ehr}/{patient}/rules/{rule}", CLINICIAN, switches::switch_rule),
        Declared::post("/patients/{ehr}/{patient}/opt-outs", CLINICIAN, switches::opt_out),
        Declared::get("/worklist", SignedIn, worklist::worklist),
        Declared::post("/worklist/{id}/acknowledge", OPERATORS, worklist::acknowledge),
        Declared::get("/tasks", CARE, tasks::tasks),
        Declared::post("/tasks/{id}/done", CLINICIAN, tasks::done),
        Declared::get("/quarantine", SignedIn, quarantine::quarantine),
        Declared::get("/rules", SignedIn, rules::rules),
        Declared::get("/rules/{rule}", SignedIn, rules::rule),
        Declared::post("/rules/{rule}/review", OPERATORS, rules::review),
        Declared::post("/rules/{rule}/live", OPERATORS, rules::make_live),
        Declared::post("/rules/{rule}/revert", OPERATORS, rules::revert),
        Declared::post("/rules/{rule}/clinics", OPERATORS, rules::set_clinic),
        Declared::post("/rules/{rule}/retire", OPERATORS, rules::retire),
        Declared::get("/accounts", SignedIn, accounts::accounts),
        Declared::get("/accounts/{ehr}/{day}", CARE, accounts::day),
        Declared::get("/sending", ADMIN, sending::sending),
        Declared::post("/sending/mode", ADMIN, sending::set_mode),
        Declared::post("/sending/halt", ADMIN, sending::halt),
        Declared::post("/sending/resume", ADMIN, sending::resume),
        Declared::post("/sending/release", ADMIN, sending::release_hold),
        Declared::get("/connections", ADMIN, connections::connections),
        Declared::get("/connections/{ehr}", ADMIN, connection::connection),
        Declared::get("/connections/{ehr}/requests", ADMIN, connection_requests::requests),
        Declared::post("/connections/{ehr}/pull", ADMIN, connection_acts::pull),
        Declared::post("/connections/{ehr}/retry", ADMIN, connection_acts::retry),
        Declared::post("/connections/{ehr}/scopes", ADMIN, connection_acts::scopes),
        Declared::post("/connections/{ehr}/budget", ADMIN, connection_acts::budget),
        Declared::post("/connections/{ehr}/keys", ADMIN, connection_acts::keys),
        Declared::get("/history", COMPLIANCE, history::history),
        Declared::post("/history", COMPLIANCE, history::search),
        Declared::post("/history/questions", COMPLIANCE, history::save),
        Declared::post("/history/questions/{id}/remove", COMPLIANCE, history::remove),
        Declared::post("/history/export", COMPLIANCE, evidence::export),
        Declared::get("/history/checkpoints", COMPLIANCE, evidence::checkpoints),
        Declared::get("/history/checkpoints/{size}", COMPLIANCE, evidence::note),
        Declared::post("/patients/{ehr}/{patient}/packet", COMPLIANCE, evidence::patient_packet),
        // The simulated hospital
        Declared::get("/demo/phone", SignedIn, demo::phone).in_demo(),
        Declared::post("/demo/phone/reply", SignedIn, demo::reply).in_demo(),
        Declared::get("/demo/mail", SignedIn, demo::mail).in_demo(),
        Declared::get("/demo/ehr", SignedIn, demo::ehr).in_demo(),
    ]
}

/// Every route, for documentation and for the test that walks them.
pub fn declared() -> Vec<RouteInfo> {
    table().into_iter().map(|declared| declared.info).collect()
}
