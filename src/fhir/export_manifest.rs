//! What a Bulk Data export brought: the manifest as STU2, STU3 and the STU4 ballot spell it, and the lines of the files
//! that hold no resource of their own type.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::json;
use super::read::instant;
use crate::domain::{ResourceKey, ResourceType};

/// A manifest, or one page of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportManifest {
    /// By the server's clock: what changed up to here is in the files. The next export begins here.
    pub transaction_time: DateTime<Utc>,
    /// Whether the files want our token. False means that it must not be sent.
    pub requires_access_token: bool,
    pub files: Vec<ExportedFile>,
    /// Where the manifest goes on (partial manifests).
    pub next: Option<String>,
}

/// One file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedFile {
    pub section: FileSection,
    /// The type as the server names it: also one that Beckon does not know.
    pub type_name: String,
    pub url: String,
    /// How many lines it should have, where the server says.
    pub count: Option<u64>,
}

/// What the lines of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileSection {
    /// Resources.
    Output,
    /// Bundles that name what was deleted.
    Deleted,
    /// OperationOutcomes: `error` up to STU3, `outcome` in STU4.
    Outcome,
}

impl FileSection {
    pub const ALL: [Self; 3] = [Self::Output, Self::Deleted, Self::Outcome];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Deleted => "deleted",
            Self::Outcome => "outcome",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.as_str() == text)
    }
}

/// Why a document is no manifest. Taking half of one for the whole would make what is missing look deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest has no transactionTime")]
    NoTransactionTime,
    #[error("the manifest's {0} cannot be read")]
    Malformed(&'static str),
}

impl ExportManifest {
    /// Reads a manifest (Bulk Data IG, "Response - Complete Status").
    ///
    /// # Errors
    /// A part without which the export cannot be known to be whole.
    pub fn read(value: &Value) -> Result<Self, ManifestError> {
        let time = json::text(value, "transactionTime").ok_or(ManifestError::NoTransactionTime)?;
        let transaction_time = instant(time).map_err(|_| ManifestError::Malformed("transactionTime"))?;
        let mut files = Vec::new();
        let sections = [
            ("output", FileSection::Output),
            ("deleted", FileSection::Deleted),
            ("error", FileSection::Outcome),
            ("outcome", FileSection::Outcome),
        ];
        for (name, section) in sections {
            for item in array(value, name)? {
                files.push(file(item, section).ok_or(ManifestError::Malformed(name))?);
            }
        }
        if value.get("output").is_none() && files.is_empty() {
            return Err(ManifestError::Malformed("output"));
        }
        let next = json::list(value, "link").iter().find(|link| json::text(link, "relation") == Some("next"));
        let next = match next {
            Some(link) => Some(json::text(link, "url").ok_or(ManifestError::Malformed("next link"))?.to_owned()),
            None => None,
        };
        Ok(Self {
            transaction_time,
            // Absent (some servers) is safer read as "no": a token that is missing is asked for, one that leaked is gone.
            requires_access_token: value.get("requiresAccessToken").and_then(Value::as_bool).unwrap_or(false),
            files,
            next,
        })
    }
}

fn array<'a>(value: &'a Value, name: &'static str) -> Result<&'a [Value], ManifestError> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(ManifestError::Malformed(name)),
    }
}

fn file(item: &Value, section: FileSection) -> Option<ExportedFile> {
    let count = item.get("count");
    let count = count.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()));
    let default = match section {
        FileSection::Output => None,
        FileSection::Deleted => Some("Bundle"),
        FileSection::Outcome => Some("OperationOutcome"),
    };
    let type_name = json::text(item, "type").or(default)?;
    Some(ExportedFile { section, type_name: type_name.to_owned(), url: json::text(item, "url")?.to_owned(), count })
}

