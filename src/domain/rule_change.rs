//! How a rule comes to be live: written by one, looked at by another, and let loose by somebody who did not review it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Actor, RuleId, RuleVersionId};

/// One act on one version of a rule. Acts are only added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChange {
    pub rule: RuleId,
    pub version: RuleVersionId,
    pub act: RuleAct,
    /// The version that was live before, where the act changed that.
    pub before: Option<RuleVersionId>,
    /// Why, in the words of whoever did it; no PHI.
    pub note: Option<String>,
    /// `staff:ada`, `system:settings`.
    pub by: String,
    pub at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAct {
    /// A new version came in.
    Drafted,
    /// A second person looked at it and finds it right.
    Reviewed,
    /// It plans and sends from now on.
    Live,
    /// A version that was live before is live again.
    Reverted,
    /// The rule plans nothing any more.
    Retired,
}

impl RuleAct {
    pub const ALL: [Self; 5] = [Self::Drafted, Self::Reviewed, Self::Live, Self::Reverted, Self::Retired];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drafted => "drafted",
            Self::Reviewed => "reviewed",
            Self::Live => "live",
            Self::Reverted => "reverted",
            Self::Retired => "retired",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }

    pub const fn made_live(self) -> bool {
        matches!(self, Self::Live | Self::Reverted)
    }
}

/// How far a version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleStage {
    Draft,
    Reviewed,
    Live,
    /// It was live, and is no longer.
    Former,
}

impl RuleStage {
    /// The stage of a version by everything that was done with it; `live` is the version that is live now.
    pub fn of(version: &RuleVersionId, live: Option<&RuleVersionId>, changes: &[RuleChange]) -> Self {
        let mut of_version = changes.iter().filter(|it| it.version == *version);
        if live == Some(version) {
            Self::Live
        } else if of_version.clone().any(|it| it.act.made_live()) {
            Self::Former
        } else if of_version.any(|it| it.act == RuleAct::Reviewed) {
            Self::Reviewed
        } else {
            Self::Draft
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Reviewed => "reviewed",
            Self::Live => "live",
            Self::Former => "former",
        }
    }
}

/// Why an act is refused; each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleChangeError {
    #[error("this version was reviewed already")]
    ReviewedAlready,
    #[error("this version is live already")]
    LiveAlready,
    #[error("whoever wrote a version cannot review it; somebody else must")]
    OwnDraft,
    #[error("this version was not reviewed yet; somebody must look at it first")]
    NotReviewed,
    #[error("whoever reviewed a version cannot make it live as well; a second person must")]
    SamePerson,
    #[error("this version was never live, so there is nothing to go back to; review it and make it live")]
    NeverLive,
    #[error("no version of this rule is live")]
    NotLive,
    #[error("only a person with an account can do this")]
    NotAPerson,
}

/// The person behind an actor, by login: the same at a page and at the command line. `None` for Beckon itself and for
/// whoever is known by an operating-system name only, which anybody can take.
pub fn person(by: &Actor) -> Option<String> {
    match by {
        Actor::Staff(login) => Some(login.to_lowercase()),
        Actor::System(_) | Actor::Cli(_) | Actor::Patient | Actor::Provider(_) => None,
    }
}

/// Whether `by` may review this version now.
///
/// # Errors
/// Why not.
pub fn may_review(
    version: &RuleVersionId,
    live: Option<&RuleVersionId>,
    changes: &[RuleChange],
    by: &Actor,
) -> Result<(), RuleChangeError> {
    let me = person(by).ok_or(RuleChangeError::NotAPerson)?;
    match RuleStage::of(version, live, changes) {
        RuleStage::Draft => {}
        RuleStage::Reviewed | RuleStage::Former => return Err(RuleChangeError::ReviewedAlready),
        // What the settings made live at the first start was looked at by nobody: a review still counts.
        RuleStage::Live if has(version, RuleAct::Reviewed, changes).is_some() => {
            return Err(RuleChangeError::ReviewedAlready);
        }
        RuleStage::Live => {}
    }
    match has(version, RuleAct::Drafted, changes) {
        Some(author) if author == me => Err(RuleChangeError::OwnDraft),
        _ => Ok(()),
    }
}

/// Whether `by` may make this version live now.
///
/// # Errors
/// Why not.
pub fn may_go_live(
    version: &RuleVersionId,
    live: Option<&RuleVersionId>,
    changes: &[RuleChange],
    by: &Actor,
) -> Result<(), RuleChangeError> {
    let me = person(by).ok_or(RuleChangeError::NotAPerson)?;
    if live == Some(version) {
        return Err(RuleChangeError::LiveAlready);
    }
    match has(version, RuleAct::Reviewed, changes) {
        None => Err(RuleChangeError::NotReviewed),
        Some(reviewer) if reviewer == me => Err(RuleChangeError::SamePerson),
        Some(_) => Ok(()),
    }
}

