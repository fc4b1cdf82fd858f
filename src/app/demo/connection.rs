//! Connecting the demo's gateway to the demo's hospital, as an operator would connect it to a vendor's EHR.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::{AppError, Gateway};
use crate::domain::{Actor, EhrId, ResourceKey, ResourceType};
use crate::ehr::connect::{self, ConnectError};
use crate::ehr::connection::{BaseUrl, EhrConnection, EhrSettings, Vendor};
use crate::ehr::scopes::ScopeSet;
use crate::pull;
use crate::sandbox::{Hospital, JwksSource, Personality};

const CLIENT: &str = "beckon-demo";

/// Registers the gateway with the hospital, and makes or moves its connection.
pub(super) async fn connect(
    gateway: &Gateway,
    hospital: &Hospital,
    ehr: &EhrId,
    personality: &Personality,
) -> Result<(), AppError> {
    let base_url = BaseUrl::parse(&hospital.fhir_base()).map_err(ConnectError::from)?;
    let vendor = Vendor::parse(personality.name).unwrap_or(Vendor::Generic);
    let scopes = EhrConnection::scopes_for(vendor);
    let jwks = format!("{}/ehr/{ehr}/jwks.json", gateway.settings.server.public_url);
    // The vendor's portal has everything ticked that may be read; what is asked for follows the rules.
    hospital.register_client(CLIENT, JwksSource::Url(jwks), &format!("{scopes} system/*.rs"));
    let by = Actor::system("demo");
    if let Ok(known) = connect::load(&gateway.store, &gateway.tenant, ehr).await {
        if known.vendor != vendor {
            let words = format!("the folder holds a demo of {}, not of {}", known.vendor.as_str(), vendor.as_str());
            return Err(AppError::DemoSettings(words));
        }
        // The simulated hospital listens somewhere else each time.
        return Ok(connect::move_to(&gateway.store, &gateway.tenant, ehr, &base_url, by).await?);
    }
    let mut settings = EhrSettings { scopes_follow_rules: true, ..EhrSettings::default() };
    if vendor == Vendor::Athena {
        settings.search_parameters =
            BTreeMap::from([("ah-practice".to_owned(), "Organization/a-1.Practice-1".to_owned())]);
    }
    let connection = EhrConnection {
        tenant: gateway.tenant.clone(),
        id: ehr.clone(),
        base_url,
        vendor,
        client_id: CLIENT.to_owned(),
        scopes: ScopeSet::for_backend(scopes).map_err(|error| AppError::DemoSettings(error.to_string()))?,
        settings,
    };
    connect::add(&gateway.store, &connection, by.clone()).await?;
    let roster: BTreeSet<ResourceKey> = match vendor {
        // The hospital keeps a Group of whom to remind.
        Vendor::Epic => personality.registry.map(|id| ResourceKey::new(ResourceType::Group, id)).into_iter().collect(),
        // The operator names the clinics.
        Vendor::Oracle => ids(hospital, ResourceType::Location),
        // What was booked before the gateway came; from then on the EHR tells of appointments by itself.
        Vendor::Athena => ids(hospital, ResourceType::Appointment),
        Vendor::Generic | Vendor::Hapi => BTreeSet::new(),
    };
    if !roster.is_empty() {
        pull::import_roster(&gateway.store, &gateway.tenant, ehr, &roster, true, by).await?;
    }
    Ok(())
}

fn ids(hospital: &Hospital, kind: ResourceType) -> BTreeSet<ResourceKey> {
    let resources = hospital.resources(kind.as_str());
    resources.iter().filter_map(|it| Some(ResourceKey::new(kind, it["id"].as_str()?))).collect()
}
