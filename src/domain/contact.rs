//! Where a person can be reached.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Phi;

/// How a message travels. Not to be confused with the provider that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Email,
    Sms,
    Voice,
    Pickup,
    InPerson,
}

impl Channel {
    pub const ALL: [Self; 5] = [Self::Email, Self::Sms, Self::Voice, Self::Pickup, Self::InPerson];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Voice => "voice",
            Self::Pickup => "pickup",
            Self::InPerson => "in_person",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text)
    }
}

impl Channel {
    /// As it stands in a sentence: "by text message".
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "text message",
            Self::Voice => "call",
            Self::Pickup => "secure page",
            Self::InPerson => "staff",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// R4 `ContactPoint.system`; a system that is not in the value set is kept as `Other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactSystem {
    Phone,
    Sms,
    Email,
    Fax,
    Pager,
    Url,
    Other,
}

/// R4 `ContactPoint.use`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactUse {
    Home,
    Work,
    Temp,
    Old,
    Mobile,
}

/// One telecom entry of a person, as the EHR has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactPoint {
    pub system: ContactSystem,
    pub value: Phi<String>,
    #[serde(rename = "use")]
    pub use_: Option<ContactUse>,
    /// 1 is most preferred; absent comes after all ranked (R4 ContactPoint.rank).
    pub rank: Option<u32>,
    pub start: Option<DateTime<Utc>>,
    pub end: Option<DateTime<Utc>>,
}

impl ContactPoint {
    /// Whether the EHR says that this entry holds at `now`: not `old`, and inside its period.
    pub fn is_current(&self, now: DateTime<Utc>) -> bool {
        self.use_ != Some(ContactUse::Old)
            && self.start.is_none_or(|start| start <= now)
            && self.end.is_none_or(|end| now <= end)
    }
}

/// An address that a message can be sent to. One that exists is valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    Email(EmailAddress),
    Phone(PhoneNumber),
}

impl Address {
    /// The normalised text: what the blind index is computed over and what the provider is given.
    pub fn expose(&self) -> &str {
        match self {
            Self::Email(email) => email.expose(),
            Self::Phone(phone) => phone.expose(),
        }
    }

    /// `email` or `phone`: the kind of blind index it is found by.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Phone(_) => "phone",
        }
    }
}

/// Why a text is not an address. The text itself is PHI and is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("not an email address")]
    NotAnEmail,
    #[error("not a phone number of any known plan")]
    NotAPhone,
    #[error("a number that is not valid in its country's plan")]
    InvalidNumber,
    #[error("a number with an extension cannot be texted or called by machine")]
    Extension,
}

/// A mailbox address, with the domain in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(Phi<String>);

impl EmailAddress {
    /// Accepts what an SMTP client would (RFC 5321 mailbox, ASCII or internationalised domain).
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim().strip_prefix("mailto:").unwrap_or(text.trim());
        let parsed: lettre::Address = text.parse().map_err(|_| AddressError::NotAnEmail)?;
        if !parsed.domain().contains('.') && !parsed.domain().eq_ignore_ascii_case("localhost") {
            return Err(AddressError::NotAnEmail);
        }
        Ok(Self(Phi::new(format!("{}@{}", parsed.user(), parsed.domain().to_ascii_lowercase()))))
    }

    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A telephone number in E.164 form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PhoneNumber(Phi<String>);

impl PhoneNumber {
    /// Parses `text`; a number without a country code is read in `region` (ISO 3166-1 alpha-2, such as `US`).
    ///
    /// Numbers of the fictional range 555-01XX are accepted: they reach nobody, and the demo and tests live on them.
    pub fn parse(text: &str, region: &str) -> Result<Self, AddressError> {
        use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, Region};
        let text = text.trim();
        let text = text.strip_prefix("tel:").unwrap_or(text);
        if text.chars().any(char::is_alphabetic) && !text.contains("ext") && !text.contains('x') {
            return Err(AddressError::NotAPhone);
        }
        let region: Option<Region> = region.parse().ok();
        let number = PHONE_NUMBER_UTIL.parse(text, region).map_err(|_| AddressError::NotAPhone)?;
        if !number.extension().is_empty() {
            return Err(AddressError::Extension);
        }
        if !PHONE_NUMBER_UTIL.is_possible_number(&number) {
            return Err(AddressError::InvalidNumber);
        }
        let e164 = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).to_string();
        let fictional = e164.len() == 12 && e164.starts_with("+1") && &e164[5..10] == "55501";
        if !fictional && !PHONE_NUMBER_UTIL.is_valid_number(&number) {
            return Err(AddressError::InvalidNumber);
        }
        Ok(Self(Phi::new(e164)))
    }

    /// `+` and up to 15 digits.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The three digits after `+1`, where the number is of the North American plan.
    pub fn area_code(&self) -> Option<&str> {
        let digits = self.expose().strip_prefix("+1")?;
        (digits.len() == 10).then(|| &digits[..3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_numbers_are_read_as_people_write_them() {
        for (text, region, expected) in [
            ("(512) 555-0100", "US", Ok("+15125550100")),
            ("+15125550100", "US", Ok("+15125550100")),
            ("tel:+1-512-555-0100", "US", Ok("+15125550100")),
            ("+49 1512 3456789", "US", Ok("+4915123456789")),
            ("555-0100", "US", Err(AddressError::InvalidNumber)),
            ("512-555-0100 ext 7", "US", Err(AddressError::Extension)),
            ("1-800-FLOWERS", "US", Err(AddressError::NotAPhone)),
            ("none", "US", Err(AddressError::NotAPhone)),
            ("", "US", Err(AddressError::NotAPhone)),
        ] {
            let got = PhoneNumber::parse(text, region);
            assert_eq!(got.as_ref().map(PhoneNumber::expose).map_err(|e| *e), expected, "{text}");
        }
    }

    #[test]
    fn email_addresses_are_normalised_or_refused() {
        assert_eq!(EmailAddress::parse(" mailto:Ada.L@Example.ORG ").unwrap().expose(), "Ada.L@example.org");
        for text in ["ada", "ada@", "@example.org", "a b@example.org", "ada@example", ""] {
            assert!(EmailAddress::parse(text).is_err(), "{text}");
        }
    }
}
