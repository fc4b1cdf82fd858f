//! Subscriptions are made, watched, and made again: a server does not reactivate one by itself, and some forget them.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::domain::{Actor, AlertKind, EventKind, Phi};
use crate::ehr::error::EhrError;
use crate::ehr::plan::Notices;
use crate::ehr::scopes::{Access, ScopeSet};
use crate::ehr::subscription::{AtServer, HEARTBEAT_SECONDS, Wanted};
use crate::pull::page::Run;
use crate::store::{StoreError, SubscriptionRow, SubscriptionSecrets, SubscriptionState};

use super::{KEEP_EVENTS, KEEP_NOTICES};

/// A server that confirms nothing is asked after this long.
const CONFIRM_AFTER: TimeDelta = TimeDelta::minutes(2);
/// How often a subscription without heartbeat is looked at.
const LOOK_EVERY: TimeDelta = TimeDelta::hours(1);
/// Failures in a row after which a person should know.
const FAILURES: u32 = 3;

impl Run<'_> {
    /// Looks after every subscription that it is time for, and makes those that are missing.
    pub(crate) async fn tend(&self, granted: &ScopeSet) -> Result<(), StoreError> {
        let connection = self.client.connection();
        let Some(public_url) = self.options.public_url.as_deref() else { return Ok(()) };
        let mut known = self.store.view(&connection.tenant).subscriptions(&connection.id).await?;
        let notices = self.plan.notices.value;
        let may = granted.allows("Subscription", &[Access::Create]);
        let wanted: &[String] = if may { &self.plan.subscriptions } else { &[] };
        for name in wanted {
            if known.iter().all(|it| it.name != *name || it.dialect != notices.as_str()) {
                known.push(self.want(notices, name).await?);
            }
        }
        let mut asleep = 0;
        for mut subscription in known {
            let still = wanted.contains(&subscription.name) && subscription.dialect == notices.as_str();
            if !still && may {
                self.end(&subscription).await?;
                continue;
            }
            if subscription.next_at <= self.now() {
                self.look_after(&mut subscription, public_url).await?;
                self.keep_subscription(&subscription).await?;
            }
            asleep += usize::from(subscription.tries >= FAILURES);
        }
        self.tell(asleep).await?;
        let mut tx = self.store.write(&connection.tenant).await?;
        let now = tx.now();
        tx.purge_notices(now - KEEP_NOTICES, now - KEEP_EVENTS).await?;
        tx.commit().await
    }

    /// Keeps that a subscription is wanted, with secrets of its own, before the EHR is asked.
    async fn want(&self, notices: Notices, name: &str) -> Result<SubscriptionRow, StoreError> {
        let entropy = self.store.entropy();
        let now = self.now();
        let row = SubscriptionRow {
            id: self.store.new_id(),
            ehr: self.client.connection().id.clone(),
            dialect: notices.as_str().to_owned(),
            name: name.to_owned(),
            secrets: SubscriptionSecrets { path: Phi::new(entropy.token()), key: Phi::new(entropy.token()) },
            remote_id: None,
            state: SubscriptionState::Wanted,
            error: None,
            heartbeat_seconds: if notices == Notices::Classic { 0 } else { HEARTBEAT_SECONDS },
            last_event: None,
            gap_from: None,
            gap_since: None,
            poll_wanted_at: None,
            polled_at: None,
            heard_at: None,
            tries: 0,
            next_at: now,
            created_at: now,
        };
        let mut tx = self.store.write(&self.client.connection().tenant).await?;
        tx.keep_subscription(&row).await?;
        let event = tx.event(Actor::system("pull"), EventKind::SubscriptionMade).about_ehr(&row.ehr);
        tx.append(event.with_detail(json!({"dialect": row.dialect, "about": row.name}))).await?;
        tx.commit().await?;
        Ok(row)
    }

    async fn end(&self, subscription: &SubscriptionRow) -> Result<(), StoreError> {
        if let Some(id) = &subscription.remote_id
            && let Err(error) = self.client.unsubscribe(id).await
        {
            tracing::warn!(ehr = %subscription.ehr, %error, "a subscription that is not wanted could not be ended");
            if error.is_transient() {
                return Ok(());
            }
        }
        let mut tx = self.store.write(&self.client.connection().tenant).await?;
        tx.remove_subscription(subscription.id).await?;
        let event = tx.event(Actor::system("pull"), EventKind::SubscriptionEnded).about_ehr(&subscription.ehr);
        tx.append(event.with_detail(json!({"dialect": subscription.dialect, "about": subscription.name}))).await?;
        tx.commit().await
    }

    async fn look_after(&self, it: &mut SubscriptionRow, public_url: &str) -> Result<(), StoreError> {
        let endpoint = format!("{public_url}/subscriptions/{}/{}", it.ehr, it.secrets.path.expose());
        let (dialect, name, key) = (it.dialect.clone(), it.name.clone(), it.secrets.key.clone());
        let notices = Notices::parse(&dialect).unwrap_or(Notices::Off);
        let wanted = Wanted { notices, name: &name, endpoint: &endpoint, key: key.expose() };
        let result = match (it.state, it.remote_id.clone()) {
            (SubscriptionState::Wanted, _) | (_, None) => self.make(it, wanted).await,
            (SubscriptionState::Active, Some(id)) if it.heartbeat_seconds > 0 => self.listen(it, &id).await,
            (_, Some(id)) => self.compare(it, &id, wanted).await,
        };
        if let Err(error) = result {
            it.tries += 1;
            it.error = Some(error.to_string());
            let own = TimeDelta::seconds(30 * 2_i64.saturating_pow(it.tries.min(7)));
            let asked = error.retry_after().and_then(|wait| TimeDelta::from_std(wait).ok());
            it.next_at = self.now() + asked.unwrap_or(own);
        }
        Ok(())
    }

    async fn make(&self, it: &mut SubscriptionRow, wanted: Wanted<'_>) -> Result<(), EhrError> {
        // After a lost answer it may be there.
        let known = if it.tries > 0 { self.client.subscription_to(wanted.endpoint).await? } else { None };
        let made = match known {
            Some(known) => known,
            None => self.client.subscribe(wanted).await?,
        };
        it.remote_id = Some(made.id.clone());
        (it.last_event, it.gap_from, it.gap_since) = (None, None, None);
        it.tries = 0;
        self.settle(it, &made);
        // What happened before it was there is not told.
        it.poll_wanted_at = it.poll_wanted_at.or(Some(self.now()));
        Ok(())
    }

    /// Compares with what the server has, and asks it to try again where it gave up.
    async fn compare(&self, it: &mut SubscriptionRow, id: &str, wanted: Wanted<'_>) -> Result<(), EhrError> {
        let Some(known) = self.client.subscription(id).await? else {
            // It is made anew at the next look, which is now.
            (it.state, it.remote_id, it.next_at) = (SubscriptionState::Wanted, None, self.now());
            it.poll_wanted_at = it.poll_wanted_at.or(Some(self.now()));
            return Ok(());
        };
        if matches!(known.status.as_str(), "error" | "off" | "entered-in-error") {
            it.poll_wanted_at = it.poll_wanted_at.or(Some(self.now()));
            it.tries += 1;
            it.error = Some(format!("the EHR set it to {}", plain(&known.status)));
            self.client.reactivate(&known, wanted).await?;
            it.state = SubscriptionState::Requested;
            it.next_at = self.now() + CONFIRM_AFTER * i32::try_from(it.tries.min(30)).unwrap_or(30);
            return Ok(());
        }
        self.settle(it, &known);
        Ok(())
    }

    fn settle(&self, it: &mut SubscriptionRow, known: &AtServer) {
        if known.status == "active" {
            (it.state, it.error, it.tries) = (SubscriptionState::Active, None, 0);
            it.heard_at = it.heard_at.max(Some(self.now()));
            it.next_at = self.next_look(it);
        } else {
            it.state = SubscriptionState::Requested;
            it.next_at = self.now() + CONFIRM_AFTER;
        }
    }

    /// Whether it is still heard; if not, the server is asked how it stands.
    async fn listen(&self, it: &mut SubscriptionRow, id: &str) -> Result<(), EhrError> {
        it.next_at = self.next_look(it);
        if it.next_at > self.now() && it.tries == 0 && it.error.is_none() {
            return Ok(());
        }
        let has_status = Notices::parse(&it.dialect) != Some(Notices::Athena);
        let asked = if has_status { Some(self.client.subscription_status(id).await) } else { None };
        let status = match asked {
            None => self.client.subscription(id).await?.map(|known| known.status),
            Some(Ok(notice)) => notice.status,
            // Many servers have no $status: the resource itself tells.
            Some(Err(error)) if error.is_transient() => return Err(error),
            Some(Err(_)) => self.client.subscription(id).await?.map(|known| known.status),
        };
        match status.as_deref() {
            Some("active") => {
                // It says that it is well, and is not heard: what it sent may be lost.
                it.poll_wanted_at = it.poll_wanted_at.or(Some(self.now()));
                (it.heard_at, it.error, it.tries) = (Some(self.now()), None, 0);
                it.next_at = self.next_look(it);
            }
            _ => (it.state, it.next_at) = (SubscriptionState::Error, self.now()),
        }
        Ok(())
    }

    fn next_look(&self, it: &SubscriptionRow) -> DateTime<Utc> {
        let heard = it.heard_at.unwrap_or(it.created_at);
        match it.heartbeat_seconds {
            0 => self.now() + LOOK_EVERY,
            seconds => heard + TimeDelta::seconds(i64::from(seconds) * 2),
        }
    }

    /// Raises or closes the alert about subscriptions that do not come back.
    async fn tell(&self, asleep: usize) -> Result<(), StoreError> {
        let connection = self.client.connection();
        let mut tx = self.store.write(&connection.tenant).await?;
        if asleep > 0 {
            let words = format!(
                "{asleep} subscriptions at this EHR cannot be made or do not stay active. Changes are noticed by the pull \
                 alone, later. `beckon ehr subscriptions {}` says why.",
                connection.id
            );
            tx.raise_alert(AlertKind::SubscriptionDown, connection.id.as_str(), &words).await?;
        } else {
            tx.resolve_alert(AlertKind::SubscriptionDown, connection.id.as_str()).await?;
        }
        tx.commit().await
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect()
}
