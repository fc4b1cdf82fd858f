//! One file a provider of email, SMS or voice: send, and parse what it reports back.
//!
//! A channel knows its provider's protocol and what each of its answers means; it decides nothing. It must not know
//! patients, rules, the database or whether sending is allowed: whoever calls it has decided that.

pub mod email;
mod error;
pub mod reply_words;
pub mod sms;

pub use email::{EmailChannel, OutboundEmail};
pub use error::ChannelError;
pub use reply_words::meaning_of_reply;
pub use sms::{OutboundSms, SmsChannel};
