//! How rules are called.

use std::collections::BTreeMap;

use crate::domain::{Rule, RuleId};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::words::{Choice, code_words};

/// Titles of the live rules; a rule that is no longer live goes by its id.
pub struct Titles(BTreeMap<RuleId, String>);

impl Titles {
    pub async fn of(call: &Call) -> Result<Self, WebError> {
        Ok(Self::of_rules(&call.state.view().live_rules().await?))
    }

    pub fn of_rules(rules: &[Rule]) -> Self {
        Self(rules.iter().map(|rule| (rule.id.clone(), rule.title.clone())).collect())
    }

    pub fn title(&self, rule: &RuleId) -> String {
        self.0.get(rule).cloned().unwrap_or_else(|| code_words(rule.as_str()))
    }

    /// The rules to choose from in a filter; an asked-for one that is not live stays choosable.
    pub fn choices(&self, asked: &str) -> Vec<Choice> {
        let mut choices = vec![Choice::new("", "Every rule", asked.is_empty())];
        choices.extend(self.0.iter().map(|(id, title)| Choice::new(id.as_str(), title, id.as_str() == asked)));
        if !asked.is_empty() && !self.0.contains_key(&RuleId::new(asked)) {
            choices.push(Choice::new(asked, asked, true));
        }
        choices
    }
}
