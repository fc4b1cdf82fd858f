//! The conditions that are looked at by the clock. Others are raised where they arise: refused tokens, missing scopes
//! and full quarantines by the pull, unknown outcomes and floods by the outbox.

use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use secrecy::ExposeSecret as _;

use super::super::AppError;
use super::Alerting;
use crate::domain::{AlertKind, AttemptState, Channel, EhrId, Reason, Rule};
use crate::ehr::connect::{self, ConnectError};
use crate::ehr::keys::SigningAlg;
use crate::ehr::rotation;
use crate::outbox::Providers;
use crate::rules::CompiledRule;
use crate::store::{AttemptEnd, StoreError};

/// Tries after which a write-back counts as stuck.
const STUCK_AFTER: u32 = 5;
/// So many tries in a row that a provider refused, and it counts as down.
const DOWN_AFTER: usize = 3;
/// Fewer reminders than this without a zone are everyday life.
const FEW: u64 = 20;

/// Whether something is wrong now.
pub(super) struct Condition {
    pub(super) kind: AlertKind,
    pub(super) subject: String,
    /// What happened and what to do; `None` when all is well.
    pub(super) wrong: Option<String>,
}

impl Condition {
    pub(super) fn new(kind: AlertKind, subject: impl Into<String>, wrong: Option<String>) -> Self {
        Self { kind, subject: subject.into(), wrong }
    }
}

impl Alerting {
    /// Everything that can be told now; what cannot be told is left as it stands.
    pub(super) async fn conditions(&self) -> Result<Vec<Condition>, AppError> {
        let mut found = Vec::new();
        for row in self.store.view(&self.tenant).ehrs().await? {
            if row.disabled_at.is_some() {
                let gone = [AlertKind::PullOverdue, AlertKind::WriteBackStuck, AlertKind::KeyTrouble];
                found.extend(gone.map(|kind| Condition::new(kind, row.id.as_str(), None)));
                continue;
            }
            found.push(self.pull_overdue(&row.id, row.created_at).await?);
            found.push(self.write_back_stuck(&row.id).await?);
            found.push(self.key_trouble(&row.id).await?);
        }
        for channel in [Channel::Email, Channel::Sms] {
            found.extend(self.provider_down(channel).await?);
        }
        found.push(self.without_zone().await?);
        found.extend(self.no_longer_held().await?);
        found.extend(self.disk_trouble());
        found.extend(self.broken_rules().await?);
        found.extend(self.checkpoints().await?);
        Ok(found)
    }

    /// A version that was live may be refused by a later Beckon that knows better. Its reminders wait; the others go on.
    async fn broken_rules(&self) -> Result<Vec<Condition>, StoreError> {
        let live = self.store.view(&self.tenant).live_rules().await?;
        let condition = |rule: Rule| {
            let id = rule.id.clone();
            let problems = CompiledRule::compile(rule).err();
            let wrong = problems.map(|problems| {
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                format!("Its reminders wait; other rules go on. {first}. To check: beckon rules check")
            });
            Condition::new(AlertKind::RuleBroken, id.as_str(), wrong)
        };
        Ok(live.into_iter().map(condition).collect())
    }

    async fn pull_overdue(&self, ehr: &EhrId, added: chrono::DateTime<chrono::Utc>) -> Result<Condition, StoreError> {
        let runs = self.store.view(&self.tenant).pull_runs(ehr, 50).await?;
        let last = runs.iter().filter(|run| run.state == "done").find_map(|run| run.finished_at);
        let limit = TimeDelta::minutes(i64::from(self.settings.pull.interval_minutes) * 2);
        let overdue = self.store.clock().now() - last.unwrap_or(added) > limit;
        let wrong = overdue.then(|| {
            let since = last.map_or_else(
                || "Nothing was ever pulled completely from this EHR".to_owned(),
                |at| format!("Nothing was pulled completely from this EHR since {}", at.format("%Y-%m-%d %H:%M UTC")),
            );
            let error = runs.iter().find_map(|run| run.error.as_deref()).unwrap_or("no run was recorded");
            format!(
                "{since}; reminders wait or rest on old data. The last problem: {error}. To check: beckon ehr test {ehr}"
            )
        });
        Ok(Condition::new(AlertKind::PullOverdue, ehr.as_str(), wrong))
    }

    async fn write_back_stuck(&self, ehr: &EhrId) -> Result<Condition, StoreError> {
        let since = self.store.clock().now() - TimeDelta::hours(24);
        let stuck = self.store.view(&self.tenant).stuck_write_backs(ehr, STUCK_AFTER, since).await?;
        let wrong = (stuck > 0).then(|| {
            format!(
                "What happened with {stuck} messages or replies cannot be written back to this EHR; see its connection \
                 and the last error of each message"
            )
        });
        Ok(Condition::new(AlertKind::WriteBackStuck, ehr.as_str(), wrong))
    }

