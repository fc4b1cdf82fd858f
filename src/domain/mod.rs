//! The plain facts and words that every room shares. No I/O, no clock, no database, no HTTP: a type here says what is
//! true of a patient, a reminder or a message, and makes a wrong state hard to write down. Imports no other room.

mod alert;
mod appointment;
mod choice;
mod consent;
mod contact;
mod decision;
mod event;
mod ids;
mod merges;
mod message;
mod patient;
mod phi;
mod reminder;
mod resource;
mod rule;
mod rule_change;
mod staff;
mod staff_task;
mod words;
mod zone;

pub use alert::{Alert, AlertKind};
pub use appointment::{Appointment, AppointmentStatus, Participant, ParticipationStatus};
pub use choice::{ClinicDefault, PatientChoice};
pub use consent::{ConsentBasis, Enrolment, EnrolmentState, OptOut, OptOutScope};
pub use contact::{Address, AddressError, Channel, ContactPoint, ContactSystem, ContactUse, EmailAddress, PhoneNumber};
pub use decision::{Check, CheckResult, Decision, Fact, Reason, Release, Verdict};
pub use event::{Actor, Event, EventKind, EventOutcome};
pub use ids::*;
pub use merges::Merges;
pub use message::{
    Attempt, AttemptState, Detail, Message, MessageBody, MessageOrigin, MessageState, Outcome, Purpose, Receipt,
    Recipient, Rejection, Reply, ReplyMeaning, WriteBackState,
};
pub use patient::{Deceased, Gender, HumanName, Language, Patient, PatientStatus};
pub use phi::Phi;
pub use reminder::{Occasion, PlannedReminder, Reminder, ReminderState};
pub use resource::{Issue, ResourceKey, ResourceType, ResourceVersion};
pub use rule::*;
pub use rule_change::{RuleAct, RuleChange, RuleChangeError, RuleStage, may_go_live, may_revert, may_review, person};
pub use staff::{Role, Staff};
pub use staff_task::StaffTask;
pub use words::in_words;
pub use zone::{ZoneCandidate, ZoneSource, date_begins};
