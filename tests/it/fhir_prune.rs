//! What the mirror keeps of a resource.

use beckon::domain::ResourceType;
use beckon::fhir::prune::{is_allowed, prune};
use serde_json::{Value, json};

#[test]
fn nothing_that_rules_do_not_need_is_kept() {
    let secret = "SECRET";
    for (full, expected) in [
        (
            json!({"resourceType": "Patient", "id": "p1",
                "meta": {"versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z", "source": secret,
                         "security": [{"system": "urn:oid:2.16.840.1.113883.5.25", "code": "R"}]},
                "text": {"status": "generated", "div": secret}, "contained": [{"note": secret}],
                "extension": [{"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "valueString": secret},
                    {"url": "http://hl7.org/fhir/StructureDefinition/tz-code", "valueCode": "America/Denver", "id": secret}],
                "identifier": [
                    {"type": {"coding": [{"code": "MR"}], "text": secret}, "system": "urn:h", "value": "1"},
                    {"type": {"coding": [{"code": "SS"}]}, "value": secret},
                    {"system": "http://hl7.org/fhir/sid/us-ssn", "value": secret},
                    {"system": "urn:oid:2.16.840.1.113883.4.1", "value": secret},
                    {"type": {"coding": [{"code": "DL"}]}, "value": secret}],
                "name": [{"use": "official", "family": "Lovelace", "given": ["Ada"], "_given": [{"id": secret}]}],
                "photo": [{"data": secret}], "maritalStatus": {"text": secret}, "contact": [{"name": {"text": secret}}],
                "address": [{"line": [secret], "city": secret, "text": secret, "state": "CO", "postalCode": "80014"}],
                "managingOrganization": {"reference": "Organization/o1", "display": secret},
                "birthDate": "1961-04", "_birthDate": {"extension": [{"url": "https://x/birth-time", "valueString": secret}]}}),
            json!({"resourceType": "Patient", "id": "p1",
                "meta": {"versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z",
                         "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]},
                "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/tz-code", "valueCode": "America/Denver"}],
                "identifier": [{"type": {"coding": [{"code": "MR"}]}, "system": "urn:h", "value": "1"}],
                "name": [{"use": "official", "family": "Lovelace", "given": ["Ada"]}],
                "address": [{"state": "CO", "postalCode": "80014"}],
                "managingOrganization": {"reference": "Organization/o1"},
                "birthDate": "1961-04", "_birthDate": {}}),
        ),
        (
            json!({"resourceType": "Appointment", "id": "a1", "status": "booked", "comment": secret, "description": secret,
                "patientInstruction": secret, "serviceType": [{"text": "Cardiology", "id": secret}],
                "reasonCode": [{"coding": [{"code": "E11"}], "text": secret}],
                "participant": [{"actor": {"reference": "Patient/p1", "display": secret}, "status": "accepted"}]}),
            json!({"resourceType": "Appointment", "id": "a1", "status": "booked", "serviceType": [{"text": "Cardiology"}],
                "reasonCode": [{"coding": [{"code": "E11"}]}],
                "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}]}),
        ),
        (
            json!({"resourceType": "Observation", "id": "o1", "status": "final", "note": [{"text": secret}],
                "valueString": secret, "valueQuantity": {"value": 7.50, "unit": "%", "code": "%"},
                "code": {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.1", "code": "4548-4"}], "text": secret}}),
            json!({"resourceType": "Observation", "id": "o1", "status": "final",
                "valueQuantity": {"value": 7.50, "unit": "%", "code": "%"},
                "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}}),
        ),
        (json!({"resourceType": "Claim", "id": secret}), json!({})),
        (json!(secret), json!({})),
    ] {
        let kept = prune(&full);
        // As maps: the order of keys is no concern here.
        assert_eq!(serde_json::to_value(&kept).unwrap(), expected);
        assert!(!kept.to_string().contains(secret));
        assert_eq!(prune(&kept), kept, "pruning twice changes nothing");
    }
}

#[test]
fn that_a_resource_has_a_modifier_stays_in_sight() {
    let kept = prune(
        &json!({"resourceType": "Patient", "id": "p", "modifierExtension": [{"url": "u", "valueString": "SECRET"}]}),
    );
    assert_eq!(kept["modifierExtension"], json!([{"url": "u"}]));
}

#[test]
fn nested_provisions_are_kept_at_every_depth() {
    let consent = json!({"resourceType": "Consent", "id": "c", "provision": {"type": "permit", "provision": [
        {"type": "deny", "provision": [{"type": "permit", "code": [{"coding": [{"code": "sms"}]}]}]}]}});
    assert_eq!(prune(&consent), consent);
}

#[test]
fn a_rule_may_read_what_the_mirror_keeps_and_nothing_else() {
    use ResourceType as R;
    for (kind, path, expected) in [
        (R::Condition, "code", true),
        (R::Condition, "Condition.code.coding.code", true),
        (R::Condition, "code.coding[0].code", true),
        (R::Condition, "code.text", false),
        (R::Condition, "onset", true),
        (R::Condition, "onsetDateTime", true),
        (R::Condition, "onsetString", false),
        (R::Condition, "on", false),
        (R::Condition, "note", false),
        (R::Condition, "note.text", false),
        (R::Condition, "recordedDate", true),
        (R::Condition, "recorded", false),
        (R::Observation, "value.code", true),
        (R::Observation, "valueQuantity.value", true),
        (R::Observation, "component.value.code", true),
        (R::Observation, "value.photo", false),
        (R::Patient, "Patient.name.given", true),
        (R::Patient, "photo", false),
        (R::Patient, "contact.name", false),
        (R::Patient, "address.line", false),
        (R::Patient, "deceased", true),
        (R::Patient, "meta.lastUpdated", true),
        (R::Patient, "id", true),
        (R::Patient, "Patient", true),
        (R::Patient, "text.div", false),
        (R::Patient, "extension", true),
        (R::Appointment, "participant.actor.reference", true),
        (R::Appointment, "participant.actor.display", false),
        (R::Appointment, "comment", false),
        (R::Consent, "provision.provision.provision.type", true),
        (R::Encounter, "class.code", true),
        (R::Encounter, "status.code", false),
    ] {
        assert_eq!(is_allowed(kind, path), expected, "{kind} {path}");
    }
}

#[test]
fn every_type_keeps_what_says_whose_it_is() {
    for kind in ResourceType::ALL {
        let full = json!({"resourceType": kind.as_str(), "id": "x",
            "subject": {"reference": "Patient/p1"}, "patient": {"reference": "Patient/p1"}, "for": {"reference": "Patient/p1"},
            "participant": [{"actor": {"reference": "Patient/p1"}}], "member": [{"entity": {"reference": "Patient/p1"}}]});
        let kept: Value = prune(&full);
        assert_eq!(beckon::fhir::read::subjects_of(&kept), beckon::fhir::read::subjects_of(&full), "{kind}");
        assert_eq!(beckon::fhir::read::group_members(&kept).len(), usize::from(*kind == ResourceType::Group));
        assert_eq!(beckon::fhir::read::version_of(&kept), beckon::fhir::read::version_of(&full));
    }
}
