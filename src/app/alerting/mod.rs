//! Watches for what needs a person, and tells people of it: the worklist keeps it, a mail and a signed webhook carry it
//! out of the house, a metric shows it. Over all replicas one watches at a time. Nothing here says anything of a patient.

mod checkpoints;
mod conditions;
mod notice;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use super::AppError;
use crate::config::Settings;
use crate::domain::{Alert, AlertId, AlertKind, TenantId};
use crate::outbox::Providers;
use crate::store::{ACKNOWLEDGED_FOR, Store};
use conditions::Condition;
use notice::{Notices, Way};

/// How long the lead holds without being renewed.
const LEAD: TimeDelta = TimeDelta::minutes(2);
/// Between two looks.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(30);
/// An alert that goes on is counted up this often.
const COUNT_EVERY: TimeDelta = TimeDelta::hours(1);
/// Alerts that one notice carries at most.
const IN_ONE_NOTICE: u64 = 50;
/// Waits after notices that could not be delivered, in minutes.
const RETRY_MINUTES: [i64; 4] = [1, 5, 15, 60];

/// What one look did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether this replica leads; if not, it did nothing.
    pub led: bool,
    pub raised: usize,
    pub resolved: usize,
    /// Alerts that people were told of.
    pub told: usize,
}

/// The watch over one tenant on this replica. Clones share what was delivered.
#[derive(Debug, Clone)]
pub struct Alerting {
    store: Store,
    tenant: TenantId,
    settings: Arc<Settings>,
    notices: Arc<Notices>,
    delivery: Arc<Mutex<Delivery>>,
    holder: Uuid,
    /// Below this many free bytes beside the database a person is called.
    pub disk_floor: u64,
}

/// What went out over which way, until all ways are served; and when a way that failed is tried again.
#[derive(Debug, Default)]
struct Delivery {
    told: HashMap<AlertId, Vec<Way>>,
    rest: BTreeMap<Way, (usize, DateTime<Utc>)>,
}

impl Alerting {
    /// # Errors
    /// No HTTP client can be made for the webhook.
    pub fn new(
        store: Store,
        tenant: TenantId,
        settings: Arc<Settings>,
        providers: Arc<Providers>,
    ) -> Result<Self, AppError> {
        let holder = store.new_id();
        let notices = Arc::new(Notices::new(Arc::clone(&settings), providers, tenant.clone())?);
        let disk_floor = 1 << 30;
        Ok(Self { store, tenant, settings, notices, delivery: Arc::default(), holder, disk_floor })
    }

    /// Looks until `stop` is set.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if let Err(error) = self.turn().await {
                metrics::counter!("beckon_alerting_failures_total").increment(1);
                tracing::error!(%error, tenant = %self.tenant, "what needs a person cannot be told; it is tried again");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// One look: raise what is wrong, close what is right again, tell people of what is new.
    ///
    /// # Errors
    /// The database. A mail or a webhook that does not get through is no error: it is tried again.
    pub async fn turn(&self) -> Result<Look, AppError> {
        let role = format!("alerts/{}", self.tenant);
        if !self.store.lead(&role, self.holder, LEAD).await? {
            return Ok(Look::default());
        }
        let mut look = Look { led: true, ..Look::default() };
        let open = self.store.view(&self.tenant).alerts(true, None, 10_000).await?;
        for condition in self.conditions().await? {
            self.apply(condition, &open, &mut look).await?;
        }
        look.told = self.tell().await?;
        let open = self.store.view(&self.tenant).alerts(true, None, 10_000).await?;
        for kind in AlertKind::ALL {
            let count = open.iter().filter(|alert| alert.kind == kind).count();
            metrics::gauge!("beckon_alerts_open", "kind" => kind.as_str()).set(count as f64);
        }
        Ok(look)
    }

    async fn apply(&self, condition: Condition, open: &[Alert], look: &mut Look) -> Result<(), AppError> {
        let standing = open.iter().find(|it| it.kind == condition.kind && it.subject == condition.subject);
        let now = self.store.clock().now();
        match (condition.wrong, standing) {
            (Some(words), standing) => {
                let asks = |it: &Alert| {
                    it.last_at + COUNT_EVERY <= now || it.acknowledged_at.is_some_and(|at| at + ACKNOWLEDGED_FOR <= now)
                };
                if standing.is_none_or(asks) {
                    let mut tx = self.store.write(&self.tenant).await?;
                    let new = tx.raise_alert(condition.kind, &condition.subject, &words).await?;
                    tx.commit().await?;
                    look.raised += usize::from(new.is_some());
                }
            }
            (None, Some(_)) => {
                let mut tx = self.store.write(&self.tenant).await?;
                let closed = tx.resolve_alert(condition.kind, &condition.subject).await?;
                tx.commit().await?;
                look.resolved += usize::from(closed);
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Tells people of alerts that they were not told of, over every way that the settings name. An alert counts as
    /// told when the last way took it.
    async fn tell(&self) -> Result<usize, AppError> {
        let new = self.store.view(&self.tenant).alerts_to_notify(IN_ONE_NOTICE).await?;
        let mut delivery = self.delivery.lock().await;
        delivery.told.retain(|id, _| new.iter().any(|alert| alert.id == *id));
        if new.is_empty() {
            return Ok(0);
        }
        let ways = self.notices.ways();
        let now = self.store.clock().now();
        for way in &ways {
            let untold: Vec<&Alert> =
                new.iter().filter(|it| !delivery.told.get(&it.id).is_some_and(|told| told.contains(way))).collect();
            let resting = delivery.rest.get(way).is_some_and(|(_, until)| now < *until);
            if untold.is_empty() || resting {
                continue;
            }
            match self.notices.send(*way, &untold, now).await {
                Ok(()) => {
                    metrics::counter!("beckon_alert_notices_total", "way" => way.as_str(), "outcome" => "taken")
                        .increment(1);
                    delivery.rest.remove(way);
                    for alert in untold {
                        delivery.told.entry(alert.id).or_default().push(*way);
                    }
                }
                Err(problem) => {
                    metrics::counter!("beckon_alert_notices_total", "way" => way.as_str(), "outcome" => "failed")
                        .increment(1);
                    let tries = delivery.rest.get(way).map_or(0, |(tries, _)| *tries);
                    let minutes = RETRY_MINUTES[tries.min(RETRY_MINUTES.len() - 1)];
                    delivery.rest.insert(*way, (tries + 1, now + TimeDelta::minutes(minutes)));
                    tracing::warn!(way = way.as_str(), %problem, "people could not be told of alerts; it is tried again");
                }
            }
        }
        let told: Vec<AlertId> = new
            .iter()
            .map(|alert| alert.id)
            .filter(|id| ways.iter().all(|way| delivery.told.get(id).is_some_and(|told| told.contains(way))))
            .collect();
        if told.is_empty() {
            return Ok(0);
        }
        let mut tx = self.store.write(&self.tenant).await?;
        tx.alerts_notified(&told).await?;
        tx.commit().await?;
        Ok(told.len())
    }
}
