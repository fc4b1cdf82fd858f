//! Texts over the Twilio API, against a listener that gives canned answers.

use std::sync::{Arc, Mutex};

use beckon::channels::sms::{Meaning, OutboundSms, SmsChannel, meaning};
use beckon::config::Sms;
use beckon::domain::{AttemptState, Outcome, Phi, PhoneNumber, Rejection, ReplyMeaning};
use chrono::TimeDelta;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every connection with the same bytes; `None` reads the request and hangs up.
struct Provider {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    async fn answering(answer: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let request = read_request(&mut socket).await;
                seen.lock().unwrap().push(request);
                if let Some(answer) = &answer {
                    socket.write_all(answer.as_bytes()).await.unwrap();
                    let _ = socket.shutdown().await;
                }
            }
        });
        Self { address, requests }
    }

    async fn json(status: &str, body: &str) -> Self {
        Self::with_headers(status, "", body).await
    }

    async fn with_headers(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::answering(Some(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )))
        .await
    }

    fn channel(&self) -> SmsChannel {
        SmsChannel::new(&settings(&self.address)).unwrap()
    }
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        let mut chunk = [0; 4096];
        let read = socket.read(&mut chunk).await.unwrap();
        if read == 0 {
            return text;
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
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
        timeout_seconds: 1,
        region: "US".to_owned(),
        hook_secret: SecretString::from("x".repeat(32)),
    }
}

async fn send(channel: &SmsChannel, body: &str) -> Outcome {
    let (to, body) = (PhoneNumber::parse("+15125550100", "US").unwrap(), Phi::new(body.to_owned()));
    let sms = OutboundSms {
        to: &to,
        body: &body,
        status_callback: Some("https://gw.example/hooks/x"),
        validity_seconds: 7200,
    };
    channel.send(&sms).await
}

