//! Code systems and extensions by their canonical URLs (R4 terminologies-systems.html).

pub const SNOMED: &str = "http://snomed.info/sct";
pub const LOINC: &str = "http://loinc.org";
pub const ICD10_CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
pub const ICD10: &str = "http://hl7.org/fhir/sid/icd-10";
pub const ICD9_CM: &str = "http://hl7.org/fhir/sid/icd-9-cm";
pub const CVX: &str = "http://hl7.org/fhir/sid/cvx";
pub const NDC: &str = "http://hl7.org/fhir/sid/ndc";
pub const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
pub const CPT: &str = "http://www.ama-assn.org/go/cpt";
pub const HCPCS: &str = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
pub const UCUM: &str = "http://unitsofmeasure.org";
pub const US_SSN: &str = "http://hl7.org/fhir/sid/us-ssn";
pub const US_NPI: &str = "http://hl7.org/fhir/sid/us-npi";

pub const BCP_47: &str = "urn:ietf:bcp:47";

pub const IDENTIFIER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
pub const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
pub const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
pub const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
pub const ROLE_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-RoleCode";
pub const PARTICIPATION_MODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode";
pub const CONDITION_CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
pub const CONDITION_VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/condition-ver-status";
pub const CONDITION_CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/condition-category";
pub const CONSENT_SCOPE: &str = "http://terminology.hl7.org/CodeSystem/consentscope";
pub const CANCELLATION_REASON: &str = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason";
pub const APPOINTMENT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0276";
pub const OBSERVATION_CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
pub const OBSERVATION_INTERPRETATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
pub const DISCHARGE_DISPOSITION: &str = "http://terminology.hl7.org/CodeSystem/discharge-disposition";
pub const FLAG_CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/flag-category";
pub const SERVICE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/service-type";
pub const COMMUNICATION_CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/communication-category";
pub const COMMUNICATION_TOPIC: &str = "http://terminology.hl7.org/CodeSystem/communication-topic";
pub const COMMUNICATION_NOT_DONE_REASON: &str = "http://terminology.hl7.org/CodeSystem/communication-not-done-reason";

/// Zone of a Location or a record (FHIR extensions pack); its value is an IANA zone name.
pub const EXT_TIMEZONE: &str = "http://hl7.org/fhir/StructureDefinition/timezone";
/// Zone of a date, dateTime or instant; some servers put it on the resource instead.
pub const EXT_TZ_CODE: &str = "http://hl7.org/fhir/StructureDefinition/tz-code";
pub const EXT_INTERPRETER_REQUIRED: &str = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired";
pub const EXT_DATA_ABSENT_REASON: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

const KNOWN: &[&str] = &[
    SNOMED,
    LOINC,
    ICD10_CM,
    ICD10,
    ICD9_CM,
    CVX,
    NDC,
    RXNORM,
    CPT,
    HCPCS,
    UCUM,
    US_SSN,
    US_NPI,
    BCP_47,
    IDENTIFIER_TYPE,
    CONFIDENTIALITY,
    ACT_REASON,
    ACT_CODE,
    ROLE_CODE,
    PARTICIPATION_MODE,
    CONDITION_CLINICAL,
    CONDITION_VERIFICATION,
    CONDITION_CATEGORY,
    CONSENT_SCOPE,
    CANCELLATION_REASON,
    APPOINTMENT_TYPE,
    OBSERVATION_CATEGORY,
    OBSERVATION_INTERPRETATION,
    DISCHARGE_DISPOSITION,
    FLAG_CATEGORY,
    SERVICE_TYPE,
    COMMUNICATION_CATEGORY,
    COMMUNICATION_TOPIC,
    COMMUNICATION_NOT_DONE_REASON,
];

/// The object identifiers under which older interfaces send the same systems (HL7 OID registry).
const BY_OID: &[(&str, &str)] = &[
    ("2.16.840.1.113883.6.96", SNOMED),
    ("2.16.840.1.113883.6.1", LOINC),
    ("2.16.840.1.113883.6.90", ICD10_CM),
    ("2.16.840.1.113883.6.3", ICD10),
    ("2.16.840.1.113883.6.103", ICD9_CM),
    ("2.16.840.1.113883.12.292", CVX),
    ("2.16.840.1.113883.6.69", NDC),
    ("2.16.840.1.113883.6.88", RXNORM),
    ("2.16.840.1.113883.6.12", CPT),
    ("2.16.840.1.113883.6.285", HCPCS),
    ("2.16.840.1.113883.6.8", UCUM),
    ("2.16.840.1.113883.4.1", US_SSN),
    ("2.16.840.1.113883.4.6", US_NPI),
    ("2.16.840.1.113883.5.25", CONFIDENTIALITY),
    ("2.16.840.1.113883.5.8", ACT_REASON),
    ("2.16.840.1.113883.5.4", ACT_CODE),
    ("2.16.840.1.113883.5.111", ROLE_CODE),
];

/// The canonical URL of a code system that is named by URL or by `urn:oid:`; an unknown name is returned as it is.
pub fn canonical_system(system: &str) -> &str {
    let Some(oid) = system.strip_prefix("urn:oid:") else {
        return system;
    };
    BY_OID.iter().find(|(known, _)| *known == oid).map_or(system, |(_, url)| url)
}

/// Whether a rule may name this system without a warning: it is one that EHRs really send, spelled canonically.
pub fn is_known_system(system: &str) -> bool {
    KNOWN.contains(&system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_identifiers_become_canonical_urls() {
        for (given, expected) in [
            ("urn:oid:2.16.840.1.113883.6.96", SNOMED),
            ("urn:oid:2.16.840.1.113883.6.90", ICD10_CM),
            ("http://loinc.org", LOINC),
            ("urn:oid:1.2.3", "urn:oid:1.2.3"),
            ("2.16.840.1.113883.6.96", "2.16.840.1.113883.6.96"),
        ] {
            assert_eq!(canonical_system(given), expected);
        }
        assert!(is_known_system(SNOMED));
        assert!(!is_known_system("http://snomed.info/sct/"));
    }

    #[test]
    fn every_object_identifier_leads_to_a_known_system() {
        for (oid, url) in BY_OID {
            assert!(is_known_system(url), "{oid}");
        }
    }
}
