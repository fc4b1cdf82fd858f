//! Who a reminder is about.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{ContactPoint, PatientId, Phi};

/// The facts of a Patient that rules and delivery rest on, read tolerantly from R4 Patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patient {
    pub id: PatientId,
    pub status: PatientStatus,
    pub deceased: Deceased,
    /// Medical record numbers, as (system, value).
    pub mrn: Vec<(String, Phi<String>)>,
    /// All current names, the one to greet with first (usual, then official).
    pub names: Vec<HumanName>,
    pub telecom: Vec<ContactPoint>,
    pub gender: Option<Gender>,
    /// As the EHR gives it: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub birth_date: Option<Phi<String>>,
    /// In order of preference; empty where the EHR says nothing.
    pub languages: Vec<Language>,
    /// Whether the record says that an interpreter is needed.
    pub interpreter_required: bool,
    /// US state (two letters) of the current home address.
    pub address_state: Option<Phi<String>>,
    pub address_postal_code: Option<Phi<String>>,
    pub address_country: Option<Phi<String>>,
    /// Zone stated on the record itself (tz-code extension), where there is one.
    pub stated_zone: Option<Tz>,
    /// `meta.security` carries more than a usual confidentiality (U, L, M, N): the record is handled as sensitive.
    pub restricted: bool,
}

/// Whether the record may be acted on (R4 Patient.active, Patient.link).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatientStatus {
    Active,
    /// `active = false`: do not use.
    Inactive,
    /// `link.type = replaced-by`: the other record is the survivor.
    ReplacedBy(PatientId),
}

/// R4 `deceased[x]`: `deceasedBoolean: false` is alive, any dateTime is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deceased {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gender {
    Male,
    Female,
    Other,
    Unknown,
}

/// R4 HumanName, reduced to what a greeting or a search needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HumanName {
    pub given: Vec<Phi<String>>,
    pub family: Option<Phi<String>>,
    pub text: Option<Phi<String>>,
}

impl HumanName {
    /// The whole name as one line: `text` where given, else given names and family name.
    pub fn full(&self) -> Phi<String> {
        if let Some(text) = &self.text {
            return text.clone();
        }
        let parts: Vec<&str> = self.given.iter().chain(self.family.iter()).map(|part| part.expose().as_str()).collect();
        Phi::new(parts.join(" "))
    }
}

/// A language a patient understands (BCP 47).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Language {
    pub tag: String,
    pub preferred: bool,
}

impl Language {
    /// The primary subtag in lower case: `es` of `es-MX`.
    pub fn primary(&self) -> String {
        self.tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
    }
}

impl Patient {
    /// The name to greet with, if the record has any.
    pub fn greeting_name(&self) -> Option<&HumanName> {
        self.names.first()
    }

    /// Completed years at `on`, or `None` where the birth date is absent or too coarse to tell.
    ///
    /// A partial date is known to lie in an interval; an age is told only where both ends agree.
    pub fn age_on(&self, on: NaiveDate) -> Option<u32> {
        let (earliest, latest) = birth_interval(self.birth_date.as_ref()?.expose())?;
        let (oldest, youngest) = (on.years_since(earliest)?, on.years_since(latest)?);
        (oldest == youngest).then_some(oldest)
    }

    /// Completed months of life at `on`, as the fewest and the most that the birth date leaves open. `None` where there
    /// is no birth date, or it lies after `on`.
    pub fn months_of_life_on(&self, on: NaiveDate) -> Option<(u32, u32)> {
        let (earliest, latest) = birth_interval(self.birth_date.as_ref()?.expose())?;
        Some((months_between(latest, on).unwrap_or_default(), months_between(earliest, on)?))
    }

    /// The day on which so many months of life are complete; `None` where the birth date is not known to the day.
    pub fn completes_months_on(&self, months: u32) -> Option<NaiveDate> {
        let (earliest, latest) = birth_interval(self.birth_date.as_ref()?.expose())?;
        (earliest == latest).then(|| earliest.checked_add_months(chrono::Months::new(months)))?
    }

    /// The telecom entries that hold at `now`, ranked ones first (R4 ContactPoint.rank).
    pub fn current_telecom(&self, now: DateTime<Utc>) -> Vec<&ContactPoint> {
        let mut current: Vec<&ContactPoint> = self.telecom.iter().filter(|point| point.is_current(now)).collect();
        current.sort_by_key(|point| point.rank.unwrap_or(u32::MAX));
        current
    }
}

/// A month that lacks the day of birth is complete on its last day.
fn months_between(born: NaiveDate, on: NaiveDate) -> Option<u32> {
    if on < born {
        return None;
    }
    let span = (on.year() - born.year()) * 12 + on.month() as i32 - born.month() as i32;
    let span = u32::try_from(span).ok()?;
    let is_complete = born.checked_add_months(chrono::Months::new(span)).is_some_and(|day| day <= on);
    if is_complete { Some(span) } else { span.checked_sub(1) }
}

fn birth_interval(text: &str) -> Option<(NaiveDate, NaiveDate)> {
    let parts: Vec<&str> = text.split('-').collect();
    let year: i32 = parts.first()?.parse().ok()?;
    match parts.len() {
        1 => Some((NaiveDate::from_ymd_opt(year, 1, 1)?, NaiveDate::from_ymd_opt(year, 12, 31)?)),
        2 => {
            let first = NaiveDate::from_ymd_opt(year, parts[1].parse().ok()?, 1)?;
            Some((first, first.checked_add_months(chrono::Months::new(1))?.pred_opt()?))
        }
        _ => {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Some((day, day))
        }
    }
}
