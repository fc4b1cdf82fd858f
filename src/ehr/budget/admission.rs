//! Who may call now, who waits, and who is told to come back later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use reqwest::Url;
use tokio::sync::Notify;
use uuid::Uuid;

use super::circuit::{Circuit, Sign, Turn};
use super::ledger::{Draft, Ended, Ledger, Proof, Usage};
use super::limits::{BudgetSettings, Now};
use super::route::route;
use crate::clock::{Clock, Entropy};
use crate::domain::{AlertKind, EhrId, TenantId};
use crate::ehr::connection::{EhrConnection, Vendor};
use crate::ehr::retry::Sleeper;
use crate::store::{Lease, LeaseAsk, Pause, PauseReason, Store, StoreError};

/// How long a leased part is ours without being asked for again. A replica that dies gives it back after this.
const LEASE: TimeDelta = TimeDelta::seconds(20);
/// It is renewed when half of it is over.
const RENEW_AFTER: TimeDelta = TimeDelta::seconds(10);
/// How often a call under way looks whether its lease is to be renewed.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// Longest wait inside one call. Longer ones are the caller's: it comes back later instead of holding a task.
const PATIENCE: TimeDelta = TimeDelta::seconds(60);
/// Between two looks whether other replicas gave back a place.
const CROWDED: TimeDelta = TimeDelta::milliseconds(250);

/// Where the budget of a connection is shared.
#[derive(Debug, Clone)]
pub(in crate::ehr) struct Shared {
    pub store: Store,
    pub tenant: TenantId,
    pub ehr: EhrId,
}

/// Why a call was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedWhy {
    /// The server asked for patience.
    Asked,
    /// It failed so often that nobody asks for a while.
    Circuit,
    /// The calls of the day are used up.
    DaySpent,
    /// Other replicas have all calls at once under way.
    Crowded,
}

impl PausedWhy {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Asked => "the server asked us to slow down",
            Self::Circuit => "it failed so often that asking on would make it worse",
            Self::DaySpent => "the calls that this connection may make in a day are used up",
            Self::Crowded => "other replicas have as many calls under way as this connection may have at once",
        }
    }
}

/// A call was not made; it may be from `until` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ehr) struct Paused {
    pub until: DateTime<Utc>,
    pub wait: Duration,
    pub why: PausedWhy,
}

/// Why no call was let through.
#[derive(Debug)]
pub(in crate::ehr) enum NotAdmitted {
    Paused(Paused),
    Store(StoreError),
}

impl From<StoreError> for NotAdmitted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The budget of one connection in this process; clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: BudgetSettings,
    concurrency: u32,
    vendor: Vendor,
    base: Url,
    holder: Uuid,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    sleeper: Arc<dyn Sleeper>,
    shared: Option<Shared>,
    state: Mutex<State>,
    freed: Notify,
    /// One lease is asked for at a time.
    leasing: tokio::sync::Mutex<()>,
    ledger: Ledger,
}

#[derive(Debug, Default)]
struct State {
    in_flight: u32,
    background: u32,
    /// The most that was under way since the last lease.
    most: u32,
    held: Option<Held>,
    /// Others hold all places: not asked again before then.
    crowded_until: Option<DateTime<Utc>>,
    /// Calls leased: those that cannot wait, and those that can.
    lanes: [Lane; 2],
    pause: Option<Pause>,
    circuit: Circuit,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    slots: u32,
    renew_at: DateTime<Utc>,
}

#[derive(Debug, Default)]
struct Lane {
    calls: u32,
    day: NaiveDate,
    next_at: DateTime<Utc>,
    until: DateTime<Utc>,
    /// The calls of this day are used up.
    spent: Option<NaiveDate>,
}

/// A place; freed when it is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    background: bool,
    probe: bool,
}

enum Step {
    Go(Permit, TimeDelta),
    /// Until a call of this process ends.
    Freed,
    /// That, or until then.
    Crowded(TimeDelta),
    Sleep(TimeDelta),
    Lease,
    Refuse(DateTime<Utc>, PausedWhy),
}

impl Budget {
    pub(in crate::ehr) fn new(
        ehr: &EhrConnection,
        shared: Option<Shared>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        sleeper: Arc<dyn Sleeper>,
    ) -> Self {
        let holder = shared.as_ref().map_or_else(Uuid::nil, |shared| shared.store.new_id());
        Self(Arc::new(Inner {
            settings: ehr.settings.budget.clone(),
            concurrency: ehr.settings.concurrency.max(1),
            vendor: ehr.vendor,
            base: ehr.base_url.url().clone(),
            holder,
            clock,
            entropy,
            sleeper,
            ledger: Ledger::new(shared.clone()),
            shared,
            state: Mutex::default(),
            freed: Notify::new(),
            leasing: tokio::sync::Mutex::default(),
        }))
    }

