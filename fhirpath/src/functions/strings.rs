//! Texts searched, cut and joined.

use super::{at_most_one, input_value, one};
use crate::ast::Call;
use crate::collection::single;
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::{Item, Text};
use crate::regexes;
use regex::Regex;
use std::borrow::Cow;

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn strings(
        &mut self,
        call: &Call,
        input: &[Item<'a>],
        scope: Scope<'_, 'a>,
    ) -> Result<Items<'a>, Fault> {
        if call.function == F::Join {
            return self.join(call, input, scope);
        }
        let Some(text) = text_input(call.function, input)? else {
            return Ok(Vec::new());
        };
        let text = text.as_str();
        // Work on a long text costs accordingly.
        self.meter.spend(text.len() / 64)?;
        match call.function {
            F::Substring => return self.substring(call, text, scope),
            F::Matches | F::MatchesFull => {
                let Some(regex) = self.pattern(call, 1, scope)? else {
                    return Ok(Vec::new());
                };
                return one(regex.is_match(text));
            }
            _ => {}
        }
        let Some(part) = self.text_argument(call, 0, scope)? else {
            return Ok(Vec::new());
        };
        let part = part.as_str();
        match call.function {
            F::IndexOf => one(text.find(part).map_or(-1, |at| characters(&text[..at]))),
            F::LastIndexOf => one(text.rfind(part).map_or(-1, |at| characters(&text[..at]))),
            F::StartsWith => one(text.starts_with(part)),
            F::EndsWith => one(text.ends_with(part)),
            F::Contains => one(text.contains(part)),
            F::Split if part.is_empty() => one(text.to_owned()),
            F::Split => {
                self.spend_on_items(text.matches(part).count())?;
                self.spend_on_text(text.len())?;
                Ok(text.split(part).map(Item::text).collect())
            }
            _ => self.replace(call, text, part, scope),
        }
    }

    fn replace(&mut self, call: &Call, text: &str, part: &str, scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let Some(by) = self.text_argument(call, 1, scope)? else {
            return Ok(Vec::new());
        };
        let by = by.as_str();
        if call.function == F::ReplaceMatches {
            if part.is_empty() {
                return one(text.to_owned());
            }
            let Some(regex) = self.pattern(call, 2, scope)? else {
                return Ok(Vec::new());
            };
            let by = regexes::replacement(by);
            return self.replace_all(&regex, text, &by);
        }
        let hits = text.matches(part).count();
        self.spend_on_text(text.len().saturating_add(hits.saturating_mul(by.len())))?;
        one(text.replace(part, by))
    }

    /// Replaces match by match, so that a growing result is stopped before it fills the memory.
    fn replace_all(&mut self, regex: &Regex, text: &str, by: &str) -> Result<Items<'a>, Fault> {
        let mut result = String::new();
        let mut done = 0;
        for captures in regex.captures_iter(text) {
            let Some(found) = captures.get(0) else { continue };
            result.push_str(&text[done..found.start()]);
            captures.expand(by, &mut result);
            done = found.end();
            self.meter.spend(1)?;
            self.environment.budget.check_text(result.len())?;
        }
        result.push_str(&text[done..]);
        self.spend_on_text(result.len())?;
        one(result)
    }

    /// The pattern of the call; `None` where it is empty.
    fn pattern<'c>(
        &mut self,
        call: &'c Call,
        flags_at: usize,
        scope: Scope<'_, 'a>,
    ) -> Result<Option<Cow<'c, Regex>>, Fault> {
        if let Some(regex) = &call.pattern {
            return Ok(Some(Cow::Borrowed(regex)));
        }
        let Some(pattern) = self.text_argument(call, 0, scope)? else {
            return Ok(None);
        };
        let flags = self.text_argument(call, flags_at, scope)?;
        let flags = flags.as_ref().map_or("", |flags| flags.as_str());
        // Compiling costs far more than a step.
        self.meter.spend(20_000)?;
        regexes::compile(pattern.as_str(), call.function == F::MatchesFull, flags)
            .map(|regex| Some(Cow::Owned(regex)))
            .ok_or_else(|| Fault::argument("the pattern is not a regular expression that can be run"))
    }

    fn substring(&mut self, call: &Call, text: &str, scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let Some(start) = self.integer_argument(call, 0, scope)? else {
            return Ok(Vec::new());
        };
        let length = match call.arguments.len() {
            2 => self.integer_argument(call, 1, scope)?,
            _ => None,
        };
        let Some(start) = usize::try_from(start).ok().filter(|start| *start < text.chars().count()) else {
            return Ok(Vec::new());
        };
        let length = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(0));
        let part: String = text.chars().skip(start).take(length).collect();
        self.spend_on_text(part.len())?;
        one(part)
    }

    fn join(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        if input.is_empty() {
            return Ok(Vec::new());
        }
        let separator = self.text_argument(call, 0, scope)?;
        let separator = separator.as_ref().map_or("", |separator| separator.as_str());
        let mut result = String::new();
        for (index, item) in input.iter().enumerate() {
            let Some(Item::String(text)) = item.system() else {
                return Err(Fault::wrong_type(format!("join() joins texts, not {}", item.type_name())));
            };
            if index > 0 {
                result.push_str(separator);
            }
            result.push_str(text.as_str());
            self.environment.budget.check_text(result.len())?;
        }
        self.spend_on_text(result.len())?;
        at_most_one(Some(result))
    }
}

fn characters(text: &str) -> i64 {
    text.chars().count() as i64
}

/// The text a string function works on; another type is an error.
pub(super) fn text_input<'a>(function: F, input: &[Item<'a>]) -> Result<Option<Text<'a>>, Fault> {
    let Some(item) = single(input)? else {
        return Ok(None);
    };
    match input_value(input)? {
        Some(Item::String(text)) => Ok(Some(text)),
        _ if item.is_choice() => Ok(None),
        _ if super::existence::has_value(item) || matches!(item, Item::Node(node) if node.json().is_object()) => {
            Err(Fault::wrong_type(format!("{}() works on texts, not {}", function.name(), item.type_name())))
        }
        _ => Ok(None),
    }
}
