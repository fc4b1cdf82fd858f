//! The texts of a rule: `<language>.<channel>.<variant>.txt`, and for email also `.html` and `.subject.txt`.
//!
//! A template sees only the fields that its level of detail allows. The variant `neutral` stands in for every other one
//! where only neutral detail may go out (a restricted record); a subject line is always neutral.

mod check;
mod fields;
mod name;
mod render;
mod sheet;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use crate::domain::{Channel, Detail, ResourceType, Rule};

use super::problem::RuleProblem;

use name::{Part, TemplateName};
pub use render::{Organisation, RenderError, RenderFacts, render, render_sample};
pub use sheet::{TextSheet, text_sheets};

/// The variant that stands in where only neutral detail may go out.
pub(super) const NEUTRAL: &str = "neutral";

/// Steps of the template machine: far beyond any text, short of a loop that hangs a worker.
const FUEL: u64 = 20_000;

/// The compiled texts of one rule.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
    index: BTreeSet<TemplateName>,
    resource: ResourceType,
}

impl Templates {
    /// Compiles every template and checks each against its level of detail, with sample facts.
    pub(super) fn compile(rule: &Rule) -> (Self, Vec<RuleProblem>) {
        let mut templates = Self { environment: environment(), index: BTreeSet::new(), resource: rule.resource };
        let mut problems = Vec::new();
        for (file, content) in &rule.templates {
            let name = match TemplateName::parse(file) {
                Ok(name) => name,
                Err(problem) => {
                    problems.push(
                        RuleProblem::error(rule.id.as_str(), file, None, problem.what).suggest(problem.suggestion),
                    );
                    continue;
                }
            };
            match templates.environment.add_template_owned(file.clone(), content.clone()) {
                Ok(()) => {
                    templates.index.insert(name);
                }
                Err(error) => problems.push(RuleProblem::error(
                    rule.id.as_str(),
                    file,
                    line(&error),
                    format!("the template does not parse: {}", error.detail().unwrap_or("syntax error")),
                )),
            }
        }
        problems.extend(check::check(rule, &templates));
        (templates, problems)
    }

    /// Whether a text exists for all of this.
    pub(super) fn has(&self, language: &str, channel: Channel, variant: &str) -> bool {
        self.index.contains(&TemplateName {
            language: language.to_owned(),
            channel,
            variant: variant.to_owned(),
            part: Part::Text,
        })
    }

    /// Languages (primary subtags) that any text is in.
    pub(super) fn languages(&self) -> BTreeSet<&str> {
        self.index.iter().map(|name| name.language.as_str()).collect()
    }

    fn render(&self, name: &TemplateName, context: &BTreeMap<String, minijinja::Value>) -> Result<String, Error> {
        let template = self.environment.get_template(&name.file())?;
        template.render(minijinja::Value::from(context.clone()))
    }
}

/// The detail that a text may carry: the channel's, but a neutral variant and a subject are neutral.
fn detail_of(rule: &Rule, name: &TemplateName) -> Option<Detail> {
    let (_, detail) = rule.channels.iter().find(|(channel, _)| *channel == name.channel)?;
    Some(if name.variant == NEUTRAL || name.part == Part::Subject { Detail::Neutral } else { *detail })
}

fn line(error: &Error) -> Option<u32> {
    error.line().and_then(|line| u32::try_from(line).ok())
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(20);
    environment.set_auto_escape_callback(|name| {
        if std::path::Path::new(name).extension().is_some_and(|extension| extension == "html") {
            AutoEscape::Html
        } else {
            AutoEscape::None
        }
    });
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    // Each would print what the reader must not see: markup out of a name, or every field there is.
    environment.remove_filter("safe");
    environment.remove_global("debug");
    environment.set_formatter(|out, state, value| {
        if value.is_none() {
            return Err(Error::new(ErrorKind::UndefinedError, "a field that is empty here is printed"));
        }
        minijinja::escape_formatter(out, state, value)
    });
    environment
}
