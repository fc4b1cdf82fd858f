//! Mail over SMTP, against a relay that follows a script.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use beckon::channels::{ChannelError, EmailChannel, OutboundEmail};
use beckon::config::{Smtp, SmtpSecurity};
use beckon::domain::{EmailAddress, Outcome, Phi, Rejection};
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the relay does out of the ordinary.
#[derive(Clone, Default)]
struct Script {
    implicit: bool,
    hide_starttls: bool,
    /// Name in the certificate; `localhost` unless said otherwise.
    certificate_for: Option<&'static str>,
    only_tls12: bool,
    /// Sent with the answer to STARTTLS, before the encryption.
    inject: &'static str,
    /// Command (or `.` for the end of the text, `connect` for the greeting) to answer.
    answers: BTreeMap<&'static str, &'static str>,
    /// Command after which it hangs up without an answer.
    hang_up_on: Option<&'static str>,
    /// Command after which it says nothing more.
    silent_on: Option<&'static str>,
}

struct Relay {
    port: u16,
    ca_file: PathBuf,
    said: Arc<Mutex<Vec<String>>>,
    mails: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    _folder: tempfile::TempDir,
}

impl Relay {
    async fn start(script: Script) -> Self {
        let name = script.certificate_for.unwrap_or("localhost").to_owned();
        let issued = rcgen::generate_simple_self_signed(vec![name]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, issued.cert.pem()).unwrap();
        let versions: &[&rustls::SupportedProtocolVersion] =
            if script.only_tls12 { &[&rustls::version::TLS12] } else { &[&rustls::version::TLS13] };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls_pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (said, mails, connections) = (Arc::default(), Arc::default(), Arc::new(Mutex::new(0)));
        let relay = Self { port, ca_file, said, mails, connections, _folder: folder };
        let (said, mails, connections) = (relay.said.clone(), relay.mails.clone(), relay.connections.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                let talk = Talk { script: script.clone(), said: said.clone(), mails: mails.clone() };
                let acceptor = acceptor.clone();
                tokio::spawn(async move { talk.serve(socket, acceptor).await });
            }
        });
        relay
    }

    fn settings(&self, security: SmtpSecurity) -> Smtp {
        Smtp {
            host: "localhost".to_owned(),
            port: self.port,
            security,
            username: None,
            password: None,
            from: "reminders@clinic.example".to_owned(),
            from_name: Some("Exämple Clinic".to_owned()),
            reply_to: Some("desk@clinic.example".to_owned()),
            ca_file: Some(self.ca_file.clone()),
            hello_name: Some("gw.clinic.example".to_owned()),
            connections: 2,
            timeout_seconds: 1,
        }
    }

    fn channel(&self, security: SmtpSecurity) -> EmailChannel {
        EmailChannel::new(&self.settings(security)).unwrap()
    }

    fn commands(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

struct Talk {
    script: Script,
    said: Arc<Mutex<Vec<String>>>,
    mails: Arc<Mutex<Vec<String>>>,
}

impl Talk {
    async fn serve(self, mut socket: TcpStream, acceptor: TlsAcceptor) {
        if self.script.implicit {
            if let Ok(mut tls) = acceptor.accept(socket).await {
                self.converse(&mut tls, true, true).await;
            }
            return;
        }
        if self.converse(&mut socket, true, false).await
            && let Ok(mut tls) = acceptor.accept(socket).await
        {
            self.converse(&mut tls, false, true).await;
        }
    }

    /// `true` where the client asked for TLS.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S, greet: bool, secure: bool) -> bool {
        if greet && !self.answer(stream, "connect", "220 relay.example ESMTP").await {
            return false;
        }
        loop {
            let Some(line) = read_line(stream).await else { return false };
            self.said.lock().unwrap().push(format!("{}{line}", if secure { "" } else { "plain " }));
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let usual = match verb.as_str() {
                "EHLO" if secure => "250-relay.example\r\n250-AUTH PLAIN LOGIN\r\n250 ENHANCEDSTATUSCODES",
                "EHLO" if self.script.hide_starttls => "250-relay.example\r\n250 SIZE 1000",
                "EHLO" => "250-relay.example\r\n250-SIZE 1000\r\n250 STARTTLS",
                "DATA" => "354 go on",
                "AUTH" => "235 2.7.0 welcome",
                "STARTTLS" => "220 ready",
                "QUIT" => "221 bye",
                _ => "250 2.0.0 ok",
            };
            if !self.answer(stream, &verb, usual).await {
                return false;
            }
            if verb == "STARTTLS" {
                return true;
            }
            if verb == "DATA" && !self.script.answers.contains_key("DATA") {
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return false };
                    mail.push(char::from(byte));
                }
                self.mails.lock().unwrap().push(mail);
                if !self.answer(stream, ".", "250 2.0.0 queued").await {
                    return false;
                }
            }
            if verb == "QUIT" {
                return false;
            }
        }
    }

    async fn answer<S: AsyncWrite + Unpin>(&self, stream: &mut S, verb: &str, usual: &str) -> bool {
        if self.script.hang_up_on == Some(verb) {
            let _ = stream.shutdown().await;
            return false;
        }
        if self.script.silent_on == Some(verb) {
            std::future::pending::<()>().await;
        }
        let text = self.script.answers.get(verb).copied().unwrap_or(usual);
        let inject = if verb == "STARTTLS" { self.script.inject } else { "" };
        stream.write_all(format!("{text}\r\n{inject}").as_bytes()).await.is_ok() && stream.flush().await.is_ok()
    }
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await.ok()? {
            b'\n' => return Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            byte => line.push(byte),
        }
    }
}

