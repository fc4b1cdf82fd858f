//! One row against the record: is it what was written, and does it stand where it was put?

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::finding::{Change, Finding};
use crate::history::tree::Hash;
use crate::store::{AuditedRow, Content};

/// A row whose leaf is not the one that was recorded at its place.
pub struct Stray {
    pub place: Option<i64>,
    pub row: AuditedRow,
    /// The leaf to look for in the record.
    pub leaf: Option<Hash>,
}

/// What one row comes to.
pub enum Verdict {
    /// As it was written; this leaf counts.
    Good(Hash),
    /// Its content was destroyed with this key; the leaf still stands.
    Destroyed(Hash, Uuid),
    /// Found out by itself; the leaf of the record, if there is one, counts.
    Wrong(Finding),
    /// Belongs elsewhere or nowhere: to be looked for.
    Stray(Stray),
}

/// `recorded` is the leaf that the record has for the row's place.
pub fn judge(row: AuditedRow, recorded: Option<Hash>, record_is_known: bool) -> Verdict {
    let place = row.seq;
    let column = row.leaf;
    let whole = match row.content {
        Content::Whole(leaf) => Some(leaf),
        _ => None,
    };
    let own = whole.or(column);
    // Where the record itself was spoiled the row speaks for itself.
    let expected = if record_is_known { recorded } else { own };
    match (&row.content, expected) {
        (Content::Whole(leaf), Some(expected)) if *leaf == expected => {
            if column != Some(*leaf) {
                Verdict::Wrong(finding(&row, Change::LeafAltered, "what it says is as it was"))
            } else if row.genuine {
                Verdict::Good(*leaf)
            } else {
                Verdict::Wrong(finding(&row, Change::CodeAltered, "what it says is as it was"))
            }
        }
        (Content::Whole(_), Some(expected)) if column == Some(expected) => {
            let words =
                "a column in the clear (time, actor, kind, outcome, or whom it is about) is not what was written";
            Verdict::Wrong(finding(&row, Change::ContentAltered, words))
        }
        (Content::Destroyed(key), Some(expected)) if column == Some(expected) => {
            if row.genuine {
                Verdict::Destroyed(expected, *key)
            } else {
                Verdict::Wrong(finding(&row, Change::CodeAltered, "its content was destroyed"))
            }
        }
        (Content::Garbled(words), Some(expected)) if column == Some(expected) => {
            Verdict::Wrong(finding(&row, Change::ContentAltered, words))
        }
        (Content::Unreadable(words), Some(expected)) if column == Some(expected) => {
            Verdict::Wrong(finding(&row, Change::DetailAltered, words))
        }
        _ => Verdict::Stray(Stray { place, leaf: own, row }),
    }
}

pub fn finding(row: &AuditedRow, change: Change, words: &str) -> Finding {
    Finding {
        place: row.seq,
        event: Some(row.id),
        at: Some(row.at),
        kind: Some(row.kind.clone()),
        ..Finding::new(change, words)
    }
}

/// Says of rows that are not at their place what became of them, and of places without their event that it is gone.
///
/// `home` is where a leaf was recorded; `vacant` are the places at which the recorded event does not stand.
pub fn explain(strays: Vec<Stray>, home: &HashMap<Hash, u64>, vacant: &BTreeSet<u64>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut returned = BTreeSet::new();
    for stray in strays {
        let home = stray.leaf.and_then(|leaf| home.get(&leaf).copied());
        let row = &stray.row;
        let readable = matches!(row.content, Content::Whole(_) | Content::Destroyed(_));
        let it = match (home, stray.place) {
            (Some(home), _) if !vacant.contains(&home) => Finding {
                belongs_to: Some(home as i64),
                ..finding(row, Change::Copied, "the event itself stands where it belongs")
            },
            (Some(home), Some(_)) if row.genuine && readable => {
                returned.insert(home);
                Finding { belongs_to: Some(home as i64), ..finding(row, Change::Moved, "") }
            }
            (Some(home), None) if row.genuine && readable => {
                returned.insert(home);
                Finding { place: Some(home as i64), ..finding(row, Change::TakenOut, "it has no number any more") }
            }
            _ if row.genuine && readable => {
                finding(row, Change::Inserted, "it was written with the keys of this tenant, and never numbered here")
            }
            _ => finding(row, Change::Inserted, "whoever wrote it did not have the keys"),
        };
        found.push(it);
    }
    let gone = vacant.difference(&returned).map(|place| Finding::new(Change::Removed, "").at_place(*place as i64));
    found.extend(gone);
    found.sort_by_key(|it| (it.place, it.change));
    neighbours(found)
}

/// Neighbours that were all changed alike are one finding: renumbering a million rows is one act.
fn neighbours(found: Vec<Finding>) -> Vec<Finding> {
    let mut together: Vec<Finding> = Vec::new();
    for it in found {
        let alike = |last: &Finding| {
            let next = last.until.or(last.place).and_then(|place| place.checked_add(1));
            let shift = |it: &Finding| it.belongs_to.zip(it.place).map(|(home, place)| home.wrapping_sub(place));
            let groups = matches!(it.change, Change::Removed | Change::Moved);
            groups && last.change == it.change && next.is_some() && next == it.place && shift(last) == shift(&it)
        };
        match together.last_mut() {
            Some(last) if alike(last) => {
                last.until = it.place;
                (last.event, last.at, last.kind) = (None, None, None);
            }
            _ => together.push(it),
        }
    }
    together
}
