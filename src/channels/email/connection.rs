//! One conversation with the relay. TLS is negotiated here and not in the mail library: so that bytes which somebody
//! slipped in before the encryption are never read as the relay's (the STARTTLS injection), and so that the protocol
//! version is known and can be recorded.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::replies::{self, Phase};
use crate::channels::error::ChannelError;
use crate::config::{self, SmtpSecurity};
use crate::domain::{Outcome, Rejection};

/// More than any relay says before TLS.
const LONGEST_REPLY: usize = 16 * 1024;
/// RFC 5321 section 4.5.3.2.6: a relay may take long after the final dot, and giving up early doubles mail.
const FINAL_TIMEOUT: Duration = Duration::from_mins(10);
/// A waiting connection that does not answer a NOOP within this time is given up.
const NOOP_TIMEOUT: Duration = Duration::from_secs(5);
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How to reach the relay.
pub(super) struct Connector {
    host: String,
    port: u16,
    security: SmtpSecurity,
    tls: TlsConnector,
    server_name: ServerName<'static>,
    credentials: Option<Credentials>,
    hello: ClientId,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connector({}:{}, {:?})", self.host, self.port, self.security)
    }
}

impl Connector {
    pub fn new(settings: &config::Smtp) -> Result<Self, ChannelError> {
        let credentials = match (&settings.username, &settings.password) {
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.expose_secret().to_owned())),
            _ => None,
        };
        if settings.security == SmtpSecurity::PlainLoopback {
            let loopback = settings.host == "localhost"
                || settings.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            if !loopback {
                return Err(ChannelError::settings("smtp.security", "mail leaves this machine under TLS only"));
            }
            if credentials.is_some() {
                return Err(ChannelError::settings("smtp.username", "a password is never sent without TLS"));
            }
        }
        let server_name = ServerName::try_from(settings.host.clone())
            .map_err(|_| ChannelError::settings("smtp.host", "is neither a host name nor an address"))?;
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            security: settings.security,
            tls: TlsConnector::from(Arc::new(client_config(settings)?)),
            server_name,
            credentials,
            hello: settings.hello_name.clone().map_or_else(ClientId::default, ClientId::Domain),
        })
    }

    /// Connects, protects the connection and signs in, all within `limit`. Nothing of a mail has gone out when it fails.
    pub async fn connect(&self, limit: Duration) -> Result<SmtpConnection, Outcome> {
        timeout(limit, self.converse(limit)).await.unwrap_or_else(|_| Err(retry("timeout")))
    }

    async fn converse(&self, limit: Duration) -> Result<SmtpConnection, Outcome> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|_| retry("connect"))?;
        let _ = tcp.set_nodelay(true);
        let (stream, protection) = match self.security {
            SmtpSecurity::PlainLoopback => {
                if !tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()) {
                    return Err(tls_refused());
                }
                (Stream { greeting: b"", inner: Inner::Plain(tcp) }, "loopback".to_owned())
            }
            SmtpSecurity::Implicit => self.encrypt(tcp, b"").await?,
            SmtpSecurity::Starttls => {
                let tcp = self.ask_for_tls(tcp).await?;
                // The library waits for a greeting, which comes once and before TLS: it gets one from us.
                self.encrypt(tcp, b"220 ready\r\n").await?
            }
        };
        let mut smtp = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello)
            .await
            .map_err(|error| replies::outcome(&error, Phase::Greeting))?;
        if let Some(credentials) = &self.credentials {
            let known = [Mechanism::Plain, Mechanism::Login];
            if smtp.server_info().get_auth_mechanism(&known).is_none() {
                return Err(Outcome::Reject { code: "auth_not_offered".to_owned(), because: Rejection::Sender });
            }
            smtp.auth(&known, credentials).await.map_err(|error| replies::outcome(&error, Phase::SignIn))?;
        }
        Ok(SmtpConnection { smtp, protection, limit })
    }

    /// The conversation before TLS. Read byte by byte: what comes after the last line stays in the socket and spoils
    /// the handshake, instead of passing for an encrypted answer.
    async fn ask_for_tls(&self, mut tcp: TcpStream) -> Result<TcpStream, Outcome> {
        positive(&read_reply(&mut tcp).await?)?;
        say(&mut tcp, &format!("EHLO {}\r\n", self.hello)).await?;
        let offered = read_reply(&mut tcp).await?;
        positive(&offered)?;
        let has_starttls = offered
            .lines()
            .skip(1)
            .any(|line| line.get(4..).is_some_and(|keyword| keyword.trim().eq_ignore_ascii_case("STARTTLS")));
        if !has_starttls {
            return Err(tls_refused());
        }
        say(&mut tcp, "STARTTLS\r\n").await?;
        let answer = read_reply(&mut tcp).await?;
        match answer.as_bytes().first() {
            Some(b'2') => Ok(tcp),
            Some(b'4') => Err(retry(&answer.chars().take(3).collect::<String>())),
            _ => Err(tls_refused()),
        }
    }

    async fn encrypt(&self, tcp: TcpStream, greeting: &'static [u8]) -> Result<(Stream, String), Outcome> {
        let stream = self.tls.connect(self.server_name.clone(), tcp).await.map_err(|error| {
            let by_protocol = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
            if by_protocol { tls_refused() } else { retry("tls_connection_lost") }
        })?;
        let version = stream.get_ref().1.protocol_version();
        let protection = version.and_then(|version| version.as_str()).unwrap_or("TLS").to_owned();
        Ok((Stream { greeting, inner: Inner::Tls(Box::new(stream)) }, protection))
    }
}

