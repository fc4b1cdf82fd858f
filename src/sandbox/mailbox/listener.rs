//! The two ports of the mail server: STARTTLS, and TLS from the first byte.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::letters::Mailbox;
use super::session::{self, Ended};
use super::tls::Certificates;
use crate::sandbox::faults::FaultKind;

/// The accepting tasks; they end when aborted.
pub struct MailPorts {
    tasks: Vec<JoinHandle<()>>,
}

impl MailPorts {
    pub fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Serves both bound listeners.
///
/// # Errors
/// When a listener cannot be used.
pub fn serve(
    mailbox: &Arc<Mailbox>,
    certificates: &Arc<Certificates>,
    starttls: TcpListener,
    implicit: TcpListener,
) -> io::Result<MailPorts> {
    let mut tasks = Vec::new();
    for (listener, at_once) in [(starttls, false), (implicit, true)] {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (mailbox, certificates) = (mailbox.clone(), certificates.clone());
        tasks.push(tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (mailbox, certificates) = (mailbox.clone(), certificates.clone());
                tokio::spawn(async move {
                    // A client that goes away in the middle is its own business.
                    let _ended = talk(stream, &mailbox, &certificates, at_once).await;
                });
            }
        }));
    }
    Ok(MailPorts { tasks })
}

async fn talk(stream: TcpStream, mailbox: &Mailbox, certificates: &Certificates, at_once: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = if at_once {
        stream
    } else {
        match session::plain(stream, mailbox).await? {
            Ended::StartTls(stream) => stream,
            Ended::Quit => return Ok(()),
        }
    };
    let wrong = mailbox.faults.strikes("SMTP", "", &FaultKind::WrongCertificateName);
    let config = if wrong { &certificates.wrong } else { &certificates.right };
    let stream = TlsAcceptor::from(config.clone()).accept(stream).await?;
    session::secured(stream, mailbox, at_once).await
}
