//! What stands around every page: the rail by role, whose data this is, and whether anything goes out.

use super::assets::STYLESHEET;
use super::call::Call;
use super::error::WebError;
use super::state::WebState;
use crate::domain::Role;
use crate::store::{SendMode, Sending};

/// A page without a rail: sign-in and errors.
pub struct Bare {
    pub title: &'static str,
    pub organisation: String,
    pub stylesheet: &'static str,
    pub demo: bool,
}

impl Bare {
    pub fn new(state: &WebState, title: &'static str) -> Self {
        Self {
            title,
            organisation: state.settings.organisation.name.clone(),
            stylesheet: &STYLESHEET,
            demo: state.demo.is_some(),
        }
    }
}

/// One entry of the rail.
pub struct NavItem {
    pub href: &'static str,
    pub label: &'static str,
    pub icon: &'static str,
    pub current: bool,
    /// Things that need somebody; 0 shows nothing.
    pub count: u64,
}

/// A page with its rail.
pub struct Shell {
    pub title: String,
    pub organisation: String,
    pub stylesheet: &'static str,
    pub demo: bool,
    pub staff_name: String,
    pub roles: String,
    pub csrf: String,
    pub nav: Vec<NavItem>,
    pub demo_nav: Vec<NavItem>,
    pub banners: Vec<Banner>,
}

const EVERYBODY: &[Role] = &Role::ALL;
const CARE: &[Role] = &[Role::Clinician, Role::Compliance];

/// The rail: address, label, icon, who sees it.
const RAIL: &[(&str, &str, &str, &[Role])] = &[
    ("/", "Today", "today", EVERYBODY),
    ("/worklist", "Worklist", "bell", EVERYBODY),
    ("/tasks", "Tasks", "check", CARE),
    ("/patients", "Patients", "people", CARE),
    ("/reminders", "Reminders", "clock", EVERYBODY),
    ("/messages", "Messages", "message", EVERYBODY),
    ("/replies", "Replies", "reply", CARE),
    ("/quarantine", "Quarantine", "box", EVERYBODY),
    ("/rules", "Rules", "switch", EVERYBODY),
    ("/accounts", "Accounts", "check", EVERYBODY),
    ("/connections", "Connections", "hospital", &[Role::Admin]),
    ("/sending", "Sending", "switch", &[Role::Admin]),
    ("/history", "History", "history", &[Role::Compliance]),
];

/// What the rail has beside these in the demo.
const DEMO_RAIL: &[(&str, &str, &str)] =
    &[("/demo/phone", "Phones", "phone"), ("/demo/mail", "Mailbox", "mail"), ("/demo/ehr", "EHR", "hospital")];

/// A line above every page while something keeps messages from going out as usual.
pub struct Banner {
    pub tone: &'static str,
    pub icon: &'static str,
    pub words: String,
    /// Where it can be changed, for those who may.
    pub href: Option<&'static str>,
}

impl Shell {
    /// The frame of a page; `current` is the rail's entry it belongs to.
    pub async fn of(call: &Call, title: impl Into<String>, current: &str) -> Result<Self, WebError> {
        let visitor = call.visitor.as_ref().ok_or(WebError::SignInNeeded)?;
        let open_alerts = call.state.view().open_alert_count().await?;
        let nav = RAIL
            .iter()
            .filter(|(.., roles)| visitor.has_any(roles))
            .map(|(href, label, icon, _)| NavItem {
                href,
                label,
                icon,
                current: *href == current,
                count: if *href == "/worklist" { open_alerts } else { 0 },
            })
            .collect();
        let demo_nav = DEMO_RAIL
            .iter()
            .filter(|_| call.state.demo.is_some())
            .map(|(href, label, icon)| NavItem { href, label, icon, current: *href == current, count: 0 })
            .collect();
        let sending = call.state.view().sending().await?;
        let roles: Vec<&str> = visitor.staff.roles.iter().map(|role| role_word(*role)).collect();
        Ok(Self {
            title: title.into(),
            organisation: call.state.settings.organisation.name.clone(),
            stylesheet: &STYLESHEET,
            demo: call.state.demo.is_some(),
            staff_name: visitor.staff.display_name.clone(),
            roles: roles.join(", "),
            csrf: visitor.csrf.clone(),
            nav,
            demo_nav,
            banners: banners(&sending, call.has(Role::Admin)),
        })
    }
}

/// What each mode does: title and words.
pub const fn mode_words(mode: SendMode) -> (&'static str, &'static str) {
    match mode {
        SendMode::Off => ("Off", "Nothing goes out. Reminders are planned and wait."),
        SendMode::Test => ("Test", "Only the safe addresses of the settings are reached."),
        SendMode::Live => ("Live", "Patients are reached."),
    }
}

fn banners(sending: &Sending, may_change: bool) -> Vec<Banner> {
    let href = may_change.then_some("/sending");
    let mut banners = Vec::new();
    let halted: Vec<String> =
        sending.halts.iter().map(|halt| format!("{} ({})", halt.scope.in_words(), halt.reason)).collect();
    if !halted.is_empty() {
        let words = format!("Sending is halted: {}.", halted.join(", "));
        banners.push(Banner { tone: "needs", icon: "stop", words, href });
    }
    if sending.held_at.is_some() {
        let words = "Unusually many messages wanted to go out: they are held until an administrator looks.".to_owned();
        banners.push(Banner { tone: "needs", icon: "hand", words, href });
    }
    if sending.mode != SendMode::Live {
        let (title, words) = mode_words(sending.mode);
        let words = format!("Send mode: {}. {words}", title.to_lowercase());
        banners.push(Banner { tone: "planned", icon: "switch", words, href });
    }
    banners
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Admin => "Administrator",
        Role::Clinician => "Clinician",
        Role::Compliance => "Compliance",
    }
}
