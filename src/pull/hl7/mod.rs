//! What the hospital's interface engine tells by HL7 v2 over MLLP: who came, left, changed or was merged (ADT), and whose
//! appointment was made, moved or called off (SIU). A message is a hint and never data: it is stored, answered, and then
//! the EHR is asked over FHIR with our own token. What it says of people is sealed, and dropped when it was followed.

mod answer;
mod follow;
mod frame;
mod listener;
mod merge;
mod message;

pub use follow::follow;
pub use listener::{Listener, ListenerError};
pub use message::{Refusal, read};
