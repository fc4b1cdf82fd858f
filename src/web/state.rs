//! What every request may ask.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::config::Settings;
use crate::domain::{Role, TenantId};
use crate::outbox::Intake;
use crate::store::{Store, View};

/// Renders the metrics of this process as text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The parts that pages stand on. Cheap to clone.
#[derive(Clone)]
pub struct WebState {
    pub store: Store,
    /// Whose data this gateway serves: from here, never from a request (I8).
    pub tenant: TenantId,
    pub settings: Arc<Settings>,
    /// Set in the demo only: opens sign-in by one click and the pages of the simulated hospital.
    pub demo: Option<Arc<Demo>>,
    pub metrics: Option<RenderMetrics>,
    /// Takes in what providers report; without it their addresses do not exist.
    pub intake: Option<Intake>,
}

/// The simulated hospital that a demo runs beside.
#[derive(Debug, Clone)]
pub struct Demo {
    /// Its admin address, `http://127.0.0.1:PORT/_sandbox`.
    pub admin_url: String,
    pub http: reqwest::Client,
}

impl Demo {
    /// The login of the demo's account of a role.
    pub fn login(role: Role) -> String {
        format!("demo-{}", role.as_str())
    }
}

impl WebState {
    /// A gateway's pages, without demo or metrics.
    pub fn new(store: Store, tenant: TenantId, settings: Arc<Settings>) -> Self {
        Self { store, tenant, settings, demo: None, metrics: None, intake: None }
    }

    pub fn view(&self) -> View<'_> {
        self.store.view(&self.tenant)
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.store.clock().now()
    }

    /// The zone that pages show times in: the organisation's.
    pub fn zone(&self) -> Tz {
        self.settings.organisation.zone.unwrap_or(Tz::UTC)
    }

    /// Whether browsers reach this gateway over TLS.
    pub fn is_secure(&self) -> bool {
        self.settings.server.public_url.starts_with("https://")
    }
}
