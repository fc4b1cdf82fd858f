//! One resource as it came: into the mirror with its facts, or into quarantine with its reason. Pure.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::{Issue, Patient, PatientId, ResourceType, ResourceVersion};
use crate::fhir::{hash, prune, read};
use crate::store::{MirrorRow, Unusable};

/// A page of resources, sorted.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub rows: Vec<MirrorRow>,
    /// Facts of the Patients among the rows.
    pub patients: Vec<Patient>,
    /// Records that Patients among the rows say they replace, each with the survivor.
    pub replaced: Vec<(PatientId, PatientId)>,
    /// Locations that the Appointments among the rows name.
    pub locations: Vec<String>,
    pub unusable: Vec<Unusable>,
}

impl Intake {
    /// Sorts what a server gave as `kind`.
    pub fn of(resources: Vec<Value>, kind: ResourceType, now: DateTime<Utc>) -> Self {
        let mut intake = Self::default();
        for resource in resources {
            match intake.read(&resource, kind, now) {
                Ok(row) => intake.keep(resource, row),
                Err(issue) => {
                    // Nothing of it is in the mirror: what is missing there of these patients proves nothing.
                    let hides_from = read::subjects_of(&resource);
                    intake.unusable.push(Unusable { hides_from, ..unusable(&resource, kind, issue) });
                }
            }
        }
        intake
    }

    pub fn join(&mut self, other: Self) {
        let Self { rows, patients, replaced, locations, unusable } = other;
        self.rows.extend(rows);
        self.patients.extend(patients);
        self.replaced.extend(replaced);
        self.locations.extend(locations);
        self.unusable.extend(unusable);
    }

    fn read(&mut self, resource: &Value, kind: ResourceType, now: DateTime<Utc>) -> Result<Row, Issue> {
        let version = read::version_of(resource).filter(|version| version.key.resource_type == kind);
        let version = version.ok_or_else(|| fatal(kind.as_str(), format!("is not a {kind} with an id")))?;
        let mut row = Row { version, patient: None, status: None, starts_at: None };
        match kind {
            ResourceType::Patient => {
                let patient = usable(read::patient(resource, now))?;
                row.patient = Some(patient.id.clone());
                self.replaced.extend(read::replaces(resource).into_iter().map(|it| (it, patient.id.clone())));
                self.patients.push(patient);
            }
            ResourceType::Appointment => {
                let appointment = usable(read::appointment(resource))?;
                self.locations.extend(appointment.locations().map(str::to_owned));
                let mut patients = appointment.patients();
                row.patient = patients.next();
                row.status = Some(appointment.status.as_str().to_owned());
                row.starts_at = appointment.start;
                if patients.next().is_some() {
                    // The mirror knows one patient a resource: the first is served, and a person sees that there are
                    // more.
                    let issue = fatal("Appointment.participant", "names several patients; only the first is reminded");
                    self.unusable.push(unusable(resource, kind, issue));
                }
            }
            ResourceType::Condition => row.patient = Some(usable(read::condition(resource))?.subject),
            ResourceType::Consent => {
                let read = read::consent(resource);
                row.patient = Some(self.whose(resource, kind, read.fatal().cloned())?);
                if read.value.is_some_and(|consent| consent.is_unclear()) {
                    let place = read.issues.last().map_or_else(|| "Consent.provision".to_owned(), |it| it.path.clone());
                    let reason =
                        "denies something that is told in no public code; the patient gets nothing that it may mean";
                    self.unusable.push(unusable(resource, kind, fatal(&place, reason)));
                }
            }
            ResourceType::RelatedPerson => {
                let read = read::related_person(resource, now);
                row.patient = Some(self.whose(resource, kind, read.fatal().cloned())?);
            }
            ResourceType::Location => _ = usable(read::location(resource, now))?,
            ResourceType::Group => {}
            ResourceType::Organization | ResourceType::Practitioner => _ = usable(read::named(resource, kind))?,
            other => {
                let read = read::record(resource, other).ok_or_else(|| fatal(other.as_str(), "is not read"))?;
                row.patient = Some(usable(read)?.subject);
            }
        }
        Ok(row)
    }

    fn keep(&mut self, mut resource: Value, row: Row) {
        prune::prune_in_place(&mut resource);
        self.rows.push(MirrorRow {
            hash: hash::content_hash(&resource),
            version: row.version,
            patient: row.patient,
            body: resource,
            status: row.status,
            starts_at: row.starts_at,
        });
    }

