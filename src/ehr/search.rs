//! Searching: one question, many pages (R4 search, http "paging").

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use reqwest::Url;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::domain::{Issue, ResourceType};
use crate::fhir::bundle::{BundleError, SearchPage};
use crate::fhir::operation_outcome::OperationOutcome;

use super::client::{Arrived, FHIR_JSON, FhirClient, Repeat, not_fhir, post, refused};
use super::connection::EhrSettings;
use super::error::{EhrError, NotFhir};
use super::http::Reply;
use super::retry::http_date;

/// A question to one type.
#[derive(Debug, Clone)]
pub struct Search {
    type_name: &'static str,
    parameters: Vec<(String, String)>,
    by_post: bool,
    strict: bool,
}

impl Search {
    pub fn new(resource_type: ResourceType) -> Self {
        Self::named(resource_type.as_str())
    }

    /// A question to a type that is written and never mirrored.
    pub const fn named(type_name: &'static str) -> Self {
        Self { type_name, parameters: Vec::new(), by_post: false, strict: false }
    }

    /// Adds one parameter; the value is percent-encoded on sending.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a token parameter `system|code`, with FHIR's own escapes.
    pub fn with_token(self, name: &str, system: &str, code: &str) -> Self {
        self.with(name, format!("{}|{}", escape(system), escape(code)))
    }

    /// Adds a token parameter without a system: of any.
    pub fn with_code(self, name: &str, code: &str) -> Self {
        self.with(name, escape(code))
    }

    /// Asks by `POST [type]/_search`, so that names and numbers of patients stay out of the URL logs on the way.
    pub fn by_post(mut self) -> Self {
        self.by_post = true;
        self
    }

    /// Asks the server to refuse parameters that it does not know, instead of ignoring them.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    fn query(&self, settings: &EhrSettings) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.parameters);
        query.extend_pairs(&settings.search_parameters);
        let page_size = settings.page_size;
        if let Some(size) = page_size.filter(|_| self.parameters.iter().all(|(name, _)| name != "_count")) {
            query.append_pair("_count", &size.to_string());
        }
        query.finish()
    }

    /// The question as a URL relative to the base, for a batch.
    pub(super) fn url(&self, settings: &EhrSettings) -> String {
        let settings = EhrSettings {
            page_size: None,
            search_parameters: settings.search_parameters.clone(),
            ..EhrSettings::default()
        };
        format!("{}?{}", self.type_name, self.query(&settings))
    }

    /// Parameters that the server's `self` link does not repeat: they were ignored, so the answer is wider than the
    /// question. Names only, because values may be PHI.
    fn ignored(&self, self_link: Option<&str>) -> Vec<String> {
        let Some((_, understood)) = self_link.and_then(|link| link.split_once('?')) else { return Vec::new() };
        let base = |name: &str| name.split([':', '.']).next().unwrap_or_default().to_owned();
        let understood: BTreeSet<String> =
            url::form_urlencoded::parse(understood.as_bytes()).map(|(name, _)| base(&name)).collect();
        // A server that answers from a stored result repeats nothing of the question.
        if understood.contains("_getpages") {
            return Vec::new();
        }
        let asked: BTreeSet<String> = self.parameters.iter().map(|(name, _)| base(name)).collect();
        let hints = ["_count", "_sort", "_format", "_total"];
        asked.difference(&understood).filter(|name| !hints.contains(&name.as_str())).cloned().collect()
    }
}

/// Escapes what separates values in a search parameter (R4 search 3.1.1.3.4).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, ',' | '$' | '|' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// One page. Pages are not cut from one snapshot: a resource may come twice, and the caller removes doubles.
#[derive(Debug, Default)]
pub struct Page {
    pub matches: Vec<Value>,
    pub includes: Vec<Value>,
    pub outcomes: Vec<OperationOutcome>,
    /// May be an estimate.
    pub total: Option<u64>,
    /// Names of parameters that the server did not understand.
    pub ignored: Vec<String>,
    /// Entries that are no resources.
    pub issues: Vec<Issue>,
    /// The server's clock when it answered.
    pub server_now: Option<DateTime<Utc>>,
    /// No further page follows.
    pub is_last: bool,
}

