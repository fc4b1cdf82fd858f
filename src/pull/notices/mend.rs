//! What was missed is asked for: first the events themselves, else everything that changed.

use std::collections::{BTreeSet, HashSet};

use crate::domain::{ResourceKey, ResourceType};
use crate::ehr::plan::Ask;
use crate::pull::page::Run;
use crate::store::{StoreError, SubscriptionRow};

use super::{BETWEEN_LONG_POLLS, BETWEEN_POLLS, gap_is_due, poll_is_due};

/// What a notice without a name may be about.
const POLLED: [ResourceType; 2] = [ResourceType::Patient, ResourceType::Appointment];

impl Run<'_> {
    pub(super) async fn mend(&self) -> Result<(), StoreError> {
        let connection = self.client.connection();
        let subscriptions = self.store.view(&connection.tenant).subscriptions(&connection.id).await?;
        let mut to_poll = Vec::new();
        for mut subscription in subscriptions {
            if gap_is_due(&subscription, self.now()) {
                self.fill(&mut subscription).await?;
                self.keep_subscription(&subscription).await?;
            }
            let between = if self.polls_are_long() { BETWEEN_LONG_POLLS } else { BETWEEN_POLLS };
            if poll_is_due(&subscription, self.now(), between) {
                to_poll.push(subscription);
            }
        }
        if to_poll.is_empty() {
            return Ok(());
        }
        // Before the question, so that a notice that comes meanwhile asks again.
        for subscription in &mut to_poll {
            (subscription.poll_wanted_at, subscription.polled_at) = (None, Some(self.now()));
            self.keep_subscription(subscription).await?;
        }
        if let Err(words) = self.poll().await? {
            tracing::warn!(ehr = %connection.id, error = %words, "what changed could not be asked for; it is tried again");
            for subscription in &mut to_poll {
                subscription.poll_wanted_at = Some(self.now());
                self.keep_subscription(subscription).await?;
            }
        }
        Ok(())
    }

    /// Asks for the events that are missing.
    async fn fill(&self, subscription: &mut SubscriptionRow) -> Result<(), StoreError> {
        let (from, until) = (subscription.gap_from.unwrap_or(0), subscription.last_event.unwrap_or(0));
        (subscription.gap_from, subscription.gap_since) = (None, None);
        let answer = match &subscription.remote_id {
            Some(id) => self.client.missed_events(id, from, until).await.ok(),
            None => None,
        };
        let numbers: BTreeSet<u64> =
            answer.iter().flat_map(|notice| &notice.events).filter_map(|event| event.number).collect();
        let complete = (from..=until).all(|number| numbers.contains(&number)) && until - from < 1000;
        let keys: BTreeSet<ResourceKey> =
            answer.iter().flat_map(|notice| &notice.events).filter_map(|event| event.focus.clone()).collect();
        let named =
            answer.iter().flat_map(|notice| &notice.events).all(|event| event.focus.is_some() || event.is_foreign);
        let open = self.read_named(&keys).await?;
        // Servers keep the last events only, and some keep none.
        if !complete || !named || open.is_some() {
            subscription.poll_wanted_at = subscription.poll_wanted_at.or(Some(self.now()));
        }
        Ok(())
    }

    /// One increment of what a notice may be about.
    async fn poll(&self) -> Result<Result<(), String>, StoreError> {
        let connection = self.client.connection();
        let marks = self.store.view(&connection.tenant).watermarks(&connection.id).await?;
        let mut asked = HashSet::new();
        let mut failed = Ok(());
        for kind in POLLED {
            let report = Box::pin(self.pull_type(kind, marks.get(&kind), &mut asked)).await?;
            if let Some(error) = report.error {
                failed = Err(format!("{kind}: {error}"));
            }
        }
        Ok(failed)
    }

    /// Whether a poll is a question for each patient or place.
    fn polls_are_long(&self) -> bool {
        self.plan.of(ResourceType::Appointment).is_some_and(|it| it.ask.value != Ask::WholeType)
    }

    pub(super) async fn keep_subscription(&self, subscription: &SubscriptionRow) -> Result<(), StoreError> {
        let mut tx = self.store.write(&self.client.connection().tenant).await?;
        tx.keep_subscription(subscription).await?;
        tx.commit().await
    }
}