    pub fn usage(&self) -> Usage {
        self.0.ledger.usage()
    }

    /// Writes what the ledger has not written yet.
    pub async fn flush(&self) {
        self.0.ledger.flush().await;
    }

    /// Waits for a place and for the call's turn. `background` calls can wait: at busy hours, and when the day's calls run
    /// low, others go first.
    pub(in crate::ehr) async fn admit(&self, background: bool) -> Result<Permit, NotAdmitted> {
        let began = self.0.clock.now();
        let mut slept = TimeDelta::zero();
        loop {
            let freed = self.0.freed.notified();
            tokio::pin!(freed);
            // Listening begins before the look, so that nothing is missed in between.
            freed.as_mut().enable();
            // A clock that stands still must not make anybody wait forever.
            let now = self.0.clock.now().max(began + slept);
            let step = self.step(now, background);
            let wait = match step {
                Step::Go(permit, wait) => {
                    if wait > TimeDelta::zero() {
                        self.0.sleeper.sleep(std(wait)).await;
                    }
                    return Ok(permit);
                }
                Step::Freed => {
                    freed.await;
                    continue;
                }
                Step::Lease => {
                    Box::pin(self.lease(now, background)).await?;
                    continue;
                }
                Step::Refuse(until, why) => return Err(paused(until, now, why)),
                Step::Crowded(wait) => {
                    if slept + wait > PATIENCE {
                        return Err(paused(now + TimeDelta::seconds(5), now, PausedWhy::Crowded));
                    }
                    tokio::select! {
                        () = freed => continue,
                        () = self.0.sleeper.sleep(std(wait)) => wait,
                    }
                }
                Step::Sleep(wait) => {
                    if slept + wait > PATIENCE {
                        return Err(paused(now + wait, now, PausedWhy::Asked));
                    }
                    self.0.sleeper.sleep(std(wait)).await;
                    wait
                }
            };
            slept += wait;
        }
    }

