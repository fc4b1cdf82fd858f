//! Dates and times as a reader says them, on the clock of the facility.

use chrono::{DateTime, Datelike, Offset as _, Timelike, Utc};
use chrono_tz::{OffsetName, Tz};

/// Languages that dates can be spelled in.
pub(super) const LANGUAGES: [&str; 2] = ["en", "es"];

/// An instant in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spoken {
    pub weekday: String,
    /// `January 5` or `5 de enero`, with the year where it is not the current one.
    pub date: String,
    /// `10:30 AM` or `10:30 a. m.`
    pub time: String,
    /// `Eastern Time` or `hora del este`.
    pub zone: String,
    /// `ET`.
    pub zone_short: String,
}

const EN_DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const ES_DAYS: [&str; 7] = ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"];
const EN_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const ES_MONTHS: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];

/// `None` where dates cannot be spelled in `language` (a primary subtag). `now` tells whether the year goes without
/// saying.
pub(super) fn speak(instant: DateTime<Utc>, zone: Tz, language: &str, now: DateTime<Utc>) -> Option<Spoken> {
    let local = instant.with_timezone(&zone);
    let day = local.weekday().num_days_from_monday() as usize;
    let month = local.month0() as usize;
    let other_year = local.year() != now.with_timezone(&zone).year();
    let (is_pm, hour) = local.hour12();
    let clock = format!("{hour}:{:02}", local.minute());
    let (zone, zone_short) = zone_words(zone, instant, language);
    match language {
        "en" => Some(Spoken {
            weekday: EN_DAYS[day].to_owned(),
            date: if other_year {
                format!("{} {}, {}", EN_MONTHS[month], local.day(), local.year())
            } else {
                format!("{} {}", EN_MONTHS[month], local.day())
            },
            time: format!("{clock} {}", if is_pm { "PM" } else { "AM" }),
            zone,
            zone_short,
        }),
        "es" => Some(Spoken {
            weekday: ES_DAYS[day].to_owned(),
            date: if other_year {
                format!("{} de {} de {}", local.day(), ES_MONTHS[month], local.year())
            } else {
                format!("{} de {}", local.day(), ES_MONTHS[month])
            },
            time: format!("{clock} {}", if is_pm { "p. m." } else { "a. m." }),
            zone,
            zone_short,
        }),
        _ => None,
    }
}

fn zone_words(zone: Tz, instant: DateTime<Utc>, language: &str) -> (String, String) {
    let known = match zone.name() {
        "America/New_York" | "America/Detroit" | "America/Indiana/Indianapolis" | "America/Kentucky/Louisville" => {
            Some(("Eastern Time", "hora del este", "ET"))
        }
        "America/Chicago" => Some(("Central Time", "hora del centro", "CT")),
        "America/Denver" | "America/Boise" => Some(("Mountain Time", "hora de la montaña", "MT")),
        "America/Phoenix" => Some(("Arizona time", "hora de Arizona", "MST")),
        "America/Los_Angeles" => Some(("Pacific Time", "hora del Pacífico", "PT")),
        "America/Anchorage" => Some(("Alaska Time", "hora de Alaska", "AKT")),
        "Pacific/Honolulu" => Some(("Hawaii time", "hora de Hawái", "HST")),
        "America/Puerto_Rico" => Some(("Atlantic Time", "hora del Atlántico", "AST")),
        _ => None,
    };
    if let Some((english, spanish, short)) = known {
        return (if language == "es" { spanish } else { english }.to_owned(), short.to_owned());
    }
    let local = instant.with_timezone(&zone);
    let short = match local.offset().abbreviation() {
        Some(name) if name.chars().all(|c| c.is_ascii_alphabetic()) => name.to_owned(),
        _ => {
            let minutes = local.offset().fix().local_minus_utc() / 60;
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("UTC{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
        }
    };
    (short.clone(), short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Asia, Europe};

    #[test]
    fn a_time_is_spoken_on_the_clock_of_the_facility() {
        let now = "2026-12-20T12:00:00Z".parse().unwrap();
        for (instant, zone, language, expected) in [
            ("2026-12-30T15:30:00Z", America::New_York, "en", "Wednesday, December 30, 10:30 AM, Eastern Time, ET"),
            ("2026-12-30T15:30:00Z", America::Los_Angeles, "en", "Wednesday, December 30, 7:30 AM, Pacific Time, PT"),
            ("2027-01-02T05:05:00Z", America::Chicago, "en", "Friday, January 1, 2027, 11:05 PM, Central Time, CT"),
            ("2026-12-30T17:00:00Z", America::New_York, "en", "Wednesday, December 30, 12:00 PM, Eastern Time, ET"),
            ("2026-12-30T05:00:00Z", America::New_York, "en", "Wednesday, December 30, 12:00 AM, Eastern Time, ET"),
            (
                "2027-01-06T00:30:00Z",
                America::Denver,
                "es",
                "martes, 5 de enero de 2027, 5:30 p. m., hora de la montaña, MT",
            ),
            ("2026-07-01T08:00:00Z", Europe::Berlin, "en", "Wednesday, July 1, 10:00 AM, CEST, CEST"),
            ("2026-07-01T08:00:00Z", Asia::Kathmandu, "en", "Wednesday, July 1, 1:45 PM, UTC+05:45, UTC+05:45"),
        ] {
            let it = speak(instant.parse().unwrap(), zone, language, now).unwrap();
            let got = format!("{}, {}, {}, {}, {}", it.weekday, it.date, it.time, it.zone, it.zone_short);
            assert_eq!(got, expected);
        }
        assert_eq!(speak(now, America::Chicago, "fr", now), None);
    }
}
