//! What can be measured of each text, for those who look at a rule before it goes out.

use crate::domain::{Channel, Detail, Review};

use super::super::{CompiledRule, ReadingLevel, Segments, sms_segments};
use super::fields;
use super::name::Part;

/// One text with facts of nobody, and what it costs and asks of its reader.
#[derive(Debug, Clone, PartialEq)]
pub struct TextSheet {
    pub language: String,
    pub channel: Channel,
    pub variant: String,
    pub text: String,
    /// Of a text message alone.
    pub segments: Option<Segments>,
    /// Where the language has a measure.
    pub reading: Option<ReadingLevel>,
    /// What the rule's folder says of who read the language over; `None` where it says nothing.
    pub review: Option<Review>,
}

/// The texts of a rule, in order of language, channel and variant.
pub fn text_sheets(rule: &CompiledRule) -> Vec<TextSheet> {
    let templates = rule.templates();
    let texts = templates.index.iter().filter(|name| name.part == Part::Text);
    texts
        .filter_map(|name| {
            let detail = super::detail_of(rule.rule(), name).unwrap_or(Detail::Neutral);
            let sample = fields::sample(&name.language, true);
            let context = fields::allowed(sample, detail, rule.rule().resource, &name.language);
            let text = templates.render(name, &context).ok()?.trim().to_owned();
            Some(TextSheet {
                language: name.language.clone(),
                channel: name.channel,
                variant: name.variant.clone(),
                segments: (name.channel == Channel::Sms).then(|| sms_segments(&text)),
                reading: ReadingLevel::of(&text, &name.language),
                review: rule.rule().reviews.get(&name.language).cloned(),
                text,
            })
        })
        .collect()
}
