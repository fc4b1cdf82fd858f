//! Mail by a real client: over TLS or not at all.

use beckon::sandbox::{Fault, FaultKind};
use lettre::message::MultiPart;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters, TlsParametersBuilder};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::support::Site;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

fn trusting(site: &Site) -> TlsParameters {
    let ca = Certificate::from_pem(site.hospital.smtp_ca_pem().as_bytes()).unwrap();
    TlsParametersBuilder::new("localhost".to_owned()).add_root_certificate(ca).build().unwrap()
}

fn transport(site: &Site) -> Transport {
    Transport::builder_dangerous(site.hospital.smtp_host())
        .port(site.hospital.smtp_port())
        .tls(Tls::Required(trusting(site)))
        .build()
}

fn letter(to: &str) -> Message {
    let body = MultiPart::alternative_plain_html(
        "Your visit is on Monday.\n.hidden dot\n".to_owned(),
        "<p>Your visit is on <b>Monday</b>.</p>".to_owned(),
    );
    let builder = Message::builder().from("clinic@hospital.example".parse().unwrap()).to(to.parse().unwrap());
    builder
        .subject("Mensaje de la clínica")
        .message_id(Some("<m-1@hospital.example>".to_owned()))
        .multipart(body)
        .unwrap()
}

#[tokio::test]
async fn a_mail_arrives_over_starttls_and_can_be_read() {
    let site = Site::empty().await;
    transport(&site).send(letter("Ana <ana@example.org>")).await.unwrap();
    let mails = site.hospital.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(
        (mail.envelope_from.as_str(), mail.recipients.as_slice()),
        ("clinic@hospital.example", &["ana@example.org".to_owned()][..])
    );
    assert_eq!(
        (mail.subject.as_str(), mail.message_id.as_deref()),
        ("Mensaje de la clínica", Some("m-1@hospital.example"))
    );
    assert!(
        mail.text.as_ref().unwrap().contains("\n.hidden dot")
            || mail.text.as_ref().unwrap().contains("\r\n.hidden dot"),
        "{:?}",
        mail.text
    );
    assert!(mail.html.as_ref().unwrap().contains("<b>Monday</b>"));
    assert!(mail.headers.iter().any(|(name, _)| name == "MIME-Version"));
}

#[tokio::test]
async fn a_mail_arrives_over_implicit_tls_with_login() {
    let site = Site::with(|options| {
        options.patients = 0;
        options.smtp_login = Some(("gateway".to_owned(), "s3cret".to_owned()));
    })
    .await;
    let build = |password: &str| {
        Transport::builder_dangerous(site.hospital.smtp_host())
            .port(site.hospital.smtps_port())
            .tls(Tls::Wrapper(trusting(&site)))
            .credentials(Credentials::new("gateway".to_owned(), password.to_owned()))
            .build()
    };
    assert!(build("wrong").send(letter("ana@example.org")).await.unwrap_err().to_string().contains("535"));
    build("s3cret").send(letter("ana@example.org")).await.unwrap();
    assert!(transport(&site).send(letter("ana@example.org")).await.is_err(), "nobody without login");
    let login = Transport::builder_dangerous(site.hospital.smtp_host())
        .port(site.hospital.smtp_port())
        .tls(Tls::Required(trusting(&site)))
        .authentication(vec![Mechanism::Login])
        .credentials(Credentials::new("gateway".to_owned(), "s3cret".to_owned()))
        .build();
    login.send(letter("ana@example.org")).await.unwrap();
    assert_eq!(site.hospital.mails().len(), 2);
}

#[tokio::test]
async fn plain_text_is_refused() {
    let site = Site::empty().await;
    let plain =
        Transport::builder_dangerous(site.hospital.smtp_host()).port(site.hospital.smtp_port()).tls(Tls::None).build();
    let error = plain.send(letter("ana@example.org")).await.unwrap_err();
    assert!(error.to_string().contains("530") || error.is_permanent(), "{error}");
    assert!(site.hospital.mails().is_empty());
}

#[tokio::test]
async fn stripped_starttls_and_a_wrong_name_send_nothing() {
    let site = Site::empty().await;
    for kind in [FaultKind::StripStartTls, FaultKind::WrongCertificateName] {
        site.hospital.inject(Fault::new(kind.clone()));
        assert!(transport(&site).send(letter("ana@example.org")).await.is_err(), "{kind:?}");
    }
    assert!(site.hospital.mails().is_empty());
    transport(&site).send(letter("ana@example.org")).await.unwrap();
}

#[tokio::test]
async fn mail_is_deferred_and_rejected_as_asked() {
    let site = Site::empty().await;
    site.hospital.inject(Fault::new(FaultKind::DeferMail).times(2));
    for _ in 0..2 {
        assert!(transport(&site).send(letter("ana@example.org")).await.unwrap_err().is_transient());
    }
    transport(&site).send(letter("ana@example.org")).await.unwrap();
    assert!(transport(&site).send(letter("bounce.ana@example.org")).await.unwrap_err().is_permanent());
    assert_eq!(site.hospital.mails().len(), 1);
}

#[tokio::test]
async fn a_mail_whose_answer_was_lost_is_kept_all_the_same() {
    let site = Site::empty().await;
    site.hospital.inject(Fault::new(FaultKind::DropAfterData));
    let error = transport(&site).send(letter("ana@example.org")).await.unwrap_err();
    assert!(!error.is_permanent() && !error.is_transient(), "the server said nothing: {error}");
    assert_eq!(site.hospital.mails().len(), 1);
}

#[tokio::test]
async fn commands_sent_ahead_of_tls_are_refused() {
    use std::io::{BufRead, BufReader, Write};
    let site = Site::empty().await;
    let address = (site.hospital.smtp_host(), site.hospital.smtp_port());
    let said = tokio::task::spawn_blocking(move || {
        let mut stream = BufReader::new(std::net::TcpStream::connect(address).unwrap());
        let mut said = Vec::new();
        let mut hear = |stream: &mut BufReader<std::net::TcpStream>| {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            said.push(line.get(..3).unwrap_or_default().to_owned());
        };
        hear(&mut stream);
        for commands in ["MAIL FROM:<a@example.org>\r\n", "AUTH PLAIN AGEAYg==\r\n", "STARTTLS\r\nNOOP\r\n"] {
            stream.get_mut().write_all(commands.as_bytes()).unwrap();
            hear(&mut stream);
        }
        hear(&mut stream);
        said
    });
    assert_eq!(said.await.unwrap(), ["220", "530", "530", "554", ""], "then the line is closed");
}
