//! A mail server on loopback that takes mail over TLS only and keeps it for reading. Its words are those of RFC 5321.

mod letters;
mod listener;
mod session;
mod tls;

pub use letters::{Mail, Mailbox};
pub use listener::{MailPorts, serve};
pub use tls::Certificates;
