//! Setting up a connection, finding it again, and rotating its keys.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{Actor, EhrId, EventKind, TenantId};
use crate::store::{EhrKeyRow, EhrRow, Store, StoreError, Tx};

use super::client::FhirClient;
use super::connection::{AddressError, BaseUrl, EhrConnection, EhrSettings, Vendor};
use super::error::EhrError;
use super::keys::{KeyError, KeyRing, RingKey, SigningAlg, SigningKey};
use super::needed;
use super::retry::Sleeper;
use super::scopes::ScopeSet;

/// Why a connection cannot be set up or used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("there is no EHR connection {0:?}; `beckon ehr list` shows those there are")]
    Unknown(String),
    #[error("an EHR's id is a short name of small letters, digits and dashes, as it stands in addresses; {0:?} is not")]
    BadId(String),
    #[error("the stored connection {id:?} cannot be read: {reason}")]
    Unreadable { id: String, reason: String },
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Ehr(#[from] EhrError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What of a connection has no column of its own.
#[derive(Serialize, Deserialize)]
struct Kept {
    scopes: ScopeSet,
    #[serde(default)]
    settings: EhrSettings,
}

/// Stores a connection with a first key of each algorithm, and answers the keys: their public half is to be registered
/// with the EHR, best by the published address.
///
/// # Errors
/// The id is taken or malformed.
pub async fn add(store: &Store, connection: &EhrConnection, actor: Actor) -> Result<KeyRing, ConnectError> {
    let id = connection.id.as_str();
    let named = !id.is_empty() && id.len() <= 40;
    if !named || !id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Err(ConnectError::BadId(id.to_owned()));
    }
    let now = store.clock().now();
    // Slow, and done before the database is held.
    let ring = KeyRing::first(now)?;
    let kept = Kept { scopes: connection.scopes.clone(), settings: connection.settings.clone() };
    let row = EhrRow {
        id: connection.id.clone(),
        base_url: connection.base_url.as_str().to_owned(),
        vendor: connection.vendor.as_str().to_owned(),
        client_id: connection.client_id.clone(),
        settings: json!(kept),
        granted_scopes: None,
        created_at: now,
        disabled_at: None,
    };
    let mut tx = store.write(&connection.tenant).await?;
    tx.add_ehr(&row).await?;
    let added = tx.event(actor.clone(), EventKind::EhrAdded).about_ehr(&connection.id);
    let added = added.with_detail(json!({"base_url": row.base_url, "vendor": row.vendor, "client_id": row.client_id}));
    tx.append(added).await?;
    for key in ring.keys() {
        keep_key(&mut tx, &connection.id, key, &actor).await?;
    }
    tx.commit().await?;
    Ok(ring)
}

/// Points a connection to another address; its keys stay.
///
/// # Errors
/// There is no such connection.
pub async fn move_to(
    store: &Store,
    tenant: &TenantId,
    id: &EhrId,
    base_url: &BaseUrl,
    actor: Actor,
) -> Result<(), ConnectError> {
    let before = load(store, tenant, id).await?;
    let mut tx = store.write(tenant).await?;
    tx.set_ehr_address(id, base_url.as_str()).await?;
    let event = tx.event(actor, EventKind::EhrMoved).about_ehr(id);
    tx.append(event.with_detail(json!({"before": before.base_url.as_str(), "after": base_url.as_str()}))).await?;
    tx.commit().await?;
    Ok(())
}

/// Changes a connection's settings; `detail` tells the history what changed. A gateway that runs takes them up within
/// seconds.
///
/// # Errors
/// There is no such connection.
pub async fn change_settings(
    store: &Store,
    tenant: &TenantId,
    id: &EhrId,
    change: impl FnOnce(&mut EhrSettings),
    detail: serde_json::Value,
    actor: Actor,
) -> Result<(), ConnectError> {
    let mut connection = load(store, tenant, id).await?;
    change(&mut connection.settings);
    keep_changed(store, connection, detail, actor).await
}

/// Changes what a connection asks for; a gateway that runs asks for it within seconds.
///
/// # Errors
/// There is no such connection.
pub async fn change_scopes(
    store: &Store,
    tenant: &TenantId,
    id: &EhrId,
    scopes: ScopeSet,
    actor: Actor,
) -> Result<(), ConnectError> {
    let mut connection = load(store, tenant, id).await?;
    if connection.scopes == scopes {
        return Ok(());
    }
    let detail = json!({"scopes_before": connection.scopes, "scopes_after": scopes});
    connection.scopes = scopes;
    keep_changed(store, connection, detail, actor).await
}

