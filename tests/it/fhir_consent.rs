//! What a Consent says about contacting the patient, and what it does not.

use beckon::domain::{Channel, Purpose};
use beckon::fhir::read::{self, ConsentWord};
use serde_json::{Value, json};

use crate::support::fields::{now, with};

#[test]
fn a_consent_speaks_of_contact_only_where_it_means_it() {
    use ConsentWord::{Denies, Permits, Unclear};
    let code = |code: &str| json!([{"coding": [{"code": code}]}]);
    let sms = |provision: Value| (provision, Channel::Sms, Purpose::Treatment);
    for ((provision, channel, purpose), expected) in [
        (sms(json!({"type": "deny", "code": code("sms")})), Some(Denies)),
        (sms(json!({"type": "deny", "code": code("phone")})), Some(Denies)),
        (sms(json!({"type": "deny", "code": code("EMAILWRIT")})), None),
        (sms(json!({"type": "permit", "code": code("sms")})), Some(Permits)),
        (sms(json!({"type": "deny"})), Some(Denies)),
        (sms(json!({"type": "opt-out", "code": code("sms")})), Some(Denies)),
        // A public code that is no channel is about other things; what nobody but the hospital knows may be anything.
        (sms(json!({"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "34133-9"}]}]})), None),
        (sms(json!({"type": "deny", "code": code("34133-9")})), Some(Unclear)),
        (sms(json!({"type": "deny", "code": [{"text": "no texts"}]})), Some(Unclear)),
        (sms(json!({"type": "deny", "code": [{"text": "notes"}], "class": [{"code": "x"}]})), None),
        (sms(json!({"type": "permit", "code": [{"text": "texts"}]})), None),
        (sms(json!({"type": "deny", "purpose": [{"code": "OURS"}]})), Some(Unclear)),
        (sms(json!({"type": "deny", "provision": [{"type": "permit", "code": [{"text": "texts"}]}]})), Some(Denies)),
        (sms(json!({"type": "permit", "provision": [{"type": "deny", "code": [{"text": "texts"}]}]})), Some(Unclear)),
        // An exception that denies a channel counts, whatever it is an exception to; one that permits does not.
        (
            sms(json!({"type": "permit", "actor": [{"reference": {"reference": "Organization/us"}}],
                "provision": [{"type": "deny", "code": code("sms")}]})),
            Some(Denies),
        ),
        (
            sms(
                json!({"type": "deny", "class": [{"code": "x"}], "provision": [{"type": "permit", "code": code("sms")}]}),
            ),
            None,
        ),
        (sms(json!({"type": "deny", "actor": [{"reference": {"reference": "Organization/hie"}}]})), None),
        (sms(json!({"type": "deny", "code": code("sms"), "period": {"end": "2025"}})), None),
        (sms(json!({"type": "deny", "code": code("sms"), "period": {"end": "never"}})), Some(Denies)),
        (sms(json!({"type": "permit", "code": code("sms"), "period": {"end": "never"}})), None),
        (sms(json!({"type": "permit", "code": code("sms"), "securityLabel": [{"code": "N"}]})), None),
        (sms(json!({"type": "deny", "purpose": [{"code": "HMARKT"}]})), None),
        ((json!({"type": "deny", "purpose": [{"code": "HMARKT"}]}), Channel::Email, Purpose::Marketing), Some(Denies)),
        (sms(json!({"type": "deny", "provision": [{"type": "permit", "code": code("sms")}]})), Some(Permits)),
        (
            sms(json!({"type": "permit", "provision": [
            {"type": "permit", "code": code("sms")}, {"type": "deny", "code": code("sms")}]})),
            Some(Denies),
        ),
        (sms(json!({"provision": [{"type": "deny", "code": code("email")}]})), None),
    ] {
        let base = json!({"resourceType": "Consent", "id": "c", "status": "active", "patient": {"reference": "Patient/p1"},
            "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}});
        let consent = with(base, json!({"provision": provision}));
        let read = read::consent(&consent).value.unwrap();
        assert_eq!(read.says(channel, purpose, now()), expected, "{provision}");
        let inactive = read::consent(&with(consent.clone(), json!({"status": "inactive"}))).value.unwrap();
        assert_eq!(inactive.says(channel, purpose, now()), None);
        let fatal = read::consent(&with(consent, json!({"status": null})));
        assert!(fatal.value.is_none());
    }
    let research = json!({"resourceType": "Consent", "id": "c", "status": "active", "patient": {"reference": "Patient/p1"},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]},
        "provision": {"type": "deny"}});
    assert_eq!(read::consent(&research).value.unwrap().says(Channel::Sms, Purpose::Treatment, now()), None);
}