    /// The patient of a record that speaks for the patient, readable or not. One that cannot be read is shown in
    /// quarantine and mirrored all the same: it takes the place of what it said before, and as long as it cannot be
    /// read it counts as the worst that it may say.
    fn whose(&mut self, resource: &Value, kind: ResourceType, issue: Option<Issue>) -> Result<PatientId, Issue> {
        let subject = read::subject_of(resource);
        let patient =
            subject.ok_or_else(|| issue.clone().unwrap_or_else(|| fatal(kind.as_str(), "names no patient")))?;
        if let Some(issue) = issue {
            self.unusable.push(unusable(resource, kind, issue));
        }
        Ok(patient)
    }

    /// Patients that the rows are about, each once.
    pub fn subjects(&self) -> Vec<PatientId> {
        let mut subjects: Vec<PatientId> = self.rows.iter().filter_map(|row| row.patient.clone()).collect();
        subjects.sort();
        subjects.dedup();
        subjects
    }
}

struct Row {
    version: ResourceVersion,
    patient: Option<PatientId>,
    status: Option<String>,
    starts_at: Option<DateTime<Utc>>,
}

fn usable<T>(read: read::Read<T>) -> Result<T, Issue> {
    let why = read.fatal().cloned();
    read.value.ok_or_else(|| why.unwrap_or_else(|| fatal("$this", "cannot be read")))
}

fn fatal(path: &str, reason: impl Into<String>) -> Issue {
    Issue { path: path.to_owned(), reason: reason.into(), fatal: true }
}

/// Names a resource as well as it can be named; a server's odd words are cut to what a column and a page can show.
fn unusable(resource: &Value, kind: ResourceType, issue: Issue) -> Unusable {
    let word = |key: &str| {
        let text = resource[key].as_str().unwrap_or_default();
        let plain = text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        Some(text.to_owned()).filter(|text| plain && !text.is_empty())
    };
    Unusable {
        resource_type: word("resourceType").unwrap_or_else(|| kind.to_string()),
        resource_id: word("id").unwrap_or_else(|| "(none)".to_owned()),
        path: issue.path,
        reason: issue.reason,
        hides_from: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-02T18:00:00Z".parse().unwrap()
    }

    #[test]
    fn one_bad_resource_does_not_cost_the_others() {
        let page = [
            json!({"resourceType": "Appointment", "id": "good", "status": "booked", "start": "2026-03-05T15:00:00Z",
                "end": "2026-03-05T15:30:00Z", "participant": [
                    {"actor": {"reference": "Patient/ada"}, "status": "accepted"},
                    {"actor": {"reference": "Location/l"}, "status": "accepted"}]}),
            json!({"resourceType": "Appointment", "id": "nobody", "status": "booked", "start": "2026-03-05T15:00:00Z"}),
            json!({"resourceType": "Patient", "id": "stray"}),
            json!({"resourceType": "Appointment"}),
            json!("no resource at all"),
        ];
        let intake = Intake::of(page.to_vec(), ResourceType::Appointment, now());
        assert_eq!(intake.rows.len(), 1);
        assert_eq!(intake.rows[0].patient, Some(PatientId::new("ada")));
        assert_eq!(intake.rows[0].status.as_deref(), Some("booked"));
        assert!(intake.rows[0].starts_at.is_some());
        assert_eq!(intake.locations, ["l"]);
        let named: Vec<(&str, &str)> =
            intake.unusable.iter().map(|it| (it.resource_type.as_str(), it.resource_id.as_str())).collect();
        assert_eq!(
            named,
            [("Appointment", "nobody"), ("Patient", "stray"), ("Appointment", "(none)"), ("Appointment", "(none)")]
        );
        assert!(intake.unusable.iter().all(|it| !it.path.is_empty() && !it.reason.is_empty()));
    }

    #[test]
    fn a_resource_without_a_patient_of_this_server_is_not_taken() {
        let page = [
            json!({"resourceType": "Observation", "id": "a", "status": "final", "subject": {"reference": "Patient/ada"}}),
            json!({"resourceType": "Observation", "id": "b", "status": "final",
                "subject": {"reference": "https://else.example/Patient/ada"}}),
            json!({"resourceType": "Observation", "id": "c", "status": "final"}),
            json!({"resourceType": "Observation", "id": "d", "status": "odd", "subject": {"reference": "Patient/bo"}}),
        ];
        let intake = Intake::of(page.to_vec(), ResourceType::Observation, now());
        assert_eq!((intake.rows.len(), intake.unusable.len()), (1, 3));
        assert_eq!(intake.subjects(), [PatientId::new("ada")]);
        let hidden: Vec<&[PatientId]> = intake.unusable.iter().map(|it| it.hides_from.as_slice()).collect();
        assert_eq!(hidden, [&[][..], &[], &[PatientId::new("bo")]], "bo's observations are not all known");
    }
}