async fn keep_changed(
    store: &Store,
    connection: EhrConnection,
    detail: serde_json::Value,
    actor: Actor,
) -> Result<(), ConnectError> {
    let kept = Kept { scopes: connection.scopes, settings: connection.settings };
    let mut tx = store.write(&connection.tenant).await?;
    tx.set_ehr_settings(&connection.id, &json!(kept)).await?;
    let event = tx.event(actor, EventKind::EhrChanged).about_ehr(&connection.id);
    tx.append(event.with_detail(detail)).await?;
    tx.commit().await?;
    Ok(())
}

async fn keep_key(tx: &mut Tx<'_>, id: &EhrId, key: &RingKey, actor: &Actor) -> Result<(), StoreError> {
    let row = EhrKeyRow {
        kid: key.key.kid().to_owned(),
        alg: key.key.alg().as_str().to_owned(),
        public_jwk: key.key.public_jwk().clone(),
        private_key: key.key.pkcs8().clone(),
        created_at: key.created_at,
        signs_from: key.signs_from,
        published_until: key.published_until,
    };
    tx.add_ehr_keys(id, std::slice::from_ref(&row)).await?;
    let event = tx.event(actor.clone(), EventKind::EhrKeyCreated).about_ehr(id);
    let event = event.with_detail(json!({"kid": row.kid, "alg": row.alg, "signs_from": row.signs_from}));
    tx.append(event).await?;
    Ok(())
}

/// One connection.
///
/// # Errors
/// There is none of this id, or it cannot be read.
pub async fn load(store: &Store, tenant: &TenantId, id: &EhrId) -> Result<EhrConnection, ConnectError> {
    let row = store.view(tenant).ehr(id).await?.ok_or_else(|| ConnectError::Unknown(id.to_string()))?;
    read(tenant, row)
}

/// All connections of a tenant that are not disabled.
///
/// # Errors
/// One cannot be read.
pub async fn list(store: &Store, tenant: &TenantId) -> Result<Vec<EhrConnection>, ConnectError> {
    let rows = store.view(tenant).ehrs().await?;
    rows.into_iter().filter(|row| row.disabled_at.is_none()).map(|row| read(tenant, row)).collect()
}

fn read(tenant: &TenantId, row: EhrRow) -> Result<EhrConnection, ConnectError> {
    let unreadable = |reason: String| ConnectError::Unreadable { id: row.id.to_string(), reason };
    let kept: Kept = serde_json::from_value(row.settings.clone()).map_err(|error| unreadable(error.to_string()))?;
    let vendor = Vendor::parse(&row.vendor).ok_or_else(|| unreadable("its vendor is not known".to_owned()))?;
    Ok(EhrConnection {
        tenant: tenant.clone(),
        base_url: BaseUrl::parse(&row.base_url)?,
        id: row.id,
        vendor,
        client_id: row.client_id,
        scopes: kept.scopes,
        settings: kept.settings,
    })
}

/// The keys of a connection.
///
/// # Errors
/// A stored key is unusable.
pub async fn keys(store: &Store, tenant: &TenantId, id: &EhrId) -> Result<KeyRing, ConnectError> {
    let mut keys = Vec::new();
    for row in store.view(tenant).ehr_keys(id).await? {
        let Some(alg) = SigningAlg::parse(&row.alg) else { continue };
        let key = Arc::new(SigningKey::from_pkcs8(alg, row.private_key)?);
        let (created_at, signs_from, published_until) = (row.created_at, row.signs_from, row.published_until);
        keys.push(RingKey { key, created_at, signs_from, published_until });
    }
    Ok(KeyRing::new(keys))
}

/// The connection with the scopes that it asks for now: its own, and what the live rules read.
///
/// # Errors
/// The store refuses.
pub async fn asking(store: &Store, connection: EhrConnection) -> Result<EhrConnection, ConnectError> {
    let scopes = needed::scopes(store, &connection).await?;
    Ok(EhrConnection { scopes, ..connection })
}

