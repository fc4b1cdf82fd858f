//! From a notice to what it names.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::{ResourceKey, ResourceType};
use crate::ehr::plan::{Ask, Notices};
use crate::ehr::read::Read;
use crate::fhir::notice::{Notice, NoticeEvent, NoticeKind};
use crate::pull::page::{Prepared, Run};
use crate::pull::report::TypeReport;
use crate::store::{NoticeRow, StoreError, SubscriptionRow, SubscriptionState};

use super::TOO_MANY;

/// Tries to read what a notice names.
const TRIES: u32 = 8;
/// By which the roster knows what notices named.
const SOURCE: &str = "notices";

impl Run<'_> {
    pub(super) async fn heed_notices(&self, notices: Vec<NoticeRow>) -> Result<(), StoreError> {
        let tenant = &self.client.connection().tenant;
        let mut by_subscription: BTreeMap<Uuid, Vec<NoticeRow>> = BTreeMap::new();
        for notice in notices {
            by_subscription.entry(notice.subscription).or_default().push(notice);
        }
        for (id, notices) in by_subscription {
            let view = self.store.view(tenant);
            let Some(mut subscription) = view.subscription(id).await? else {
                let mut tx = self.store.write(tenant).await?;
                tx.all_notices_done(id, "its subscription is over").await?;
                tx.commit().await?;
                continue;
            };
            if view.open_notice_count(id).await? > TOO_MANY {
                subscription.poll_wanted_at = Some(self.now());
                let mut tx = self.store.write(tenant).await?;
                tx.all_notices_done(id, "too many at once: what changed is asked for instead").await?;
                tx.keep_subscription(&subscription).await?;
                tx.commit().await?;
                continue;
            }
            for notice in notices {
                self.heed_one(&mut subscription, &notice).await?;
            }
        }
        Ok(())
    }

    async fn heed_one(&self, subscription: &mut SubscriptionRow, notice: &NoticeRow) -> Result<(), StoreError> {
        let tenant = &self.client.connection().tenant;
        let body = notice.body.as_ref().map(|body| serde_json::from_slice(body.expose()));
        let read = match &body {
            None => Some(Notice {
                events: vec![NoticeEvent { focus: notice.about.clone(), ..NoticeEvent::default() }],
                ..Notice::default()
            }),
            Some(Ok(body)) => Notice::read(body),
            Some(Err(_)) => None,
        };
        let Some(read) = read else {
            let mut tx = self.store.write(tenant).await?;
            tx.notice_done(notice.id, Some("it is no notice of a subscription")).await?;
            return tx.commit().await;
        };
        subscription.heard_at = subscription.heard_at.max(Some(notice.received_at));
        match read.kind {
            NoticeKind::Handshake => {
                subscription.state = SubscriptionState::Active;
                (subscription.error, subscription.tries) = (None, 0);
            }
            NoticeKind::Heartbeat | NoticeKind::Event | NoticeKind::Answer => {}
        }
        if read.has_error || matches!(read.status.as_deref(), Some("error" | "off")) {
            // Looked at with our own token, now: a notice may say what it likes.
            subscription.next_at = self.now();
            subscription.error = Some("the EHR says that something is wrong with it".to_owned());
        }
        let anew = count(subscription, &read, self.now());
        if anew {
            let mut tx = self.store.write(tenant).await?;
            tx.forget_events(subscription.id).await?;
            tx.commit().await?;
        }
        let keys = self.news(subscription, &read, notice).await?;
        let wait = self.read_named(&keys).await?;
        let mut tx = self.store.write(tenant).await?;
        match wait {
            Some(words) if notice.tries + 1 >= TRIES => {
                subscription.poll_wanted_at = Some(self.now());
                tx.notice_done(notice.id, Some(&words)).await?;
            }
            Some(_) => {
                let wait = TimeDelta::seconds(15 * 2_i64.pow(notice.tries.min(6)));
                tx.notice_later(notice.id, self.now() + wait).await?;
            }
            None => {
                let heeded = events(&read, notice).into_iter().map(|(event, _)| event).collect();
                tx.remember_events(subscription.id, heeded).await?;
                tx.notice_done(notice.id, None).await?;
            }
        }
        tx.keep_subscription(subscription).await?;
        tx.commit().await
    }

    /// What a notice names that was not heeded already. One that names nothing asks for everything that changed.
    async fn news(
        &self,
        subscription: &mut SubscriptionRow,
        read: &Notice,
        notice: &NoticeRow,
    ) -> Result<BTreeSet<ResourceKey>, StoreError> {
        if read.kind != NoticeKind::Event {
            return Ok(BTreeSet::new());
        }
        let all = events(read, notice);
        let names: Vec<String> = all.iter().map(|(event, _)| event.clone()).collect();
        let view = self.store.view(&self.client.connection().tenant);
        let known = view.known_events(subscription.id, &names).await?;
        let named_nothing = read.events.iter().any(|event| event.focus.is_none() && !event.is_foreign);
        if read.events.is_empty() || (named_nothing && notice.about.is_none()) {
            subscription.poll_wanted_at = subscription.poll_wanted_at.or(Some(self.now()));
        }
        let new = all.into_iter().filter(|(event, _)| !known.contains(event)).filter_map(|(_, key)| key);
        Ok(new.filter(|key| is_pulled(key.resource_type)).collect())
    }

    /// Reads what was named with our own token and keeps it as any page is kept. Answers why it must be tried again.
    pub(super) async fn read_named(&self, keys: &BTreeSet<ResourceKey>) -> Result<Option<String>, StoreError> {
        let keys: Vec<ResourceKey> = keys.iter().cloned().collect();
        let connection = self.client.connection();
        let mut asked = HashSet::new();
        let mut report = TypeReport::default();
        let mut failed = None;
        let mut found: BTreeMap<ResourceType, Vec<serde_json::Value>> = BTreeMap::new();
        let mut open: BTreeMap<ResourceType, Vec<ResourceKey>> = BTreeMap::new();
        for (key, answer) in self.read_all(&keys).await {
            match answer {
                Ok(Read::Found(it)) => found.entry(key.resource_type).or_default().push(it.resource),
                // Gone or merged: as when a listing lacks it.
                Ok(Read::Gone { .. } | Read::Moved(_)) => open.entry(key.resource_type).or_default().push(key),
                Ok(Read::NotModified) => {}
                Err(error) if error.is_transient() => failed = Some(error.to_string()),
                // Not for us to see: what is known of it is looked at again by the pull.
                Err(_) => {}
            }
        }
        for (kind, resources) in found {
            let by_id = self.plan.of(kind).is_some_and(|it| it.ask.value == Ask::ById);
            if by_id && kind == ResourceType::Appointment {
                let ids = resources.iter().filter_map(|it| it["id"].as_str());
                let named: BTreeSet<ResourceKey> = ids.map(|id| ResourceKey::new(kind, id)).collect();
                let mut tx = self.store.write(&connection.tenant).await?;
                tx.add_to_roster(&connection.id, SOURCE, &named).await?;
                tx.commit().await?;
            }
            let page = Prepared::of(kind, resources, self.store.clock().now());
            let missing = self.destination().page(page, &mut asked, &mut report).await?;
            self.fetch_referred(missing, &mut report).await?;
        }
        for (kind, keys) in open {
            let view = self.store.view(&connection.tenant);
            let here = view.still_mirrored(&connection.id, kind, &keys).await?;
            if let Some(error) = self.look_up(kind, &here, &mut report).await? {
                failed = Some(error.to_string());
            }
        }
        Ok(failed)
    }
}

