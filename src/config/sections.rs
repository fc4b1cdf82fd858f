//! One function a section: which keys there are, their defaults, and what makes them wrong.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::NaiveTime;
use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretString};

use super::reader::Reader;
use super::{
    Alerts, AppointmentIds, Bucket, Database, History, Hl7, Hl7Tls, Log, LogFormat, Organisation, Pull, Rules, Seal,
    Send, Server, Session, Settings, Sms, Smtp, SmtpSecurity,
};

pub(super) fn read(r: &mut Reader) -> Settings {
    let organisation = organisation(r);
    Settings {
        server: server(r),
        database: database(r),
        seal: seal(r),
        send: send(r),
        smtp: r.has_section("smtp").then(|| smtp(r)),
        sms: r.has_section("sms").then(|| sms(r, &organisation.region)),
        rules: Rules { folder: r.optional_text("rules.folder").map(Into::into), live: r.texts("rules.live") },
        pull: Pull {
            interval_minutes: r.number("pull.interval_minutes", 10, 1..=1440),
            overlap_minutes: r.number("pull.overlap_minutes", 10, 0..=1440),
            page_size: r.number("pull.page_size", 200, 1..=1000),
        },
        hl7: r.has_section("hl7").then(|| hl7(r)),
        session: Session {
            idle_minutes: r.number("session.idle_minutes", 15, 1..=480),
            absolute_hours: r.number("session.absolute_hours", 10, 1..=72),
        },
        alerts: alerts(r),
        history: history(r),
        log: log(r),
        organisation,
    }
}

fn server(r: &mut Reader) -> Server {
    let listen: Option<SocketAddr> = r.optional_parsed("server.listen", "an address and a port", "127.0.0.1:8080");
    let public_url = r.text("server.public_url", "https://beckon.hospital.example");
    let public_url = public_url.trim_end_matches('/').to_owned();
    if !public_url.is_empty() {
        check_url(r, "server.public_url", &public_url);
    }
    Server { listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))), public_url }
}

fn database(r: &mut Reader) -> Database {
    let url = r.optional_secret("database.url").unwrap_or_else(|| SecretString::from("sqlite://beckon.sqlite"));
    let known = ["sqlite:", "postgres:", "postgresql:"];
    if !known.iter().any(|scheme| url.expose_secret().starts_with(scheme)) {
        r.problem(
            "database.url",
            "it names neither SQLite nor PostgreSQL",
            "\"sqlite://beckon.sqlite\" or \"postgres://user:password@host/database\"",
        );
    }
    Database { url, max_connections: r.number("database.max_connections", 10, 1..=500) }
}

fn seal(r: &mut Reader) -> Seal {
    let root_key = r.secret("seal.root_key", "32 random bytes in base64 (openssl rand -base64 32)");
    let bytes = BASE64.decode(root_key.expose_secret().trim()).ok();
    if !root_key.expose_secret().is_empty() && bytes.is_none_or(|bytes| bytes.len() != 32) {
        r.problem("seal.root_key", "it is not 32 bytes of base64", "the output of: openssl rand -base64 32");
    }
    Seal { root_key }
}

fn organisation(r: &mut Reader) -> Organisation {
    let region = r.text_or("organisation.region", "US");
    if region.len() != 2 || !region.chars().all(|c| c.is_ascii_uppercase()) {
        r.problem("organisation.region", "it is not a country code", "two capital letters, for example \"US\"");
    }
    let mut location_zones = std::collections::BTreeMap::new();
    for (location, name) in r.table("organisation.location_zones") {
        match name.parse::<Tz>() {
            Ok(zone) => {
                location_zones.insert(location, zone);
            }
            Err(_) => r.problem(
                &format!("organisation.location_zones.{location}"),
                format!("{name:?} is not a time zone"),
                "an IANA name, for example \"America/Chicago\"",
            ),
        }
    }
    Organisation {
        name: r.text("organisation.name", "Example Clinic"),
        phone: r.text("organisation.phone", "+1 512 555 0199"),
        region,
        zone: r.optional_parsed("organisation.zone", "a time zone", "America/Chicago"),
        location_zones,
    }
}

fn send(r: &mut Reader) -> Send {
    let time = |r: &mut Reader, key: &str, default: (u32, u32)| {
        let default = NaiveTime::from_hms_opt(default.0, default.1, 0).unwrap_or_default();
        let Some(text) = r.optional_text(key) else { return default };
        NaiveTime::parse_from_str(&text, "%H:%M").unwrap_or_else(|_| {
            r.problem(key, format!("{text:?} is not a time of day"), "hours and minutes, for example \"08:00\"");
            default
        })
    };
    let allowed_from = time(r, "send.allowed_from", (8, 0));
    let allowed_until = time(r, "send.allowed_until", (21, 0));
    if allowed_from >= allowed_until {
        r.problem("send.allowed_until", "it is not after send.allowed_from", "a later time of the same day");
    }
    Send {
        safe_addresses: r.texts("send.safe_addresses"),
        allowed_from,
        allowed_until,
        per_day: r.number("send.per_day", 1, 1..=20),
        per_week: r.number("send.per_week", 3, 1..=100),
        flood_factor: r.number("send.flood_factor", 3, 2..=100),
        flood_floor: r.number("send.flood_floor", 100, 1..=1_000_000),
        attempts: r.number("send.attempts", 5, 1..=20),
        second_language: second_language(r),
    }
}

