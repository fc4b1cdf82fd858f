//! The CapabilityStatement: only what works here.

use serde_json::{Value, json};

use super::export::Level;
use super::personality::{Searchable, TYPES};
use super::search::{Kind, names_for};
use super::server::Ehr;

const TOPIC: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical";
const EXPORT: &str = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export";

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
        .filter_map(|name| {
            let offer = personality.offers(name)?;
            let searchable = !matches!(offer.search, Searchable::Never);
            let offered = names_for(name).into_iter().filter(|(param, _)| {
                let known = offer.params.is_none_or(|known| known.contains(param) || *param == "_lastUpdated");
                searchable && known && (offer.last_updated || *param != "_lastUpdated")
            });
            let params: Vec<Value> = offered.clone().map(|(param, kind)| json!({"name": param, "type": kind_code(kind)})).collect();
            let includes: Vec<String> =
                offered.filter(|(_, kind)| *kind == Kind::Reference).map(|(param, _)| format!("{name}:{param}")).collect();
            let mut interactions = vec!["read", "vread"];
            let more = [("search-type", searchable), ("create", offer.create), ("update", offer.update), ("delete", offer.update)];
            interactions.extend(more.iter().filter(|(_, is_offered)| *is_offered).map(|(code, _)| *code));
            let interactions: Vec<Value> = interactions.into_iter().map(|code| json!({"code": code})).collect();
            let level = [("Patient", Level::Patient), ("Group", Level::Group)].iter().find(|(of, _)| of == name).map(|it| it.1);
            let export = personality.export.as_ref().zip(level).is_some_and(|(manner, level)| manner.levels.contains(&level));
            let operations = if export { json!([{"name": "export", "definition": EXPORT}]) } else { json!([]) };
            let topics = personality.subscriptions.iter().filter(|_| *name == "Subscription").flat_map(|manner| manner.topics);
            let extensions: Vec<Value> = topics.map(|topic| json!({"url": TOPIC, "valueCanonical": topic.url})).collect();
            Some(json!({
                "extension": extensions, "operation": operations, "type": name, "interaction": interactions, "versioning": "versioned-update", "readHistory": true,
                "updateCreate": offer.update, "conditionalCreate": personality.conditional_create, "conditionalRead": "not-match",
                "conditionalUpdate": false, "searchInclude": includes, "searchParam": params
            }))
        })
        .collect();
    let system = personality.export.as_ref().is_some_and(|manner| manner.levels.contains(&Level::System));
    let system_operations = if system { json!([{"name": "export", "definition": EXPORT}]) } else { json!([]) };
    json!({
        "resourceType": "CapabilityStatement", "status": "active", "date": "2026-01-01", "kind": "instance",
        "software": {"name": "Simulated hospital", "version": personality.name},
        "implementation": {"description": "A simulated hospital: no real patients", "url": ehr.base},
        "fhirVersion": personality.fhir_version, "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "security": {
                "service": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}]}],
                "extension": [{"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                               "extension": [{"url": "token", "valueUri": ehr.authority.token_url}]}]
            },
            "interaction": if personality.batch { json!([{"code": "batch"}]) } else { json!([]) },
            "operation": system_operations,
            "resource": resources
        }]
    })
}