/// The resources that one line of a `deleted` file names: a transaction Bundle whose entries are DELETE requests. Types
/// that Beckon does not know are left out. `None` where the line is no such Bundle.
pub fn deleted_in(line: &Value) -> Option<Vec<ResourceKey>> {
    if json::text(line, "resourceType") != Some("Bundle") {
        return None;
    }
    let entries = json::list(line, "entry").iter();
    let requests = entries.filter_map(|entry| entry.get("request"));
    let deletes = requests.filter(|request| json::text(request, "method") == Some("DELETE"));
    Some(deletes.filter_map(|request| ResourceKey::from_reference(json::text(request, "url")?)).collect())
}

/// Whether a file's type is one that Beckon keeps.
pub fn kept_type(file: &ExportedFile) -> Option<ResourceType> {
    ResourceType::parse(&file.type_name).filter(|_| file.section == FileSection::Output)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_edition_s_manifest_is_understood() {
        let stu3 = json!({"transactionTime": "2026-03-02T18:00:00Z", "request": "https://e/fhir/$export",
            "requiresAccessToken": true,
            "output": [{"type": "Patient", "url": "https://e/1", "count": 2}, {"type": "Claim", "url": "https://e/2"}],
            "deleted": [{"type": "Bundle", "url": "https://e/3", "count": 1}],
            "error": [{"type": "OperationOutcome", "url": "https://e/4"}]});
        let draft = json!({"transactionTime": "2026-03-02T18:00:00.000+00:00", "manifestType": "bulk-export",
            "outputFormat": "application/fhir+ndjson", "requiresAccessToken": false, "extension": [],
            "output": [{"type": "Patient", "url": "https://e/1", "count": "2", "fileSize": 90},
                       {"type": "Claim", "url": "https://e/2"}],
            "deleted": [{"url": "https://e/3", "count": 1}],
            "outcome": [{"url": "https://e/4", "countSeverity": {"warning": 1}}],
            "link": [{"relation": "next", "url": "https://e/more"}]});
        let (stu3, draft) = (ExportManifest::read(&stu3).unwrap(), ExportManifest::read(&draft).unwrap());
        assert_eq!(stu3.transaction_time, draft.transaction_time);
        assert_eq!(stu3.files, draft.files);
        assert_eq!(stu3.files.iter().map(|file| file.count).collect::<Vec<_>>(), [Some(2), None, Some(1), None]);
        assert_eq!((stu3.requires_access_token, draft.requires_access_token), (true, false));
        assert_eq!((stu3.next, draft.next.as_deref()), (None, Some("https://e/more")));
        let kept: Vec<_> = stu3.files.iter().filter_map(kept_type).collect();
        assert_eq!(kept, [ResourceType::Patient]);
    }

    #[test]
    fn half_a_manifest_is_none() {
        let whole = json!({"transactionTime": "2026-03-02T18:00:00Z", "output": [{"type": "Patient", "url": "u"}]});
        assert!(ExportManifest::read(&whole).is_ok());
        let cases = [
            ("transactionTime", json!(null)),
            ("transactionTime", json!("soon")),
            ("output", json!({"type": "Patient"})),
            ("output", json!([{"type": "Patient"}])),
            ("output", json!([{"url": "u"}])),
            ("deleted", json!([{}])),
            ("link", json!([{"relation": "next"}])),
        ];
        for (name, value) in cases {
            let mut broken = whole.clone();
            broken[name] = value.clone();
            assert!(ExportManifest::read(&broken).is_err(), "{name}: {value}");
        }
        assert!(ExportManifest::read(&json!({"transactionTime": "2026-03-02T18:00:00Z"})).is_err());
    }

    #[test]
    fn a_deletion_names_what_is_gone() {
        let line = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"request": {"method": "DELETE", "url": "Patient/1"}},
            {"request": {"method": "DELETE", "url": "https://e/fhir/Condition/c"}},
            {"request": {"method": "DELETE", "url": "Claim/1"}},
            {"request": {"method": "PUT", "url": "Patient/2"}}]});
        let gone: Vec<String> = deleted_in(&line).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(gone, ["Patient/1", "Condition/c"]);
        assert_eq!(deleted_in(&json!({"resourceType": "Patient"})), None);
    }
}
