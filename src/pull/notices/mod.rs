//! What EHRs tell by themselves. A notice is a hint of where to look, never a fact: what it names is read again with our
//! own token. Notices get lost, come twice and come from others, so the pull goes on beside them.

mod heed;
mod mend;
mod tend;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::RunId;
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::plan::CapabilityPlan;
use crate::store::{Store, SubscriptionRow};

use super::options::PullOptions;
use super::page::Run;
use super::planning::plan_due;
use super::run::{PullError, wanted};

/// Notices of one turn: others get at the EHR between.
const AT_ONCE: u64 = 50;
/// More that wait are not read one by one: everything that changed is asked for instead.
const TOO_MANY: u64 = 500;
/// An event that came before its predecessor usually has it follow.
const PATIENCE: TimeDelta = TimeDelta::seconds(60);
/// A question for everything that changed costs the EHR more than a notice costs whoever sends it.
const BETWEEN_POLLS: TimeDelta = TimeDelta::seconds(60);
/// Where such a question is one for each patient.
const BETWEEN_LONG_POLLS: TimeDelta = TimeDelta::minutes(10);
/// How long notices and the numbers of events are kept.
const KEEP_NOTICES: TimeDelta = TimeDelta::days(7);
const KEEP_EVENTS: TimeDelta = TimeDelta::days(30);

/// Heeds what came, mends what was missed, and looks after the subscriptions. Answers how many notices were heeded.
/// Nothing is asked of the EHR where there is nothing to do.
///
/// # Errors
/// The EHR gives no token or capabilities, or the store refuses.
pub async fn heed(store: &Store, client: &FhirClient, options: &PullOptions) -> Result<usize, PullError> {
    let connection = client.connection();
    let view = store.view(&connection.tenant);
    let subscriptions = view.subscriptions(&connection.id).await?;
    let notices = view.open_notices(&connection.id, AT_ONCE).await?;
    let now = store.clock().now();
    if notices.is_empty() && !subscriptions.iter().any(|it| is_due(it, now)) {
        return Ok(0);
    }
    let token = client.tokens().get().await.map_err(EhrError::from)?;
    let plan = CapabilityPlan::derive(connection, &*client.capability().await?);
    let kinds = wanted(store, client).await?;
    let id = RunId(store.new_id());
    let run = Run::of(id, (store, client, options), plan, (&token.granted, &kinds), &|_| {});
    let heeded = notices.len();
    run.heed_notices(notices).await?;
    Box::pin(run.mend()).await?;
    run.tend(&token.granted).await?;
    plan_due(store, &connection.tenant, &connection.id, options, &|_| {}).await?;
    Ok(heeded)
}

fn is_due(it: &SubscriptionRow, now: DateTime<Utc>) -> bool {
    it.next_at <= now || gap_is_due(it, now) || poll_is_due(it, now, BETWEEN_POLLS)
}

fn gap_is_due(it: &SubscriptionRow, now: DateTime<Utc>) -> bool {
    it.gap_since.is_some_and(|since| since + PATIENCE <= now)
}

fn poll_is_due(it: &SubscriptionRow, now: DateTime<Utc>, between: TimeDelta) -> bool {
    it.poll_wanted_at.is_some() && it.polled_at.is_none_or(|at| at + between <= now)
}