    fn limits(&self, now: DateTime<Utc>) -> Now {
        Now::of(&self.0.settings, self.0.concurrency, self.0.vendor, now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, now: DateTime<Utc>, background: bool) -> Step {
        let limits = self.limits(now);
        let mut state = self.state();
        if let Some(pause) = state.pause.filter(|pause| pause.until > now) {
            let wait = pause.until - now;
            return match pause.reason {
                PauseReason::Circuit => Step::Refuse(pause.until, PausedWhy::Circuit),
                PauseReason::Asked if wait > PATIENCE => Step::Refuse(pause.until, PausedWhy::Asked),
                PauseReason::Asked => Step::Sleep(wait),
            };
        }
        if state.circuit.level > 0 && state.circuit.probing {
            return Step::Refuse(now + TimeDelta::seconds(1), PausedWhy::Circuit);
        }
        if state.in_flight >= limits.shared.concurrency || (background && state.background >= limits.background) {
            return Step::Freed;
        }
        match state.held {
            Some(held) if held.renew_at > now && state.in_flight < held.slots => {}
            Some(held) if held.renew_at > now && state.crowded_until.is_some_and(|until| until > now) => {
                return Step::Crowded(state.crowded_until.map_or(CROWDED, |until| until - now));
            }
            _ => return Step::Lease,
        }
        let mut wait = TimeDelta::zero();
        if limits.counts() {
            let lane = &mut state.lanes[usize::from(background)];
            if lane.spent == Some(limits.shared.day) {
                return Step::Refuse(self.0.settings.day_ends(now), PausedWhy::DaySpent);
            }
            if lane.calls == 0 || lane.day != limits.shared.day || lane.until <= now {
                return Step::Lease;
            }
            lane.calls -= 1;
            let at = lane.next_at.max(now);
            lane.next_at = at + limits.interval(background);
            wait = at - now;
        }
        state.in_flight += 1;
        state.background += u32::from(background);
        state.most = state.most.max(state.in_flight);
        let probe = state.circuit.level > 0;
        state.circuit.probing |= probe;
        Step::Go(Permit { budget: self.clone(), background, probe }, wait)
    }

    async fn lease(&self, now: DateTime<Utc>, background: bool) -> Result<(), StoreError> {
        let _one = self.0.leasing.lock().await;
        let limits = self.limits(now);
        let (in_flight, slots, calls, unspent) = {
            let state = self.state();
            let lane = &state.lanes[usize::from(background)];
            let held = state.held.filter(|held| held.renew_at > now);
            let has_place = held.is_some_and(|held| state.in_flight < held.slots);
            let has_call = !limits.counts() || (lane.calls > 0 && lane.day == limits.shared.day && lane.until > now);
            // Whoever waited for the lock may find it done.
            if has_place && has_call {
                return Ok(());
            }
            let unspent = if lane.day == limits.shared.day { lane.calls } else { 0 };
            let calls = if limits.counts() { limits.portion(background) } else { 0 };
            let slots = state.most.max(state.in_flight + 1).min(limits.shared.concurrency);
            (state.in_flight, slots, calls, unspent)
        };
        let ask = LeaseAsk {
            holder: self.0.holder,
            in_flight,
            slots,
            calls,
            unspent,
            background,
            limits: &limits.shared,
            length: LEASE,
        };
        let lease = match &self.0.shared {
            Some(shared) => lease_of(shared, &ask).await?,
            None => self.local(&ask, now),
        };
        let mut state = self.state();
        state.most = state.in_flight;
        state.held = Some(Held { slots: lease.slots, renew_at: now + RENEW_AFTER });
        state.crowded_until = (lease.slots <= state.in_flight).then_some(now + CROWDED);
        if limits.counts() {
            let interval = limits.interval(background);
            let until = if interval > TimeDelta::zero() {
                // An unused turn of the rate is gone when it is over: others have theirs by then.
                lease.first_at + interval * lease.calls as i32 + TimeDelta::seconds(1)
            } else {
                lease.until.max(now + LEASE * 30)
            };
            let spent = (lease.calls == 0).then_some(limits.shared.day);
            state.lanes[usize::from(background)] =
                Lane { calls: lease.calls, day: limits.shared.day, next_at: lease.first_at, until, spent };
        }
        if let Some(pause) = lease.pause
            && state.pause.is_none_or(|standing| standing.until < pause.until)
        {
            state.pause = Some(pause);
        }
        state.circuit.level = state.circuit.level.max(lease.circuit_level);
        if lease.circuit_level == 0 && lease.pause.is_none() && self.0.shared.is_some() {
            // Another replica found it well again.
            state.circuit.level = 0;
        }
        Ok(())
    }

    /// Without a database what is asked for is given.
    fn local(&self, ask: &LeaseAsk<'_>, now: DateTime<Utc>) -> Lease {
        let state = self.state();
        let first_at = state.lanes[usize::from(ask.background)].next_at.max(now);
        let (slots, calls, level) = (ask.limits.concurrency, ask.calls, state.circuit.level);
        Lease { slots, until: now + LEASE, calls, first_at, pause: None, circuit_level: level, new_day: false }
    }

    /// Runs a call that holds a place, and keeps its lease alive meanwhile.
    pub(in crate::ehr) async fn keeping<T>(&self, call: impl Future<Output = T>) -> T {
        tokio::select! {
            done = call => done,
            never = self.renew_on_and_on() => match never {},
        }
    }

    async fn renew_on_and_on(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            let now = self.0.clock.now();
            let due = self.state().held.is_none_or(|held| held.renew_at <= now);
            if due && let Err(error) = Box::pin(self.renew(now)).await {
                tracing::warn!(%error, "the lease of a call under way cannot be renewed");
            }
        }
    }

    async fn renew(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let Some(shared) = &self.0.shared else { return Ok(()) };
        let _one = self.0.leasing.lock().await;
        let limits = self.limits(now);
        let in_flight = self.state().in_flight;
        let ask = LeaseAsk {
            holder: self.0.holder,
            in_flight,
            slots: in_flight,
            calls: 0,
            unspent: 0,
            background: false,
            limits: &limits.shared,
            length: LEASE,
        };
        let mut tx = shared.store.write(&shared.tenant).await?;
        let lease = tx.lease_calls(&shared.ehr, &ask).await?;
        tx.commit().await?;
        self.state().held = Some(Held { slots: lease.slots, renew_at: now + RENEW_AFTER });
        Ok(())
    }

