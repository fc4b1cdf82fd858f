//! How moments and durations are written in a rule: `3 days before at 10:00`, `at the start`, `30 minutes`.

use chrono::NaiveTime;

use crate::domain::{Moment, Offset};

/// How to write a moment, for messages.
pub(super) const MOMENT_FORM: &str = "write such as \"3 days before\", \"1 day before at 10:00\", \"2 working days before at 10:00\", \"2 hours after\", \"same day at 18:00\", \"at the start\" or \"at once\"";
/// How to write an age, for messages.
pub(super) const AGE_FORM: &str = "write such as \"45 years\" or \"6 months\"";
/// How to write a duration, for messages.
pub(super) const DURATION_FORM: &str = "write such as \"30 minutes\", \"2 hours\" or \"1 day\"";
/// How to write a repetition, for messages.
pub(super) const CADENCE_FORM: &str = "write such as \"6 months\", \"1 year\" or \"90 days\"";

/// Reads a moment.
///
/// # Errors
/// What is wrong, and how to write it.
pub(super) fn parse_moment(text: &str) -> Result<Moment, String> {
    let lower = text.trim().to_ascii_lowercase();
    if matches!(lower.as_str(), "at the start" | "at the anchor") {
        return Ok(Moment { offset: Offset::Minutes(0), at_time: None });
    }
    if lower == "at once" {
        return Ok(Moment { offset: Offset::AtOnce, at_time: None });
    }
    let (offset_text, at_time) = match lower.split_once(" at ") {
        None => (lower.as_str(), None),
        Some((before, time)) => (before, Some(parse_time(time.trim())?)),
    };
    if offset_text == "same day" {
        return match at_time {
            Some(_) => Ok(Moment { offset: Offset::Days(0), at_time }),
            None => Err(format!("\"same day\" needs a time: {MOMENT_FORM}")),
        };
    }
    let offset_text = match offset_text {
        "the day before" => "1 day before",
        "the day after" => "1 day after",
        other => other,
    };
    let (amount, sign) = match offset_text.rsplit_once(' ') {
        Some((amount, "before")) => (amount, -1),
        Some((amount, "after")) => (amount, 1),
        _ => return Err(format!("\"{text}\" is not a moment: {MOMENT_FORM}")),
    };
    let offset = match parse_amount(amount).ok_or_else(|| format!("\"{text}\" is not a moment: {MOMENT_FORM}"))? {
        Offset::Minutes(count) => Offset::Minutes(sign * count),
        Offset::Days(count) => Offset::Days(sign * count),
        Offset::WorkingDays(count) => Offset::WorkingDays(sign * count),
        Offset::Months(count) => Offset::Months(sign * count),
        Offset::AtOnce => Offset::AtOnce,
    };
    if at_time.is_some() && matches!(offset, Offset::Minutes(_)) {
        return Err(format!(
            "\"{text}\" names hours and a time of day at once: a time of day goes with days or months"
        ));
    }
    Ok(Moment { offset, at_time })
}

/// Reads a duration as minutes; a day is 24 hours.
///
/// # Errors
/// What is wrong, and how to write it.
pub(super) fn parse_duration_minutes(text: &str) -> Result<u32, String> {
    let minutes = match parse_amount(&text.trim().to_ascii_lowercase()) {
        Some(Offset::Minutes(count)) => Some(count),
        Some(Offset::Days(count)) => count.checked_mul(24 * 60),
        Some(Offset::Months(_) | Offset::WorkingDays(_) | Offset::AtOnce) | None => None,
    };
    minutes
        .and_then(|count| u32::try_from(count).ok())
        .ok_or_else(|| format!("\"{text}\" is not a duration: {DURATION_FORM}"))
}

/// Reads how often something comes back.
///
/// # Errors
/// What is wrong, and how to write it.
pub(super) fn parse_every(text: &str) -> Result<Offset, String> {
    match parse_amount(&text.trim().to_ascii_lowercase()) {
        Some(every @ (Offset::Days(1..) | Offset::Months(1..))) => Ok(every),
        _ => Err(format!("\"{text}\" is not a repetition: {CADENCE_FORM}")),
    }
}

