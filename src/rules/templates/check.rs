//! What can be said of a rule's texts before anybody gets one.

use std::collections::BTreeSet;

use crate::domain::{Channel, Detail, Per, ResourceType, Rule};

use super::super::problem::{RuleProblem, did_you_mean};
use super::super::readability::ReadingLevel;
use super::super::segments::{Encoding, sms_segments};
use super::fields::{self, FIELDS, Field};
use super::name::{Part, TemplateName};
use super::{NEUTRAL, Templates, detail_of};

/// A mail of more words is not read to its end.
const MOST_WORDS: usize = 150;
/// More parts than this are paid and read as so many messages.
const MOST_SEGMENTS: usize = 2;

pub(super) fn check(rule: &Rule, templates: &Templates) -> Vec<RuleProblem> {
    let mut problems = missing(rule, templates);
    let variants: BTreeSet<&str> = rule
        .steps
        .iter()
        .flat_map(|step| step.variants.iter().map(|it| it.template.as_str()))
        .chain([NEUTRAL])
        .collect();
    for name in &templates.index {
        let file = name.file();
        if !variants.contains(name.variant.as_str()) {
            problems.push(
                RuleProblem::error(
                    rule.id.as_str(),
                    &file,
                    None,
                    format!("no step uses the variant \"{}\"", name.variant),
                )
                .suggest(did_you_mean(&name.variant, variants.iter().copied())),
            );
        }
        let Some(detail) = detail_of(rule, name) else {
            problems.push(RuleProblem::error(
                rule.id.as_str(),
                &file,
                None,
                format!("the rule does not list the channel {}", name.channel),
            ));
            continue;
        };
        let wrong_fields = unknown_fields(rule, templates, name, detail);
        let readable = wrong_fields.is_empty();
        problems.extend(names_one_of_many(rule, templates, name, detail));
        problems.extend(wrong_fields);
        if readable {
            problems.extend(render_samples(rule, templates, name, detail));
        }
    }
    problems
}

/// Every language must have every text: whoever reads it must not lose a step.
fn missing(rule: &Rule, templates: &Templates) -> Vec<RuleProblem> {
    let mut problems = Vec::new();
    let languages = templates.languages();
    if languages.is_empty() && !rule.channels.is_empty() {
        problems.push(
            RuleProblem::error(rule.id.as_str(), "rule.toml", None, "the rule has no template that can be used")
                .suggest(Some("add a file such as en.sms.reminder.txt beside rule.toml")),
        );
    }
    let variants: BTreeSet<&str> =
        rule.steps.iter().flat_map(|step| step.variants.iter().map(|it| it.template.as_str())).collect();
    for language in languages {
        for (channel, detail) in &rule.channels {
            let needed = if *channel == Channel::Email { &[Part::Text, Part::Subject][..] } else { &[Part::Text] };
            for variant in variants.iter().copied().chain((*detail > Detail::Neutral).then_some(NEUTRAL)) {
                for part in needed {
                    let name = TemplateName {
                        language: language.to_owned(),
                        channel: *channel,
                        variant: variant.to_owned(),
                        part: *part,
                    };
                    let file = name.file();
                    // A text that does not parse was reported as such.
                    if !templates.index.contains(&name) && !rule.templates.contains_key(&file) {
                        problems.push(missing_file(rule, &file, variant));
                    }
                }
            }
        }
    }
    problems
}

fn missing_file(rule: &Rule, file: &str, variant: &str) -> RuleProblem {
    if variant == NEUTRAL {
        RuleProblem::warning(rule.id.as_str(), file, None, "this text is missing: restricted records get nothing")
            .suggest(Some("add it, with neutral fields only"))
    } else {
        RuleProblem::error(rule.id.as_str(), file, None, "this text is missing").suggest(Some("add the file"))
    }
}

/// A text of a rule that puts the visits of a day into one message must name them all.
fn names_one_of_many(rule: &Rule, templates: &Templates, name: &TemplateName, detail: Detail) -> Option<RuleProblem> {
    let of_many = rule.per == Per::Day && rule.resource == ResourceType::Appointment && detail > Detail::Neutral;
    let file = name.file();
    let used = templates.environment.get_template(&file).ok()?.undeclared_variables(false);
    (of_many && !used.contains("visits")).then(|| {
        RuleProblem::error(
            rule.id.as_str(),
            &file,
            None,
            "the rule speaks of all visits of a day at once, and the text names one",
        )
        .suggest(Some("write {{ visits }} in place of {{ time }} and {{ place }}"))
    })
}

