//! A rule as data: whom to remind of what, when and how. The rules room reads it from a folder and compiles it.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Channel, Detail, Purpose, Reason, ResourceType, RuleId, RuleVersionId, StepId};

/// One version of a rule, with its templates. Two rules with the same content have the same version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub id: RuleId,
    pub version: RuleVersionId,
    pub title: String,
    pub purpose: Purpose,
    /// The type of resource that the rule is about.
    pub resource: ResourceType,
    /// FHIRPath over the resource; the rule applies where it is true.
    pub condition: String,
    /// FHIRPath that makes a step unnecessary where it is true at the instant the step falls due: a visit that is booked
    /// already, a test that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
    /// Whom the rule is for, besides its condition.
    #[serde(default, skip_serializing_if = "Who::is_everyone")]
    pub who: Who,
    /// Makes the rule a notice: it applies only where something that Beckon had planned for has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_change: Option<Change>,
    /// FHIRPath to the instant that the steps count from; empty where the rule goes by `schedule`.
    pub anchor: String,
    /// Occasions by the calendar in place of an anchor: a cron expression of five fields on the facility's wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Whether each resource is an occasion of its own, or all matching resources of a patient are one.
    pub per: Per,
    /// Makes the occasion come back; absent means once.
    pub cadence: Option<Cadence>,
    /// FHIRPath that ends the matter: once true, neither this occasion nor a later repetition has another step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Days that are no working days although they are no weekend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<Holiday>,
    /// Further types that the condition reads through the patient's mirror. What is missing there counts as absent only
    /// if the type was pulled completely for the patient within `freshness_minutes`.
    pub reads: Vec<ResourceType>,
    /// How old a complete pull of the types in `reads` may be (minutes).
    pub freshness_minutes: u32,
    /// A move of the anchor by no more than this keeps the occasion (minutes).
    pub move_tolerance_minutes: u32,
    /// Smaller goes first when the frequency budget is short.
    pub priority: u8,
    /// What the EHR is told of how pressing the message is.
    #[serde(default, skip_serializing_if = "Urgency::is_routine")]
    pub urgency: Urgency,
    /// The subject itself is sensitive: every text is neutral, and nobody but the patient gets it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// Percent of the patients who get no message, so that the effect can be measured.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub control_percent: u8,
    /// Where a reminder ends for one of these reasons, staff get a task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Reason>,
    /// Allowed channels, in the rule's order, each with the most detail that a text on it may carry.
    pub channels: Vec<(Channel, Detail)>,
    /// Send although the EHR cannot be read at send time; the decision records it.
    pub stale_ok: bool,
    /// Named value sets usable in the condition through `memberOf`: url to (system, code) pairs.
    pub value_sets: BTreeMap<String, Vec<(String, String)>>,
    pub steps: Vec<Step>,
    /// File name (`es.sms.reminder.txt`) to content.
    pub templates: BTreeMap<String, String>,
    /// By language (primary subtag): who read the texts over. A language that is not named is an original.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reviews: BTreeMap<String, Review>,
}

fn is_zero(percent: &u8) -> bool {
    *percent == 0
}

/// Whom a rule is for. What is empty or absent does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Who {
    /// Completed months of life that the patient must have, on the facility's calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_from_months: Option<u32>,
    /// Completed months of life that the patient must not have yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_below_months: Option<u32>,
    /// Primary subtags; the first language that the patient reads must be one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Logical ids of Locations; the resource must take place at one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<String>,
    /// References such as `Practitioner/d1`; one of them must take part, or else look after the patient.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clinicians: Vec<String>,
    /// Only patients for whom staff switched the rule on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_enrolled: bool,
}

impl Who {
    pub fn is_everyone(&self) -> bool {
        *self == Self::default()
    }
}

/// What must have happened to something that Beckon had planned reminders for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It stood at another instant.
    Moved,
    /// It stood, and by the rule's condition stands no more.
    Ended,
}

/// A day on which nobody works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holiday {
    Yearly { month: u32, day: u32 },
    On(NaiveDate),
}

/// FHIR request priority, written into what the EHR is told (R4 Communication.priority).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    #[default]
    Routine,
    Urgent,
    Asap,
    Stat,
}

impl Urgency {
    pub const ALL: [Self; 4] = [Self::Routine, Self::Urgent, Self::Asap, Self::Stat];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Urgent => "urgent",
            Self::Asap => "asap",
            Self::Stat => "stat",
        }
    }

    pub const fn is_routine(&self) -> bool {
        matches!(self, Self::Routine)
    }
}

/// Whether somebody who can judge it read a language's texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Review {
    /// A translation that nobody read over: nothing goes out in it.
    None,
    /// The texts were written in this language.
    Original,
    By {
        reviewer: String,
        qualification: String,
        on: NaiveDate,
    },
}

/// How many occasions the matching resources of one patient make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each resource is an occasion: every appointment is reminded of.
    Resource,
    /// All matching resources are one occasion, counted from the earliest anchor: a disease that is listed twice is
    /// followed up once.
    Patient,
    /// All matching resources of one day on the facility's calendar are one occasion, counted from the earliest, and
    /// one message names them all.
    Day,
}

/// A repetition: occasions at anchor + 1 × every, anchor + 2 × every, and so on. The anchor itself is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    /// `Days` or `Months` on the facility's wall clock, at least one.
    pub every: Offset,
    /// The number of the last repetition; absent means without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// One moment of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub id: StepId,
    pub at: Moment,
    /// After this instant the step is not sent.
    pub expires: Moment,
    /// An appointment booked later than this before its start gets no such step (minutes; the late-booking buffer).
    pub skip_if_booked_within_minutes: Option<u32>,
    /// As the rule's `unless`, for this step alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
    /// The first variant whose condition is true names the template; the last one has none.
    pub variants: Vec<Variant>,
}

/// Which template a step uses, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// FHIRPath over the resource; absent means always.
    pub when: Option<String>,
    pub template: String,
}

/// An instant relative to the anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Signed; negative is before the anchor.
    pub offset: Offset,
    /// Wall-clock time in the facility's zone on the day that the offset leads to.
    pub at_time: Option<NaiveTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offset {
    /// As soon as it is planned, wherever the anchor lies.
    AtOnce,
    /// Elapsed time.
    Minutes(i64),
    /// Calendar days on the facility's wall clock: the same time of day across a DST change.
    Days(i64),
    /// Days that are neither weekend nor holiday, on the facility's wall clock.
    WorkingDays(i64),
    /// Calendar months on the facility's wall clock, clamped to the month's last day.
    Months(i64),
}

/// A qualified person read a rule's texts in one language, as they stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextReview {
    pub rule: RuleId,
    /// Primary subtag.
    pub language: String,
    /// Hash of the texts that were read; others are not covered.
    pub texts: String,
    pub reviewer: String,
    /// Why the reviewer can judge: a diploma, a registration.
    pub qualification: String,
    /// Who recorded it.
    pub by: String,
    pub at: DateTime<Utc>,
}
