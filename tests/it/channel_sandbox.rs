//! Both channels against the simulated hospital's phone and mailbox, which were built from the protocols alone.

use std::sync::Arc;

use beckon::channels::{EmailChannel, OutboundEmail, OutboundSms, SmsChannel};
use beckon::clock::ManualClock;
use beckon::config::{Sms, Smtp, SmtpSecurity};
use beckon::domain::{AttemptState, EmailAddress, Outcome, Phi, PhoneNumber, Rejection};
use beckon::sandbox::{Fault, FaultKind, Hospital, HospitalOptions};
use secrecy::SecretString;

use crate::support::monday_noon;

async fn hospital() -> Hospital {
    let mut options = HospitalOptions::new(Arc::new(ManualClock::at(monday_noon())));
    (options.patients, options.script, options.patients_reply) = (0, false, false);
    options.smtp_login = Some(("gw".to_owned(), "pw".to_owned()));
    Hospital::start(options).await.unwrap()
}

fn smtp(hospital: &Hospital, folder: &std::path::Path, security: SmtpSecurity) -> Smtp {
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, hospital.smtp_ca_pem()).unwrap();
    Smtp {
        host: "localhost".to_owned(),
        port: if security == SmtpSecurity::Implicit { hospital.smtps_port() } else { hospital.smtp_port() },
        security,
        username: Some("gw".to_owned()),
        password: Some(SecretString::from("pw")),
        from: "reminders@clinic.example".to_owned(),
        from_name: Some("Example Clinic".to_owned()),
        reply_to: None,
        ca_file: Some(ca_file),
        hello_name: Some("gw.clinic.example".to_owned()),
        connections: 2,
        timeout_seconds: 5,
    }
}

async fn mail(settings: &Smtp, to: &str) -> Outcome {
    let (to, subject) = (EmailAddress::parse(to).unwrap(), Phi::new("Message from Example Clinic".to_owned()));
    let (text, html) = (Phi::new("Su cita es mañana.".to_owned()), Phi::new("<p>Su cita es mañana.</p>".to_owned()));
    let email = OutboundEmail {
        to: &to,
        subject: &subject,
        text: &text,
        html: Some(&html),
        message_id: "<m1@gw.clinic.example>",
        list_unsubscribe: Some("https://gw.clinic.example/u/abc"),
        envelope_from: None,
        date: monday_noon(),
    };
    EmailChannel::new(settings).unwrap().send(&email).await
}

#[tokio::test]
async fn the_mailbox_gets_the_mail_and_its_faults_are_told_apart() {
    let hospital = hospital().await;
    let folder = tempfile::tempdir().unwrap();
    let starttls = smtp(&hospital, folder.path(), SmtpSecurity::Starttls);
    for settings in [starttls.clone(), smtp(&hospital, folder.path(), SmtpSecurity::Implicit)] {
        let outcome = mail(&settings, "ada@example.org").await;
        assert!(
            matches!(&outcome, Outcome::Accepted { protection: Some(version), .. } if version == "TLSv1_3"),
            "{outcome:?}"
        );
    }
    let got = hospital.mails().pop().unwrap();
    assert_eq!(
        (got.subject.as_str(), got.message_id.as_deref()),
        ("Message from Example Clinic", Some("m1@gw.clinic.example"))
    );
    assert_eq!(got.text.unwrap().trim_end(), "Su cita es mañana.");
    assert_eq!(got.recipients, ["ada@example.org"]);

    let tls = Outcome::Reject { code: "tls".to_owned(), because: Rejection::Sender };
    let bounced = mail(&starttls, "bounce-1@example.org").await;
    assert_eq!(bounced, Outcome::Reject { code: "550 5.1.1".to_owned(), because: Rejection::Address });
    for (fault, expected) in [
        (FaultKind::StripStartTls, tls.clone()),
        (FaultKind::WrongCertificateName, tls),
        (FaultKind::DropAfterData, Outcome::Unknown { code: "lost_after_data".to_owned() }),
    ] {
        hospital.inject(Fault::new(fault));
        assert_eq!(mail(&starttls, "ada@example.org").await, expected);
        hospital.clear_faults();
    }
    hospital.inject(Fault::new(FaultKind::DeferMail));
    assert!(matches!(mail(&starttls, "ada@example.org").await, Outcome::Retry { code, .. } if code.starts_with("450")));
    hospital.stop().await;
}

#[tokio::test]
async fn the_phone_gets_the_text_and_a_lost_answer_is_found_again() {
    let hospital = hospital().await;
    let channel = SmsChannel::new(&Sms {
        base_url: hospital.phone_base(),
        account_sid: hospital.account_sid().to_owned(),
        api_key: None,
        secret: SecretString::from(hospital.auth_token()),
        webhook_tokens: vec![SecretString::from(hospital.auth_token())],
        from: Some(hospital.sender_number().to_owned()),
        messaging_service: None,
        timeout_seconds: 5,
        region: "US".to_owned(),
        hook_secret: SecretString::from("x".repeat(32)),
    })
    .unwrap();
    let text = async |number: &str| {
        let (to, body) = (PhoneNumber::parse(number, "US").unwrap(), Phi::new("Your appointment".to_owned()));
        let sms = OutboundSms { to: &to, body: &body, status_callback: None, validity_seconds: 3600 };
        channel.send(&sms).await
    };
    let Outcome::Accepted { provider_ref, .. } = text("+15125550110").await else { panic!("not accepted") };
    assert_eq!(hospital.texts()[0].sid, provider_ref);
    assert_eq!(hospital.texts()[0].validity_period, Some(3600));
    let refused = text("+15125550168").await;
    assert_eq!(refused, Outcome::Reject { code: "21614".to_owned(), because: Rejection::Address });

    hospital.inject(Fault::new(FaultKind::LostReply).on("/2010-04-01"));
    assert!(matches!(text("+15125550111").await, Outcome::Unknown { .. }));
    let to = PhoneNumber::parse("+15125550111", "US").unwrap();
    let found = channel.look_up(&to, monday_noon()).await.unwrap();
    assert_eq!(found.len(), 1, "it was sent, and nothing may send it again");
    assert_eq!((found[0].state, found[0].body.expose().as_str()), (AttemptState::Accepted, "Your appointment"));
    hospital.stop().await;
}
