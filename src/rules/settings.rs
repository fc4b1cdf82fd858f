//! What a hospital may set about sending, with the defaults that hold when it sets nothing.

use chrono::NaiveTime;

use crate::domain::Channel;

/// Settings that decisions rest on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When a person may be contacted, in their own zone.
    pub hours: AllowedHours,
    pub budget: Budget,
    /// Channels that have a provider. A rule's channel outside this list is passed over.
    pub channels: Vec<Channel>,
    /// Country in which a telephone number without a country code is read (ISO 3166-1 alpha-2).
    pub region: String,
    /// Language of a person whose record names none (primary subtag). A person whose record names languages that have
    /// no template gets nothing: the default is never a silent fallback.
    pub default_language: String,
    /// What the clinic declares to write in where no cleared text is in a language that the person reads (primary
    /// subtag). Absent means that such a person gets nothing.
    pub second_language: Option<String>,
    /// Whether a number or address that the person gave is basis enough where no consent record speaks
    /// (47 CFR 64.1200, FCC 2015).
    pub allow_without_consent: bool,
    /// Below this age (years) a person is contacted only through a cleared guardian.
    pub age_of_majority: u32,
    /// How long a reminder waits before a fact that could not be read is looked up again (minutes).
    pub recheck_minutes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hours: AllowedHours::default(),
            budget: Budget::default(),
            channels: vec![Channel::Email, Channel::Sms],
            region: "US".to_owned(),
            default_language: "en".to_owned(),
            second_language: None,
            allow_without_consent: true,
            age_of_majority: 18,
            recheck_minutes: 15,
        }
    }
}

/// The part of a day in which a person may be contacted: from `opens` up to, not including, `closes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowedHours {
    opens: NaiveTime,
    closes: NaiveTime,
}

impl AllowedHours {
    /// `None` unless `opens` lies before `closes`: a window over midnight would be a window at night.
    pub fn new(opens: NaiveTime, closes: NaiveTime) -> Option<Self> {
        (opens < closes).then_some(Self { opens, closes })
    }

    pub const fn opens(&self) -> NaiveTime {
        self.opens
    }

    pub const fn closes(&self) -> NaiveTime {
        self.closes
    }
}

impl Default for AllowedHours {
    /// 08:00 to 21:00 (47 CFR 64.1200(c)(1)).
    fn default() -> Self {
        let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default();
        Self { opens: hour(8), closes: hour(21) }
    }
}

/// The most messages a person gets, across all rules and channels (47 CFR 64.1200(a)(9)(iv)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In one calendar day of the person's zone.
    pub per_day: u32,
    /// In any seven days.
    pub per_week: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { per_day: 1, per_week: 3 }
    }
}
