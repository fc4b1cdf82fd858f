//! Bundles as answers: one page of a search, and the parts of a batch.

use serde_json::Value;

use super::json;
use super::operation_outcome::OperationOutcome;
use crate::domain::Issue;

/// One page of a search, its entries told apart by `search.mode`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchPage {
    /// What was searched for.
    pub matches: Vec<Value>,
    /// What came along by `_include`.
    pub includes: Vec<Value>,
    /// What the server says about the search: not data.
    pub outcomes: Vec<OperationOutcome>,
    /// The next page, verbatim; absent on the last one. An empty page with a next link is not the end.
    pub next: Option<String>,
    /// What the server understood of the question.
    pub self_link: Option<String>,
    /// May be absent, and may be an estimate.
    pub total: Option<u64>,
    /// Entries that could not be used.
    pub issues: Vec<Issue>,
}

/// Why an answer is not the Bundle that was asked for. Taking it for an empty page would lose patients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("the answer is not a Bundle but {found}; check the FHIR base address")]
    NotABundle { found: String },
    #[error("the server answered with an outcome instead of a Bundle: {}", .0.summary())]
    Outcome(OperationOutcome),
    #[error("the Bundle is of another type than {expected}")]
    WrongType { expected: &'static str },
    #[error("the Bundle's {part} cannot be read, so the end of the search cannot be told")]
    Malformed { part: &'static str },
}

impl SearchPage {
    /// Reads a Bundle of type `searchset` (a missing type is tolerated).
    pub fn read(value: Value) -> Result<Self, BundleError> {
        check(&value, "searchset")?;
        let mut page = Self { total: total(&value), ..Self::default() };
        for link in array(&value, "link")? {
            let url = json::text(link, "url");
            match json::text(link, "relation") {
                Some("next") => page.next = Some(url.ok_or(BundleError::Malformed { part: "next link" })?.to_owned()),
                Some("self") => page.self_link = url.map(str::to_owned),
                _ => {}
            }
        }
        for (index, entry) in entries(value)?.into_iter().enumerate() {
            page.add(index, entry);
        }
        Ok(page)
    }

    /// Whether everything on it could be used, and the server does not say that something is left out.
    pub fn is_whole(&self) -> bool {
        self.issues.is_empty() && !self.outcomes.iter().any(OperationOutcome::says_incomplete)
    }

    fn add(&mut self, index: usize, mut entry: Value) {
        let resource = entry.get_mut("resource").map(Value::take).filter(Value::is_object);
        let Some(resource) = resource else {
            self.issues.push(Issue {
                path: format!("Bundle.entry[{index}].resource"),
                reason: "is missing or not a resource".to_owned(),
                fatal: false,
            });
            return;
        };
        if let Some(outcome) = OperationOutcome::read(&resource) {
            self.outcomes.push(outcome);
            return;
        }
        match entry.get("search").and_then(|search| json::text(search, "mode")) {
            Some("include") => self.includes.push(resource),
            // Servers that send no mode send matches only.
            Some("match") | None => self.matches.push(resource),
            Some(_) => self.issues.push(Issue {
                path: format!("Bundle.entry[{index}].search.mode"),
                reason: "is neither match nor include nor outcome".to_owned(),
                fatal: false,
            }),
        }
    }
}

/// The answer to one request of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchEntry {
    /// HTTP status; `None` where the server gave none that can be read.
    pub status: Option<u16>,
    pub resource: Option<Value>,
    pub outcome: Option<OperationOutcome>,
    pub location: Option<String>,
    pub etag: Option<String>,
}

/// Reads a `batch-response` or `transaction-response`: one entry for each request, in the order of the requests.
pub fn batch_response(value: Value) -> Result<Vec<BatchEntry>, BundleError> {
    if json::text(&value, "type") != Some("transaction-response") {
        check(&value, "batch-response")?;
    } else if json::text(&value, "resourceType") != Some("Bundle") {
        return Err(BundleError::NotABundle { found: kind(&value) });
    }
    Ok(entries(value)?.into_iter().map(batch_entry).collect())
}

fn batch_entry(mut entry: Value) -> BatchEntry {
    let resource = entry.get_mut("resource").map(Value::take).filter(Value::is_object);
    let response = entry.get("response").unwrap_or(&Value::Null);
    let text = |key: &str| json::text(response, key).map(str::to_owned);
    let outcome = response.get("outcome").and_then(OperationOutcome::read);
    let outcome = outcome.or_else(|| OperationOutcome::read(resource.as_ref()?));
    BatchEntry {
        // `200 OK` and `200` are both seen.
        status: json::text(response, "status").and_then(|status| status.get(..3)?.parse().ok()),
        resource: resource.filter(|resource| json::text(resource, "resourceType") != Some("OperationOutcome")),
        outcome,
        location: text("location"),
        etag: text("etag"),
    }
}