/// The pages of one search, asked for one by one.
#[derive(Debug)]
pub struct Pages {
    client: FhirClient,
    search: Search,
    next: Next,
    seen: HashSet<String>,
    read: u32,
}

#[derive(Debug)]
enum Next {
    First,
    Link(Url),
    Done,
}

impl FhirClient {
    /// Begins a search; nothing is sent before the first [`Pages::next`].
    pub fn search(&self, search: Search) -> Pages {
        Pages { client: self.clone(), search, next: Next::First, seen: HashSet::new(), read: 0 }
    }

    /// All matches of a search that is known to be small.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub async fn find(&self, search: Search) -> Result<Vec<Value>, EhrError> {
        let mut pages = self.search(search);
        let mut found = Vec::new();
        while let Some(page) = pages.next().await? {
            found.extend(page.matches);
        }
        Ok(found)
    }
}

impl FhirClient {
    /// All matches of a search that is known to be small, or an error: what the server calls incomplete, and a page
    /// with entries that are no resources, count as not answered.
    ///
    /// # Errors
    /// As [`Pages::next`], and `Incomplete`.
    pub async fn find_all(&self, search: Search) -> Result<Vec<Value>, EhrError> {
        let place = super::error::Place::of(&reqwest::Method::GET, &self.url(search.type_name));
        let mut pages = self.search(search);
        let mut found = Vec::new();
        while let Some(page) = pages.next().await? {
            if !page.issues.is_empty() || page.outcomes.iter().any(OperationOutcome::says_incomplete) {
                return Err(EhrError::Incomplete { place });
            }
            found.extend(page.matches);
        }
        Ok(found)
    }
}

impl Pages {
    /// The next page, or `None` after the last one. After an error the search must start again: a page that is missing
    /// is never taken for the end.
    ///
    /// # Errors
    /// Whatever a request can end in; `PagingExpired`, `PagingLoop`, `TooManyPages`, `OtherOrigin`.
    pub async fn next(&mut self) -> Result<Option<Page>, EhrError> {
        // Only a page that was read to its end sets it again.
        let link = match std::mem::replace(&mut self.next, Next::Done) {
            Next::Done => return Ok(None),
            Next::First => None,
            Next::Link(url) => Some(url),
        };
        let (reply, asked) = match link {
            None => self.first().await?,
            Some(url) => (self.follow(url.clone()).await?, url),
        };
        let page = self.read_page(&reply)?;
        self.read += 1;
        if let Some(next) = &page.next {
            self.next = Next::Link(self.check_link(&reply, &asked, next)?);
        }
        Ok(Some(Page {
            is_last: page.next.is_none(),
            ignored: if self.read == 1 { self.search.ignored(page.self_link.as_deref()) } else { Vec::new() },
            server_now: reply.header(DATE).and_then(http_date),
            matches: page.matches,
            includes: page.includes,
            outcomes: page.outcomes,
            total: page.total,
            issues: page.issues,
        }))
    }

