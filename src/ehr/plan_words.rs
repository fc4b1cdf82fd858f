//! A capability plan in words, line by line, as a person reads it, as it is kept, and as it is compared with the one
//! before.

use serde::{Deserialize, Serialize};

use super::plan::{Ask, CapabilityPlan, Changes, Guard, PlanSource};

/// One choice of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    /// What it is about: `Appointment`, `Appointment, changes`, `write-back`.
    pub what: String,
    pub how: String,
    pub why: String,
    pub source: PlanSource,
    /// This EHR cannot do it, or may not be asked to.
    #[serde(default)]
    pub impossible: bool,
}

impl PlanLine {
    fn new(what: impl Into<String>, how: &str, why: &str, source: PlanSource) -> Self {
        Self { what: what.into(), how: how.to_owned(), why: why.to_owned(), source, impossible: false }
    }
}

impl CapabilityPlan {
    /// The plan in words: each type, how it is found and how changes are noticed; where what happened goes; and what is
    /// not possible.
    pub fn lines(&self) -> Vec<PlanLine> {
        let mut lines = Vec::new();
        for (kind, of_type) in &self.types {
            let (ask, changes) = (of_type.ask, of_type.changes);
            let mut line = PlanLine::new(kind.as_str(), ask.value.words(), ask.why, ask.source);
            line.impossible = ask.value == Ask::NotOffered;
            lines.push(line);
            if matches!(ask.value, Ask::WholeType | Ask::ByPatient | Ask::ByLocationDay) {
                let how = match changes.value {
                    Changes::LastUpdated => "by asking for what changed since the last pull (_lastUpdated)",
                    Changes::Snapshot => "by reading everything in reach and comparing it",
                };
                lines.push(PlanLine::new(format!("{kind}, changes"), how, changes.why, changes.source));
            }
        }
        let write_back = self.write_back;
        let mut line = PlanLine::new("write-back", write_back.value.words(), write_back.why, write_back.source);
        line.impossible = write_back.value.writes().is_none();
        lines.push(line);
        if write_back.value.writes().is_some() {
            let (how, why) = match self.guard {
                Guard::Condition => ("the server refuses a second one", "a create may carry If-None-Exist"),
                Guard::ByIdentifier => ("looked for by our identifier before each create", "no conditional create"),
                Guard::ByPatient => (
                    "looked for at the patient after an answer was lost",
                    "no conditional create, and no search by identifier",
                ),
                Guard::Ledger => (
                    "our own ledger; after a lost answer a person must look",
                    "nothing that was written can be searched for",
                ),
            };
            lines.push(PlanLine::new("write-back, never twice", how, why, write_back.source));
            let (how, why) = if self.can_update {
                ("created when a message is accepted, and changed as more is known", "an update is offered")
            } else {
                ("written once, when nothing more is expected", "an update is not offered for what is written here")
            };
            lines.push(PlanLine::new("write-back, when", how, why, write_back.source));
        }
        let how = if self.batch.value { "several in one request" } else { "one by one" };
        lines.push(PlanLine::new("reads before sending", how, self.batch.why, self.batch.source));
        lines
    }
}

/// What is asked in another way than before, in words. What one of the two plans does not speak of is no change: another
/// version of Beckon speaks of more.
pub fn changes(before: &[PlanLine], after: &[PlanLine]) -> Vec<String> {
    let changed = after.iter().filter_map(|now| {
        let then = before.iter().find(|then| then.what == now.what)?;
        (then.how != now.how).then(|| format!("{}: was {}, is now {} ({})", now.what, then.how, now.how, now.why))
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_done_in_another_way_is_a_change() {
        let line = |what: &str, how: &str, why: &str| PlanLine::new(what, how, why, PlanSource::Metadata);
        let before = [line("Appointment", "a", "x"), line("Patient", "b", "x"), line("gone", "c", "x")];
        let after = [line("Appointment", "a2", "y"), line("Patient", "b", "another reason"), line("new", "d", "x")];
        assert_eq!(changes(&before, &after), ["Appointment: was a, is now a2 (y)"]);
        assert!(changes(&before, &before).is_empty());
    }
}
