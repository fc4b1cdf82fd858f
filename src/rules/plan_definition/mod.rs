//! Rules as FHIR R4 PlanDefinition, both ways, by the profile `fhir-profiles/beckon-plan-definition.json`.
//!
//! What the standard has a place for stands in that place, and is read from there: title, condition, the reason to stop,
//! steps with their offsets, value sets, texts. What it has none for stands in one extension each for the rule and for a
//! step, as JSON in Beckon's own words, so that nothing is lost. What another system wrote and Beckon has no meaning for
//! is named, never dropped in silence.

mod export;
mod import;

pub use export::to_plan_definition;
pub use import::{Imported, from_plan_definition};

/// Where our names live. They are names, not addresses.
const BASE: &str = "https://beckon.example/fhir";
const PROFILE: &str = "https://beckon.example/fhir/StructureDefinition/beckon-plan-definition";
/// On the PlanDefinition: what of the rule has no place in R4.
const RULE_SETTINGS: &str = "https://beckon.example/fhir/StructureDefinition/beckon-rule-settings";
/// On an action: what of a step has no place in R4.
const STEP_SETTINGS: &str = "https://beckon.example/fhir/StructureDefinition/beckon-step-settings";
/// On a contained ActivityDefinition: a text, by the name of its file.
const TEXT: &str = "https://beckon.example/fhir/StructureDefinition/beckon-text";
/// The action that the steps count from: the resource's own instant.
const ANCHOR: &str = "anchor";
const UCUM: &str = "http://unitsofmeasure.org";

#[cfg(test)]
mod tests;