/// Whether anything may rest on this type.
const fn is_pulled(kind: ResourceType) -> bool {
    !matches!(kind, ResourceType::Group | ResourceType::Communication | ResourceType::Task | ResourceType::Flag)
}

/// Each event by what tells it from others, with what it is about.
fn events(read: &Notice, notice: &NoticeRow) -> Vec<(String, Option<ResourceKey>)> {
    let named = |at: usize, event: &NoticeEvent| match (&event.id, event.number) {
        (Some(id), _) => format!("id:{id}"),
        (None, Some(number)) => {
            let focus = event.focus.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("number:{number}/{focus}")
        }
        _ => format!("notice:{}/{at}", notice.id),
    };
    let about = |event: &NoticeEvent| event.focus.clone().or_else(|| notice.about.clone());
    read.events.iter().enumerate().map(|(at, event)| (named(at, event), about(event))).collect()
}

/// Follows the server's numbers: what is missing between is noticed. Answers whether the server began to count anew.
fn count(subscription: &mut SubscriptionRow, read: &Notice, now: DateTime<Utc>) -> bool {
    // athenahealth counts within one notice.
    if Notices::parse(&subscription.dialect) == Some(Notices::Athena) || read.kind == NoticeKind::Answer {
        return false;
    }
    let numbers = || read.events.iter().filter_map(|event| event.number);
    let Some(highest) = numbers().max().max(read.count) else { return false };
    let last = subscription.last_event.unwrap_or(0);
    if highest < last {
        // One that is late fills a gap; else nobody knows, and a look does no harm.
        if subscription.gap_from.is_none_or(|from| highest < from) {
            subscription.poll_wanted_at = subscription.poll_wanted_at.or(Some(now));
        }
        let anew = read.kind != NoticeKind::Event;
        if anew {
            subscription.last_event = Some(highest);
            (subscription.gap_from, subscription.gap_since) = (None, None);
        }
        return anew;
    }
    // A heartbeat counts what was sent: all of it should have come.
    let begins_at = numbers().min().unwrap_or(highest + 1);
    if subscription.last_event.is_some() && begins_at > last + 1 && highest > last {
        subscription.gap_from = subscription.gap_from.or(Some(last + 1));
        subscription.gap_since = subscription.gap_since.or(Some(now));
    }
    subscription.last_event = Some(highest);
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EhrId, Phi};
    use crate::store::SubscriptionSecrets;

    fn now() -> DateTime<Utc> {
        "2026-03-02T18:00:00Z".parse().unwrap()
    }

    fn row(dialect: &str, last: Option<u64>) -> SubscriptionRow {
        SubscriptionRow {
            id: Uuid::nil(),
            ehr: EhrId::new("e"),
            dialect: dialect.to_owned(),
            name: "t".to_owned(),
            secrets: SubscriptionSecrets { path: Phi::new(String::new()), key: Phi::new(String::new()) },
            remote_id: None,
            state: SubscriptionState::Active,
            error: None,
            heartbeat_seconds: 0,
            last_event: last,
            gap_from: None,
            gap_since: None,
            poll_wanted_at: None,
            polled_at: None,
            heard_at: None,
            tries: 0,
            next_at: now(),
            created_at: now(),
        }
    }

    fn notice(kind: NoticeKind, count: u64, numbers: &[u64]) -> Notice {
        let events = numbers.iter().map(|number| NoticeEvent { number: Some(*number), ..NoticeEvent::default() });
        Notice { kind, count: Some(count), events: events.collect(), ..Notice::default() }
    }

    #[test]
    fn what_is_missing_between_two_numbers_is_noticed() {
        use NoticeKind as K;
        // last known, notice, (last after, gap from, whether everything is asked for)
        type Case = (Option<u64>, Notice, (Option<u64>, Option<u64>, bool));
        let cases: [Case; 8] = [
            (None, notice(K::Handshake, 0, &[]), (Some(0), None, false)),
            (Some(0), notice(K::Event, 1, &[1]), (Some(1), None, false)),
            (Some(1), notice(K::Event, 4, &[4]), (Some(4), Some(2), false)),
            (Some(1), notice(K::Event, 4, &[2, 3, 4]), (Some(4), None, false)),
            (Some(4), notice(K::Heartbeat, 4, &[]), (Some(4), None, false)),
            (Some(4), notice(K::Heartbeat, 6, &[]), (Some(6), Some(5), false)),
            (Some(4), notice(K::Handshake, 0, &[]), (Some(0), None, true)),
            (Some(4), notice(K::Event, 2, &[2]), (Some(4), None, true)),
        ];
        for (last, read, (after, gap, poll)) in cases {
            let mut it = row("backport", last);
            count(&mut it, &read, now());
            assert_eq!(
                (it.last_event, it.gap_from, it.poll_wanted_at.is_some()),
                (after, gap, poll),
                "{last:?} {read:?}"
            );
        }
        let mut bundle_relative = row("athena", Some(9));
        count(&mut bundle_relative, &notice(K::Event, 1, &[1]), now());
        assert_eq!((bundle_relative.last_event, bundle_relative.poll_wanted_at), (Some(9), None));
    }
}
