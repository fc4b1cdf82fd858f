//! A rule as data: whom to remind of what, when and how. The rules room reads it from a folder and compiles it.

use std::collections::BTreeMap;

use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

use super::{Channel, Detail, Purpose, ResourceType, RuleId, RuleVersionId, StepId};

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
    /// FHIRPath to the instant that the steps count from.
    pub anchor: String,
    /// Whether each resource is an occasion of its own, or all matching resources of a patient are one.
    pub per: Per,
    /// Makes the occasion come back; absent means once.
    pub cadence: Option<Cadence>,
    /// Further types that the condition reads through the patient's mirror. What is missing there counts as absent only
    /// if the type was pulled completely for the patient within `freshness_minutes`.
    pub reads: Vec<ResourceType>,
    /// How old a complete pull of the types in `reads` may be (minutes).
    pub freshness_minutes: u32,
    /// A move of the anchor by no more than this keeps the occasion (minutes).
    pub move_tolerance_minutes: u32,
    /// Smaller goes first when the frequency budget is short.
    pub priority: u8,
    /// Allowed channels, in the rule's order, each with the most detail that a text on it may carry.
    pub channels: Vec<(Channel, Detail)>,
    /// Send although the EHR cannot be read at send time; the decision records it.
    pub stale_ok: bool,
    /// Named value sets usable in the condition through `memberOf`: url to (system, code) pairs.
    pub value_sets: BTreeMap<String, Vec<(String, String)>>,
    pub steps: Vec<Step>,
    /// File name (`es.sms.reminder.txt`) to content.
    pub templates: BTreeMap<String, String>,
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
}

/// A repetition: occasions at anchor + 1 × every, anchor + 2 × every, and so on. The anchor itself is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    /// `Days` or `Months` on the facility's wall clock, at least one.
    pub every: Offset,
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
    /// Elapsed time.
    Minutes(i64),
    /// Calendar days on the facility's wall clock: the same time of day across a DST change.
    Days(i64),
    /// Calendar months on the facility's wall clock, clamped to the month's last day.
    Months(i64),
}
