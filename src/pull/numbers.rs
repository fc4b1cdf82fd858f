//! Record numbers as people and other systems know patients by, and which patient of the EHR each one names.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Actor, PatientId, Phi, ResourceKey, ResourceType, RunId};
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::plan::CapabilityPlan;
use crate::ehr::search::Search;
use crate::fhir::read;
use crate::store::Store;

use super::listing::Stop;
use super::options::PullOptions;
use super::page::Run;
use super::report::{Progress, TypeReport};
use super::roster::{RosterError, import};
use super::run::PullError;

/// A number of a record, with who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number {
    pub value: Phi<String>,
    /// The name of who gave it, as an interface engine writes it.
    pub authority: Option<String>,
    /// The identifier system as FHIR writes it.
    pub system: Option<String>,
}

/// Whom numbers name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    One(PatientId),
    Nobody,
    /// More than one patient: nobody may be chosen.
    Several,
}

/// Matches that are looked at: with more the number says nothing.
const FEW: usize = 5;

impl Run<'_> {
    /// The patient that numbers of one record name: as the mirror knows, else as the EHR finds by identifier. What was
    /// found is stored.
    pub(super) async fn whose(&self, numbers: &[Number], systems: &BTreeMap<String, String>) -> Result<Whose, Stop> {
        let mut named = BTreeSet::new();
        for number in numbers {
            let system = number.system.clone();
            let set = number.authority.as_ref().and_then(|authority| systems.get(authority)).cloned();
            let system = set.or(system);
            named.extend(self.mirrored_with(number, system.as_deref()).await?);
            if named.is_empty() {
                named.extend(self.found_with(number, system.as_deref()).await?);
            }
        }
        let mut named = named.into_iter();
        Ok(match (named.next(), named.next()) {
            (Some(one), None) => Whose::One(one),
            (Some(_), Some(_)) => Whose::Several,
            (None, _) => Whose::Nobody,
        })
    }

    async fn mirrored_with(&self, number: &Number, system: Option<&str>) -> Result<Vec<PatientId>, Stop> {
        let connection = self.client.connection();
        let view = self.store.view(&connection.tenant);
        let value = number.value.expose().trim().to_lowercase();
        let mut fitting = Vec::new();
        for (ehr, patient) in view.find_patients("mrn", &value, 10).await? {
            if ehr != connection.id {
                continue;
            }
            let key = ResourceKey::new(ResourceType::Patient, patient.as_str());
            let Some(row) = view.mirror_resource(&connection.id, &key).await? else { continue };
            let Some(facts) = read::patient(&row.body, self.store.clock().now()).value else { continue };
            let fits = |(of, found): &(String, Phi<String>)| {
                let same = found.expose().trim().to_lowercase() == value;
                same && (of.is_empty() || system.is_none_or(|system| system == of))
            };
            if facts.mrn.iter().any(fits) {
                fitting.push(patient);
            }
        }
        Ok(fitting)
    }

    async fn found_with(&self, number: &Number, system: Option<&str>) -> Result<Vec<PatientId>, Stop> {
        if !self.client.capability().await?.searches_by(ResourceType::Patient, "identifier") {
            return Ok(Vec::new());
        }
        let search = Search::new(ResourceType::Patient);
        let search = match system {
            Some(system) => search.with_token("identifier", system, number.value.expose()),
            None => search.with_code("identifier", number.value.expose()),
        };
        // By POST: numbers of patients do not belong into logs of addresses.
        let found: Vec<Value> = self.client.find_all(search.with("_count", "10").by_post()).await?;
        let patients = found.iter().filter_map(read::subject_of).collect();
        if found.len() <= FEW {
            self.destination().keep(ResourceType::Patient, found, &mut TypeReport::default()).await?;
        }
        Ok(patients)
    }
}

/// What became of a list of record numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NumbersReport {
    pub found: usize,
    /// Lines whose number the EHR does not find.
    pub unknown: Vec<usize>,
    /// Lines whose number names more than one patient.
    pub ambiguous: Vec<usize>,
}