/// Reads an age as completed months.
///
/// # Errors
/// What is wrong, and how to write it.
pub(super) fn parse_age_months(text: &str) -> Result<u32, String> {
    let months = text.trim().split_once(' ').and_then(|(count, unit)| {
        let count: u32 = count.parse().ok()?;
        match unit.trim().trim_end_matches('s') {
            "month" if count <= 12 * 150 => Some(count),
            "year" if count <= 150 => Some(count * 12),
            _ => None,
        }
    });
    months.ok_or_else(|| format!("\"{text}\" is not an age: {AGE_FORM}"))
}

fn parse_amount(text: &str) -> Option<Offset> {
    let (count, unit) = text.trim().split_once(' ')?;
    let count = i64::from(count.parse::<u32>().ok()?);
    // Ten years in minutes: more is a slip of the pen, and far from any overflow.
    let within = |offset: Offset, limit: i64| (count <= limit).then_some(offset);
    match unit.trim().trim_end_matches('s') {
        "minute" => within(Offset::Minutes(count), 5_256_000),
        "hour" => within(Offset::Minutes(count * 60), 87_600),
        "day" => within(Offset::Days(count), 3_660),
        "working day" => within(Offset::WorkingDays(count), 366),
        "week" => within(Offset::Days(count * 7), 522),
        "month" => within(Offset::Months(count), 120),
        "year" => within(Offset::Months(count * 12), 10),
        _ => None,
    }
}

fn parse_time(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|_| format!("\"{text}\" is not a time of day: write such as 09:30"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let time = |h, m| NaiveTime::from_hms_opt(h, m, 0);
        for (text, offset, at_time) in [
            ("3 days before", Offset::Days(-3), None),
            ("1 day before at 10:00", Offset::Days(-1), time(10, 0)),
            ("2 hours after", Offset::Minutes(120), None),
            ("At the start", Offset::Minutes(0), None),
            ("2 weeks before", Offset::Days(-14), None),
            ("6 months after at 09:30", Offset::Months(6), time(9, 30)),
            ("same day at 18:00", Offset::Days(0), time(18, 0)),
            ("the day before at 10:00", Offset::Days(-1), time(10, 0)),
            ("the day after at 9:00", Offset::Days(1), time(9, 0)),
            ("2 working days before at 10:00", Offset::WorkingDays(-2), time(10, 0)),
            ("1 working day after", Offset::WorkingDays(1), None),
            ("at once", Offset::AtOnce, None),
        ] {
            assert_eq!(parse_moment(text), Ok(Moment { offset, at_time }), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_the_form() {
        for text in [
            "3 days",
            "before",
            "3 fortnights before",
            "-3 days before",
            "1 day before at 25:00",
            "2 hours before at 10:00",
            "same day",
            "99999999999 days before",
            "4000 days before",
            "400 working days before",
            "at once at 10:00",
            "",
        ] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
        assert!(parse_moment("3 days").unwrap_err().contains("3 days before"));
    }

    #[test]
    fn durations_and_repetitions() {
        assert_eq!(parse_duration_minutes("30 minutes"), Ok(30));
        assert_eq!(parse_duration_minutes("2 days"), Ok(2880));
        assert!(parse_duration_minutes("1 month").is_err());
        assert_eq!(parse_every("6 months"), Ok(Offset::Months(6)));
        assert_eq!(parse_every("1 year"), Ok(Offset::Months(12)));
        assert!(parse_every("0 days").is_err());
        assert!(parse_every("3 hours").is_err());
        assert!(parse_every("3 working days").is_err());
        assert!(parse_duration_minutes("3 working days").is_err());
        assert_eq!(parse_age_months("45 years"), Ok(540));
        assert_eq!(parse_age_months("6 months"), Ok(6));
        assert!(parse_age_months("45").is_err());
        assert!(parse_age_months("151 years").is_err());
    }
}