/// A client for a stored connection, with the store's clock and randomness.
///
/// # Errors
/// As [`load`], [`keys`] and [`FhirClient::new`].
pub async fn open(
    store: &Store,
    tenant: &TenantId,
    id: &EhrId,
    sleeper: Arc<dyn Sleeper>,
) -> Result<FhirClient, ConnectError> {
    let connection = asking(store, load(store, tenant, id).await?).await?;
    let ring = keys(store, tenant, id).await?;
    Ok(FhirClient::shared(connection, ring, store, sleeper)?)
}

/// Starts the rotation of one algorithm's key. The new key is published at once and signs after `sync_delay`; the old
/// one vanishes by itself when nothing that it signed can be on its way any more.
///
/// # Errors
/// There is no such connection.
pub async fn rotate(
    store: &Store,
    tenant: &TenantId,
    id: &EhrId,
    alg: SigningAlg,
    sync_delay: TimeDelta,
    actor: Actor,
) -> Result<KeyRing, ConnectError> {
    load(store, tenant, id).await?;
    let mut ring = keys(store, tenant, id).await?;
    let new = Arc::new(SigningKey::generate(alg)?);
    ring.rotate(Arc::clone(&new), store.clock().now(), sync_delay);
    let mut tx = store.write(tenant).await?;
    for key in ring.keys() {
        if key.key.kid() == new.kid() {
            keep_key(&mut tx, id, key, &actor).await?;
        } else if let Some(until) = key.published_until {
            tx.end_ehr_key(id, key.key.kid(), until).await?;
        }
    }
    tx.commit().await?;
    Ok(ring)
}

/// Replaces a key that may be known to others: the new one signs at once, and the older ones are published no longer.
/// Servers that cached the old set refuse us until they fetch the new one.
///
/// # Errors
/// There is no such connection.
pub async fn replace_compromised(
    store: &Store,
    tenant: &TenantId,
    id: &EhrId,
    alg: SigningAlg,
    actor: Actor,
) -> Result<KeyRing, ConnectError> {
    load(store, tenant, id).await?;
    let mut ring = keys(store, tenant, id).await?;
    let new = Arc::new(SigningKey::generate(alg)?);
    let now = store.clock().now();
    ring.replace_compromised(Arc::clone(&new), now);
    let mut tx = store.write(tenant).await?;
    for key in ring.keys().iter().filter(|key| key.key.alg() == alg) {
        if key.key.kid() == new.kid() {
            keep_key(&mut tx, id, key, &actor).await?;
        } else {
            tx.end_ehr_key(id, key.key.kid(), now).await?;
            let event = tx.event(actor.clone(), EventKind::EhrKeyWithdrawn).about_ehr(id);
            tx.append(event.with_detail(json!({"kid": key.key.kid(), "alg": alg.as_str(), "why": "emergency"})))
                .await?;
        }
    }
    tx.commit().await?;
    // Withdrawn keys must not lie about.
    purge_keys(store, tenant, id, actor).await?;
    Ok(ring)
}

/// Lets a new key sign later, and keeps the older ones published until then: the EHR cannot follow yet.
///
/// # Errors
/// The store refuses.
pub(super) async fn put_off(
    store: &Store,
    tenant: &TenantId,
    id: &EhrId,
    new: &str,
    old: &[String],
    until: DateTime<Utc>,
    actor: Actor,
) -> Result<(), ConnectError> {
    let mut tx = store.write(tenant).await?;
    tx.set_ehr_key_signs(id, new, until).await?;
    for kid in old {
        tx.end_ehr_key(id, kid, KeyRing::retires_after(until)).await?;
    }
    let event = tx.event(actor, EventKind::EhrKeyPutOff).about_ehr(id);
    tx.append(event.with_detail(json!({"kid": new, "signs_from": until}))).await?;
    tx.commit().await?;
    Ok(())
}

/// Destroys the private halves of keys that are not published any more.
///
/// # Errors
/// The store refuses.
pub async fn purge_keys(store: &Store, tenant: &TenantId, id: &EhrId, actor: Actor) -> Result<usize, ConnectError> {
    let mut tx = store.write(tenant).await?;
    let kids = tx.purge_ehr_keys(id).await?;
    for kid in &kids {
        let event = tx.event(actor.clone(), EventKind::EhrKeyRetired).about_ehr(id);
        let event = event.with_detail(json!({"kid": kid}));
        tx.append(event).await?;
    }
    tx.commit().await?;
    Ok(kids.len())
}