    async fn first(&mut self) -> Result<(Reply, Url), EhrError> {
        let query = self.search.query(&self.client.connection().settings);
        let mut headers = HeaderMap::new();
        if self.search.strict {
            headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static("handling=strict"));
        }
        let type_name = self.search.type_name;
        if self.search.by_post {
            let url = self.client.url(&format!("{type_name}/_search"));
            headers.insert(ACCEPT, HeaderValue::from_static(FHIR_JSON));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            let reply = self.client.send(post(url.clone(), headers, query.into_bytes()), Repeat::Freely).await?;
            return Ok((reply, url));
        }
        let mut url = self.client.url(type_name);
        url.set_query(Some(&query).filter(|query| !query.is_empty()).map(String::as_str));
        self.seen.insert(url.to_string());
        Ok((self.arrive(url.clone(), &headers).await?, url))
    }

    async fn follow(&mut self, url: Url) -> Result<Reply, EhrError> {
        let reply = self.arrive(url, &HeaderMap::new()).await?;
        if matches!(reply.status, 404 | 410) || has_code(&reply, "4113") {
            return Err(EhrError::PagingExpired { status: reply.status, place: reply.place });
        }
        Ok(reply)
    }

    async fn arrive(&self, url: Url, headers: &HeaderMap) -> Result<Reply, EhrError> {
        match self.client.get(url.clone(), headers, None).await? {
            Arrived::Reply(reply) => Ok(reply),
            // Cannot be: nothing was asked for by id.
            Arrived::Moved(_) => {
                let place = super::error::Place::of(&reqwest::Method::GET, &url);
                Err(EhrError::BadLink { place, what: "the redirect" })
            }
        }
    }

    fn read_page(&self, reply: &Reply) -> Result<SearchPage, EhrError> {
        if reply.status != 200 {
            return Err(refused(reply));
        }
        SearchPage::read(self.client.body(reply)?).map_err(|error| match error {
            BundleError::Outcome(_) => refused(reply),
            _ => not_fhir(reply, NotFhir::WrongResource),
        })
    }

    fn check_link(&mut self, reply: &Reply, asked: &Url, next: &str) -> Result<Url, EhrError> {
        let place = || reply.place.clone();
        let url = asked.join(next).map_err(|_| EhrError::BadLink { place: place(), what: "the next link" })?;
        self.client.same_origin(reply, &url, "the next link")?;
        if !self.seen.insert(url.to_string()) {
            return Err(EhrError::PagingLoop { place: place() });
        }
        let limit = self.client.connection().settings.max_pages;
        if self.read >= limit {
            return Err(EhrError::TooManyPages { place: place(), limit });
        }
        Ok(url)
    }
}

/// Epic says that a paging session is over with a code of its own.
fn has_code(reply: &Reply, code: &str) -> bool {
    reply.status >= 400
        && serde_json::from_slice(&reply.body)
            .ok()
            .and_then(|body| OperationOutcome::read(&body))
            .is_some_and(|outcome| outcome.has(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_for_fhir_and_encoded_for_http() {
        let search = Search::new(ResourceType::Patient)
            .with_token("identifier", "http://h.example/mrn", "a|b,c$d\\e")
            .with("_lastUpdated", "ge2026-01-01T00:00:00+01:00");
        let fifty = EhrSettings { page_size: Some(50), ..EhrSettings::default() };
        let query = search.query(&fifty);
        assert!(query.contains("a%5C%7Cb%5C%2Cc%5C%24d%5C%5Ce"), "{query}");
        assert!(query.contains("%2B01%3A00"), "a bare plus would arrive as a space: {query}");
        assert!(query.ends_with("&_count=50"));
        assert_eq!(Search::new(ResourceType::Patient).with("_count", "1").query(&fifty), "_count=1");
    }

    #[test]
    fn parameters_that_the_server_ignored_are_named() {
        let search = Search::new(ResourceType::Appointment)
            .with("_lastUpdated", "ge2026")
            .with("date", "ge2026")
            .with("_count", "5")
            .with("patient:Patient.identifier", "x");
        let ignored = |link: Option<&str>| search.ignored(link);
        assert_eq!(ignored(Some("https://e/fhir/Appointment?date=ge2026&patient=x")), ["_lastUpdated"]);
        assert_eq!(ignored(Some("https://e/fhir/Appointment?_lastUpdated=ge2026&date=ge2026&patient=x")), [""; 0]);
        assert_eq!(ignored(None), [""; 0], "a server without a self link tells nothing");
        assert_eq!(ignored(Some("https://e/fhir?_getpages=1")), [""; 0]);
    }
}
