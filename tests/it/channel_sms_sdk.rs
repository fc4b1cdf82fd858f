//! Texts held against the carrier's own library: it signs as our webhooks expect, and sends what we send.
//!
//! `tests/run` installs the library and names the Python that has it in `BECKON_TEST_PYTHON`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use beckon::channels::sms::{OutboundSms, SmsChannel, verify_signature};
use beckon::config::Sms;
use beckon::domain::{Phi, PhoneNumber};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Asks the library; `None` where it is not installed.
fn ask(question: &Value) -> Option<Value> {
    #[expect(clippy::disallowed_methods, reason = "the test script hands the interpreter over this way")]
    let Ok(python) = std::env::var("BECKON_TEST_PYTHON") else {
        eprintln!("BECKON_TEST_PYTHON is not set: the carrier's library was not asked");
        return None;
    };
    let mut asked = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/carrier.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    asked.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = asked.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn settings(base_url: &str) -> Sms {
    Sms {
        base_url: base_url.to_owned(),
        account_sid: "AC0123".to_owned(),
        api_key: Some("SK0456".to_owned()),
        secret: SecretString::from("secret"),
        webhook_tokens: vec![SecretString::from("12345")],
        from: Some("+15125550199".to_owned()),
        messaging_service: None,
        timeout_seconds: 5,
        region: "US".to_owned(),
        hook_secret: SecretString::from("x".repeat(32)),
    }
}

fn pairs(form: &[(&str, &str)]) -> Vec<(String, String)> {
    form.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_the_carriers_library_signs_is_genuine_and_nothing_else_is() {
    let url = "https://beckon.hospital.example/hooks/twilio/0123456789abcdef0123456789abcdef/inbound?x=1&y=a%20b";
    let forms = [
        pairs(&[("MessageSid", "SM1"), ("From", "+15125550100"), ("Body", "STOP")]),
        pairs(&[
            ("Body", "¿Mañana? 👍 100% & more + x=y"),
            ("From", "+15125550100"),
            ("AccountSid", "AC0123"),
            ("Empty", ""),
        ]),
        pairs(&[("b", "2"), ("B", "1"), ("a", "3"), ("A_", "4")]),
    ];
    for form in &forms {
        let Some(signature) = ask(&json!({ "ask": "sign", "token": "12345", "url": url, "form": form })) else {
            return;
        };
        let signature = signature.as_str().unwrap();
        let genuine = |url: &str, form: &[(String, String)], token: &str| {
            verify_signature(url, form, signature, &[SecretString::from(token)])
        };
        assert!(genuine(url, form, "12345"), "{form:?}");
        assert!(!genuine(url, form, "54321"), "another token");
        assert!(!genuine(&url.replace("inbound", "status"), form, "12345"), "another address");
        let mut altered = form.clone();
        altered[0].1.push('x');
        assert!(!genuine(url, &altered, "12345"), "an altered form");
        assert!(!genuine(url, &form[1..], "12345"), "a form with a field less");
    }
}

#[tokio::test]
async fn we_send_what_the_carriers_library_would_send() {
    let body = "Año & día: 100%+ 👍";
    let question = json!({
        "ask": "send", "user": "SK0456", "secret": "secret", "account": "AC0123",
        "message": {
            "to": "+15125550100", "from_": "+15125550199", "body": body,
            "status_callback": "https://gw.example/hooks/x", "validity_period": 7200,
        },
    });
    let Some(library) = ask(&question) else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let channel = SmsChannel::new(&settings(&base_url)).unwrap();
    let (to, text) = (PhoneNumber::parse("+15125550100", "US").unwrap(), Phi::new(body.to_owned()));
    let sms = OutboundSms {
        to: &to,
        body: &text,
        status_callback: Some("https://gw.example/hooks/x"),
        validity_seconds: 7200,
    };
    let (request, _) = tokio::join!(one_request(&listener), channel.send(&sms));
    let (head, form) = request.split_once("\r\n\r\n").unwrap();

    let path = library["url"].as_str().unwrap().strip_prefix("https://api.twilio.com").unwrap();
    let first = format!("{} {path} HTTP/1.1", library["method"].as_str().unwrap());
    assert_eq!(head.lines().next().unwrap(), first);
    let auth: Vec<&str> = library["auth"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let auth = format!("authorization: Basic {}", BASE64.encode(auth.join(":")));
    assert!(head.lines().any(|line| line.eq_ignore_ascii_case(&auth)), "{head}");
    let ours: BTreeMap<String, String> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let theirs: BTreeMap<String, String> = library["form"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    assert_eq!(ours, theirs);
}

/// Reads one request with its body, and answers it.
async fn one_request(listener: &tokio::net::TcpListener) -> String {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length = text
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && length.is_none_or(|length| body.len() >= length)
        {
            let answer = r#"{"sid":"SM1","status":"queued"}"#;
            let head = format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
            socket.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
            return text;
        }
        let mut chunk = [0; 4096];
        let read = socket.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the request was cut off");
        bytes.extend_from_slice(&chunk[..read]);
    }
}