fn unknown_fields(rule: &Rule, templates: &Templates, name: &TemplateName, detail: Detail) -> Vec<RuleProblem> {
    let file = name.file();
    let source = rule.templates.get(&file).map(String::as_str).unwrap_or_default();
    let mut problems = Vec::new();
    if source.contains("autoescape") {
        problems.push(RuleProblem::error(
            rule.id.as_str(),
            &file,
            line_of(source, "autoescape"),
            "escaping cannot be switched off",
        ));
    }
    let Ok(template) = templates.environment.get_template(&file) else { return problems };
    let mut used: Vec<String> = template
        .undeclared_variables(false)
        .into_iter()
        .filter(|used| templates.environment.globals().all(|(global, _)| global != used))
        .collect();
    used.sort();
    for used in used {
        let line = line_of(source, &used);
        let what = match Field::named(&used) {
            Some(field) if field.is_allowed(detail, rule.resource, &name.language) => continue,
            Some(field) if field.detail > detail => format!(
                "the field \"{used}\" needs the detail {}, and this text may carry {}",
                words(field.detail),
                words(detail)
            ),
            Some(field) if field.spoken && rule.resource == crate::domain::ResourceType::Appointment => {
                format!("the field \"{used}\" cannot be spelled in \"{}\" yet", name.language)
            }
            Some(_) => format!("the field \"{used}\" exists only in rules about an Appointment"),
            None => format!("there is no field \"{used}\""),
        };
        let known = FIELDS
            .iter()
            .filter(|field| field.is_allowed(detail, rule.resource, &name.language))
            .map(|field| field.name);
        let listed = format!("allowed here: {}", known.clone().collect::<Vec<_>>().join(", "));
        let suggestion = if Field::named(&used).is_none() { did_you_mean(&used, known) } else { None };
        problems
            .push(RuleProblem::error(rule.id.as_str(), &file, line, what).suggest(Some(suggestion.unwrap_or(listed))));
    }
    problems
}

fn render_samples(rule: &Rule, templates: &Templates, name: &TemplateName, detail: Detail) -> Vec<RuleProblem> {
    let file = name.file();
    for full in [false, true] {
        let context = fields::allowed(fields::sample(&name.language, full), detail, rule.resource, &name.language);
        match templates.render(name, &context) {
            Err(error) => {
                let optional: Vec<&str> =
                    FIELDS.iter().filter(|field| field.optional).map(|field| field.name).collect();
                let suggestion = (!full)
                    .then(|| format!("these fields can be empty and need {{% if … %}}: {}", optional.join(", ")));
                let what = format!("the template fails on sample facts: {}", error.detail().unwrap_or("cannot render"));
                return vec![
                    RuleProblem::error(rule.id.as_str(), &file, super::line(&error), what).suggest(suggestion),
                ];
            }
            Ok(text) if full => return wording(rule, name, &file, &text),
            Ok(_) => {}
        }
    }
    Vec::new()
}

fn wording(rule: &Rule, name: &TemplateName, file: &str, text: &str) -> Vec<RuleProblem> {
    let mut problems = Vec::new();
    let warn = |what: String| RuleProblem::warning(rule.id.as_str(), file, None, what);
    if text.trim().is_empty() {
        problems.push(RuleProblem::error(rule.id.as_str(), file, None, "the text is empty"));
    }
    if name.part == Part::Text {
        if let Some(level) = ReadingLevel::of(text, &name.language).filter(|level| !level.is_easy()) {
            problems.push(
                warn(format!("the text is hard to read: {}, and {} is asked for", level.words(), level.limit()))
                    .suggest(Some("shorten sentences and words")),
            );
        }
        let words = text.split_whitespace().count();
        if words > MOST_WORDS {
            problems.push(warn(format!("the text has {words} words, more than {MOST_WORDS}")));
        }
    }
    if name.channel == Channel::Sms {
        let size = sms_segments(text.trim());
        if size.segments > MOST_SEGMENTS {
            let outside: String = size.outside.iter().collect();
            let hint = (size.encoding == Encoding::Ucs2)
                .then(|| format!("these characters more than halve what fits in a part: {outside}"));
            problems.push(
                warn(format!("the text takes {} SMS parts, more than {MOST_SEGMENTS}", size.segments)).suggest(hint),
            );
        }
        if !text.contains("STOP") {
            problems.push(warn("the text does not say how to opt out".to_owned()).suggest(Some("add \"STOP\"")));
        }
        if !text.contains("Example Clinic") {
            problems
                .push(warn("the text does not say who writes".to_owned()).suggest(Some("add {{ organisation_name }}")));
        }
        let asked =
            text.split(|c: char| !c.is_alphanumeric()).find(|word| matches!(*word, "YES" | "CANCEL" | "SI" | "SÍ"));
        if let Some(word) = asked {
            problems.push(
                warn(format!("carriers read the reply \"{word}\" as opting in or out")).suggest(Some("ask for C or R")),
            );
        }
    }
    problems
}

const fn words(detail: Detail) -> &'static str {
    match detail {
        Detail::Neutral => "neutral",
        Detail::Limited => "limited",
        Detail::Full => "full",
    }
}

fn line_of(source: &str, word: &str) -> Option<u32> {
    let whole = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            !line[..at].chars().next_back().is_some_and(is_word)
                && !line[at + word.len()..].chars().next().is_some_and(is_word)
        })
    };
    source.lines().position(whole).and_then(|index| u32::try_from(index + 1).ok())
}
