//! The simulated hospital: an EHR with SMART, a phone and a mailbox, on loopback. It is written from the specifications alone
//! and must not know how the gateway reads, writes or sends, so that a misreading of ours cannot cancel itself out.

mod admin;
mod advance;
mod days;
mod ehr;
mod faults;
mod front;
pub mod generator;
mod hospital;
mod http;
mod mailbox;
mod options;
mod phone;
mod seen;
mod world;

pub use advance::Advanced;
pub use ehr::{ExportManner, JwksSource, Level, Personality, Storage, Subscribing, SubscriptionManner};
pub use faults::{Fault, FaultKind, RetryAfter};
pub use generator::{Awkward, AwkwardKind, Chart, Generator};
pub use hospital::Hospital;
pub use mailbox::Mail;
pub use options::{HospitalOptions, SandboxError};
pub use phone::{PhoneAccount, Text, sign};
pub use seen::SeenRequest;
pub use world::Truth;