fn second_language(r: &mut Reader) -> Option<String> {
    let language = r.optional_text("send.second_language")?;
    if language.len() != 2 || !language.chars().all(|c| c.is_ascii_lowercase()) {
        r.problem("send.second_language", format!("{language:?} is not a language"), "two letters, for example \"en\"");
        return None;
    }
    Some(language)
}

fn smtp(r: &mut Reader) -> Smtp {
    let host = r.text("smtp.host", "smtp.hospital.example");
    let security = match r.text_or("smtp.security", "starttls").as_str() {
        "starttls" => SmtpSecurity::Starttls,
        "implicit" => SmtpSecurity::Implicit,
        "plain-loopback" => SmtpSecurity::PlainLoopback,
        other => {
            let wrong = format!("{other:?} is not known");
            r.problem("smtp.security", wrong, "\"starttls\", \"implicit\" or \"plain-loopback\"");
            SmtpSecurity::Starttls
        }
    };
    if security == SmtpSecurity::PlainLoopback && !is_loopback(&host) {
        r.problem("smtp.security", format!("{host} is not this machine"), "\"starttls\" or \"implicit\"");
    }
    let default_port = if security == SmtpSecurity::Implicit { 465 } else { 587 };
    let username = r.optional_text("smtp.username");
    let password = r.optional_secret("smtp.password");
    if username.is_some() != r.names_secret("smtp.password") {
        r.problem("smtp.username", "a user name and a password go together", "both, or neither");
    }
    Smtp {
        host,
        port: r.number("smtp.port", default_port, 1..=65535) as u16,
        security,
        username,
        password,
        from: r.text("smtp.from", "reminders@hospital.example"),
        from_name: r.optional_text("smtp.from_name"),
        reply_to: r.optional_text("smtp.reply_to"),
        ca_file: r.optional_text("smtp.ca_file").map(Into::into),
        hello_name: r.optional_text("smtp.hello_name"),
        connections: r.number("smtp.connections", 10, 1..=200),
        timeout_seconds: r.number("smtp.timeout_seconds", 30, 1..=600).into(),
    }
}

fn sms(r: &mut Reader, region: &str) -> Sms {
    let base_url = r.text_or("sms.base_url", "https://api.twilio.com").trim_end_matches('/').to_owned();
    check_url(r, "sms.base_url", &base_url);
    let from = r.optional_text("sms.from");
    let messaging_service = r.optional_text("sms.messaging_service");
    if from.is_none() && messaging_service.is_none() {
        r.problem(
            "sms.from",
            "nothing says who sends",
            "a number, for example \"+15125550199\", or sms.messaging_service",
        );
    }
    let secret = r.secret("sms.secret", "the API key's secret or the auth token");
    let api_key = r.optional_text("sms.api_key");
    let mut webhook_tokens: Vec<SecretString> = r.optional_secret("sms.webhook_token").into_iter().collect();
    webhook_tokens.extend(r.optional_secret("sms.webhook_token_next"));
    if webhook_tokens.is_empty() && api_key.is_none() {
        // Without an API key the secret is the auth token, which is what webhooks are signed with.
        webhook_tokens.push(secret.clone());
    } else if !r.names_secret("sms.webhook_token") {
        r.problem("sms.webhook_token", "it is missing", "the account's auth token: webhooks are signed with it");
    }
    let hook_secret = r.secret("sms.hook_secret", "at least 32 random characters (openssl rand -hex 32)");
    if (1..32).contains(&hook_secret.expose_secret().len()) {
        r.problem("sms.hook_secret", "it is too short to be unguessable", "the output of: openssl rand -hex 32");
    }
    Sms {
        base_url,
        account_sid: r.text("sms.account_sid", "AC…"),
        api_key,
        secret,
        webhook_tokens,
        from,
        messaging_service,
        timeout_seconds: r.number("sms.timeout_seconds", 15, 1..=120).into(),
        region: region.to_owned(),
        hook_secret,
    }
}

