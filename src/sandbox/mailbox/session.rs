//! One SMTP conversation (RFC 5321; STARTTLS RFC 3207; AUTH RFC 4954). Mail is taken only after TLS.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::letters::Mailbox;
use crate::sandbox::faults::FaultKind;

const SIZE_LIMIT: usize = 10 << 20;
const LINE_LIMIT: u64 = 4096;

/// How the part before TLS ended.
pub enum Ended {
    StartTls(TcpStream),
    Quit,
}

/// One line without its end; nothing at the end of the stream.
async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    (&mut *stream).take(LINE_LIMIT).read_until(b'\n', &mut bytes).await?;
    if !bytes.ends_with(b"\n") {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) -> io::Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    stream.flush().await
}

fn verb(line: &str) -> String {
    line.split(' ').next().unwrap_or_default().to_ascii_uppercase()
}

/// The conversation before TLS: greeting, EHLO, STARTTLS and little else.
pub async fn plain(stream: TcpStream, mailbox: &Mailbox) -> io::Result<Ended> {
    let stripped = mailbox.faults.strikes("SMTP", "", &FaultKind::StripStartTls);
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 mail.hospital.example ESMTP simulated").await?;
    while let Some(line) = line(&mut stream).await? {
        match verb(&line).as_str() {
            "EHLO" => {
                let last = if stripped { "250 SIZE 10485760" } else { "250-SIZE 10485760\r\n250 STARTTLS" };
                let offer = format!("250-mail.hospital.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n{last}");
                say(&mut stream, &offer).await?;
            }
            "HELO" => say(&mut stream, "250 mail.hospital.example").await?,
            "STARTTLS" if stripped => say(&mut stream, "502 5.5.1 not implemented").await?,
            "STARTTLS" => {
                // What was sent ahead of TLS is an injection (RFC 3207, section 4).
                if !stream.buffer().is_empty() {
                    say(&mut stream, "554 5.5.0 commands after STARTTLS").await?;
                    return Ok(Ended::Quit);
                }
                say(&mut stream, "220 2.0.0 go ahead").await?;
                return Ok(Ended::StartTls(stream.into_inner()));
            }
            "NOOP" => say(&mut stream, "250 2.0.0 OK").await?,
            "RSET" => say(&mut stream, "250 2.0.0 OK").await?,
            "QUIT" => {
                say(&mut stream, "221 2.0.0 bye").await?;
                return Ok(Ended::Quit);
            }
            _ => say(&mut stream, "530 5.7.0 Must issue a STARTTLS command first").await?,
        }
    }
    Ok(Ended::Quit)
}

#[derive(Default)]
struct Envelope {
    from: Option<String>,
    recipients: Vec<String>,
}

/// The conversation inside TLS.
pub async fn secured<S: AsyncRead + AsyncWrite + Unpin>(stream: S, mailbox: &Mailbox, greet: bool) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut envelope = Envelope::default();
    let mut greeted = false;
    let mut admitted = mailbox.login.is_none();
    if greet {
        say(&mut stream, "220 mail.hospital.example ESMTP simulated").await?;
    }
    while let Some(text) = line(&mut stream).await? {
        let answer = match verb(&text).as_str() {
            "EHLO" => {
                greeted = true;
                let auth = if mailbox.login.is_some() { "250-AUTH PLAIN LOGIN\r\n" } else { "" };
                format!(
                    "250-mail.hospital.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n{auth}250-ENHANCEDSTATUSCODES\r\n250 SIZE 10485760"
                )
            }
            "HELO" => {
                greeted = true;
                "250 mail.hospital.example".to_owned()
            }
            "NOOP" => "250 2.0.0 OK".to_owned(),
            "RSET" => {
                envelope = Envelope::default();
                "250 2.0.0 OK".to_owned()
            }
            "QUIT" => return say(&mut stream, "221 2.0.0 bye").await,
            "AUTH" => {
                admitted = mailbox.login.is_some() && authenticate(&mut stream, &text, mailbox).await?;
                if admitted { "235 2.7.0 welcome" } else { "535 5.7.8 authentication failed" }.to_owned()
            }
            _ if !greeted => "503 5.5.1 EHLO first".to_owned(),
            _ if !admitted => "530 5.7.0 authentication required".to_owned(),
            "MAIL" if envelope.from.is_some() => "503 5.5.1 nested MAIL".to_owned(),
            "MAIL" => match address(&text, "FROM:") {
                Some(_) if too_big(&text) => "552 5.3.4 message too big".to_owned(),
                Some(from) => {
                    envelope.from = Some(from);
                    "250 2.1.0 OK".to_owned()
                }
                None => "501 5.5.4 MAIL FROM:<address>".to_owned(),
            },
            "RCPT" => recipient(&mut envelope, &text, mailbox),
            "DATA" if envelope.recipients.is_empty() => "503 5.5.1 RCPT first".to_owned(),
            "DATA" => {
                say(&mut stream, "354 end with <CRLF>.<CRLF>").await?;
                let Some(raw) = data(&mut stream).await? else { return Ok(()) };
                let Envelope { from, recipients } = std::mem::take(&mut envelope);
                if raw.len() > SIZE_LIMIT {
                    "552 5.3.4 message too big".to_owned()
                } else {
                    let number = mailbox.keep(from.unwrap_or_default(), recipients, &raw);
                    if mailbox.faults.strikes("SMTP", "", &FaultKind::DropAfterData) {
                        return Ok(());
                    }
                    format!("250 2.0.0 kept as {number}")
                }
            }
            _ => "500 5.5.1 unknown command".to_owned(),
        };
        say(&mut stream, &answer).await?;
    }
    Ok(())
}

