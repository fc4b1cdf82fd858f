//! Where the interface engine connects: plain on this machine alone, else by TLS with a client certificate of the
//! hospital's own authority. A message is answered only when it is stored; what cannot be stored is not answered, so that
//! the engine sends it again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::answer::{Verdict, answer};
use super::frame::{FrameError, Frames, framed};
use super::message::{Received, Refusal, read};
use crate::config::{Hl7, Hl7Tls};
use crate::domain::{Actor, EhrId, EventKind, TenantId};
use crate::store::{Store, StoreError, Unusable};

/// Connections at once: an engine keeps one or two.
const CONNECTIONS: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The rest of a message that has begun.
const REST: Duration = Duration::from_secs(30);
/// Between two messages: engines keep their connections open.
const QUIET: Duration = Duration::from_hours(24);

/// Why messages cannot be listened for.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    #[error("hl7.listen: {address} cannot be listened on ({source}); is another program there?")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("hl7.{setting}: {reason}")]
    Tls { setting: &'static str, reason: String },
}

/// A bound listener of one EHR's messages.
pub struct Listener {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    desk: Arc<Desk>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("ehr", &self.desk.ehr).finish_non_exhaustive()
    }
}

impl Listener {
    /// # Errors
    /// The address is taken, or the certificates cannot be used.
    pub async fn bind(store: Store, tenant: TenantId, settings: &Hl7) -> Result<Self, ListenerError> {
        let address = settings.listen;
        let acceptor = settings.tls.as_ref().map(acceptor).transpose()?;
        let listener = TcpListener::bind(address).await.map_err(|source| ListenerError::Bind { address, source })?;
        let limit = settings.max_kilobytes as usize * 1024;
        let desk = Desk { store, tenant, ehr: EhrId::new(settings.ehr.clone()), limit };
        Ok(Self { listener, acceptor, desk: Arc::new(desk) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system cannot tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes messages until `stop` is set.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        while !*stop.borrow() {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                told = stop.changed() => match told {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, for instance: others must get a chance to give theirs back.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!("more than {CONNECTIONS} HL7 connections at once: one was closed");
                continue;
            };
            let (desk, acceptor, stop) = (Arc::clone(&self.desk), self.acceptor.clone(), stop.clone());
            tokio::spawn(async move {
                if let Err(error) = connection(&desk, acceptor, stream, stop).await {
                    tracing::info!(%error, "an HL7 connection ended");
                }
                drop(place);
            });
        }
    }
}

async fn connection(
    desk: &Desk,
    acceptor: Option<TlsAcceptor>,
    stream: TcpStream,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match acceptor {
        None => desk.talk(stream, stop).await,
        Some(acceptor) => {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time");
            let stream = timeout(HANDSHAKE, acceptor.accept(stream)).await.map_err(late)??;
            desk.talk(stream, stop).await
        }
    }
}

fn acceptor(tls: &Hl7Tls) -> Result<TlsAcceptor, ListenerError> {
    let wrong = |setting: &'static str| move |reason: String| ListenerError::Tls { setting, reason };
    let certificates = |path: &std::path::Path, setting| {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let found = read.map_err(|error| wrong(setting)(format!("{} cannot be read: {error}", path.display())))?;
        if found.is_empty() {
            return Err(wrong(setting)(format!("{} holds no certificate", path.display())));
        }
        Ok(found)
    };
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(&tls.client_ca_file, "client_ca_file")? {
        authorities.add(certificate).map_err(|error| wrong("client_ca_file")(error.to_string()))?;
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key_file)
        .map_err(|error| wrong("key_file")(format!("{} cannot be read: {error}", tls.key_file.display())))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
        .build()
        .map_err(|error| wrong("client_ca_file")(error.to_string()))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("cert_file")(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&tls.cert_file, "cert_file")?, key)
        .map_err(|error| wrong("cert_file")(format!("it does not fit the key: {error}")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Where messages are taken in.
struct Desk {
    store: Store,
    tenant: TenantId,
    ehr: EhrId,
    /// Bytes of a message.
    limit: usize,
}

impl Desk {
    async fn talk<S>(&self, mut stream: S, mut stop: watch::Receiver<bool>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut frames = Frames::new(self.limit);
        let mut bytes = vec![0; 16 * 1024];
        loop {
            loop {
                match frames.next() {
                    Ok(None) => break,
                    Ok(Some(message)) => {
                        let Some(answer) = self.take(&message).await else {
                            // Not stored: the engine must send it again, so it is not answered.
                            return Ok(());
                        };
                        stream.write_all(&framed(&answer)).await?;
                        stream.flush().await?;
                    }
                    Err(error) => {
                        self.note_broken_stream(error).await;
                        return Ok(());
                    }
                }
            }
            let patience = if frames.is_inside() { REST } else { QUIET };
            let read = tokio::select! {
                read = timeout(patience, stream.read(&mut bytes)) => read,
                _ = stop.changed() => return Ok(()),
            };
            match read {
                Ok(Ok(0)) | Err(_) => return Ok(()),
                Ok(Ok(count)) => frames.push(&bytes[..count]),
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    /// Stores a message and says how it is answered; `None` where it could not be stored.
    async fn take(&self, message: &[u8]) -> Option<String> {
        let (id, now) = (self.store.new_id().simple().to_string(), self.store.clock().now());
        let id = id.get(..20).unwrap_or(&id);
        match read(message) {
            Ok(received) => match self.keep(&received).await {
                Ok(()) => Some(answer(&received.envelope, Verdict::Accepted, id, now)),
                Err(error) => {
                    tracing::error!(%error, "an HL7 message could not be stored; it is not answered");
                    None
                }
            },
            Err(refusal) => match self.set_aside(&refusal).await {
                Ok(()) => Some(answer(&refusal.envelope, Verdict::Refused(&refusal), id, now)),
                Err(error) => {
                    tracing::error!(%error, "an HL7 message that cannot be used could not be noted; it is not answered");
                    None
                }
            },
        }
    }

    async fn keep(&self, received: &Received) -> Result<(), StoreError> {
        let Some(hint) = &received.hint else { return Ok(()) };
        let envelope = &received.envelope;
        let mut tx = self.store.write(&self.tenant).await?;
        let new = tx
            .keep_feed_message(&self.ehr, &envelope.sender(), &envelope.control_id, &envelope.kind, &json!(hint))
            .await?;
        tx.commit().await?;
        tracing::debug!(kind = %envelope.kind, new, "an HL7 message was stored");
        Ok(())
    }

    async fn set_aside(&self, refusal: &Refusal) -> Result<(), StoreError> {
        let control_id = &refusal.envelope.control_id;
        let named = if control_id.is_empty() { "(none)" } else { control_id };
        self.quarantine(named, refusal.path, refusal.reason).await
    }

    async fn note_broken_stream(&self, error: FrameError) {
        let reason = match error {
            FrameError::TooLarge(_) => "is larger than hl7.max_kilobytes",
            FrameError::NoFrame => "is not a message in an MLLP frame; the connection was closed",
        };
        if let Err(error) = self.quarantine("(none)", "MLLP", reason).await {
            tracing::error!(%error, "a broken HL7 stream could not be noted");
        }
    }

    async fn quarantine(&self, id: &str, path: &str, reason: &str) -> Result<(), StoreError> {
        let unusable = Unusable {
            resource_type: "HL7v2".to_owned(),
            resource_id: id.to_owned(),
            path: path.to_owned(),
            reason: reason.to_owned(),
            hides_from: Vec::new(),
        };
        let mut tx = self.store.write(&self.tenant).await?;
        for it in tx.quarantine(&self.ehr, std::slice::from_ref(&unusable)).await? {
            let event = tx.event(Actor::system("hl7"), EventKind::ResourceQuarantined).about_ehr(&self.ehr);
            let detail = json!({"resource": format!("HL7v2/{}", it.resource_id), "path": it.path, "reason": it.reason});
            tx.append(event.with_detail(detail)).await?;
        }
        tx.commit().await
    }
}
