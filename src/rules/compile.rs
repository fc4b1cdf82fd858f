//! A rule, checked and ready to be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::digest;
use fhirpath::{Expression, Root};

use crate::domain::{ResourceType, Review, Rule, RuleId, RuleVersionId, TextReview};
use crate::fhir;

use super::conditions::{Conditions, SINGLE_VARIABLES, mirrored_type, variable_of};
use super::problem::{RuleProblem, Severity, did_you_mean};
use super::schedule::Schedule;
use super::templates::Templates;

/// A rule whose expressions and texts were compiled and checked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CompiledRule(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    conditions: Conditions,
    templates: Templates,
    warnings: Vec<RuleProblem>,
    /// By language.
    text_versions: BTreeMap<String, String>,
}

/// Where each part of a rule stands in its file.
pub(super) trait Places {
    /// The line of a part such as `condition` or `step.0.variant.1`.
    fn line(&self, part: &str) -> Option<u32>;
}

/// A rule that comes from no file.
struct Nowhere;

impl Places for Nowhere {
    fn line(&self, _: &str) -> Option<u32> {
        None
    }
}

impl CompiledRule {
    /// Compiles a rule that was stored. Its version is computed from its content anew.
    ///
    /// # Errors
    /// Everything that is wrong with it; warnings alone do not stop it.
    pub fn compile(rule: Rule) -> Result<Self, Vec<RuleProblem>> {
        Self::compile_from(rule, &Nowhere)
    }

    pub(super) fn compile_from(mut rule: Rule, places: &impl Places) -> Result<Self, Vec<RuleProblem>> {
        rule.version = version(&rule);
        let mut problems = Vec::new();
        let conditions = compile_conditions(&rule, places, &mut problems);
        let (templates, of_templates) = Templates::compile(&rule);
        problems.extend(of_templates);
        let is_sound = problems.iter().all(|problem| problem.severity == Severity::Warning);
        match conditions {
            Some(conditions) if is_sound => {
                let text_versions = text_versions(&rule);
                Ok(Self(Arc::new(Compiled { rule, conditions, templates, warnings: problems, text_versions })))
            }
            _ => Err(problems),
        }
    }

    pub fn rule(&self) -> &Rule {
        &self.0.rule
    }

    pub fn id(&self) -> &RuleId {
        &self.0.rule.id
    }

    pub fn version(&self) -> &RuleVersionId {
        &self.0.rule.version
    }

    /// What could be better.
    pub fn warnings(&self) -> &[RuleProblem] {
        &self.0.warnings
    }

    /// The hash of all texts in a language: what a reviewer read. `None` where there are none.
    pub fn text_version(&self, language: &str) -> Option<&str> {
        self.0.text_versions.get(language).map(String::as_str)
    }

    /// The languages that it has texts in.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.0.text_versions.keys().map(String::as_str)
    }

    /// Whether messages may go out in a language: it is an original, or a qualified person read its texts over, as they
    /// stand now.
    pub fn is_cleared(&self, language: &str, reviews: &[TextReview]) -> bool {
        let of_texts = |it: &TextReview| {
            it.rule == *self.id() && it.language == language && Some(it.texts.as_str()) == self.text_version(language)
        };
        self.rule().reviews.get(language) != Some(&Review::None) || reviews.iter().any(of_texts)
    }

    pub(super) fn conditions(&self) -> &Conditions {
        &self.0.conditions
    }

    pub(super) fn templates(&self) -> &Templates {
        &self.0.templates
    }
}

