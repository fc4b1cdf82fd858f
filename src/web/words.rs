//! States and times as people read them. A state always has a word and an icon; colour only underlines it.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::domain::{AttemptState, Channel, CheckResult, MessageState, ReminderState, WriteBackState};
pub use crate::domain::{date_begins, in_words as code_words};

/// How a state looks: `tone` names the colour, `icon` the drawing, `word` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Badge {
    pub tone: &'static str,
    pub icon: &'static str,
    pub word: &'static str,
}

const fn badge(tone: &'static str, icon: &'static str, word: &'static str) -> Badge {
    Badge { tone, icon, word }
}

pub const fn reminder_badge(state: ReminderState) -> Badge {
    match state {
        ReminderState::Planned => badge("planned", "clock", "Planned"),
        ReminderState::Waiting => badge("planned", "pause", "Waiting"),
        ReminderState::Released => badge("moving", "send", "Released"),
        ReminderState::Withheld => badge("needs", "hand", "Withheld"),
        ReminderState::Cancelled => badge("quiet", "cross", "Cancelled"),
        ReminderState::Expired => badge("needs", "late", "Expired"),
    }
}

pub const fn message_badge(state: MessageState) -> Badge {
    match state {
        MessageState::Queued => badge("planned", "clock", "Queued"),
        MessageState::OnItsWay => badge("moving", "send", "On its way"),
        MessageState::Delivered => badge("arrived", "check", "Delivered"),
        MessageState::Read => badge("arrived", "check", "Read"),
        MessageState::Failed => badge("needs", "warn", "Failed"),
        MessageState::Unknown => badge("needs", "question", "Outcome unknown"),
        MessageState::Cancelled => badge("quiet", "cross", "Cancelled"),
        MessageState::Expired => badge("needs", "late", "Expired"),
    }
}

pub const fn attempt_badge(state: AttemptState) -> Badge {
    match state {
        AttemptState::Opened => badge("moving", "send", "Being sent"),
        AttemptState::Unknown => badge("needs", "question", "Outcome unknown"),
        AttemptState::Accepted => badge("moving", "send", "Accepted"),
        AttemptState::Rejected => badge("needs", "warn", "Refused"),
        AttemptState::Failed => badge("needs", "warn", "Failed"),
        AttemptState::Expired => badge("needs", "late", "Expired"),
        AttemptState::Delivered => badge("arrived", "check", "Delivered"),
        AttemptState::Read => badge("arrived", "check", "Read"),
    }
}

pub const fn check_badge(result: CheckResult) -> Badge {
    match result {
        CheckResult::Passed => badge("arrived", "check", "Passed"),
        CheckResult::Failed => badge("needs", "cross", "Stopped it"),
        CheckResult::Unknown => badge("needs", "question", "Not known"),
        CheckResult::NotApplicable => badge("quiet", "minus", "Not applicable"),
    }
}

pub const fn write_back_badge(state: WriteBackState) -> Badge {
    match state {
        WriteBackState::Pending => badge("planned", "clock", "To be written"),
        WriteBackState::Written => badge("arrived", "check", "Written to the EHR"),
        WriteBackState::Unsupported => badge("quiet", "minus", "The EHR does not take it"),
        WriteBackState::Failed => badge("needs", "warn", "Not written"),
    }
}

pub const fn channel_word(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "Email",
        Channel::Sms => "Text message",
        Channel::Voice => "Call",
        Channel::Pickup => "Pickup page",
        Channel::InPerson => "In person",
    }
}

/// What a reply means, from its code.
pub fn meaning_word(code: Option<&str>) -> &'static str {
    match code {
        Some("stop") => "Asked not to be contacted",
        Some("start") => "Asked to be contacted again",
        Some("help") => "Asked for help",
        Some("confirm") => "Will come",
        Some("confirm_no_more") => "Will come, and wants to hear no more about it",
        Some("cannot_come") => "Cannot come",
        Some("free_text") => "Wrote something a person should read",
        _ => "Not looked at yet",
    }
}

