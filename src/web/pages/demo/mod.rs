//! Demo only: what the simulated hospital sees. The phones, the mailbox and the EHR are asked over HTTP, as from
//! another machine: these pages know nothing that a patient or the hospital would not.

mod ehr;
mod hospital;
mod mail;
mod phone;

pub use ehr::ehr;
pub use mail::mail;
pub use phone::{phone, reply};
