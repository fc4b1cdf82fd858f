//! An interface engine talks to the gateway over MLLP, and the gateway looks at what it hints at over FHIR.

use std::net::SocketAddr;
use std::sync::Arc;

use beckon::config::{AppointmentIds, Hl7, Hl7Tls};
use beckon::domain::{EventKind, Reason, ReminderState};
use beckon::pull::hl7::{Listener, follow};
use beckon::pull::{Mode, PullOptions};
use beckon::store::EventFilter;
use chrono::TimeDelta;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::personalities::{athena, epic};
use crate::support::house::{ADA, ADA_PHONE, House, Setup, each_house, each_house_with, mobile, patient};

fn settings(ehr: &str) -> Hl7 {
    Hl7 {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        ehr: ehr.to_owned(),
        tls: None,
        systems: [("NORTH".to_owned(), "urn:oid:1.2.3".to_owned())].into(),
        appointment_ids: AppointmentIds::None,
        max_kilobytes: 64,
    }
}

/// A listener beside a house, and the engine's side of it.
struct Engine {
    settings: Hl7,
    address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl Engine {
    async fn beside(house: &House) -> Self {
        Self::with(house, settings(house.ehr.as_str())).await
    }

    async fn with(house: &House, settings: Hl7) -> Self {
        let listener = Listener::bind(house.t.store.clone(), house.t.tenant.clone(), &settings).await.unwrap();
        let address = listener.address().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(listener.run(stopped));
        Self { settings, address, stop }
    }

    /// Sends one message on a connection of its own, and answers what came back.
    async fn say(&self, message: &str) -> String {
        let stream = TcpStream::connect(self.address).await.unwrap();
        exchange(stream, &framed(message)).await
    }

    async fn follow(&self, house: &House) -> usize {
        let client = house.gateway.clients.get(&house.ehr).await.unwrap();
        let options = PullOptions::new(&house.gateway.settings, Mode::Increment, "test");
        follow(&house.t.store, &client, &options, &self.settings).await.unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _gone_already = self.stop.send(true);
    }
}

fn framed(message: &str) -> Vec<u8> {
    [b"\x0b".as_slice(), message.as_bytes(), b"\x1c\r"].concat()
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while !answer.ends_with(b"\x1c\r") {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&part[..count]),
        }
    }
    String::from_utf8(answer).unwrap().trim_matches(['\x0b', '\x1c', '\r']).replace('\r', "\n")
}

fn adt(event: &str, id: &str, lines: &str) -> String {
    format!("MSH|^~\\&|ENGINE|NORTH|BECKON||20260302120000||ADT^{event}|{id}|P|2.5\r{lines}\r")
}

fn siu(event: &str, id: &str, lines: &str) -> String {
    format!("MSH|^~\\&|ENGINE|NORTH|BECKON||20260302120000||SIU^{event}|{id}|P|2.5\r{lines}\r")
}

/// A patient with a record number.
fn numbered(house: &House, id: &str, number: &str, phone: &str) {
    let mut record = patient(id, mobile(phone));
    record["identifier"] = json!([{"system": "urn:oid:1.2.3", "value": number,
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}}]);
    house.hospital.put(record).unwrap();
}

fn acknowledged(answer: &str) -> &str {
    answer.lines().find_map(|line| line.strip_prefix("MSA|")).and_then(|rest| rest.split('|').next()).unwrap_or("none")
}