    async fn key_trouble(&self, ehr: &EhrId) -> Result<Condition, AppError> {
        let now = self.store.clock().now();
        let wrong = match connect::keys(&self.store, &self.tenant, ehr).await {
            Ok(ring) => {
                let signs = [SigningAlg::Es384, SigningAlg::Rs384].iter().any(|alg| ring.signer(*alg, now).is_ok());
                let watch = self.store.view(&self.tenant).ehr_watch(ehr).await?;
                let none = format!(
                    "No key of this connection may sign now. To mend: beckon ehr keys rotate {ehr} --emergency"
                );
                if signs { rotation::trouble(&ring, &watch, ehr, now) } else { Some(none) }
            }
            Err(error @ (ConnectError::Key(_) | ConnectError::Store(StoreError::Seal(_) | StoreError::Shredded))) => {
                Some(format!("The keys of this connection cannot be read: {error}. Is seal.root_key the right one?"))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Condition::new(AlertKind::KeyTrouble, ehr.as_str(), wrong))
    }

    /// `None` where the last hour tells nothing.
    async fn provider_down(&self, channel: Channel) -> Result<Option<Condition>, StoreError> {
        let provider = Providers::name(channel);
        let since = self.store.clock().now() - TimeDelta::hours(1);
        let ends = self.store.view(&self.tenant).attempt_ends(provider, since, 50).await?;
        let telling: Vec<&AttemptEnd> = ends.iter().filter(|end| tells_of_the_provider(end)).collect();
        let Some(last) = telling.first() else { return Ok(None) };
        let in_vain = telling.iter().take_while(|end| !was_taken(end.state)).count();
        if in_vain > 0 && in_vain < DOWN_AFTER {
            return Ok(None);
        }
        let wrong = (in_vain > 0).then(|| {
            let code = last.code.as_deref().unwrap_or("no answer");
            format!(
                "The last {in_vain} messages were not taken by this provider (last code: {code}). To check: beckon doctor"
            )
        });
        Ok(Some(Condition::new(AlertKind::ProviderDown, provider, wrong)))
    }

    async fn without_zone(&self) -> Result<Condition, StoreError> {
        let since = self.store.clock().now() - TimeDelta::hours(24);
        let (without, all) = self.store.view(&self.tenant).without_zone(since).await?;
        let wrong = (without >= FEW && without * 10 > all).then(|| {
            format!(
                "{without} of the {all} reminders of the last 24 hours have no usable time zone and wait. To mend: \
                 organisation.zone or organisation.location_zones in the settings"
            )
        });
        Ok(Condition::new(AlertKind::ZoneUnresolvedSpike, self.tenant.as_str(), wrong))
    }

    /// The outbox raises a hold; here it ends when a person let it go.
    async fn no_longer_held(&self) -> Result<Option<Condition>, StoreError> {
        let held = self.store.view(&self.tenant).sending().await?.held_at.is_some();
        Ok((!held).then(|| Condition::new(AlertKind::HeldForPerson, self.tenant.as_str(), None)))
    }

    /// The disk of an embedded database; a server's disk is its operator's to watch.
    fn disk_trouble(&self) -> Option<Condition> {
        let folder = database_folder(self.settings.database.url.expose_secret())?;
        let disk = rustix::fs::statvfs(&folder).ok()?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let wrong = (free < self.disk_floor).then(|| {
            format!(
                "Only {} MiB are free where the database lies; when nothing is left, nothing is sent. Make room, or move \
                 the database",
                free >> 20
            )
        });
        Some(Condition::new(AlertKind::DiskTrouble, "database", wrong))
    }
}

/// The folder of an SQLite file.
fn database_folder(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?.trim_start_matches("//");
    let path = Path::new(path.split('?').next()?);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Some(folder.unwrap_or(Path::new(".")).to_owned())
}

const fn was_taken(state: AttemptState) -> bool {
    // What failed later was taken first: the provider is up.
    matches!(state, AttemptState::Accepted | AttemptState::Delivered | AttemptState::Read | AttemptState::Failed)
}

/// What a person's address or our own switches caused says nothing of the provider.
fn tells_of_the_provider(end: &AttemptEnd) -> bool {
    let ours = [Reason::Halted, Reason::SendingOff, Reason::NotSafeAddress];
    let not_called = end.code.as_deref().is_some_and(|code| ours.iter().any(|reason| reason.as_str() == code));
    let of_the_person = matches!(end.reason, Some(Reason::NoContactPoint | Reason::OptedOut));
    let looked_up = end.code.as_deref() == Some("not_found_at_provider");
    let says_something = was_taken(end.state) || !of_the_person;
    says_something && !not_called && !looked_up && end.state != AttemptState::Expired
}

#[cfg(test)]
mod tests {
    use super::database_folder;
    use std::path::PathBuf;

    #[test]
    fn only_an_embedded_database_has_a_folder() {
        let folder = |url| database_folder(url).map(|path| path.display().to_string());
        assert_eq!(folder("sqlite:///var/lib/beckon/beckon.sqlite").as_deref(), Some("/var/lib/beckon"));
        assert_eq!(folder("sqlite://beckon.sqlite?mode=rwc").as_deref(), Some("."));
        assert_eq!(database_folder("sqlite:data/b.sqlite"), Some(PathBuf::from("data")));
        assert_eq!(folder("postgres://user:secret@host/beckon"), None);
    }
}
