//! What any resource says of itself: whose it is, which version it is, how sensitive it is.

use serde_json::Value;

use super::date;
use crate::domain::{PatientId, ResourceKey, ResourceType, ResourceVersion};
use crate::fhir::{codes, json, reference};

/// Type, id, version and time of change; `None` where type or id cannot be told.
pub fn version_of(resource: &Value) -> Option<ResourceVersion> {
    let kind = ResourceType::parse(json::text(resource, "resourceType")?)?;
    let id = json::text(resource, "id").filter(|id| reference::is_id(id))?;
    let meta = resource.get("meta").unwrap_or(&Value::Null);
    Some(ResourceVersion {
        key: ResourceKey::new(kind, id),
        version_id: json::text(meta, "versionId").map(str::to_owned),
        last_updated: json::text(meta, "lastUpdated").and_then(|text| date::instant(text).ok()),
    })
}

/// The one patient that a resource is about. `None` where there is none, and where there are several (an Appointment
/// for a family): use [`subjects_of`] there.
pub fn subject_of(resource: &Value) -> Option<PatientId> {
    let mut subjects = subjects_of(resource);
    if subjects.len() == 1 { subjects.pop() } else { None }
}

/// All patients that a resource is about, each once, in the resource's order. The members of a Group are not its
/// subjects: see [`group_members`].
pub fn subjects_of(resource: &Value) -> Vec<PatientId> {
    use ResourceType as R;
    let Some(kind) = json::text(resource, "resourceType").and_then(ResourceType::parse) else {
        return Vec::new();
    };
    let at = |key: &str| resource.get(key).and_then(reference::patient).into_iter().collect();
    match kind {
        R::Patient => {
            json::text(resource, "id").filter(|id| reference::is_id(id)).map(PatientId::new).into_iter().collect()
        }
        R::Appointment => {
            let actors = json::list(resource, "participant").iter().filter_map(|participant| participant.get("actor"));
            distinct(actors.filter_map(reference::patient))
        }
        R::CarePlan
        | R::Communication
        | R::Condition
        | R::Encounter
        | R::Flag
        | R::MedicationRequest
        | R::Observation
        | R::Procedure
        | R::ServiceRequest => at("subject"),
        R::Consent | R::Immunization | R::RelatedPerson => at("patient"),
        R::Task => at("for"),
        R::Group | R::Location | R::Organization | R::Practitioner => Vec::new(),
    }
}

/// The patients that a Group names as current members (R4 Group.member.inactive).
pub fn group_members(group: &Value) -> Vec<PatientId> {
    let current =
        json::list(group, "member").iter().filter(|member| member.get("inactive") != Some(&Value::Bool(true)));
    distinct(current.filter_map(|member| reference::patient(member.get("entity")?)))
}

fn distinct(patients: impl Iterator<Item = PatientId>) -> Vec<PatientId> {
    let mut seen = std::collections::HashSet::new();
    patients.filter(|patient| seen.insert(patient.clone())).collect()
}

/// Whether `meta.security` asks for more than the usual care: confidentiality R or V, or any label that is not a
/// confidentiality at all (such as `PSY` or `HIV`). A label that cannot be read counts. No label proves nothing.
pub fn is_restricted(resource: &Value) -> bool {
    let Some(meta) = resource.get("meta") else {
        return false;
    };
    json::list(meta, "security").iter().any(|label| {
        let system = json::text(label, "system").map(codes::canonical_system);
        let usual = matches!(json::text(label, "code"), Some("U" | "L" | "M" | "N"));
        !(usual && system.is_none_or(|system| system == codes::CONFIDENTIALITY))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_names_its_patient_where_r4_puts_it() {
        let p1 = json!({"reference": "Patient/p1"});
        for kind in ResourceType::ALL {
            use ResourceType as R;
            let resource = match kind {
                R::Patient => json!({"id": "p1"}),
                R::Appointment => json!({"participant": [{"actor": {"reference": "Location/p1"}}, {"actor": p1}]}),
                R::Consent | R::Immunization | R::RelatedPerson => json!({"patient": p1}),
                R::Task => json!({"for": p1}),
                R::Group | R::Location | R::Organization | R::Practitioner => json!({"id": "p1", "subject": p1}),
                _ => json!({"subject": p1}),
            };
            let mut resource = resource;
            resource["resourceType"] = json!(kind.as_str());
            let expected = match kind {
                R::Group | R::Location | R::Organization | R::Practitioner => None,
                _ => Some(PatientId::from("p1")),
            };
            assert_eq!(subject_of(&resource), expected, "{kind}");
        }
        assert_eq!(subject_of(&json!({"resourceType": "Condition", "subject": {"reference": "Group/p1"}})), None);
        assert_eq!(subject_of(&json!({"resourceType": "Nonsense", "subject": p1})), None);
    }

    #[test]
    fn an_appointment_for_two_has_two_subjects_and_no_single_one() {
        let family = json!({"resourceType": "Appointment", "participant": [
            {"actor": {"reference": "Patient/mother"}}, {"actor": {"reference": "Patient/child"}},
            {"actor": {"reference": "Patient/mother"}}]});
        assert_eq!(subjects_of(&family), [PatientId::from("mother"), PatientId::from("child")]);
        assert_eq!(subject_of(&family), None);
    }

    #[test]
    fn members_of_a_group_are_its_current_patients() {
        let group = json!({"resourceType": "Group", "member": [
            {"entity": {"reference": "Patient/a"}}, {"entity": {"reference": "Patient/b"}, "inactive": true},
            {"entity": {"reference": "Practitioner/c"}}, {}]});
        assert_eq!(group_members(&group), [PatientId::from("a")]);
    }

    #[test]
    fn labels_beyond_the_usual_restrict() {
        for (security, expected) in [
            (json!([]), false),
            (json!([{"system": codes::CONFIDENTIALITY, "code": "N"}]), false),
            (json!([{"system": "urn:oid:2.16.840.1.113883.5.25", "code": "N"}]), false),
            (json!([{"code": "L"}]), false),
            (json!([{"system": codes::CONFIDENTIALITY, "code": "R"}]), true),
            (
                json!([{"system": codes::CONFIDENTIALITY, "code": "N"}, {"system": codes::ACT_CODE, "code": "PSY"}]),
                true,
            ),
            (json!([{"system": codes::ACT_CODE, "code": "N"}]), true),
            (json!([{}]), true),
            (json!("V"), true),
        ] {
            assert_eq!(is_restricted(&json!({"meta": {"security": security}})), expected, "{security}");
        }
        assert!(!is_restricted(&json!({})));
    }

    #[test]
    fn the_version_of_a_resource_is_what_meta_says() {
        let version = version_of(&json!({"resourceType": "Patient", "id": "p1",
            "meta": {"versionId": "7", "lastUpdated": "2026-01-01T00:00:00Z"}}))
        .unwrap();
        assert_eq!(version.key.to_string(), "Patient/p1");
        assert_eq!(version.version_id.as_deref(), Some("7"));
        assert!(version.last_updated.is_some());
        assert_eq!(version_of(&json!({"resourceType": "Patient"})), None);
        assert_eq!(version_of(&json!({"resourceType": "Claim", "id": "c"})), None);
    }
}