fn client_config(settings: &config::Smtp) -> Result<rustls::ClientConfig, ChannelError> {
    let mut extra: Vec<CertificateDer<'static>> = Vec::new();
    if let Some(path) = &settings.ca_file {
        let unreadable = |why: String| ChannelError::settings("smtp.ca_file", why);
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
        for certificate in certificates {
            extra.push(certificate.map_err(|error| unreadable(error.to_string()))?);
        }
        if extra.is_empty() {
            return Err(unreadable("holds no certificate in PEM form".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .map_err(|error| ChannelError::Trust(error.to_string()))?;
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| ChannelError::Trust(error.to_string()))?
        // "dangerous" is rustls's word for any verifier that is not its own; this one asks the system's trust store.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

fn retry(code: &str) -> Outcome {
    Outcome::Retry { after: None, code: code.to_owned() }
}

/// TLS is missing or cannot be trusted. Nobody's mail goes out over such a hop.
fn tls_refused() -> Outcome {
    Outcome::Reject { code: "tls".to_owned(), because: Rejection::Sender }
}

fn positive(reply: &str) -> Result<(), Outcome> {
    let code: String = reply.chars().take(3).collect();
    match reply.as_bytes().first() {
        Some(b'2') => Ok(()),
        Some(b'5') => Err(Outcome::Reject { code, because: Rejection::Sender }),
        _ => Err(retry(&code)),
    }
}

async fn say(tcp: &mut TcpStream, line: &str) -> Result<(), Outcome> {
    tcp.write_all(line.as_bytes()).await.map_err(|_| retry("connection_lost"))
}

/// All lines of one reply: the last one has a space, not a hyphen, after its code.
async fn read_reply(tcp: &mut TcpStream) -> Result<String, Outcome> {
    let (mut reply, mut line) = (Vec::new(), Vec::new());
    loop {
        let byte = tcp.read_u8().await.map_err(|_| retry("connection_lost"))?;
        line.push(byte);
        if reply.len() + line.len() > LONGEST_REPLY {
            return Err(retry("unreadable_answer"));
        }
        if byte == b'\n' {
            let digits = line.len() >= 3 && line[..3].iter().all(u8::is_ascii_digit);
            let last = digits && line.get(3) != Some(&b'-');
            reply.append(&mut line);
            if !digits {
                return Err(retry("unreadable_answer"));
            }
            if last {
                return Ok(String::from_utf8_lossy(&reply).into_owned());
            }
        }
    }
}

/// A connection that is protected and signed in.
pub(super) struct SmtpConnection {
    smtp: AsyncSmtpConnection,
    protection: String,
    limit: Duration,
}

impl std::fmt::Debug for SmtpConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SmtpConnection({})", self.protection)
    }
}

impl SmtpConnection {
    /// `TLSv1_3`, `TLSv1_2` or `loopback`.
    pub fn protection(&self) -> &str {
        &self.protection
    }

    pub async fn still_answers(&mut self) -> bool {
        timeout(NOOP_TIMEOUT, self.smtp.test_connected()).await.unwrap_or(false)
    }

    /// Transfers one mail. After an error the connection must be closed.
    pub async fn transfer(&mut self, envelope: &Envelope, message: &[u8]) -> Result<(), Outcome> {
        let mut parameters = Vec::new();
        let mut addresses = envelope.from().into_iter().chain(envelope.to());
        if !addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
            if !self.smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Outcome::Reject { code: "smtputf8".to_owned(), because: Rejection::Address });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        self.command(Mail::new(envelope.from().cloned(), parameters), Phase::Sender).await?;
        for recipient in envelope.to() {
            self.command(Rcpt::new(recipient.clone(), Vec::new()), Phase::Recipient).await?;
        }
        self.command(Data, Phase::Data).await?;
        // The library writes the text and the dot in one go, so a loss here counts as one after the dot.
        match timeout(FINAL_TIMEOUT.max(self.limit), self.smtp.message(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(replies::outcome(&error, Phase::Final)),
            Err(_) => Err(replies::lost(Phase::Final)),
        }
    }

    async fn command(&mut self, command: impl std::fmt::Display, phase: Phase) -> Result<(), Outcome> {
        match timeout(self.limit, self.smtp.command(command)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(replies::outcome(&error, phase)),
            Err(_) => Err(replies::lost(phase)),
        }
    }

    /// Says goodbye, without waiting long for an answer.
    pub async fn close(mut self) {
        let _ = timeout(QUIT_TIMEOUT, self.smtp.abort()).await;
    }
}

/// The socket as the mail library sees it.
#[derive(Debug)]
struct Stream {
    /// Read first, before anything from the socket.
    greeting: &'static [u8],
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        match &self.inner {
            Inner::Plain(tcp) => tcp.peer_addr(),
            Inner::Tls(tls) => tls.get_ref().0.peer_addr(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let (now, later) = self.greeting.split_at(self.greeting.len().min(buf.remaining()));
            buf.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Inner::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Inner::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
