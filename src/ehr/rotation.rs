//! The runbook of a key's life, done by the clock (SMART asymmetric client authentication, "Registering a client"): publish
//! the next key, wait until everybody may have seen it, sign with it, keep the old one until the last thing it signed has
//! expired, destroy it. Every step is an event. A switch that the EHR cannot follow is put off.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::connect::{self, ConnectError};
use super::connection::EhrConnection;
use super::keys::{KeyRing, RingKey, SigningAlg};
use crate::domain::{Actor, EhrId, EventKind, TenantId};
use crate::store::{EhrWatch, Store};

/// How old a key grows where the operator says nothing.
pub const ROTATE_EVERY_DAYS: u16 = 90;
/// An EHR that fetched no keys for so long was given them in another way: they are not renewed by themselves.
const FETCHES_WITHIN: TimeDelta = TimeDelta::days(7);
/// So long before a new key is to sign, the EHR should have fetched it.
const LAST_LOOK: TimeDelta = TimeDelta::hours(1);

/// A step of the runbook that was done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Published { kid: String, alg: SigningAlg, signs_from: DateTime<Utc> },
    Signs { kid: String, alg: SigningAlg },
    PutOff { kid: String, until: DateTime<Utc> },
    Retired(usize),
}

/// Does the steps that are due. To be called by one replica at a time; what is missed is done by the next call.
/// `refused` is a key of this connection that the EHR did not take although an older one was taken.
///
/// # Errors
/// There is no such connection, its keys cannot be read, or the store refuses.
pub async fn tend(
    store: &Store,
    tenant: &TenantId,
    id: &EhrId,
    refused: Option<&str>,
) -> Result<Vec<Step>, ConnectError> {
    let actor = || Actor::system("keys");
    let connection = connect::load(store, tenant, id).await?;
    let now = store.clock().now();
    let mut steps = Vec::new();
    let retired = connect::purge_keys(store, tenant, id, actor()).await?;
    if retired > 0 {
        steps.push(Step::Retired(retired));
    }
    let ring = connect::keys(store, tenant, id).await?;
    let watch = store.view(tenant).ehr_watch(id).await?;
    if watch.refused_key.as_deref() != refused {
        let mut tx = store.write(tenant).await?;
        tx.note_refused_key(id, refused).await?;
        tx.commit().await?;
    }
    for alg in SigningAlg::ALL {
        if let Some((new, old)) = unseen(&ring, alg, &watch, refused, now) {
            let until = now + sync_delay(&connection);
            connect::put_off(store, tenant, id, new.key.kid(), &old, until, actor()).await?;
            steps.push(Step::PutOff { kid: new.key.kid().to_owned(), until });
        }
    }
    steps.extend(note_signers(store, tenant, id, &watch).await?);
    for alg in SigningAlg::ALL {
        if is_due(&connection, &ring, alg, &watch, now) {
            let ring = connect::rotate(store, tenant, id, alg, sync_delay(&connection), actor()).await?;
            if let Some(new) = newest(&ring, alg) {
                let (kid, signs_from) = (new.key.kid().to_owned(), new.signs_from);
                steps.push(Step::Published { kid, alg, signs_from });
            }
        }
    }
    Ok(steps)
}

/// What a person should do about the keys of a connection, if anything.
pub fn trouble(ring: &KeyRing, watch: &EhrWatch, id: &EhrId, now: DateTime<Utc>) -> Option<String> {
    if let Some(kid) = &watch.refused_key {
        return Some(format!(
            "The EHR does not take the new key {kid} of this connection; the older one goes on signing. Can the EHR reach \
             the published keys? To see them: beckon ehr keys list {id}"
        ));
    }
    let waits = SigningAlg::ALL.into_iter().filter(|alg| ring.is_rotating(*alg, now)).find_map(|alg| {
        let new = newest(ring, alg)?;
        let unseen = watch.jwks_fetched_at.is_none_or(|at| at <= new.created_at);
        (unseen && now - new.created_at > TimeDelta::hours(24)).then(|| new.key.kid().to_owned())
    })?;
    Some(format!(
        "Nobody has fetched the published keys since the new key {waits} of this connection stands there, so that it does \
         not sign yet. Is the EHR registered with the JWK Set URL, and can it reach it? Without: beckon ehr keys settings \
         {id} --rotate-every-days 0"
    ))
}