/// The content hash: two rules that say the same have the same version, however their files are laid out.
fn version(rule: &Rule) -> RuleVersionId {
    let content = Rule { version: RuleVersionId::new(""), ..rule.clone() };
    // A rule is strings, numbers and maps with string keys: it always serialises.
    let canonical = serde_json::to_vec(&content).unwrap_or_default();
    RuleVersionId::new(hex(digest::digest(&digest::SHA256, &canonical).as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn text_versions(rule: &Rule) -> BTreeMap<String, String> {
    let mut hashes: BTreeMap<String, digest::Context> = BTreeMap::new();
    for (file, text) in &rule.templates {
        let Some(language) = file.split('.').next() else { continue };
        let hash = hashes.entry(language.to_owned()).or_insert_with(|| digest::Context::new(&digest::SHA256));
        for part in [file, text] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
    }
    hashes.into_iter().map(|(language, hash)| (language, hex(hash.finish().as_ref()))).collect()
}

fn compile_conditions(rule: &Rule, places: &impl Places, problems: &mut Vec<RuleProblem>) -> Option<Conditions> {
    let mut read = BTreeSet::new();
    let mut compile = |source: &str, part: &str| {
        let compiled = compile_one(rule, source, places.line(part), problems)?;
        read.extend(compiled.references().variables.iter().filter_map(|name| mirrored_type(name)));
        Some(compiled)
    };
    let condition = compile(&rule.condition, "condition");
    let unless = rule.unless.as_deref().map(|unless| compile(unless, "unless"));
    let until = rule.until.as_deref().map(|until| compile(until, "cadence.until"));
    let anchor = rule.schedule.is_none().then(|| compile(&rule.anchor, "anchor"));
    let mut variants = Vec::new();
    let mut all_compiled = [&unless, &until, &anchor].into_iter().all(|it| !matches!(it, Some(None)));
    let mut step_unless = Vec::new();
    for (step_index, step) in rule.steps.iter().enumerate() {
        let unless = step.unless.as_deref().map(|unless| compile(unless, &format!("step.{step_index}.unless")));
        all_compiled &= !matches!(unless, Some(None));
        step_unless.push(unless.flatten());
        let mut of_step = Vec::new();
        for (index, variant) in step.variants.iter().enumerate() {
            let when = variant.when.as_deref().map(|when| compile(when, &format!("step.{step_index}.variant.{index}")));
            all_compiled &= !matches!(when, Some(None));
            of_step.push(when.flatten());
        }
        variants.push(of_step);
    }
    for kind in rule.reads.iter().filter(|kind| !read.contains(kind)) {
        problems.push(RuleProblem::warning(
            rule.id.as_str(),
            "rule.toml",
            places.line("reads"),
            format!("no expression reads %{}: the rule waits for complete {kind} data for nothing", variable_of(*kind)),
        ));
    }
    let schedule = match rule.schedule.as_deref().map(Schedule::parse).transpose() {
        Ok(schedule) => schedule,
        Err(what) => {
            problems.push(RuleProblem::error(rule.id.as_str(), "rule.toml", places.line("schedule"), what));
            return None;
        }
    };
    all_compiled.then_some(())?;
    Some(Conditions {
        condition: condition?,
        unless: unless.flatten(),
        until: until.flatten(),
        anchor: anchor.flatten(),
        schedule,
        step_unless,
        variants,
    })
}

fn compile_one(rule: &Rule, source: &str, line: Option<u32>, problems: &mut Vec<RuleProblem>) -> Option<Expression> {
    let file = "rule.toml";
    let error = |line: Option<u32>, what: String| RuleProblem::error(rule.id.as_str(), file, line, what);
    let expression = match Expression::parse(source) {
        Ok(expression) => expression,
        Err(problem) => {
            let line =
                line.map(|line| line + u32::try_from(problem.position.line.saturating_sub(1)).unwrap_or_default());
            let what = format!("not FHIRPath, at character {}: {}", problem.position.column, problem.message);
            problems.push(error(line, what).suggest((!problem.hint.is_empty()).then_some(problem.hint)));
            return None;
        }
    };
    for name in &expression.references().variables {
        let listed = mirrored_type(name);
        let of_visits = match name.as_str() {
            "appointment" | "confirmed" => rule.resource == ResourceType::Appointment,
            "modality" => matches!(rule.resource, ResourceType::Appointment | ResourceType::Encounter),
            _ => true,
        };
        if !of_visits {
            problems.push(error(
                line,
                format!("%{name} is known only in rules about an Appointment, not {}", rule.resource),
            ));
        } else if let Some(kind) = listed.filter(|kind| !rule.reads.contains(kind)) {
            problems.push(
                error(line, format!("%{name} is read, but \"reads\" does not list {kind}"))
                    .suggest(Some(format!("add \"{kind}\" to reads, so that it is pulled completely first"))),
            );
        } else if listed.is_none() && !SINGLE_VARIABLES.contains(&name.as_str()) {
            let lists: Vec<String> = ResourceType::ALL.iter().map(|kind| variable_of(*kind)).collect();
            let known = SINGLE_VARIABLES.into_iter().chain(lists.iter().map(String::as_str));
            problems.push(error(line, format!("there is no variable %{name}")).suggest(did_you_mean(name, known)));
        }
    }
    for path in &expression.references().paths {
        let kind = match &path.root {
            Root::Focus => Some(rule.resource),
            Root::Variable(name) if name == "patient" => Some(ResourceType::Patient),
            Root::Variable(name) if name == "appointment" => Some(ResourceType::Appointment),
            Root::Variable(name) => mirrored_type(name),
        };
        if let Some(kind) = kind
            && !path.elements.is_empty()
            && !fhir::prune::is_allowed(kind, &path.elements.join("."))
        {
            problems.push(
                error(line, format!("the mirror does not keep \"{path}\" of {kind}"))
                    .suggest(Some("it keeps the least that is needed; use an element that it keeps")),
            );
        }
    }
    for url in value_sets_named(source) {
        if !rule.value_sets.contains_key(url) {
            problems.push(
                error(line, format!("there is no value set \"{url}\" in this rule"))
                    .suggest(did_you_mean(url, rule.value_sets.keys().map(String::as_str))),
            );
        }
    }
    Some(expression)
}

/// The literals that stand in `memberOf('…')`.
fn value_sets_named(source: &str) -> impl Iterator<Item = &str> {
    source.split("memberOf").skip(1).filter_map(|rest| {
        let literal = rest.trim_start().strip_prefix('(')?.trim_start().strip_prefix('\'')?;
        literal.split('\'').next()
    })
}