/// Whether a version may be gone back to: one that was live before was approved then, and one person is enough to step
/// back from what does harm.
///
/// # Errors
/// Why not.
pub fn may_revert(
    version: &RuleVersionId,
    live: Option<&RuleVersionId>,
    changes: &[RuleChange],
    by: &Actor,
) -> Result<(), RuleChangeError> {
    person(by).ok_or(RuleChangeError::NotAPerson)?;
    if live == Some(version) {
        return Err(RuleChangeError::LiveAlready);
    }
    let was_live = changes.iter().any(|it| it.version == *version && it.act.made_live());
    if was_live { Ok(()) } else { Err(RuleChangeError::NeverLive) }
}

/// Who did this with the version, by login or, for no person, as the actor's text.
fn has(version: &RuleVersionId, act: RuleAct, changes: &[RuleChange]) -> Option<String> {
    let done = changes.iter().find(|it| it.version == *version && it.act == act)?;
    Some(Actor::parse(&done.by).as_ref().and_then(person).unwrap_or_else(|| done.by.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(version: &str, act: RuleAct, by: &str) -> RuleChange {
        RuleChange {
            rule: RuleId::new("r"),
            version: RuleVersionId::new(version),
            act,
            before: None,
            note: None,
            by: by.to_owned(),
            at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn two_people_stand_behind_a_live_version() {
        use RuleAct::{Drafted, Live, Reviewed};
        use RuleChangeError as E;
        let staff = |login: &str| Actor::Staff(login.to_owned());
        let cli = Actor::Cli("ada".to_owned());
        let drafted = change("v", Drafted, "staff:ada");
        let shipped = change("v", Drafted, "system:rules");
        let reviewed = change("v", Reviewed, "staff:ben");
        let v = RuleVersionId::new("v");
        for (changes, live, by, review, go_live) in [
            (vec![drafted.clone()], false, staff("ada"), Err(E::OwnDraft), Err(E::NotReviewed)),
            (vec![drafted.clone()], false, staff("ADA"), Err(E::OwnDraft), Err(E::NotReviewed)),
            (vec![drafted.clone()], false, staff("ben"), Ok(()), Err(E::NotReviewed)),
            (vec![shipped.clone()], false, staff("ada"), Ok(()), Err(E::NotReviewed)),
            (vec![shipped.clone()], false, cli.clone(), Err(E::NotAPerson), Err(E::NotAPerson)),
            (vec![drafted.clone(), reviewed.clone()], false, staff("ben"), Err(E::ReviewedAlready), Err(E::SamePerson)),
            (vec![drafted, reviewed.clone()], false, staff("ada"), Err(E::ReviewedAlready), Ok(())),
            (vec![shipped.clone(), reviewed.clone()], false, cli, Err(E::NotAPerson), Err(E::NotAPerson)),
            (
                vec![shipped.clone(), reviewed.clone(), change("v", Live, "staff:ada")],
                true,
                staff("cat"),
                Err(E::ReviewedAlready),
                Err(E::LiveAlready),
            ),
            // Live by the settings alone: a review is still to come.
            (vec![shipped, change("v", Live, "system:settings")], true, staff("cat"), Ok(()), Err(E::LiveAlready)),
            // Another version's review counts for nothing.
            (vec![change("w", Reviewed, "staff:ben")], false, staff("ada"), Ok(()), Err(E::NotReviewed)),
        ] {
            let live = live.then_some(&v);
            assert_eq!(may_review(&v, live, &changes, &by), review, "review {changes:?} {by:?}");
            assert_eq!(may_go_live(&v, live, &changes, &by), go_live, "live {changes:?} {by:?}");
        }
    }

    #[test]
    fn one_person_may_go_back_to_what_was_live_and_to_nothing_else() {
        let v = RuleVersionId::new("v");
        let ada = Actor::Staff("ada".to_owned());
        let was_live = [change("v", RuleAct::Live, "staff:ada")];
        let reviewed = [change("v", RuleAct::Reviewed, "staff:ben")];
        assert_eq!(may_revert(&v, None, &was_live, &ada), Ok(()));
        assert_eq!(may_revert(&v, Some(&v), &was_live, &ada), Err(RuleChangeError::LiveAlready));
        assert_eq!(may_revert(&v, None, &reviewed, &ada), Err(RuleChangeError::NeverLive));
        assert_eq!(may_revert(&v, None, &was_live, &Actor::Cli("ada".into())), Err(RuleChangeError::NotAPerson));
    }
}