fn sync_delay(connection: &EhrConnection) -> TimeDelta {
    TimeDelta::hours(connection.settings.key_sync_hours.into())
}

fn newest(ring: &KeyRing, alg: SigningAlg) -> Option<&RingKey> {
    ring.keys().iter().filter(|it| it.key.alg() == alg && it.published_until.is_none()).max_by_key(|it| it.created_at)
}

/// The new key of a rotation whose time comes and that the EHR has not fetched, or did not take; and the ids of the older
/// ones.
fn unseen<'a>(
    ring: &'a KeyRing,
    alg: SigningAlg,
    watch: &EhrWatch,
    refused: Option<&str>,
    now: DateTime<Utc>,
) -> Option<(&'a RingKey, Vec<String>)> {
    let new = newest(ring, alg)?;
    let old: Vec<String> = ring
        .keys()
        .iter()
        .filter(|it| it.key.alg() == alg && it.published_until.is_some_and(|end| now < end))
        .map(|it| it.key.kid().to_owned())
        .collect();
    if old.is_empty() {
        return None;
    }
    let was_refused = new.signs_from <= now && refused == Some(new.key.kid());
    let fetched = watch.jwks_fetched_at.is_some_and(|at| at > new.created_at);
    let unfetched = !fetched && now < new.signs_from && new.signs_from - now <= LAST_LOOK;
    (was_refused || unfetched).then_some((new, old))
}

fn is_due(connection: &EhrConnection, ring: &KeyRing, alg: SigningAlg, watch: &EhrWatch, now: DateTime<Utc>) -> bool {
    let days = connection.settings.rotate_keys_days.unwrap_or(ROTATE_EVERY_DAYS);
    let fetches = watch.jwks_fetched_at.is_some_and(|at| now - at <= FETCHES_WITHIN);
    let Some(newest) = newest(ring, alg) else { return false };
    days > 0 && fetches && !ring.is_rotating(alg, now) && now - newest.signs_from >= TimeDelta::days(days.into())
}

/// Tells the history which keys sign, where it was told another.
async fn note_signers(
    store: &Store,
    tenant: &TenantId,
    id: &EhrId,
    watch: &EhrWatch,
) -> Result<Vec<Step>, ConnectError> {
    let now = store.clock().now();
    // Putting a key off changed the ring.
    let ring = connect::keys(store, tenant, id).await?;
    let signers: BTreeMap<String, String> = SigningAlg::ALL
        .into_iter()
        .filter_map(|alg| Some((alg.as_str().to_owned(), ring.signer(alg, now).ok()?.kid().to_owned())))
        .collect();
    if signers == watch.signers {
        return Ok(Vec::new());
    }
    let mut steps = Vec::new();
    let mut tx = store.write(tenant).await?;
    for alg in SigningAlg::ALL {
        let (now_signs, before) = (signers.get(alg.as_str()), watch.signers.get(alg.as_str()));
        if let Some(kid) = now_signs.filter(|kid| before.is_some_and(|before| before != *kid)) {
            let event = tx.event(Actor::system("keys"), EventKind::EhrKeySigns).about_ehr(id);
            tx.append(event.with_detail(json!({"kid": kid, "alg": alg.as_str(), "before": before}))).await?;
            steps.push(Step::Signs { kid: kid.clone(), alg });
        }
    }
    tx.note_signers(id, &signers).await?;
    tx.commit().await?;
    Ok(steps)
}