struct Letter {
    to: EmailAddress,
    subject: Phi<String>,
    text: Phi<String>,
    html: Phi<String>,
}

fn letter() -> Letter {
    Letter {
        to: EmailAddress::parse("ada@example.org").unwrap(),
        subject: Phi::new("Message from Exämple Clinic".to_owned()),
        text: Phi::new("Hola,\nsu cita es mañana.\n.\nGracias".to_owned()),
        html: Phi::new("<p lang=\"es\">Su cita es mañana.</p>".to_owned()),
    }
}

impl Letter {
    fn email(&self) -> OutboundEmail<'_> {
        OutboundEmail {
            to: &self.to,
            subject: &self.subject,
            text: &self.text,
            html: Some(&self.html),
            message_id: "<0195587e-1@gw.clinic.example>",
            list_unsubscribe: Some("https://gw.clinic.example/u/abc"),
            envelope_from: None,
            date: "2026-03-02T18:00:00Z".parse().unwrap(),
        }
    }
}

fn accepted(protection: &str) -> Outcome {
    Outcome::Accepted {
        provider_ref: "<0195587e-1@gw.clinic.example>".to_owned(),
        protection: Some(protection.to_owned()),
    }
}

#[tokio::test]
async fn mail_goes_out_under_tls_only_and_the_version_is_recorded() {
    for (script, security, protection) in [
        (Script::default(), SmtpSecurity::Starttls, "TLSv1_3"),
        (Script { only_tls12: true, ..Script::default() }, SmtpSecurity::Starttls, "TLSv1_2"),
        (Script { implicit: true, ..Script::default() }, SmtpSecurity::Implicit, "TLSv1_3"),
    ] {
        let starttls = !script.implicit;
        let relay = Relay::start(script).await;
        assert_eq!(relay.channel(security).send(&letter().email()).await, accepted(protection));
        let plain: Vec<String> = relay.commands().into_iter().filter(|line| line.starts_with("plain ")).collect();
        let expected: &[&str] = if starttls { &["plain EHLO gw.clinic.example", "plain STARTTLS"] } else { &[] };
        assert_eq!(plain, expected);
    }
    let relay = Relay::start(Script { hide_starttls: true, ..Script::default() }).await;
    let loopback = relay.channel(SmtpSecurity::PlainLoopback);
    assert_eq!(loopback.send(&letter().email()).await, accepted("loopback"));
}

#[tokio::test]
async fn a_relay_without_trustworthy_tls_gets_nothing() {
    let tls = Outcome::Reject { code: "tls".to_owned(), because: Rejection::Sender };
    let answers = |text| BTreeMap::from([("STARTTLS", text)]);
    for (label, script) in [
        ("not offered", Script { hide_starttls: true, ..Script::default() }),
        ("refused", Script { answers: answers("502 5.5.1 no"), ..Script::default() }),
        ("wrong name", Script { certificate_for: Some("other.example"), ..Script::default() }),
        ("injected before TLS", Script { inject: "250 2.0.0 injected\r\n", ..Script::default() }),
    ] {
        let relay = Relay::start(script).await;
        assert_eq!(relay.channel(SmtpSecurity::Starttls).send(&letter().email()).await, tls, "{label}");
        assert!(relay.mails.lock().unwrap().is_empty(), "{label}");
        assert!(!relay.commands().iter().any(|line| line.contains("MAIL FROM")), "{label}");
    }
    // An authority that the settings do not name.
    let relay = Relay::start(Script::default()).await;
    let mut settings = relay.settings(SmtpSecurity::Starttls);
    settings.ca_file = None;
    if let Ok(channel) = EmailChannel::new(&settings) {
        assert_eq!(channel.send(&letter().email()).await, tls);
    }
}

