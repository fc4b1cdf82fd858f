//! Another look at what is in quarantine, when somebody asks for it: somebody at the hospital corrected it, or Beckon has
//! learned to read it.

use serde_json::json;

use crate::domain::{Actor, EventKind, EventOutcome, ResourceKey, ResourceType, RunId};
use crate::ehr::client::FhirClient;
use crate::ehr::read::Read;
use crate::store::{RetryWish, Store};

use super::options::PullOptions;
use super::page::Destination;
use super::report::TypeReport;
use super::run::PullError;

/// Resources looked at in one go.
const AT_ONCE: u64 = 100;

/// What became of another look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// It can be used now.
    Well,
    /// It is still in quarantine; the list says why.
    StillUnusable,
    /// The EHR does not have it any more, so that it is no concern either.
    Gone,
    /// The EHR did not answer; it is looked at again with the next wish or pull.
    Unreadable(String),
    /// Beckon does not read this type at all.
    NotRead,
}

impl Retried {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::StillUnusable => "still_unusable",
            Self::Gone => "gone",
            Self::Unreadable(_) => "unreadable",
            Self::NotRead => "not_read",
        }
    }
}

/// Looks again at what was asked for, each by itself: one that cannot be read keeps no other. Answers how many were looked
/// at.
///
/// # Errors
/// The store refuses.
pub async fn retry_quarantined(store: &Store, client: &FhirClient, options: &PullOptions) -> Result<usize, PullError> {
    let connection = client.connection();
    let wishes = store.view(&connection.tenant).retry_wishes(&connection.id, AT_ONCE).await?;
    for wish in &wishes {
        let retried = retry(store, client, options, wish).await?;
        let mut tx = store.write(&connection.tenant).await?;
        tx.end_retry(&connection.id, wish).await?;
        let failed = matches!(retried, Retried::Unreadable(_));
        let outcome = if failed { EventOutcome::Failed } else { EventOutcome::Done };
        let by = Actor::parse(&wish.by).unwrap_or_else(|| Actor::system("pull"));
        let event = tx.event(by, EventKind::QuarantineRetried).about_ehr(&connection.id).with_outcome(outcome);
        let resource = format!("{}/{}", wish.resource_type, wish.resource_id);
        tx.append(event.with_detail(json!({"resource": resource, "result": retried.as_str()}))).await?;
        tx.commit().await?;
    }
    Ok(wishes.len())
}

async fn retry(
    store: &Store,
    client: &FhirClient,
    options: &PullOptions,
    wish: &RetryWish,
) -> Result<Retried, PullError> {
    let connection = client.connection();
    let (tenant, ehr) = (&connection.tenant, &connection.id);
    let Some(kind) = ResourceType::parse(&wish.resource_type) else { return Ok(Retried::NotRead) };
    let key = ResourceKey::new(kind, &*wish.resource_id);
    match client.read(&key, None).await {
        Ok(Read::Found(found)) => {
            let destination =
                Destination { store, tenant, ehr, run: RunId(store.new_id()), region: &options.region, follow: &[] };
            let mut report = TypeReport::default();
            destination.keep(kind, vec![found.resource], &mut report).await?;
            Ok(if report.quarantined > 0 { Retried::StillUnusable } else { Retried::Well })
        }
        Ok(Read::Gone { .. } | Read::Moved(_)) => {
            let mut tx = store.write(tenant).await?;
            tx.resolve_quarantine(ehr, kind.as_str(), &[&wish.resource_id]).await?;
            tx.commit().await?;
            Ok(Retried::Gone)
        }
        Ok(Read::NotModified) => Ok(Retried::StillUnusable),
        Err(error) => Ok(Retried::Unreadable(error.to_string())),
    }
}
