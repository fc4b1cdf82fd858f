//! What is to be entered in the vendor's portal, as text to paste.

use super::connection::{EhrConnection, Vendor};
use super::scopes::{Access, ScopeStyle};

/// The registration of a connection, with the steps of its vendor (vendors' documentation, 2026). `public_url` is where
/// the EHR reaches this gateway.
pub fn registration(connection: &EhrConnection, public_url: &str) -> String {
    let jwks = format!("{public_url}/ehr/{}/jwks.json", connection.id);
    let mut lines = vec![
        "Application type       backend service (SMART Backend Services, client_credentials)".to_owned(),
        "Authentication         private_key_jwt (signed assertion); RS384 and ES384 keys are published".to_owned(),
        format!("JWK Set URL            {jwks}"),
        format!("Client id              {}", connection.client_id),
        format!("FHIR base URL          {}", connection.base_url.as_str()),
        format!("Scopes                 {}", connection.scopes.as_parameter(ScopeStyle::V2)),
        format!("  as SMART v1          {}", connection.scopes.as_parameter(ScopeStyle::V1)),
    ];
    lines.push(String::new());
    let steps: Vec<String> = match connection.vendor {
        Vendor::Epic => vec![
            format!("Epic, \"Build Apps\": select these APIs: {}.", apis(connection)),
            "Choose \"Backend Systems\" as the audience; enter the JWK Set URL for production and for non-production. Static \
             keys are no longer taken."
                .to_owned(),
            "The hospital maps the client to a background user and enables it; a change takes up to 12 hours to reach it."
                .to_owned(),
            "If more than one JWK Set could apply, say so to us: beckon ehr keys settings ID --jku yes.".to_owned(),
        ],
        Vendor::Oracle => vec![
            "Oracle Health, code Console: a system account with the JWK Set URL and the scopes above, no more: long scope \
             lists fail."
                .to_owned(),
            "offline_access and online_access must not be asked for.".to_owned(),
            "The hospital enables the app for its tenant; else tokens fail with \"Tenant not valid or accessible\".".to_owned(),
        ],
        Vendor::Athena => vec![
            "athenahealth, developer portal: a two-legged app with private_key_jwt and the JWK Set URL.".to_owned(),
            "One client serves many practices: name this one with --search-parameter ah-practice=Organization/…".to_owned(),
        ],
        Vendor::Generic | Vendor::Hapi => vec![
            "Register the client with the JWK Set URL rather than with a key: keys are renewed by themselves.".to_owned(),
            "If the server takes a key only by value, paste what the JWK Set URL shows, and switch renewal off: beckon ehr \
             keys settings ID --rotate-every-days 0."
                .to_owned(),
        ],
    };
    lines.extend(steps.iter().map(|step| format!("- {}", step.replace("ID", connection.id.as_str()))));
    lines.push("- The JWK Set URL must be reachable from the EHR, over https, without a sign-in.".to_owned());
    lines.join("\n")
}

/// Epic's names: `Appointment.Read (R4)`, `Appointment.Search (R4)`.
fn apis(connection: &EhrConnection) -> String {
    let mut names = Vec::new();
    for scope in connection.scopes.resources() {
        for (access, name) in
            [(Access::Read, "Read"), (Access::Search, "Search"), (Access::Create, "Create"), (Access::Update, "Update")]
        {
            if scope.access.contains(&access) {
                names.push(format!("{}.{name} (R4)", scope.resource_type));
            }
        }
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EhrId, TenantId};
    use crate::ehr::connection::{BaseUrl, EhrSettings};
    use crate::ehr::scopes::ScopeSet;

    #[test]
    fn the_text_holds_everything_that_a_portal_asks_for() {
        for vendor in Vendor::ALL {
            let connection = EhrConnection {
                tenant: TenantId::main(),
                id: EhrId::new("north"),
                base_url: BaseUrl::parse("https://ehr.example/fhir/R4").unwrap(),
                vendor,
                client_id: "1f2e3d".to_owned(),
                scopes: ScopeSet::for_backend("system/Appointment.rs system/Patient.r").unwrap(),
                settings: EhrSettings::default(),
            };
            let text = registration(&connection, "https://beckon.example");
            for needed in [
                "https://beckon.example/ehr/north/jwks.json",
                "1f2e3d",
                "https://ehr.example/fhir/R4",
                "system/Appointment.rs system/Patient.r",
                "system/Appointment.read system/Patient.read",
            ] {
                assert!(text.contains(needed), "{vendor:?} lacks {needed}:\n{text}");
            }
            assert!(!text.contains(" ID"), "{text}");
            assert_eq!(text.contains("Appointment.Read (R4), Appointment.Search (R4)"), vendor == Vendor::Epic);
        }
    }
}
