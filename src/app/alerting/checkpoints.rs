//! Whether the history is numbered, signed, and kept by somebody else.

use chrono::TimeDelta;

use super::super::AppError;
use super::Alerting;
use super::conditions::Condition;
use crate::domain::AlertKind;

/// Tries in a row that a keeper did not take a checkpoint before a person is called.
const FEW: u32 = 3;
/// No event waits so long for its number while a leader lives.
const NUMBERED_WITHIN: TimeDelta = TimeDelta::minutes(5);

impl Alerting {
    pub(super) async fn checkpoints(&self) -> Result<Vec<Condition>, AppError> {
        let view = self.store.view(&self.tenant);
        let now = self.store.clock().now();
        let every = TimeDelta::minutes(i64::from(self.settings.history.checkpoint_minutes));
        let (head, last) = (view.history_head().await?, view.last_checkpoint().await?);
        // Where nothing was ever numbered this is the first minute of a new gateway.
        let oldest = if head.size > 0 { view.unnumbered_since().await? } else { None };
        let unnumbered = oldest.filter(|at| now - *at > NUMBERED_WITHIN);
        let unsigned = last.as_ref().is_some_and(|it| head.size > it.size + 1 && now - it.at > every * 2);
        let wrong = match (unnumbered, unsigned) {
            (Some(since), _) => Some(format!(
                "Events since {} have no number in the history's tree yet, so nothing proves that they stay. Does a \
                 worker run (beckon serve --role worker)?",
                since.format("%Y-%m-%d %H:%M UTC")
            )),
            (None, true) => Some(
                "The history was not signed for more than twice its interval. To check: beckon history checkpoint"
                    .to_owned(),
            ),
            (None, false) => None,
        };
        let mut found = vec![Condition::new(AlertKind::CheckpointMissing, self.tenant.as_str(), wrong)];
        for it in view.publications().await? {
            let wrong = (it.failures >= FEW).then(|| {
                let problem = it.problem.as_deref().unwrap_or("no reason was recorded");
                format!("Checkpoints do not reach their keeper by way of {:?}: {problem}. See [history]", it.way)
            });
            found.push(Condition::new(AlertKind::CheckpointMissing, format!("{}/{}", self.tenant, it.way), wrong));
        }
        Ok(found)
    }
}