fn check(value: &Value, expected: &'static str) -> Result<(), BundleError> {
    if let Some(outcome) = OperationOutcome::read(value) {
        return Err(BundleError::Outcome(outcome));
    }
    if json::text(value, "resourceType") != Some("Bundle") {
        return Err(BundleError::NotABundle { found: kind(value) });
    }
    match json::text(value, "type") {
        None => Ok(()),
        Some(found) if found == expected => Ok(()),
        Some(_) => Err(BundleError::WrongType { expected }),
    }
}

/// What a value is, without repeating it.
fn kind(value: &Value) -> String {
    let named = json::text(value, "resourceType")
        .filter(|kind| kind.len() <= 40 && kind.chars().all(|c| c.is_ascii_alphabetic()));
    named.map_or_else(|| "no FHIR resource".to_owned(), |kind| format!("a {kind}"))
}

fn total(value: &Value) -> Option<u64> {
    let total = value.get("total")?;
    total.as_u64().or_else(|| total.as_str()?.parse().ok())
}

fn array<'a>(value: &'a Value, key: &'static str) -> Result<&'a [Value], BundleError> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(BundleError::Malformed { part: key }),
    }
}

fn entries(mut value: Value) -> Result<Vec<Value>, BundleError> {
    match value.get_mut("entry").map(Value::take) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => Ok(entries),
        Some(_) => Err(BundleError::Malformed { part: "entry" }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_told_apart_by_their_mode() {
        let page = SearchPage::read(json!({"resourceType": "Bundle", "type": "searchset", "total": 7,
            "link": [{"relation": "self", "url": "https://e/fhir/Patient?x=1"}, {"relation": "next", "url": "?_getpages=1"}],
            "entry": [
                {"resource": {"resourceType": "Patient", "id": "a"}, "search": {"mode": "match"}},
                {"resource": {"resourceType": "Location", "id": "b"}, "search": {"mode": "include"}},
                {"resource": {"resourceType": "OperationOutcome", "issue": []}, "search": {"mode": "outcome"}},
                {"resource": {"resourceType": "OperationOutcome", "issue": []}},
                {"resource": {"resourceType": "Patient", "id": "c"}},
                {"fullUrl": "urn:x"},
                {"resource": "Patient"},
                {"resource": {"resourceType": "Patient", "id": "d"}, "search": {"mode": "maybe"}},
                7,
            ]}))
        .unwrap();
        let ids = |list: &[Value]| list.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(&page.matches), ["a", "c"]);
        assert_eq!(ids(&page.includes), ["b"]);
        assert_eq!(page.outcomes.len(), 2);
        assert_eq!(page.next.as_deref(), Some("?_getpages=1"));
        assert_eq!(page.self_link.as_deref(), Some("https://e/fhir/Patient?x=1"));
        assert_eq!(page.total, Some(7));
        assert_eq!(page.issues.len(), 4);
    }

    #[test]
    fn what_is_not_a_page_is_never_taken_for_an_empty_one() {
        for (value, expected) in [
            (
                json!({"resourceType": "Patient"}),
                "the answer is not a Bundle but a Patient; check the FHIR base address",
            ),
            (json!("<html>"), "the answer is not a Bundle but no FHIR resource; check the FHIR base address"),
            (
                json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "too-costly"}]}),
                "the server answered with an outcome instead of a Bundle: error too-costly",
            ),
            (json!({"resourceType": "Bundle", "type": "history"}), "the Bundle is of another type than searchset"),
            (
                json!({"resourceType": "Bundle", "link": [{"relation": "next"}]}),
                "the Bundle's next link cannot be read, so the end of the search cannot be told",
            ),
            (
                json!({"resourceType": "Bundle", "link": {"relation": "next"}}),
                "the Bundle's link cannot be read, so the end of the search cannot be told",
            ),
            (
                json!({"resourceType": "Bundle", "entry": {}}),
                "the Bundle's entry cannot be read, so the end of the search cannot be told",
            ),
        ] {
            assert_eq!(SearchPage::read(value).unwrap_err().to_string(), expected);
        }
        assert_eq!(SearchPage::read(json!({"resourceType": "Bundle", "type": "searchset"})), Ok(SearchPage::default()));
    }

    #[test]
    fn a_batch_answers_in_order() {
        let entries = batch_response(json!({"resourceType": "Bundle", "type": "batch-response", "entry": [
            {"resource": {"resourceType": "Patient", "id": "a"}, "response": {"status": "200 OK", "etag": "W/\"3\""}},
            {"response": {"status": "404", "outcome": {"resourceType": "OperationOutcome", "issue": [{"code": "not-found"}]}}},
            {"resource": {"resourceType": "OperationOutcome", "issue": [{"code": "deleted"}]}, "response": {"status": "410 Gone"}},
            {},
        ]}))
        .unwrap();
        assert_eq!(entries.iter().map(|e| e.status).collect::<Vec<_>>(), [Some(200), Some(404), Some(410), None]);
        assert_eq!(entries[0].etag.as_deref(), Some("W/\"3\""));
        assert!(entries[1].outcome.as_ref().unwrap().has("not-found"));
        assert!(entries[2].outcome.as_ref().unwrap().has("deleted") && entries[2].resource.is_none());
        assert!(batch_response(json!({"resourceType": "Bundle", "type": "searchset"})).is_err());
    }
}
