//! One pull run: what the EHR has → the mirror → what is planned from it. A page is stored while the next one is
//! on its way, a watermark moves only after the last page, and what cannot be used goes to quarantine with its reason; an
//! error in one type or page loses nothing else. This room must not know how a request is sent, how a rule decides, or
//! how anything is shown.

mod alarms;
mod cohorts;
mod export;
mod gone;
pub mod hl7;
mod intake;
mod listing;
mod notices;
mod numbers;
mod options;
mod page;
mod planning;
mod reconcile;
mod referred;
mod report;
mod retry;
mod roster;
mod run;
mod told;
mod trace;
mod unlisted;

pub use export::go_on;
pub use notices::heed;
pub use numbers::{Number, NumbersReport, import_numbers, read_numbers};
pub use options::{Mode, PullOptions};
pub use page::{Destination, Prepared};
pub use planning::{PlanCounts, Preview, plan_due, preview};
pub use reconcile::{AtEhr, DayReport, Missing, Outcome, Recomputed, reconcile_day, reconcile_when_due};
pub use report::{Progress, RunReport, RunState, TypeReport};
pub use retry::{Retried, retry_quarantined};
pub use roster::{ROSTER_TYPES, RosterError, import as import_roster, read_list};
pub use run::{PullError, run};
pub use trace::{RuleTrace, trace};
