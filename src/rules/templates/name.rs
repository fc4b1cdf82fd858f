//! What a template's file name says.

use crate::domain::Channel;

use super::super::problem::did_you_mean;

/// `es.email.reminder.subject.txt`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TemplateName {
    /// Primary language subtag.
    pub language: String,
    pub channel: Channel,
    pub variant: String,
    pub part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Text,
    Html,
    Subject,
}

pub(super) struct NameProblem {
    pub what: String,
    pub suggestion: Option<String>,
}

const FORM: &str = "name it <language>.<channel>.<variant>.txt, such as es.sms.reminder.txt";

/// ISO 639-1 codes.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

impl TemplateName {
    pub(super) fn parse(file: &str) -> Result<Self, NameProblem> {
        let parts: Vec<&str> = file.split('.').collect();
        let (language, channel, variant, part) = match parts.as_slice() {
            [language, channel, variant, "txt"] => (*language, *channel, *variant, Part::Text),
            [language, channel, variant, "html"] => (*language, *channel, *variant, Part::Html),
            [language, channel, variant, "subject", "txt"] => (*language, *channel, *variant, Part::Subject),
            _ => {
                return Err(NameProblem {
                    what: "the file is neither rule.toml nor a template".to_owned(),
                    suggestion: Some(FORM.to_owned()),
                });
            }
        };
        if !LANGUAGES.split(' ').any(|known| known == language) {
            let primary = language.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
            let suggestion = if LANGUAGES.split(' ').any(|known| known == primary) {
                format!("write the primary subtag: \"{primary}\"")
            } else {
                "use a two-letter ISO 639-1 code, such as en or es".to_owned()
            };
            return Err(NameProblem {
                what: format!("\"{language}\" is not a language tag that templates are found by"),
                suggestion: Some(suggestion),
            });
        }
        let Some(channel) = Channel::parse(channel) else {
            return Err(NameProblem {
                what: format!("\"{channel}\" is not a channel"),
                suggestion: did_you_mean(channel, Channel::ALL.map(Channel::as_str)),
            });
        };
        if part != Part::Text && channel != Channel::Email {
            return Err(NameProblem {
                what: format!("only email has an html part or a subject, {channel} has neither"),
                suggestion: Some(FORM.to_owned()),
            });
        }
        if variant.is_empty() {
            return Err(NameProblem { what: "the variant is missing".to_owned(), suggestion: Some(FORM.to_owned()) });
        }
        Ok(Self { language: language.to_owned(), channel, variant: variant.to_owned(), part })
    }

    pub(super) fn file(&self) -> String {
        let extension = match self.part {
            Part::Text => "txt",
            Part::Html => "html",
            Part::Subject => "subject.txt",
        };
        format!("{}.{}.{}.{extension}", self.language, self.channel, self.variant)
    }

    pub(super) fn with(&self, part: Part) -> Self {
        Self { part, ..self.clone() }
    }
}
