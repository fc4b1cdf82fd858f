//! What an administrator changes at a connection.

use serde_json::json;

use super::connection::is_readable;
use crate::domain::{EhrId, EventKind};
use crate::ehr::connect::{self, ConnectError};
use crate::ehr::connection::EhrConnection;
use crate::ehr::keys::SigningAlg;
use crate::ehr::scopes::ScopeSet;
use crate::web::answer::{Answer, redirect};
use crate::web::call::Call;
use crate::web::error::WebError;

/// `POST /connections/{ehr}/pull`
pub async fn pull(call: Call) -> Answer {
    let it = connection(&call).await?;
    let full = call.field("mode") == "full";
    let by = call.actor()?;
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.wish_pull(&it.id, full, &by).await?;
    let event = tx.event(by, EventKind::PullWished).about_ehr(&it.id).with_detail(json!({"full": full}));
    tx.append(event).await?;
    tx.commit().await?;
    Ok(done(&it.id, "pull"))
}

/// `POST /connections/{ehr}/retry`: one resource, or all that are in quarantine.
pub async fn retry(call: Call) -> Answer {
    let it = connection(&call).await?;
    let (kind, id) = (call.field("type"), call.field("id"));
    let only = (!kind.is_empty()).then_some((kind, id));
    if only.is_some() && !is_readable(kind) {
        return Err(WebError::BadInput(
            "Beckon does not read resources of this type.".to_owned(),
            "Correct it in the EHR; the next pull that meets it looks again.",
        ));
    }
    let by = call.actor()?;
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.wish_retry(&it.id, only, &by).await?;
    tx.commit().await?;
    Ok(done(&it.id, "retry"))
}

/// `POST /connections/{ehr}/scopes`
pub async fn scopes(call: Call) -> Answer {
    let it = connection(&call).await?;
    let wanted = ScopeSet::for_backend(call.field("scopes"))
        .map_err(|error| WebError::BadInput(error.to_string(), "Go back and correct it; nothing was changed."))?;
    if wanted.is_empty() {
        return Err(WebError::BadInput(
            "A connection that asks for nothing is of no use.".to_owned(),
            "Go back and leave one scope at least; nothing was changed.",
        ));
    }
    let by = call.actor()?;
    connect::change_scopes(&call.state.store, &call.state.tenant, &it.id, wanted, by).await.map_err(refusal)?;
    Ok(done(&it.id, "scopes"))
}

/// `POST /connections/{ehr}/budget`
pub async fn budget(call: Call) -> Answer {
    let it = connection(&call).await?;
    let mut settings = it.settings.clone();
    let budget = &mut settings.budget;
    settings.concurrency = number(&call, "at_once")?.filter(|calls| (1..=64).contains(calls)).ok_or_else(|| {
        WebError::BadInput("Calls at once are 1 to 64.".to_owned(), "Go back and correct it; nothing was changed.")
    })?;
    budget.calls_per_second = number(&call, "per_second")?;
    budget.calls_per_day = number(&call, "per_day")?;
    budget.peak_from_hour = number(&call, "peak_from")?.unwrap_or(budget.peak_from_hour);
    budget.peak_until_hour = number(&call, "peak_until")?.unwrap_or(budget.peak_until_hour);
    budget.peak_share_percent = number(&call, "peak_share")?;
    budget.zone = number(&call, "zone")?;
    budget
        .check()
        .map_err(|error| WebError::BadInput(error.to_string(), "Go back and correct it; nothing was changed."))?;
    let detail = json!({"at_once": settings.concurrency, "budget": settings.budget});
    let (store, tenant) = (&call.state.store, &call.state.tenant);
    connect::change_settings(store, tenant, &it.id, |to| *to = settings, detail, call.actor()?)
        .await
        .map_err(refusal)?;
    Ok(done(&it.id, "budget"))
}

/// `POST /connections/{ehr}/keys`
pub async fn keys(call: Call) -> Answer {
    let it = connection(&call).await?;
    let emergency = call.field("how") == "emergency";
    if emergency && call.field("confirmed") != "yes" {
        return Err(WebError::BadInput(
            "Withdrawing the keys was not confirmed, so nothing was changed.".to_owned(),
            "Go back and tick that you know what it does.",
        ));
    }
    let (store, tenant) = (&call.state.store, &call.state.tenant);
    for alg in SigningAlg::ALL {
        let by = call.actor()?;
        let changed = if emergency {
            connect::replace_compromised(store, tenant, &it.id, alg, by).await
        } else {
            let delay = chrono::TimeDelta::hours(it.settings.key_sync_hours.into());
            connect::rotate(store, tenant, &it.id, alg, delay, by).await
        };
        changed.map_err(refusal)?;
    }
    Ok(done(&it.id, if emergency { "emergency" } else { "keys" }))
}

async fn connection(call: &Call) -> Result<EhrConnection, WebError> {
    let ehr = EhrId::new(call.path("ehr"));
    connect::load(&call.state.store, &call.state.tenant, &ehr).await.map_err(refusal)
}

fn refusal(error: ConnectError) -> WebError {
    match error {
        ConnectError::Unknown(_) => WebError::NotFound,
        ConnectError::Store(error) => WebError::Store(error),
        error => WebError::BadInput(error.to_string(), "Set the connection up again."),
    }
}

/// A field as a number (or a zone); nothing where it is empty.
fn number<T: std::str::FromStr>(call: &Call, name: &str) -> Result<Option<T>, WebError> {
    let text = call.field(name);
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let words = format!("{text:?} is not what this field takes ({}).", name.replace('_', " "));
        WebError::BadInput(words, "Go back and correct it; nothing was changed.")
    })
}

fn done(ehr: &EhrId, what: &str) -> actix_web::HttpResponse {
    redirect(&format!("/connections/{ehr}?done={what}"))
}