#[tokio::test]
async fn an_appointment_message_is_answered_when_stored_and_followed_over_fhir() {
    each_house(async |house| {
        let engine = Engine::beside(&house).await;
        numbered(&house, ADA, "4711", ADA_PHONE);
        house.sync().await;
        house.book("visit", ADA, house.now() + TimeDelta::days(5));
        let answer = engine.say(&siu("S12", "1", "SCH||77\rPID|||4711^^^NORTH^MR")).await;
        assert_eq!(acknowledged(&answer), "AA", "{answer}");
        assert!(house.reminders(ADA).await.is_empty(), "a message alone changes nothing");
        assert_eq!(engine.follow(&house).await, 1);
        assert!(!house.reminders(ADA).await.is_empty(), "the EHR was asked, without waiting for the next pull");
        assert_eq!(engine.follow(&house).await, 0, "nothing is followed twice");

        // It is cancelled; the message says nothing of what we may believe, so the EHR is asked again.
        house.appointment("visit", ADA, house.now() + TimeDelta::days(5), "cancelled");
        assert_eq!(acknowledged(&engine.say(&siu("S15", "2", "SCH||77\rPID|||4711^^^NORTH^MR")).await), "AA");
        engine.follow(&house).await;
        assert_eq!(house.stands(ADA).await, (ReminderState::Cancelled, Some(Reason::ResourceCancelled)));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_forged_cancellation_cancels_nothing() {
    each_house(async |house| {
        let engine = Engine::beside(&house).await;
        numbered(&house, ADA, "4711", ADA_PHONE);
        house.book("visit", ADA, house.now() + TimeDelta::days(5));
        house.sync().await;
        engine.say(&siu("S15", "1", "SCH||77\rPID|||4711")).await;
        engine.follow(&house).await;
        assert_eq!(house.stands(ADA).await.0, ReminderState::Planned);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_repeated_control_id_is_acknowledged_and_ignored_per_sender() {
    each_house(async |house| {
        let engine = Engine::beside(&house).await;
        numbered(&house, ADA, "4711", ADA_PHONE);
        house.sync().await;
        let message = adt("A08", "7", "PID|||4711");
        for _ in 0..3 {
            assert_eq!(acknowledged(&engine.say(&message).await), "AA");
        }
        let other = message.replace("ENGINE", "OTHER");
        assert_eq!(acknowledged(&engine.say(&other).await), "AA");
        assert_eq!(engine.follow(&house).await, 2, "one of each sender");
        // Also after it was followed, and after a restart.
        assert_eq!(acknowledged(&engine.say(&message).await), "AA");
        assert_eq!(engine.follow(&house).await, 0);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_shown_and_leaves_no_trace_of_anybody() {
    each_house(async |house| {
        let engine = Engine::beside(&house).await;
        let cases = [
            (adt("A08", "1", "PID|||^^^NORTH^MR||LOVELACE^ADA"), "AE", "PID-3"),
            (adt("A40", "2", "PID|||4711"), "AE", "MRG-1"),
            (adt("A08", "3", "PID|||4711").replace("ADT^", "ORU^"), "AR", "MSH-9"),
            ("LOVELACE^ADA|no message".to_owned(), "AR", "MSH"),
        ];
        for (message, code, path) in &cases {
            let answer = engine.say(message).await;
            assert_eq!(acknowledged(&answer), *code, "{answer}");
            assert!(answer.contains(path) && !answer.contains("LOVELACE"), "{answer}");
        }
        let quarantined = house.view().quarantined(&house.ehr, 10).await.unwrap();
        let mut paths: Vec<&str> = quarantined.iter().map(|it| it.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["MRG-1", "MSH", "MSH-9", "PID-3"]);
        assert!(quarantined.iter().all(|it| it.resource_type == "HL7v2" && !format!("{it:?}").contains("LOVELACE")));
        assert_eq!(engine.follow(&house).await, 0);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_broken_stream_costs_its_own_connection_only() {
    each_house(async |house| {
        let engine = Engine::beside(&house).await;
        let mut stranger = TcpStream::connect(engine.address).await.unwrap();
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        stranger.read_to_end(&mut rest).await.ok();
        assert!(rest.is_empty(), "it is closed without a word");
        // Half a message, then silence: nothing is believed of it.
        let mut cut = TcpStream::connect(engine.address).await.unwrap();
        cut.write_all(b"\x0bMSH|^~\\&|ENGINE|NORTH|||X||ADT^A08|9|P|2.5\rPID|||47").await.unwrap();
        drop(cut);
        // Two messages in one write, on a connection that stays open.
        let mut stream = TcpStream::connect(engine.address).await.unwrap();
        let both = [framed(&adt("A08", "1", "PID|||1")), framed(&adt("A02", "2", "PID|||1"))].concat();
        stream.write_all(&both).await.unwrap();
        let mut answers = Vec::new();
        let mut part = [0; 4096];
        while answers.windows(2).filter(|pair| pair == b"\x1c\r").count() < 2 {
            let count = stream.read(&mut part).await.unwrap();
            answers.extend_from_slice(&part[..count]);
        }
        let text = String::from_utf8(answers).unwrap();
        assert!(text.contains("MSA|AA|1") && text.contains("MSA|AA|2"), "{text}");
        assert_eq!(house.view().feed_counts(&house.ehr).await.unwrap().get("pending"), Some(&1));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_merge_message_is_believed_as_far_as_the_ehr_shows_it() {
    each_house(async |house| {
        let engine = Engine::beside(&house).await;
        numbered(&house, ADA, "4711", ADA_PHONE);
        numbered(&house, "bo", "4712", "+13125550124");
        house.book("visit", ADA, house.now() + TimeDelta::days(3) + TimeDelta::hours(3));
        house.sync().await;
        let merge = adt("A40", "1", "PID|||4712^^^NORTH^MR\rMRG|4711^^^NORTH^MR");
        assert_eq!(acknowledged(&engine.say(&merge).await), "AA");
        engine.follow(&house).await;
        assert_eq!(house.stands(ADA).await.0, ReminderState::Planned, "the EHR shows both records in use");

        // The EHR takes its time; then the record is gone, and nothing at the EHR says where to.
        house.hospital.delete("Patient", ADA);
        house.later(TimeDelta::minutes(2));
        engine.follow(&house).await;
        assert_eq!(house.stands(ADA).await, (ReminderState::Cancelled, Some(Reason::PatientReplaced)));
        house.live(TimeDelta::hours(5)).await;
        let to: Vec<String> = house.texts().into_iter().map(|text| text.to).collect();
        assert_eq!(to, ["+13125550124"], "the survivor is reminded of the visit");
        let filter = EventFilter { kinds: vec![EventKind::PatientMerged], limit: 10, ..EventFilter::default() };
        assert_eq!(house.view().events(&filter).await.unwrap().len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn whoever_an_engine_names_is_on_the_roster_of_an_ehr_that_lists_nobody() {
    each_house_with(epic(), async |house| {
        let engine = Engine::beside(&house).await;
        numbered(&house, ADA, "4711", ADA_PHONE);
        house.book("visit", ADA, house.now() + TimeDelta::days(5));
        house.sync().await;
        assert!(house.reminders(ADA).await.is_empty(), "nobody named her");
        engine.say(&siu("S12", "1", "SCH||77\rPID|||4711^^^NORTH^MR")).await;
        engine.follow(&house).await;
        assert!(!house.reminders(ADA).await.is_empty());
        let named = house.view().roster_counts(&house.ehr).await.unwrap();
        assert_eq!(named.get(&("hl7".to_owned(), "Patient".to_owned())), Some(&1));
        // A later pull keeps looking at her.
        house.later(TimeDelta::hours(1));
        house.appointment("visit", ADA, house.now() + TimeDelta::days(5), "cancelled");
        house.sync().await;
        assert_eq!(house.stands(ADA).await.0, ReminderState::Cancelled);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_appointment_is_read_by_the_engines_number_where_that_is_its_id() {
    each_house_with(athena(), async |house| {
        let by_filler = Hl7 { appointment_ids: AppointmentIds::Filler, ..settings(house.ehr.as_str()) };
        let engine = Engine::with(&house, by_filler).await;
        numbered(&house, ADA, "4711", ADA_PHONE);
        house.book("visit", ADA, house.now() + TimeDelta::days(5));
        house.sync().await;
        assert!(house.reminders(ADA).await.is_empty());
        engine.say(&siu("S12", "1", "SCH||visit^ATHENA\rPID|||4711^^^NORTH^MR")).await;
        engine.follow(&house).await;
        assert!(!house.reminders(ADA).await.is_empty());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_patient_whom_the_ehr_does_not_find_is_asked_for_again_and_then_shown() {
    each_house(async |house| {
        let engine = Engine::beside(&house).await;
        house.sync().await;
        engine.say(&adt("A04", "1", "PID|||4711^^^NORTH^MR")).await;
        assert_eq!(engine.follow(&house).await, 1);
        assert_eq!(engine.follow(&house).await, 0, "not at once");
        numbered(&house, ADA, "4711", ADA_PHONE);
        house.later(TimeDelta::minutes(2));
        assert_eq!(engine.follow(&house).await, 1);
        assert_eq!(house.view().feed_counts(&house.ehr).await.unwrap().get("followed"), Some(&1));

        engine.say(&adt("A04", "2", "PID|||nobody^^^NORTH^MR")).await;
        for _ in 0..8 {
            engine.follow(&house).await;
            house.later(TimeDelta::hours(25));
        }
        let quarantined = house.view().quarantined(&house.ehr, 10).await.unwrap();
        assert_eq!((quarantined[0].resource_id.as_str(), quarantined[0].path.as_str()), ("2", "PID-3"));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_ehr_that_is_down_delays_what_is_followed_and_loses_nothing() {
    use beckon::sandbox::{Fault, FaultKind};
    each_house(async |house| {
        let engine = Engine::beside(&house).await;
        numbered(&house, ADA, "4711", ADA_PHONE);
        house.sync().await;
        house.book("visit", ADA, house.now() + TimeDelta::days(5));
        let down = FaultKind::ServerError { status: 503, retry_after: None };
        house.hospital.inject(Fault::new(down).on("/fhir/Patient").always());
        assert_eq!(acknowledged(&engine.say(&siu("S12", "1", "SCH||7\rPID|||4711")).await), "AA");
        engine.follow(&house).await;
        assert!(house.reminders(ADA).await.is_empty());
        house.hospital.clear_faults();
        house.later(TimeDelta::minutes(2));
        engine.follow(&house).await;
        assert!(!house.reminders(ADA).await.is_empty());
        house.close().await;
    })
    .await;
}

/// Certificates of a hospital: its authority, the listener's and an engine's.
struct Certificates {
    ca: rustls_pki_types::CertificateDer<'static>,
    tls: Hl7Tls,
    engine: (rustls_pki_types::CertificateDer<'static>, Vec<u8>),
    _folder: tempfile::TempDir,
}

fn certificates() -> Certificates {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &*issuer).unwrap();
        (certificate, key)
    };
    let (listener, key) = signed("localhost");
    let (engine, engine_key) = signed("engine");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Certificates {
        ca: issuer.der().clone(),
        tls: Hl7Tls {
            cert_file: write("cert.pem", listener.pem()),
            key_file: write("key.pem", key.serialize_pem()),
            client_ca_file: write("ca.pem", issuer.pem()),
        },
        engine: (engine.der().clone(), engine_key.serialize_der()),
        _folder: folder,
    }
}

#[tokio::test]
async fn off_this_machine_an_engine_must_show_a_certificate_of_the_hospital() {
    each_house_with(Setup::default(), async |house| {
        let made = certificates();
        let engine = Engine::with(&house, Hl7 { tls: Some(made.tls.clone()), ..settings(house.ehr.as_str()) }).await;
        let mut roots = RootCertStore::empty();
        roots.add(made.ca.clone()).unwrap();
        let builder = || {
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots.clone())
        };
        let message = framed(&adt("A08", "1", "PID|||4711"));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.engine.1.clone()));
        let known = builder().with_client_auth_cert(vec![made.engine.0.clone()], key).unwrap();
        for (config, expected) in [(known, "AA"), (builder().with_no_client_auth(), "none")] {
            let stream = TcpStream::connect(engine.address).await.unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let name = ServerName::try_from("localhost").unwrap();
            let answer = match connector.connect(name, stream).await {
                // In TLS 1.3 a client learns only afterwards that it was refused.
                Ok(mut stream) => match stream.write_all(&message).await {
                    Ok(()) => exchange(stream, b"").await,
                    Err(_) => String::new(),
                },
                Err(_) => String::new(),
            };
            assert_eq!(acknowledged(&answer), expected);
        }
        assert_eq!(acknowledged(&engine_in_the_clear(&engine).await), "none", "nothing is taken in the clear");
        house.close().await;
    })
    .await;
}

async fn engine_in_the_clear(engine: &Engine) -> String {
    let mut stream = TcpStream::connect(engine.address).await.unwrap();
    let mut answer = Vec::new();
    if stream.write_all(&framed(&adt("A08", "2", "PID|||4711"))).await.is_ok() {
        stream.read_to_end(&mut answer).await.ok();
    }
    String::from_utf8_lossy(&answer).into_owned()
}
