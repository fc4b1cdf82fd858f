//! Whom and what to look at where the EHR cannot list it: Groups that the hospital keeps, and lists that it hands over.

use std::collections::BTreeSet;

use serde_json::json;

use crate::domain::{Actor, EhrId, EventKind, ResourceKey, ResourceType, TenantId};
use crate::ehr::read::Read;
use crate::fhir::read;
use crate::store::{RosterChange, Store, StoreError};

use super::page::Run;
use super::report::TypeReport;

/// What a roster may name. Patients and Appointments are read by id; Locations are searched for their days; the members
/// of a Group are Patients.
pub const ROSTER_TYPES: [ResourceType; 4] =
    [ResourceType::Patient, ResourceType::Appointment, ResourceType::Location, ResourceType::Group];

/// Why a list cannot be taken. Nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    #[error(
        "line {0} names no resource; each line is one id, such as Patient/e3iabhm or Location/12 (or the id alone, with \
         --type), and what follows a comma is not read"
    )]
    Line(usize),
    #[error("line {line}: a roster names Patient, Appointment, Location or Group, not {found}")]
    Type { line: usize, found: String },
    #[error("the list is empty")]
    Empty,
}

/// Reads a list: one `Type/id` a line, or bare ids of one `kind`; of a CSV the first column, with or without quotes. Empty
/// lines and lines that begin with `#` are left out.
///
/// # Errors
/// The first line that names nothing.
pub fn read_list(text: &str, kind: Option<ResourceType>) -> Result<BTreeSet<ResourceKey>, RosterError> {
    let mut keys = BTreeSet::new();
    for (at, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let first = line.split([',', ';', '\t']).next().unwrap_or_default().trim().trim_matches('"').trim();
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (found, id) = match (first.split_once('/'), kind) {
            (Some((found, id)), _) => (found, id),
            (None, Some(kind)) => (kind.as_str(), first),
            (None, None) => return Err(RosterError::Line(at)),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if id.is_empty() || id.len() > 128 || !id.chars().all(plain) {
            return Err(RosterError::Line(at));
        }
        let known = ROSTER_TYPES.into_iter().find(|kind| kind.as_str() == found);
        let known = known.ok_or_else(|| RosterError::Type { line: at, found: found.chars().take(40).collect() })?;
        keys.insert(ResourceKey::new(known, id));
    }
    if keys.is_empty() { Err(RosterError::Empty) } else { Ok(keys) }
}

/// Makes what lists named exactly this one, or adds it to what they named before.
///
/// # Errors
/// The store refuses.
pub async fn import(
    store: &Store,
    tenant: &TenantId,
    ehr: &EhrId,
    keys: &BTreeSet<ResourceKey>,
    replace: bool,
    actor: Actor,
) -> Result<RosterChange, StoreError> {
    const SOURCE: &str = "list";
    let mut tx = store.write(tenant).await?;
    let change = if replace {
        tx.set_roster(ehr, SOURCE, keys).await?
    } else {
        RosterChange { added: tx.add_to_roster(ehr, SOURCE, keys).await?, removed: 0 }
    };
    let detail = json!({"roster": SOURCE, "named": keys.len(), "replaces": replace, "removed": change.removed});
    let event = tx.event(actor, EventKind::EhrChanged).about_ehr(ehr);
    tx.append(event.with_detail(detail)).await?;
    tx.commit().await?;
    Ok(change)
}

impl Run<'_> {
    /// Reads the Groups of the roster and takes over their members; nothing where there are none.
    pub(super) async fn read_groups(&self) -> Result<Option<TypeReport>, StoreError> {
        let connection = self.client.connection();
        let ehr = &connection.id;
        let groups = self.store.view(&connection.tenant).roster(ehr, ResourceType::Group, "", 1000).await?;
        if groups.is_empty() {
            return Ok(None);
        }
        let mut report = TypeReport { how: "members", ..TypeReport::default() };
        for id in groups {
            let group = match self.client.read(&ResourceKey::new(ResourceType::Group, &*id), None).await {
                Ok(Read::Found(found)) => found.resource,
                Ok(_) => {
                    report.error = Some("a Group of the roster is not at the EHR any more".to_owned());
                    continue;
                }
                Err(error) => {
                    report.error = Some(error.to_string());
                    continue;
                }
            };
            let members: BTreeSet<ResourceKey> = read::group_members(&group)
                .iter()
                .map(|patient| ResourceKey::new(ResourceType::Patient, patient.as_str()))
                .collect();
            let mut tx = self.store.write(&connection.tenant).await?;
            let change = tx.set_roster(ehr, &format!("group {id}"), &members).await?;
            tx.commit().await?;
            report.read += 1;
            report.changed += usize::from(change.added + change.removed > 0);
            report.note = Some(format!("{} members", members.len()));
        }
        report.complete = report.error.is_none();
        Ok(Some(report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_one_id_a_line_and_anything_else_is_refused_with_its_line() {
        let keys = |text: &str, kind| {
            read_list(text, kind).map(|keys| keys.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let named = keys("\u{feff}# clinics\nLocation/12\n\n\"Patient/e3.b-1\",Ada,Lovelace\nPatient/e3.b-1\n", None);
        assert_eq!(named, Ok(vec!["Location/12".to_owned(), "Patient/e3.b-1".to_owned()]));
        assert_eq!(keys("a1;x\na2", Some(ResourceType::Appointment)).unwrap().len(), 2);
        assert_eq!(keys("Patient/1\n4711", None), Err(RosterError::Line(2)));
        assert_eq!(keys("Patient/1\nPatient/a b", None), Err(RosterError::Line(2)));
        let wrong = RosterError::Type { line: 1, found: "Observation".to_owned() };
        assert_eq!(keys("Observation/1", None), Err(wrong));
        assert_eq!(keys("# nothing\n", None), Err(RosterError::Empty));
    }
}
