//! Exported files: fetched from the EHR, or from a storage that it redirects to, and read line by line. Nothing here
//! holds more than one line and one piece of an answer.

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Url};

use super::client::{FhirClient, refused};
use super::connection::require_tls;
use super::error::{EhrError, Place};
use super::http::{Opened, Outgoing, Reply};

const NDJSON: &str = "application/fhir+ndjson";
const MAX_REDIRECTS: usize = 5;
const MOST_OF_A_REFUSAL: usize = 1024 * 1024;

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Text(Vec<u8>),
    /// Longer than a line may be: read over, and not kept.
    TooLong,
}

/// The lines of one exported file, in order. Empty ones are left out.
#[derive(Debug)]
pub struct Lines {
    opened: Opened,
    /// Longest wait for the next piece.
    patience: Duration,
    buffer: Vec<u8>,
    /// Bytes at the beginning of the buffer that were given out.
    used: usize,
    /// Bytes of the buffer that hold no line's end, after `used`.
    searched: usize,
    longest: usize,
    /// Inside a line that is too long.
    skipping: bool,
    ended: bool,
}

impl Lines {
    fn new(opened: Opened, longest: usize, patience: Duration) -> Self {
        Self { opened, patience, buffer: Vec::new(), used: 0, searched: 0, longest, skipping: false, ended: false }
    }

    /// The next line; `None` after the last one.
    ///
    /// # Errors
    /// The connection broke: the file is not whole.
    pub async fn next(&mut self) -> Result<Option<Line>, EhrError> {
        loop {
            let from = self.used + self.searched;
            if let Some(at) = self.buffer[from..].iter().position(|byte| *byte == b'\n') {
                let line = self.take(from + at, 1);
                match line {
                    Some(line) => return Ok(Some(line)),
                    None => continue,
                }
            }
            self.searched = self.buffer.len() - self.used;
            if self.searched > self.longest {
                self.skipping = true;
                self.buffer.clear();
                (self.used, self.searched) = (0, 0);
            }
            if self.ended {
                return Ok(self.take(self.buffer.len(), 0));
            }
            // What was given out goes before more comes in.
            self.buffer.drain(..self.used);
            self.used = 0;
            self.ended = !more(&mut self.opened, &mut self.buffer, self.patience).await?;
            if self.ended {
                self.opened.close(None).await;
            }
        }
    }

    /// What stands between the last line and `end`, without its line end; `None` for an empty line.
    fn take(&mut self, end: usize, separator: usize) -> Option<Line> {
        let line = self.buffer[self.used..end].trim_ascii();
        let line = if std::mem::take(&mut self.skipping) || line.len() > self.longest {
            Some(Line::TooLong)
        } else {
            (!line.is_empty()).then(|| Line::Text(line.to_vec()))
        };
        self.used = end + separator;
        self.searched = 0;
        line
    }
}

/// Appends the next piece of a body; false at its end.
async fn more(opened: &mut Opened, buffer: &mut Vec<u8>, patience: Duration) -> Result<bool, EhrError> {
    let place = opened.place.clone();
    let Ok(piece) = tokio::time::timeout(patience, opened.chunk()).await else {
        let error = EhrError::TimedOut { place, after: patience };
        opened.close(Some(&error)).await;
        return Err(error);
    };
    let piece = piece?;
    if let Some(piece) = &piece {
        buffer.extend_from_slice(piece.as_ref());
    }
    Ok(piece.is_some())
}

/// A refusal, which is small, as a whole.
async fn whole(mut opened: Opened, patience: Duration) -> Result<Reply, EhrError> {
    let mut body = Vec::new();
    while body.len() < MOST_OF_A_REFUSAL && more(&mut opened, &mut body, patience).await? {}
    opened.close(None).await;
    let (headers, place) = (std::mem::take(&mut opened.headers), opened.place.clone());
    Ok(Reply { status: opened.status, headers, body, place, sent: opened.sent, received: opened.received })
}

/// What a fetch of a file found.
#[derive(Debug)]
pub enum Fetched {
    Lines(Box<Lines>),
    /// The server keeps it no longer (404, 410): the whole export must be made again.
    Gone,
}

impl FhirClient {
    /// Opens an exported file. Our token goes with the first request only, and only where the manifest asks for it; a
    /// redirect to another host is followed without it, and only to hosts that the connection allows.
    ///
    /// # Errors
    /// `OtherHost` for a host that is not allowed; else as for any request.
    pub async fn fetch_file(&self, url: &str, with_token: bool) -> Result<Fetched, EhrError> {
        let place = || Place::of(&Method::GET, self.connection().base_url.url());
        let bad_link = |what| EhrError::BadLink { place: place(), what };
        let mut url = Url::parse(url).map_err(|_| bad_link("the address of an exported file"))?;
        let mut bearer = with_token;
        let patience = Duration::from_secs(self.connection().settings.timeout_seconds);
        for _ in 0..=MAX_REDIRECTS {
            self.allowed(&url)?;
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(NDJSON));
            let request = Outgoing { method: Method::GET, url: url.clone(), headers, body: Vec::new() };
            let mut opened = self.open(request, bearer, patience).await?;
            match opened.status {
                200 => {
                    let longest = self.connection().settings.max_line_megabytes.saturating_mul(1024 * 1024);
                    return Ok(Fetched::Lines(Box::new(Lines::new(opened, longest, patience))));
                }
                404 | 410 => {
                    opened.close(None).await;
                    return Ok(Fetched::Gone);
                }
                301 | 302 | 303 | 307 | 308 => {
                    opened.close(None).await;
                    let target = opened.headers.get(LOCATION).and_then(|value| value.to_str().ok());
                    let target = target.and_then(|target| url.join(target).ok());
                    let target = target.ok_or_else(|| bad_link("the redirect of an exported file"))?;
                    // The storage's own signature stands in the address; with our token it would learn who we are.
                    bearer &= target.origin() == url.origin();
                    url = target;
                }
                _ => return Err(refused(&whole(opened, patience).await?)),
            }
        }
        Err(bad_link("the chain of redirects of an exported file"))
    }

    fn allowed(&self, url: &Url) -> Result<(), EhrError> {
        let connection = self.connection();
        let place = || Place::of(&Method::GET, connection.base_url.url());
        if connection.base_url.is_same_origin(url) {
            return Ok(());
        }
        let host = url.host_str().unwrap_or_default();
        let named = connection.settings.file_hosts.iter().any(|allowed| fits(allowed, host));
        if named && require_tls(url).is_ok() {
            return Ok(());
        }
        Err(EhrError::OtherHost { place: place(), host: host.to_owned() })
    }
}

/// Whether a host is the allowed one, or below it where `*.` stands before the name.
fn fits(allowed: &str, host: &str) -> bool {
    match allowed.strip_prefix("*.") {
        Some(above) => host.strip_suffix(above).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => allowed.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_allowed_by_name_or_by_what_it_is_below() {
        for (allowed, host, fits_it) in [
            ("files.example", "files.example", true),
            ("files.example", "evil.files.example", false),
            ("*.store.example", "a.b.store.example", true),
            ("*.store.example", "store.example", false),
            ("*.store.example", "evilstore.example", false),
            ("*.store.example", ".store.example", false),
        ] {
            assert_eq!(fits(allowed, host), fits_it, "{allowed} {host}");
        }
    }
}
