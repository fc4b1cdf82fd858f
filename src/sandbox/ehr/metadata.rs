//! The CapabilityStatement: only what works here.

use serde_json::{Value, json};

use super::personality::TYPES;
use super::search::{Kind, names_for};
use super::server::Ehr;

pub fn statement(ehr: &Ehr) -> Value {
    let kind_code = |kind| match kind {
        Kind::Token => "token",
        Kind::Reference => "reference",
        Kind::Date => "date",
        Kind::Text => "string",
    };
    let personality = &ehr.personality;
    let resources: Vec<Value> = TYPES
        .iter()
        .map(|name| {
            let offered = names_for(name).into_iter().filter(|(param, _)| personality.last_updated || *param != "_lastUpdated");
            let params: Vec<Value> = offered.clone().map(|(param, kind)| json!({"name": param, "type": kind_code(kind)})).collect();
            let includes: Vec<String> =
                offered.filter(|(_, kind)| *kind == Kind::Reference).map(|(param, _)| format!("{name}:{param}")).collect();
            let mut interactions = vec!["read", "vread", "search-type", "create", "delete"];
            if personality.update {
                interactions.push("update");
            }
            let interactions: Vec<Value> = interactions.into_iter().map(|code| json!({"code": code})).collect();
            json!({
                "type": name, "interaction": interactions, "versioning": "versioned-update", "readHistory": true,
                "updateCreate": personality.update, "conditionalCreate": personality.conditional_create, "conditionalRead": "not-match",
                "conditionalUpdate": false, "searchInclude": includes, "searchParam": params
            })
        })
        .collect();
    json!({
        "resourceType": "CapabilityStatement", "status": "active", "date": "2026-01-01", "kind": "instance",
        "software": {"name": "Simulated hospital", "version": personality.name},
        "implementation": {"description": "A simulated hospital: no real patients", "url": ehr.base},
        "fhirVersion": "4.0.1", "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "security": {
                "service": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}]}],
                "extension": [{"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                               "extension": [{"url": "token", "valueUri": ehr.authority.token_url}]}]
            },
            "interaction": [{"code": "batch"}],
            "resource": resources
        }]
    })
}
