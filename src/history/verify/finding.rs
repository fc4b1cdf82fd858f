//! What can be wrong with a log, in codes for scripts and words for people.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::EventId;

/// Kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A column in the clear, or the whole content, was changed.
    ContentAltered,
    /// The sealed part was changed, or taken from another row.
    DetailAltered,
    LeafAltered,
    CodeAltered,
    /// No row has this event any more.
    Removed,
    /// The row stands at another event's place.
    Moved,
    /// A row that was never numbered.
    Inserted,
    /// A copy of a row that stands at its place.
    Copied,
    /// The row was taken out of its place and has none.
    TakenOut,
    /// A key is gone, and no retention policy destroyed it.
    KeyMissing,
    /// A row of the tree's hashes.
    TileAltered,
    /// The count of numbered events.
    HeadAltered,
    /// A checkpoint that was signed is not there any more.
    CheckpointRemoved,
    /// A stored checkpoint is not what was signed.
    CheckpointAltered,
    /// The log is not the one that a checkpoint was signed for.
    Rewritten,
    /// The log is shorter than a checkpoint of it.
    CutBack,
}

impl Change {
    pub const fn words(self) -> &'static str {
        match self {
            Self::ContentAltered => "the event was altered",
            Self::DetailAltered => "the event's sealed detail was altered",
            Self::LeafAltered => "the event's leaf was altered",
            Self::CodeAltered => "the event's code was altered",
            Self::Removed => "the event was removed",
            Self::Moved => "the event stands at another one's place",
            Self::Inserted => "the row was inserted",
            Self::Copied => "the row is a copy of another one",
            Self::TakenOut => "the event was taken out of its place",
            Self::KeyMissing => "the event's key is gone, and no policy destroyed it",
            Self::TileAltered => "stored hashes of the tree were altered or removed",
            Self::HeadAltered => "the count of numbered events was altered",
            Self::CheckpointRemoved => "a signed checkpoint was removed",
            Self::CheckpointAltered => "a checkpoint was altered",
            Self::Rewritten => "the history was rewritten after this checkpoint was signed",
            Self::CutBack => "the history was cut back after this checkpoint was signed",
        }
    }
}

/// One change that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub change: Change,
    /// Number of the event in the log, from 0; the size, where it is about a checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<i64>,
    /// The last one, where neighbours were all changed alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Where it belongs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub belongs_to: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What exactly, without patient data.
    pub words: String,
}

impl Finding {
    pub fn new(change: Change, words: impl Into<String>) -> Self {
        Self {
            change,
            place: None,
            until: None,
            belongs_to: None,
            event: None,
            at: None,
            kind: None,
            words: words.into(),
        }
    }

    pub fn at_place(mut self, place: i64) -> Self {
        self.place = Some(place);
        self
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.place, self.until) {
            (Some(place), Some(until)) => write!(f, "{place} to {until}: ")?,
            (Some(place), None) => write!(f, "{place}: ")?,
            _ => {}
        }
        f.write_str(self.change.words())?;
        if let Some(belongs) = self.belongs_to {
            write!(f, ", it belongs at {belongs}")?;
        }
        if let Some(kind) = &self.kind {
            write!(f, "; {kind}")?;
        }
        if let Some(event) = self.event {
            write!(f, " {event}")?;
        }
        if let Some(at) = self.at {
            write!(f, " of {}", at.format("%Y-%m-%d %H:%M:%S UTC"))?;
        }
        if !self.words.is_empty() {
            write!(f, ": {}", self.words)?;
        }
        Ok(())
    }
}
