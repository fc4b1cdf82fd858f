//! The patient's record: readable, alive, in use.

use crate::domain::{Deceased, PatientStatus, Reason, Verdict};

use super::super::Reading;
use super::{Case, Findings};

pub(in crate::rules) fn check(case: &Case<'_>, findings: &mut Findings) {
    match (&case.facts.patient, case.patient) {
        (Reading::Fresh(_), _) => findings.pass("patient_read", "the Patient was read just now"),
        (Reading::Gone, _) => {
            findings.fail("patient_read", "the EHR has no such Patient", Verdict::Cancel(Reason::PatientGone));
        }
        (Reading::Unreadable { .. }, Some(_)) => {
            findings.pass("patient_read", "the EHR could not be read; the rule allows the mirrored Patient (stale_ok)");
        }
        (Reading::Unreadable { .. }, None) => findings.unknown(
            "patient_read",
            "the Patient could not be read from the EHR",
            case.recheck(Reason::EhrUnreadable),
        ),
    }
    let Some(record) = case.patient else {
        findings.skip("alive", "there is no Patient to look at");
        findings.skip("record_in_use", "there is no Patient to look at");
        return;
    };
    let source = Some(record.version);
    findings.fact("Patient", "read", source);
    match record.patient.deceased {
        Deceased::No => findings.pass("alive", "the record tells of no death"),
        Deceased::Yes => {
            findings.fact("Patient.deceased", "true", source);
            findings.fail("alive", "the patient has died", Verdict::Withhold(Reason::PatientDeceased));
        }
    }
    match &record.patient.status {
        PatientStatus::Active => findings.pass("record_in_use", "the record is in use"),
        PatientStatus::Inactive => {
            findings.fact("Patient.active", "false", source);
            findings.fail("record_in_use", "the record is inactive", Verdict::Withhold(Reason::PatientInactive));
        }
        PatientStatus::ReplacedBy(survivor) => {
            findings.fact("Patient.link", format!("replaced-by Patient/{survivor}"), source);
            findings.fail(
                "record_in_use",
                "the record was merged into another",
                Verdict::Withhold(Reason::PatientReplaced),
            );
        }
    }
}
