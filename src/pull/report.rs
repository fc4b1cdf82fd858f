//! What a run did, in numbers and words without PHI.

use serde::Serialize;

use crate::domain::{ResourceType, RunId};

use super::planning::PlanCounts;

/// What became of one type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TypeReport {
    /// How it was read: `increment`, `everything`, `patient by patient`, `by location and day`, `by id`, `members`,
    /// `bulk export`, or `not asked for`.
    pub how: &'static str,
    pub pages: u32,
    pub read: usize,
    pub changed: usize,
    pub unchanged: usize,
    pub quarantined: usize,
    /// No longer at the EHR, each confirmed by a read.
    pub gone: usize,
    /// Read to the last page, and all of it stored.
    pub complete: bool,
    /// What an operator should know although it went well.
    pub note: Option<String>,
    /// Why it is not complete.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Done,
    /// Some types are complete, others are not.
    Partial,
    Failed,
}

impl RunState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// The whole run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunReport {
    #[serde(skip)]
    pub id: RunId,
    pub state: RunState,
    /// In the order in which the types were pulled.
    pub types: Vec<(ResourceType, TypeReport)>,
    pub planned: PlanCounts,
}

impl RunReport {
    pub fn of(&self, kind: ResourceType) -> Option<&TypeReport> {
        self.types.iter().find(|(of, _)| *of == kind).map(|(_, report)| report)
    }
}

/// What is told while a run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Began {
        kind: ResourceType,
        how: &'static str,
    },
    /// A page was stored; `total` is the server's estimate.
    Page {
        kind: ResourceType,
        read: usize,
        total: Option<u64>,
    },
    Ended {
        kind: ResourceType,
        report: TypeReport,
    },
    /// The EHR prepares a bulk export, and the run waits so long before it asks again.
    Exporting {
        words: String,
        wait: std::time::Duration,
    },
    /// So many patients have a new plan.
    Planned {
        patients: usize,
    },
}