fn hl7(r: &mut Reader) -> Hl7 {
    let listen: Option<SocketAddr> = r.optional_parsed("hl7.listen", "an address and a port", "127.0.0.1:2575");
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 2575)));
    let cert = r.optional_text("hl7.cert_file");
    let key = r.optional_text("hl7.key_file");
    let client_ca = r.optional_text("hl7.client_ca_file");
    let given = [&cert, &key, &client_ca].iter().filter(|it| it.is_some()).count();
    if given == 0 && !listen.ip().is_loopback() {
        let wrong = format!("{} is not this machine alone, and nothing says how messages are encrypted", listen.ip());
        r.problem("hl7.cert_file", wrong, "cert_file, key_file and client_ca_file, or hl7.listen = \"127.0.0.1:2575\"");
    } else if !matches!(given, 0 | 3) {
        r.problem("hl7.cert_file", "cert_file, key_file and client_ca_file go together", "all three, or none");
    }
    let tls = cert.zip(key).zip(client_ca).map(|((cert, key), client_ca)| Hl7Tls {
        cert_file: cert.into(),
        key_file: key.into(),
        client_ca_file: client_ca.into(),
    });
    for (setting, file) in tls.iter().flat_map(|tls| {
        [("cert_file", &tls.cert_file), ("key_file", &tls.key_file), ("client_ca_file", &tls.client_ca_file)]
    }) {
        if let Err(error) = std::fs::File::open(file) {
            let wrong = format!("the file {} cannot be read ({error})", file.display());
            r.problem(&format!("hl7.{setting}"), wrong, "the path of a PEM file that this user may read");
        }
    }
    let appointment_ids = match r.text_or("hl7.appointment_ids", "none").as_str() {
        "none" => AppointmentIds::None,
        "filler" => AppointmentIds::Filler,
        "placer" => AppointmentIds::Placer,
        other => {
            let wrong = format!("{other:?} is not known");
            r.problem("hl7.appointment_ids", wrong, "\"none\", \"filler\" (SCH-2) or \"placer\" (SCH-1)");
            AppointmentIds::None
        }
    };
    Hl7 {
        listen,
        ehr: r.text("hl7.ehr", "north"),
        tls,
        systems: r.table("hl7.systems").into_iter().collect(),
        appointment_ids,
        max_kilobytes: r.number("hl7.max_kilobytes", 256, 1..=16_384),
    }
}

fn alerts(r: &mut Reader) -> Alerts {
    let webhook_url = r.optional_text("alerts.webhook_url");
    if let Some(url) = &webhook_url {
        check_url(r, "alerts.webhook_url", url);
    }
    let webhook_secret = r.optional_secret("alerts.webhook_secret");
    if webhook_url.is_some() && !r.names_secret("alerts.webhook_secret") {
        r.problem("alerts.webhook_secret", "it is missing", "a secret that the receiver checks the signature with");
    }
    Alerts { email: r.optional_text("alerts.email"), webhook_url, webhook_secret }
}

fn history(r: &mut Reader) -> History {
    let checkpoint_url = r.optional_text("history.checkpoint_url");
    if let Some(url) = &checkpoint_url {
        check_url(r, "history.checkpoint_url", url);
    }
    let bucket = r.optional_text("history.bucket").map(|name| {
        let url = r.text("history.bucket_url", "https://s3.eu-central-1.amazonaws.com");
        if !url.is_empty() {
            check_url(r, "history.bucket_url", &url);
        }
        Bucket {
            url,
            name,
            region: r.text_or("history.bucket_region", "us-east-1"),
            prefix: r.optional_text("history.bucket_prefix").unwrap_or_default(),
            access_key: r.text("history.bucket_access_key", "AKIA…"),
            secret_key: r.secret("history.bucket_secret_key", "the secret of history.bucket_access_key"),
        }
    });
    History {
        checkpoint_minutes: r.number("history.checkpoint_minutes", 15, 1..=1440),
        checkpoint_folder: r.optional_text("history.checkpoint_folder").map(Into::into),
        checkpoint_url,
        checkpoint_email: r.optional_text("history.checkpoint_email"),
        bucket,
    }
}

fn log(r: &mut Reader) -> Log {
    let format = match r.text_or("log.format", "text").as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => {
            r.problem("log.format", format!("{other:?} is not known"), "\"text\" or \"json\"");
            LogFormat::Text
        }
    };
    Log { format, filter: r.text_or("log.filter", "info") }
}

/// An absolute URL, by TLS unless it stays on this machine.
fn check_url(r: &mut Reader, key: &str, text: &str) {
    match url::Url::parse(text) {
        Ok(url) if url.scheme() == "https" => {}
        Ok(url) if url.scheme() == "http" && url.host_str().is_some_and(is_loopback) => {}
        Ok(url) if url.scheme() == "http" => {
            r.problem(key, "it is not encrypted", "an address that starts with https://");
        }
        _ => r.problem(key, format!("{text:?} is not a web address"), "for example \"https://hospital.example\""),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