#[tokio::test]
async fn what_the_relay_answers_decides_what_becomes_of_the_mail() {
    use Rejection as R;
    let retry = |code: &str| Outcome::Retry { after: None, code: code.to_owned() };
    let reject = |code: &str, because| Outcome::Reject { code: code.to_owned(), because };
    for (verb, text, expected) in [
        // The greeting comes before TLS, and only its plain code is read.
        ("connect", "421 4.3.2 busy", retry("421")),
        ("connect", "554 5.7.1 go away", reject("554", R::Sender)),
        ("MAIL", "451 4.7.1 later", retry("451 4.7.1")),
        ("MAIL", "550 5.7.60 not your address", reject("550 5.7.60", R::Sender)),
        ("RCPT", "450 4.2.2 full", retry("450 4.2.2")),
        ("RCPT", "550 5.1.1 <ada@example.org> unknown", reject("550 5.1.1", R::Address)),
        ("RCPT", "550-5.1.1 The account ada@example.org\r\n550 5.1.1 does not exist", reject("550 5.1.1", R::Address)),
        ("RCPT", "550 5.2.1 disabled", reject("550 5.2.1", R::Address)),
        ("RCPT", "554 5.7.1 relaying denied", reject("554 5.7.1", R::Sender)),
        ("RCPT", "550 no", reject("550", R::Message)),
        ("DATA", "451 4.3.0 later", retry("451 4.3.0")),
        (".", "452 4.3.1 disk full", retry("452 4.3.1")),
        (".", "554 5.6.0 looks bad", reject("554 5.6.0", R::Message)),
        (".", "550 5.7.26 not authenticated", reject("550 5.7.26", R::Sender)),
    ] {
        let script = Script { answers: BTreeMap::from([(verb, text)]), ..Script::default() };
        let relay = Relay::start(script).await;
        let outcome = relay.channel(SmtpSecurity::Starttls).send(&letter().email()).await;
        assert_eq!(outcome, expected, "{verb} {text}");
        assert!(!format!("{outcome:?}").contains("ada"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_loss_is_certain_before_the_final_dot_and_uncertain_after_it() {
    for (script, expected) in [
        (
            Script { hang_up_on: Some("RCPT"), ..Script::default() },
            Outcome::Retry { after: None, code: "connection_lost".to_owned() },
        ),
        (
            Script { silent_on: Some("RCPT"), ..Script::default() },
            Outcome::Retry { after: None, code: "connection_lost".to_owned() },
        ),
        (
            Script { silent_on: Some("connect"), ..Script::default() },
            Outcome::Retry { after: None, code: "timeout".to_owned() },
        ),
        (
            Script { hang_up_on: Some("DATA"), ..Script::default() },
            Outcome::Retry { after: None, code: "connection_lost".to_owned() },
        ),
        (
            Script { hang_up_on: Some("."), ..Script::default() },
            Outcome::Unknown { code: "lost_after_data".to_owned() },
        ),
    ] {
        let relay = Relay::start(script).await;
        assert_eq!(relay.channel(SmtpSecurity::Starttls).send(&letter().email()).await, expected);
    }
    let relay = Relay::start(Script::default()).await;
    let mut nobody = relay.settings(SmtpSecurity::Starttls);
    nobody.port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let outcome = EmailChannel::new(&nobody).unwrap().send(&letter().email()).await;
    assert_eq!(outcome, Outcome::Retry { after: None, code: "connect".to_owned() });
}

#[tokio::test]
async fn the_mail_has_the_headers_that_receivers_ask_for() {
    let relay = Relay::start(Script::default()).await;
    relay.channel(SmtpSecurity::Starttls).send(&letter().email()).await;
    let raw = relay.mails.lock().unwrap()[0].clone();
    assert!(!raw.replace("\r\n", "").contains('\n'), "lines end with CRLF only");
    assert!(raw.is_ascii() && raw.lines().all(|line| line.len() <= 998));
    let unstuffed = raw.trim_end_matches(".\r\n").replace("\r\n..", "\r\n.");
    let mail = mail_parser::MessageParser::new().parse(unstuffed.as_bytes()).unwrap();
    assert_eq!(mail.subject(), Some("Message from Exämple Clinic"));
    assert_eq!(mail.from().unwrap().first().unwrap().name(), Some("Exämple Clinic"));
    assert_eq!(mail.reply_to().unwrap().first().unwrap().address(), Some("desk@clinic.example"));
    assert_eq!(mail.message_id(), Some("0195587e-1@gw.clinic.example"));
    assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-03-02T18:00:00Z");
    assert_eq!(mail.body_text(0).unwrap().replace('\r', "").trim_end(), letter().text.expose().as_str());
    assert_eq!(mail.body_html(0).unwrap().trim_end(), letter().html.expose().as_str());
    for header in [
        "Auto-Submitted: auto-generated\r\n",
        "List-Unsubscribe: <https://gw.clinic.example/u/abc>\r\n",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        "Content-Type: multipart/alternative",
    ] {
        assert!(raw.contains(header), "{header} is missing from\n{raw}");
    }
    assert!(relay.commands().contains(&"MAIL FROM:<reminders@clinic.example>".to_owned()));
    assert!(relay.commands().contains(&"RCPT TO:<ada@example.org>".to_owned()));
}

#[tokio::test]
async fn nothing_can_smuggle_a_header_into_a_mail() {
    let relay = Relay::start(Script::default()).await;
    let channel = relay.channel(SmtpSecurity::Starttls);
    let mut bad = letter();
    bad.subject = Phi::new("Hello\r\nBcc: eve@example.org".to_owned());
    let good = letter();
    for email in [
        bad.email(),
        OutboundEmail { message_id: "<a@b>\r\nBcc: eve@example.org", ..good.email() },
        OutboundEmail { message_id: "a@b", ..good.email() },
        OutboundEmail { list_unsubscribe: Some("https://x>\r\nBcc: eve@example.org"), ..good.email() },
        OutboundEmail { list_unsubscribe: Some("http://x/u/1"), ..good.email() },
    ] {
        let outcome = channel.send(&email).await;
        assert!(matches!(outcome, Outcome::Reject { because: Rejection::Message, .. }), "{outcome:?}");
    }
    assert_eq!(*relay.connections.lock().unwrap(), 0);
    let mut settings = relay.settings(SmtpSecurity::Starttls);
    settings.from_name = Some("Clinic\r\nBcc: eve@example.org".to_owned());
    assert!(EmailChannel::new(&settings).is_err());
}

#[tokio::test]
async fn a_connection_is_used_again_while_it_answers() {
    let relay = Relay::start(Script::default()).await;
    let channel = relay.channel(SmtpSecurity::Starttls);
    for _ in 0..3 {
        assert_eq!(channel.send(&letter().email()).await, accepted("TLSv1_3"));
    }
    assert_eq!(*relay.connections.lock().unwrap(), 1);

    let deaf = Relay::start(Script { hang_up_on: Some("NOOP"), ..Script::default() }).await;
    let channel = deaf.channel(SmtpSecurity::Starttls);
    for _ in 0..2 {
        assert_eq!(channel.send(&letter().email()).await, accepted("TLSv1_3"));
    }
    assert_eq!(*deaf.connections.lock().unwrap(), 2);
}

#[tokio::test]
async fn the_password_goes_out_under_tls_only() {
    let relay = Relay::start(Script::default()).await;
    let mut settings = relay.settings(SmtpSecurity::Starttls);
    (settings.username, settings.password) = (Some("gw".to_owned()), Some(SecretString::from("pw")));
    let channel = EmailChannel::new(&settings).unwrap();
    assert_eq!(channel.check().await.unwrap(), "TLSv1_3");
    assert!(relay.commands().contains(&"AUTH PLAIN AGd3AHB3".to_owned()), "{:?}", relay.commands());
    assert!(!format!("{channel:?}").contains("pw"));

    let refusing = Script { answers: BTreeMap::from([("AUTH", "535 5.7.8 no")]), ..Script::default() };
    let relay = Relay::start(refusing).await;
    settings.port = relay.port;
    settings.ca_file = Some(relay.ca_file.clone());
    let refused = EmailChannel::new(&settings).unwrap();
    let outcome = refused.send(&letter().email()).await;
    assert_eq!(outcome, Outcome::Reject { code: "535 5.7.8".to_owned(), because: Rejection::Sender });
    assert!(matches!(refused.check().await, Err(ChannelError::Refused { .. })));

    settings.security = SmtpSecurity::PlainLoopback;
    assert!(EmailChannel::new(&settings).is_err(), "no password without TLS");
    let mut remote = relay.settings(SmtpSecurity::PlainLoopback);
    remote.host = "smtp.clinic.example".to_owned();
    assert!(EmailChannel::new(&remote).is_err(), "no plain mail to another machine");
    let mut no_file = relay.settings(SmtpSecurity::Starttls);
    no_file.ca_file = Some("/nonexistent/ca.pem".into());
    assert!(EmailChannel::new(&no_file).unwrap_err().to_string().starts_with("smtp.ca_file: "));
}
