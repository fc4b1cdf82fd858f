//! What stands around every page: the rail by role, whose data this is, and whether anything goes out.

use super::assets::STYLESHEET;
use super::call::Call;
use super::error::WebError;
use super::state::WebState;
use crate::domain::Role;

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
}

const EVERYBODY: &[Role] = &Role::ALL;

/// The rail: address, label, icon, who sees it.
const RAIL: &[(&str, &str, &str, &[Role])] = &[("/", "Today", "today", EVERYBODY)];

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
        })
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Admin => "Administrator",
        Role::Clinician => "Clinician",
        Role::Compliance => "Compliance",
    }
}
