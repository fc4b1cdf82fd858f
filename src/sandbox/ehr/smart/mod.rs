//! SMART Backend Services (STU2.2) as a strict server plays it: assertions, scopes, short opaque tokens.

mod assertion;
mod jwks;
mod scopes;
mod token_endpoint;

pub use jwks::JwksSource;
pub use token_endpoint::{Authority, Grant};