/// Who carries a message, from the name of the part that speaks with them.
pub fn carrier_words(provider: &str) -> String {
    match provider {
        "twilio" => "the text message company".to_owned(),
        "smtp" => "the mail relay".to_owned(),
        other => other.to_owned(),
    }
}

/// How a message was protected on its way out of this house.
pub fn protection_words(protection: &str) -> String {
    match protection {
        "" => String::new(),
        "loopback" => "not encrypted, on this machine only".to_owned(),
        other => format!("encrypted, {other}"),
    }
}

/// A language tag (BCP 47) as staff say it; one that is not listed stays as it is.
pub fn language_words(tag: &str) -> String {
    const LANGUAGES: [(&str, &str); 24] = [
        ("ar", "Arabic"),
        ("bn", "Bengali"),
        ("de", "German"),
        ("en", "English"),
        ("es", "Spanish"),
        ("fa", "Persian"),
        ("fr", "French"),
        ("gu", "Gujarati"),
        ("hi", "Hindi"),
        ("hmn", "Hmong"),
        ("ht", "Haitian Creole"),
        ("hy", "Armenian"),
        ("it", "Italian"),
        ("ja", "Japanese"),
        ("ko", "Korean"),
        ("pl", "Polish"),
        ("pt", "Portuguese"),
        ("ru", "Russian"),
        ("so", "Somali"),
        ("tl", "Tagalog"),
        ("uk", "Ukrainian"),
        ("ur", "Urdu"),
        ("vi", "Vietnamese"),
        ("zh", "Chinese"),
    ];
    let primary = tag.split(['-', '_']).next().unwrap_or_default();
    let known = LANGUAGES.iter().find(|(code, _)| code.eq_ignore_ascii_case(primary));
    known.map_or_else(|| tag.to_owned(), |(_, name)| (*name).to_owned())
}

/// Text that stands for an instant, on the organisation's wall clock; any other text as it is.
pub fn moment_or_text(text: &str, zone: Tz) -> String {
    DateTime::parse_from_rfc3339(text).map_or_else(|_| text.to_owned(), |at| moment(at.to_utc(), zone))
}

/// One entry of a list to choose from.
pub struct Choice {
    pub value: String,
    pub label: String,
    pub selected: bool,
}

impl Choice {
    pub fn new(value: impl Into<String>, label: impl Into<String>, selected: bool) -> Self {
        Self { value: value.into(), label: label.into(), selected }
    }
}

/// An address of ours with the parameters that say something.
pub fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// An instant on the organisation's wall clock: `Mon 2 Mar 2026, 12:00 CST`.
pub fn moment(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%a %-d %b %Y, %H:%M %Z").to_string()
}

/// The day that `now` lies in on the wall clock of `zone`, as two instants.
pub fn day_of(now: DateTime<Utc>, zone: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
    let date = now.with_timezone(&zone).date_naive();
    (date_begins(date, zone), date.succ_opt().map_or(now, |next| date_begins(next, zone)))
}

/// `1 time`, `2 times`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_23_24_or_25_hours() {
        let zone = Tz::America__Chicago;
        for (now, hours) in [
            ("2026-03-02T18:00:00Z", 24),
            ("2026-03-08T18:00:00Z", 23),
            ("2026-11-01T18:00:00Z", 25),
            ("2026-03-03T05:59:00Z", 24),
        ] {
            let now: DateTime<Utc> = now.parse().unwrap();
            let (from, until) = day_of(now, zone);
            assert!(from <= now && now < until, "{now}");
            assert_eq!((until - from).num_hours(), hours, "{now}");
        }
    }

    #[test]
    fn times_are_told_on_the_organisations_clock() {
        let at = "2026-03-02T18:05:00Z".parse().unwrap();
        assert_eq!(moment(at, Tz::America__Chicago), "Mon 2 Mar 2026, 12:05 CST");
    }
}
