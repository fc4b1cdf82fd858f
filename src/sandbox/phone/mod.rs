//! A Twilio-compatible text service and the telephones behind it. Its words are those of the Twilio Messages API.

mod api;
mod fate;
mod ledger;
mod signature;
mod webhooks;

pub use ledger::{Phone, PhoneAccount, Text};
pub use signature::sign;