fn recipient(envelope: &mut Envelope, text: &str, mailbox: &Mailbox) -> String {
    if envelope.from.is_none() {
        return "503 5.5.1 MAIL first".to_owned();
    }
    let Some(to) = address(text, "TO:").filter(|to| to.contains('@')) else {
        return "501 5.5.4 RCPT TO:<address>".to_owned();
    };
    if to.to_ascii_lowercase().starts_with("bounce") {
        return "550 5.1.1 no such mailbox".to_owned();
    }
    if mailbox.faults.strikes("SMTP", "", &FaultKind::DeferMail) {
        return "450 4.2.1 try again later".to_owned();
    }
    envelope.recipients.push(to);
    "250 2.1.5 OK".to_owned()
}

/// The address in `MAIL FROM:<address> …`; ASCII only, as SMTPUTF8 is not offered.
fn address(text: &str, keyword: &str) -> Option<String> {
    let rest = text.get(5..)?.trim_start();
    let rest =
        rest.get(..keyword.len()).filter(|found| found.eq_ignore_ascii_case(keyword)).and(rest.get(keyword.len()..))?;
    let inner = rest.trim_start().strip_prefix('<')?.split_once('>')?.0;
    inner.is_ascii().then(|| inner.to_owned())
}

fn too_big(text: &str) -> bool {
    let size = text
        .to_ascii_uppercase()
        .split(' ')
        .find_map(|part| part.strip_prefix("SIZE=").and_then(|size| size.parse::<usize>().ok()));
    size.is_some_and(|size| size > SIZE_LIMIT)
}

/// The message up to the final dot, unstuffed; nothing when the client went away.
async fn data<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<Option<Vec<u8>>> {
    let mut raw = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        if line == b".\r\n" {
            return Ok(Some(raw));
        }
        // Past the limit the rest is read and thrown away.
        if raw.len() <= SIZE_LIMIT {
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    text: &str,
    mailbox: &Mailbox,
) -> io::Result<bool> {
    let decode = |text: &str| {
        STANDARD.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    };
    let mut words = text.split(' ').skip(1);
    let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
    let initial = words.next().map(str::to_owned);
    let given = match mechanism.as_str() {
        "PLAIN" => {
            let answer = match initial {
                Some(answer) => answer,
                None => ask(stream, "334 ").await?,
            };
            let decoded = decode(&answer);
            let mut parts = decoded.split('\0').skip(1).map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        }
        "LOGIN" => {
            let user = match initial {
                Some(user) => user,
                None => ask(stream, "334 VXNlcm5hbWU6").await?,
            };
            let password = ask(stream, "334 UGFzc3dvcmQ6").await?;
            (decode(&user), decode(&password))
        }
        _ => return Ok(false),
    };
    Ok(mailbox.login.as_ref() == Some(&given))
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, prompt: &str) -> io::Result<String> {
    say(stream, prompt).await?;
    Ok(line(stream).await?.unwrap_or_default())
}