#[tokio::test]
async fn every_answer_of_the_provider_has_one_meaning() {
    use Rejection as R;
    let accepted =
        |sid: &str| Outcome::Accepted { provider_ref: sid.to_owned(), protection: Some("loopback".to_owned()) };
    let retry =
        |minutes: i64, code: &str| Outcome::Retry { after: Some(TimeDelta::minutes(minutes)), code: code.to_owned() };
    let reject = |code: &str, because| Outcome::Reject { code: code.to_owned(), because };
    let unknown = |code: &str| Outcome::Unknown { code: code.to_owned() };
    for (status, headers, body, expected) in [
        ("201 Created", "", r#"{"sid":"SM1","status":"queued","error_code":null,"num_segments":"1"}"#, accepted("SM1")),
        ("201 Created", "", r#"{"sid":"SM1","status":"accepted","from":null}"#, accepted("SM1")),
        ("200 OK", "", r#"{"sid":"SM1"}"#, accepted("SM1")),
        ("201 Created", "", r#"{"sid":"SM1","status":"failed","error_code":30005}"#, reject("30005", R::Address)),
        ("201 Created", "", r#"{"sid":"SM1","status":"failed","error_code":null}"#, reject("0", R::Message)),
        ("201 Created", "", "<html>", unknown("unreadable_answer")),
        ("201 Created", "", r#"{"status":"queued"}"#, unknown("unreadable_answer")),
        (
            "400 Bad Request",
            "",
            r#"{"code":21211,"message":"The 'To' number +15125550100 is not valid","status":400}"#,
            reject("21211", R::Address),
        ),
        ("400 Bad Request", "", r#"{"code":21610}"#, reject("21610", R::OptedOut)),
        ("400 Bad Request", "", r#"{"code":21612}"#, reject("21612", R::Address)),
        ("400 Bad Request", "", r#"{"code":21614}"#, reject("21614", R::Address)),
        ("400 Bad Request", "", r#"{"code":21635}"#, reject("21635", R::Address)),
        ("400 Bad Request", "", r#"{"code":21408}"#, reject("21408", R::Message)),
        ("400 Bad Request", "", r#"{"code":21617}"#, reject("21617", R::Message)),
        ("400 Bad Request", "", r#"{"code":30034}"#, reject("30034", R::Sender)),
        ("400 Bad Request", "", r#"{"code":30001}"#, retry(5, "30001")),
        ("400 Bad Request", "", r#"{"code":99999}"#, reject("99999", R::Message)),
        ("400 Bad Request", "", "no json", reject("http_400", R::Message)),
        ("401 Unauthorized", "", r#"{"code":20003,"message":"Authenticate"}"#, reject("20003", R::Sender)),
        ("401 Unauthorized", "", "", reject("http_401", R::Sender)),
        ("404 Not Found", "", r#"{"code":20404}"#, reject("20404", R::Sender)),
        ("307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n", "", reject("http_307", R::Sender)),
        ("429 Too Many Requests", "", r#"{"code":20429}"#, retry(1, "429")),
        ("429 Too Many Requests", "Retry-After: 120\r\n", "", retry(2, "429")),
        ("429 Too Many Requests", "Retry-After: 999999\r\n", "", retry(60, "429")),
        ("500 Internal Server Error", "", "", unknown("http_500")),
        ("503 Service Unavailable", "Retry-After: 5\r\n", "", unknown("http_503")),
        ("408 Request Timeout", "", "", unknown("http_408")),
    ] {
        let provider = Provider::with_headers(status, headers, body).await;
        let outcome = send(&provider.channel(), "Your appointment").await;
        assert_eq!(outcome, expected, "{status} {body}");
        assert_eq!(provider.requests.lock().unwrap().len(), 1, "one request, never repeated: {status}");
    }
}

#[tokio::test]
async fn the_request_is_what_the_provider_documents() {
    let provider = Provider::json("201 Created", r#"{"sid":"SM1","status":"queued"}"#).await;
    send(&provider.channel(), "Año & día: 100%+").await;
    let request = provider.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /2010-04-01/Accounts/AC0123/Messages.json HTTP/1.1\r\n"), "{request}");
    // SK0456:secret
    assert!(request.to_ascii_lowercase().contains("authorization: basic u0swndu2onnly3jlda=="), "{request}");
    let form: Vec<(String, String)> = url::form_urlencoded::parse(request.split("\r\n\r\n").nth(1).unwrap().as_bytes())
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(
        form,
        [
            ("To", "+15125550100"),
            ("Body", "Año & día: 100%+"),
            ("ValidityPeriod", "7200"),
            ("From", "+15125550199"),
            ("StatusCallback", "https://gw.example/hooks/x"),
        ]
    );
}

#[tokio::test]
async fn what_was_never_sent_may_be_repeated_and_what_may_have_been_sent_may_not() {
    let silent = Provider::answering(None).await;
    assert_eq!(send(&silent.channel(), "x").await, Outcome::Unknown { code: "connection_lost".to_owned() });

    // Accepts and says nothing until the time is over.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = SmsChannel::new(&settings(&format!("http://{}", listener.local_addr().unwrap()))).unwrap();
    let hold = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(socket);
    });
    assert_eq!(send(&slow, "x").await, Outcome::Unknown { code: "timeout".to_owned() });
    hold.abort();

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = SmsChannel::new(&settings(&format!("http://{free}"))).unwrap();
    assert_eq!(send(&refused, "x").await, Outcome::Retry { after: None, code: "connect".to_owned() });

    let never_asked = Provider::json("201 Created", "{}").await;
    let too_long = send(&never_asked.channel(), &"x".repeat(1601)).await;
    assert_eq!(too_long, Outcome::Reject { code: "21617".to_owned(), because: Rejection::Message });
    assert!(never_asked.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_answer_is_cleared_up_by_looking_at_the_providers_list() {
    let body = r#"{"messages":[
        {"sid":"SM2","status":"delivered","error_code":null,"body":"Your appointment","date_created":"Mon, 02 Mar 2026 18:00:05 +0000"},
        {"sid":"SM1","status":"undelivered","error_code":30003,"body":"Older","date_created":"Mon, 02 Mar 2026 17:00:00 +0000"}]}"#;
    let provider = Provider::json("200 OK", body).await;
    let to = PhoneNumber::parse("+15125550100", "US").unwrap();
    let found = provider.channel().look_up(&to, "2026-03-02T17:59:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].sid.as_str(), found[0].state), ("SM2", AttemptState::Delivered));
    assert_eq!(found[0].body.expose(), "Your appointment");
    let request = provider.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with(
        "GET /2010-04-01/Accounts/AC0123/Messages.json?To=%2B15125550100&PageSize=100&From=%2B15125550199 "
    ));

    for (status, body) in [
        ("500 Internal Server Error", ""),
        ("200 OK", "{}"),
        ("200 OK", "<html>"),
        ("200 OK", r#"{"messages":[{"sid":"SM1","status":"queued","body":"x","date_created":"yesterday"}]}"#),
    ] {
        let provider = Provider::json(status, body).await;
        let error = provider.channel().look_up(&to, "2026-03-02T17:59:00Z".parse().unwrap()).await.unwrap_err();
        assert!(!error.to_string().contains("5550100"), "{error}");
    }
}

fn form(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn reports_are_read_into_states() {
    use AttemptState as A;
    let channel = SmsChannel::new(&settings("https://api.twilio.com")).unwrap();
    for (fields, expected) in [
        (&[("MessageStatus", "queued")][..], Some((A::Accepted, None))),
        (
            &[("MessageStatus", "sent"), ("SmsStatus", "sent"), ("RawDlrDoneDate", "2603021800")],
            Some((A::Accepted, None)),
        ),
        (&[("MessageStatus", "delivered")], Some((A::Delivered, None))),
        (&[("SmsStatus", "delivered")], Some((A::Delivered, None))),
        (&[("MessageStatus", "read")], Some((A::Read, None))),
        (&[("MessageStatus", "undelivered"), ("ErrorCode", "30003")], Some((A::Failed, Some("30003")))),
        (&[("MessageStatus", "failed"), ("ErrorCode", "30036")], Some((A::Expired, Some("30036")))),
        (&[("MessageStatus", "failed"), ("ErrorCode", "see +15125550100")], Some((A::Failed, None))),
        (&[("MessageStatus", "canceled")], Some((A::Failed, None))),
        (&[("MessageStatus", "teleported")], None),
        (&[("MessageStatus", "received")], None),
        (&[], None),
        (&[("MessageStatus", "delivered"), ("AccountSid", "ACother")], None),
    ] {
        let mut report = form(fields);
        report.extend(form(&[("MessageSid", "SM1")]));
        let read = channel.status_report(&report).ok();
        let found = read.as_ref().map(|report| (report.state, report.code.as_deref()));
        assert_eq!(found, expected, "{fields:?}");
    }
    assert!(channel.status_report(&form(&[("MessageStatus", "sent"), ("MessageSid", "../x")])).is_err());
    assert!(channel.status_report(&form(&[("MessageStatus", "sent")])).is_err());
    assert_eq!(meaning(30003), Meaning::Retry(TimeDelta::minutes(45)));
    assert_eq!(meaning(30007), Meaning::Reject(Rejection::Message));
}

#[test]
fn a_text_from_a_patient_is_read_with_its_number() {
    let channel = SmsChannel::new(&settings("https://api.twilio.com")).unwrap();
    let read = channel
        .inbound(&form(&[
            ("MessageSid", "SM9"),
            ("From", "+15125550100"),
            ("To", "+15125550199"),
            ("Body", " Stop "),
            ("NumMedia", "2"),
            ("OptOutType", "STOP"),
            ("FromCity", "AUSTIN"),
        ]))
        .unwrap();
    assert_eq!(
        (read.provider_ref.as_str(), read.from.expose(), read.to.as_str()),
        ("SM9", "+15125550100", "+15125550199")
    );
    assert_eq!((read.text.expose().as_str(), read.handled, read.media), (" Stop ", Some(ReplyMeaning::Stop), 2));
    let empty = form(&[("MessageSid", "SM9"), ("From", "+15125550100"), ("To", "+15125550199"), ("Body", "")]);
    assert_eq!(channel.inbound(&empty).unwrap().text.expose(), "");
    for broken in
        [form(&[("From", "+15125550100"), ("To", "x")]), form(&[("MessageSid", "SM9"), ("From", "BANK"), ("To", "x")])]
    {
        assert!(channel.inbound(&broken).is_err());
    }
}

#[test]
fn a_channel_is_not_opened_over_plain_http_to_another_machine() {
    for (url, works) in [
        ("https://api.twilio.com", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080", true),
        ("http://localhost", true),
        ("http://api.twilio.com", false),
        ("http://127.0.0.1.example.com", false),
        ("ftp://localhost", false),
        ("nonsense", false),
    ] {
        assert_eq!(SmsChannel::new(&settings(url)).is_ok(), works, "{url}");
    }
    let mut nobody = settings("https://api.twilio.com");
    nobody.from = None;
    assert!(SmsChannel::new(&nobody).is_err());
    let shown = format!("{:?}", SmsChannel::new(&settings("https://api.twilio.com")).unwrap());
    assert!(!shown.contains("secret") && !shown.contains("12345"), "{shown}");
}
