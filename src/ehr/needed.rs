//! Which scopes a connection asks for beyond its own list: what the live rules read, and nothing else (minimum
//! necessary, 45 CFR 164.502(b)).

use std::collections::BTreeSet;

use crate::domain::{ResourceType, TenantId};
use crate::store::{Store, StoreError};

use super::connection::{EhrConnection, Vendor};
use super::plan::Ask;
use super::profile;
use super::scopes::ScopeSet;

/// The types that the live rules of a tenant look at, besides Patient and Appointment, which every run reads.
///
/// # Errors
/// The store refuses.
pub async fn types(store: &Store, tenant: &TenantId) -> Result<BTreeSet<ResourceType>, StoreError> {
    let rules = store.view(tenant).live_rules().await?;
    Ok(rules.into_iter().flat_map(|rule| rule.reads.into_iter().chain([rule.resource])).collect())
}

/// The connection's own scopes, and where it follows the rules those that the rules need and this vendor may have.
///
/// # Errors
/// The store refuses.
pub async fn scopes(store: &Store, connection: &EhrConnection) -> Result<ScopeSet, StoreError> {
    if !connection.settings.scopes_follow_rules {
        return Ok(connection.scopes.clone());
    }
    let needed = types(store, &connection.tenant).await?;
    Ok(connection.scopes.clone().with(&of_types(connection.vendor, &needed)))
}

/// Read and search for each type; read alone where this vendor is never searched for it.
fn of_types(vendor: Vendor, types: &BTreeSet<ResourceType>) -> ScopeSet {
    let mut words = Vec::new();
    for kind in types {
        match profile::ask(vendor, *kind).map(|(ask, _)| ask) {
            Some(Ask::NotOffered) => {}
            Some(Ask::ById) => words.push(format!("system/{kind}.r")),
            _ => words.push(format!("system/{kind}.rs")),
        }
    }
    ScopeSet::granted(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_rules_read_is_asked_for_and_what_the_vendor_lacks_is_not() {
        use ResourceType as R;
        let types = BTreeSet::from([R::Observation, R::Practitioner, R::Task, R::Patient]);
        let asked = |vendor| {
            let own = ScopeSet::for_backend("system/Patient.rs system/Communication.crus").unwrap();
            own.with(&of_types(vendor, &types)).to_string()
        };
        assert_eq!(
            asked(Vendor::Generic),
            "system/Communication.crus system/Observation.rs system/Patient.rs system/Practitioner.rs system/Task.rs"
        );
        assert_eq!(
            asked(Vendor::Athena),
            "system/Communication.crus system/Observation.rs system/Patient.rs system/Practitioner.rs"
        );
        assert_eq!(
            asked(Vendor::Epic),
            "system/Communication.crus system/Observation.rs system/Patient.rs system/Practitioner.r system/Task.rs"
        );
    }
}