    /// Hears what an answer says of the server: opens or closes the circuit, and keeps the pause that it asks for.
    pub(in crate::ehr) async fn hear(&self, sign: Sign, asked: Option<Duration>) {
        let now = self.0.clock.now();
        let (turn, pause) = {
            let mut state = self.state();
            let turn = state.circuit.hear(sign, now, &*self.0.entropy);
            let pause = match (&turn, asked.and_then(|asked| TimeDelta::from_std(asked).ok())) {
                (Turn::Open(until), _) => Some(Pause { until: *until, reason: PauseReason::Circuit }),
                (_, Some(asked)) if asked > TimeDelta::zero() => {
                    Some(Pause { until: now + asked, reason: PauseReason::Asked })
                }
                _ => None,
            };
            if turn == Turn::Close {
                state.pause = None;
            }
            if let Some(pause) = pause
                && state.pause.is_none_or(|standing| standing.until < pause.until)
            {
                state.pause = Some(pause);
            }
            (turn, pause)
        };
        if let Some(shared) = &self.0.shared
            && (turn != Turn::Nothing || pause.is_some())
            && let Err(error) = Box::pin(self.tell(shared, &turn, pause, now)).await
        {
            tracing::warn!(%error, ehr = %shared.ehr, "other replicas cannot be told how this EHR is");
        }
    }

    async fn tell(
        &self,
        shared: &Shared,
        turn: &Turn,
        pause: Option<Pause>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = shared.store.write(&shared.tenant).await?;
        if let Some(pause) = pause {
            tx.pause_ehr(&shared.ehr, self.limits(now).shared.day, pause).await?;
        }
        match turn {
            Turn::Open(until) => {
                tracing::warn!(ehr = %shared.ehr, %until, "this EHR fails again and again: nobody asks it for a while");
                let words = format!(
                    "This EHR fails again and again. It is asked again from {} on, and reminders that rest on it wait. To \
                     check: beckon ehr test {}",
                    until.format("%Y-%m-%d %H:%M:%S UTC"),
                    shared.ehr
                );
                tx.raise_alert(AlertKind::EhrDown, shared.ehr.as_str(), &words).await?;
            }
            Turn::Close => {
                tx.close_circuit(&shared.ehr).await?;
                tx.resolve_alert(AlertKind::EhrDown, shared.ehr.as_str()).await?;
            }
            Turn::Nothing => {}
        }
        tx.commit().await
    }

    /// Begins a line of the ledger.
    pub(in crate::ehr) fn draft(&self, method: &str, url: &Url, proof: Proof, is_retry: bool) -> Draft {
        let route = match proof {
            Proof::Assertion => "(token endpoint)".to_owned(),
            Proof::None | Proof::Token => route(&self.0.base, url),
        };
        let (at, began) = (self.0.clock.now(), std::time::Instant::now());
        Draft { at, method: method.to_owned(), route, proof, is_retry, began }
    }

    pub(in crate::ehr) async fn note(&self, ended: Ended) {
        if self.0.ledger.note(ended) {
            Box::pin(self.0.ledger.flush()).await;
        }
    }

    /// As [`Budget::note`], where nobody can wait for the database.
    pub(in crate::ehr) fn note_in_passing(&self, ended: Ended) {
        self.0.ledger.note(ended);
    }
}

async fn lease_of(shared: &Shared, ask: &LeaseAsk<'_>) -> Result<Lease, StoreError> {
    let mut tx = shared.store.write(&shared.tenant).await?;
    let lease = tx.lease_calls(&shared.ehr, ask).await?;
    let subject = shared.ehr.as_str();
    if ask.calls > 0 && lease.calls == 0 {
        let words = format!(
            "The calls that this connection may make in a day are used up{}. It goes on tomorrow; to raise the limit: \
             beckon ehr budget {subject} --calls-per-day N",
            if ask.background { ", except those kept for what is read right before a message is sent" } else { "" }
        );
        tx.raise_alert(AlertKind::EhrBudgetSpent, subject, &words).await?;
    } else if lease.new_day {
        tx.resolve_alert(AlertKind::EhrBudgetSpent, subject).await?;
    }
    tx.commit().await?;
    Ok(lease)
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.background = state.background.saturating_sub(u32::from(self.background));
        if self.probe {
            state.circuit.probing = false;
        }
        drop(state);
        self.budget.0.freed.notify_waiters();
    }
}

fn std(wait: TimeDelta) -> Duration {
    wait.to_std().unwrap_or_default()
}

fn paused(until: DateTime<Utc>, now: DateTime<Utc>, why: PausedWhy) -> NotAdmitted {
    NotAdmitted::Paused(Paused { until, wait: std(until - now), why })
}
