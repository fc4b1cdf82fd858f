//! Mail over one SMTP relay, with TLS enforced.

mod connection;
mod message;
mod pool;
mod replies;

use std::time::Duration;

use super::error::ChannelError;
use crate::config;
use crate::domain::{Outcome, Rejection};
use connection::{Connector, SmtpConnection};
pub use message::OutboundEmail;
use message::Sender;
use pool::Pool;

/// One relay. Cheap to share behind an `Arc`; holds up to `smtp.connections` connections.
#[derive(Debug)]
pub struct EmailChannel {
    sender: Sender,
    connector: Connector,
    pool: Pool<SmtpConnection>,
    timeout: Duration,
}

impl EmailChannel {
    /// Fails on addresses that are none, on a file of authorities that cannot be read, and on settings that would send
    /// mail or a password unprotected to another machine.
    pub fn new(settings: &config::Smtp) -> Result<Self, ChannelError> {
        Ok(Self {
            sender: Sender::new(settings)?,
            connector: Connector::new(settings)?,
            pool: Pool::new(settings.connections),
            timeout: Duration::from_secs(settings.timeout_seconds),
        })
    }

    /// Hands one mail to the relay. Accepted means that the relay took responsibility (RFC 5321, 250 after the final
    /// dot); a loss of connection between the final dot and the answer is `Unknown`.
    pub async fn send(&self, email: &OutboundEmail<'_>) -> Outcome {
        let (envelope, bytes) = match message::build(&self.sender, email) {
            Ok(built) => built,
            Err(code) => return Outcome::Reject { code: code.to_owned(), because: Rejection::Message },
        };
        let _slot = self.pool.slot().await;
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(outcome) => return outcome,
        };
        let protection = connection.protection().to_owned();
        match connection.transfer(&envelope, &bytes).await {
            Ok(()) => {
                self.pool.give_back(connection);
                Outcome::Accepted { provider_ref: email.message_id.to_owned(), protection: Some(protection) }
            }
            Err(outcome) => {
                connection.close().await;
                outcome
            }
        }
    }

    /// Connects and signs in, and tells how the hop is protected; sends nothing.
    pub async fn check(&self) -> Result<String, ChannelError> {
        let connection = self.connector.connect(self.timeout).await.map_err(|outcome| match outcome {
            Outcome::Reject { code, .. } => ChannelError::Refused { provider: "mail relay", code },
            Outcome::Retry { code, .. } | Outcome::Unknown { code } => {
                ChannelError::Unreachable { provider: "mail relay", code }
            }
            Outcome::Accepted { .. } => ChannelError::Unreadable { provider: "mail relay" },
        })?;
        let protection = connection.protection().to_owned();
        connection.close().await;
        Ok(protection)
    }

    /// One that waited and still answers, or a new one.
    async fn connection(&self) -> Result<SmtpConnection, Outcome> {
        while let Some(mut waiting) = self.pool.take() {
            if waiting.still_answers().await {
                return Ok(waiting);
            }
        }
        self.connector.connect(self.timeout).await
    }
}
