//! What the EHR's Consent records of one patient say about contact, as a list of plain words.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::{Channel, Purpose, ResourceVersion};
use crate::fhir::read::{self, ConsentWord};

/// What a consent record says now about contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentDirective {
    pub word: ConsentWord,
    /// Absent means every purpose.
    pub purpose: Option<Purpose>,
    /// Absent means every channel.
    pub channel: Option<Channel>,
    pub source: Option<ResourceVersion>,
    /// When the record may say something else, as far as that is known today.
    pub until: Option<DateTime<Utc>>,
}

/// The consent records of a patient, and whether they could be read.
#[derive(Debug, Clone, Copy)]
pub enum Consents<'a> {
    /// Read just now.
    Fresh(&'a [ConsentDirective]),
    /// They could not be read, for this reason; what the mirror has.
    Unreadable { why: &'a str, mirrored: &'a [ConsentDirective] },
    /// The EHR has none that could be asked for; why not.
    NotKept { why: &'a str },
}

impl ConsentDirective {
    /// What one record says at `now`. One that cannot be read may be a denial in force: it is unclear for everything.
    pub fn of_record(value: &Value, now: DateTime<Utc>) -> Vec<Self> {
        let source = read::version_of(value);
        let Some(consent) = read::consent(value).value else {
            return vec![Self { word: ConsentWord::Unclear, purpose: None, channel: None, source, until: None }];
        };
        let until = consent.changes_at(now);
        let contacts =
            Channel::ALL.into_iter().flat_map(|channel| PURPOSES.into_iter().map(move |purpose| (channel, purpose)));
        contacts
            .filter_map(|(channel, purpose)| {
                let word = consent.says(channel, purpose, now)?;
                Some(Self { word, purpose: Some(purpose), channel: Some(channel), source: source.clone(), until })
            })
            .collect()
    }

    pub(super) fn covers(&self, purpose: Purpose, channel: Channel) -> bool {
        self.purpose.is_none_or(|named| named == purpose) && self.channel.is_none_or(|named| named == channel)
    }
}

const PURPOSES: [Purpose; 3] = [Purpose::Treatment, Purpose::Operations, Purpose::Marketing];