/// Reads a list of record numbers: one a line, of a CSV the first column; lines that begin with `#` and a first line that
/// is a heading are left out. `system` is the identifier system of all of them. Each with its line.
///
/// # Errors
/// The file is no CSV, or names nothing.
pub fn read_numbers(text: &str, system: Option<&str>) -> Result<Vec<(usize, Number)>, RosterError> {
    let text = text.trim_start_matches('\u{feff}');
    let semicolons = text.lines().next().is_some_and(|first| first.contains(';') && !first.contains(','));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .delimiter(if semicolons { b';' } else { b',' })
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut numbers = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let record = record
            .map_err(|error| RosterError::Line(error.position().map_or(at + 1, |position| position.line() as usize)))?;
        let line = record.position().map_or(at + 1, |position| line_at(text, position.byte() as usize));
        let value = record.get(0).unwrap_or_default();
        let is_heading = numbers.is_empty() && at == 0 && !value.chars().any(|sign| sign.is_ascii_digit());
        if value.is_empty() || is_heading {
            continue;
        }
        if value.len() > 120 {
            return Err(RosterError::Line(line));
        }
        let number = Number { value: Phi::new(value.to_owned()), authority: None, system: system.map(str::to_owned) };
        numbers.push((line, number));
    }
    if numbers.is_empty() { Err(RosterError::Empty) } else { Ok(numbers) }
}

/// The line of the record that begins at `byte` or behind the line ends there: the reader tells where it began to look.
fn line_at(text: &str, byte: usize) -> usize {
    let (before, rest) = text.split_at_checked(byte).unwrap_or((text, ""));
    let ends = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
    let skipped = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    1 + ends(before) + ends(&rest[..skipped])
}

/// Names on the roster the patients that record numbers name. `progress` is told how many were looked up.
///
/// # Errors
/// The EHR cannot be asked, or the store refuses. What was looked up until then is stored, and the roster is as before.
pub async fn import_numbers(
    store: &Store,
    client: &FhirClient,
    options: &PullOptions,
    numbers: &[(usize, Number)],
    replace: bool,
    actor: Actor,
    progress: &(dyn Fn(usize) + Send + Sync),
) -> Result<NumbersReport, PullError> {
    let connection = client.connection();
    let token = client.tokens().get().await.map_err(EhrError::from)?;
    let plan = CapabilityPlan::derive(connection, &*client.capability().await?);
    let quiet = |_: &Progress| {};
    let run = Run::of(RunId(store.new_id()), (store, client, options), plan, (&token.granted, &[]), &quiet);
    let mut report = NumbersReport::default();
    let mut named = BTreeSet::new();
    for (at, (line, number)) in numbers.iter().enumerate() {
        match run.whose(std::slice::from_ref(number), &BTreeMap::new()).await {
            Ok(Whose::One(patient)) => _ = named.insert(ResourceKey::new(ResourceType::Patient, patient.as_str())),
            Ok(Whose::Nobody) => report.unknown.push(*line),
            Ok(Whose::Several) => report.ambiguous.push(*line),
            Err(Stop::Ehr(error)) => return Err(error.into()),
            Err(Stop::Store(error)) => return Err(error.into()),
        }
        progress(at + 1);
    }
    report.found = named.len();
    if !named.is_empty() {
        import(store, &connection.tenant, &connection.id, &named, replace, actor).await?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_numbers_is_a_csv_or_plain_lines() {
        let lines = |text: &str| {
            read_numbers(text, Some("urn:x"))
                .map(|all| all.into_iter().map(|(line, number)| (line, number.value.into_inner())).collect::<Vec<_>>())
        };
        let expected = vec![(2, "4711".to_owned()), (3, "00-12 A".to_owned())];
        assert_eq!(lines("MRN,Name\n4711,\"Lovelace, Ada\"\n\"00-12 A\",x\n"), Ok(expected.clone()));
        assert_eq!(lines("\u{feff}MRN;Name\r\n4711;Ada\r\n00-12 A;x"), Ok(expected));
        assert_eq!(lines("4711\n\n# gone\n4712\n").unwrap().len(), 2);
        assert_eq!(lines("MRN\n"), Err(RosterError::Empty));
        assert!(matches!(lines(&"9".repeat(200)), Err(RosterError::Line(1))));
        assert!(!format!("{:?}", read_numbers("4711", None)).contains("4711"));
    }
}
