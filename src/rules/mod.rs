//! Rules as data, and the two pure questions asked of them: *plan* (what falls due for this patient, and when) and
//! *decide* (may this reminder go out now, to whom, and how). A rule is a folder of TOML and templates; conditions are
//! FHIRPath. Everything here is a function of its arguments: this room knows no database, no clock, no network and no
//! provider, so that any answer can be replayed from the facts stored with it.

mod checks;
mod compile;
mod conditions;
mod consents;
mod decide;
mod diff;
mod explain;
mod facilities;
mod facts;
mod folder;
mod format;
mod hours;
mod modality;
mod moment;
mod moment_text;
mod plan;
mod plan_definition;
mod problem;
mod readability;
mod schedule;
mod segments;
mod settings;
mod templates;
mod value_sets;
mod who;
mod wording;
mod zones;

pub use checks::contact::addresses_of;
pub use compile::CompiledRule;
pub use consents::{ConsentDirective, Consents};
pub use decide::decide;
pub use diff::{DiffLine, diff, text_of};
pub use explain::{Explanation, explain};
pub use facts::{
    DecideFacts, Facilities, Facility, Guardian, Mirror, Mirrored, PatientFacts, PatientRecord, Reading, ResourceRecord,
};
pub use folder::{load_files, load_folder, starter_rules};
pub use hours::next_opening;
pub use moment::start_of_day;
pub use plan::{Changes, Ended, NotApplicable, Plan, Update, plan, reconcile, retire};
pub use plan_definition::{Imported, from_plan_definition, to_plan_definition};
pub use problem::{RuleProblem, Severity};
pub use readability::ReadingLevel;
pub use segments::{Encoding, Segments, sms_segments};
pub use settings::{AllowedHours, Budget, Settings};
pub use templates::{Organisation, RenderError, RenderFacts, TextSheet, render, render_sample, text_sheets};
pub use zones::{Zones, zone_candidates};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use crate::domain::{ResourceType, Rule};

/// A type that the rule reads and that is not known completely, or not lately enough: what is missing there proves
/// nothing (I9).
fn coverage_gap(rule: &Rule, mirror: &Mirror<'_>, now: DateTime<Utc>) -> Option<ResourceType> {
    let freshness = TimeDelta::minutes(i64::from(rule.freshness_minutes));
    rule.reads.iter().copied().find(|kind| mirror.covered_at(*kind).is_none_or(|at| now - at > freshness))
}

/// Whether a rule is about this resource of a patient: what one message names together must be so each for itself. Not
/// known counts as no.
pub fn is_about(
    rule: &CompiledRule,
    resource: &Value,
    patient: &Value,
    mirror: &Mirror<'_>,
    at: DateTime<Utc>,
    zone: Tz,
) -> bool {
    let subject = conditions::Subject { rule: rule.rule(), resource, patient, mirror, at, zone };
    matches!(subject.holds(&rule.conditions().condition), Ok(Some(true)))
}
