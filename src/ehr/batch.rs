//! Several questions in one request (R4 http "batch"): reads by id and small searches.

use serde_json::{Value, json};

use crate::domain::ResourceKey;
use crate::fhir::bundle::{BatchEntry, SearchPage, batch_response};

use super::client::{FhirClient, Repeat, fhir_headers, not_fhir, post, refused};
use super::error::{EhrError, NotFhir, Refusal};
use super::http::Reply;
use super::read::{Read, identify};
use super::search::Search;

/// The answers of one batch, each on its own and in the order of the questions.
#[derive(Debug, Default)]
pub struct Answers {
    pub reads: Vec<Result<Read, EhrError>>,
    pub searches: Vec<Result<Vec<Value>, EhrError>>,
}

impl FhirClient {
    /// Reads several resources in one request, each answered on its own and in order.
    ///
    /// # Errors
    /// The batch as a whole failed, or its answers cannot be matched with the questions.
    pub async fn batch_read(&self, keys: &[ResourceKey]) -> Result<Vec<Result<Read, EhrError>>, EhrError> {
        Ok(self.batch(keys, &[]).await?.reads)
    }

    /// Reads resources and makes small searches in one request. A search answers all of its matches, as
    /// [`FhirClient::find_all`] does: one with more pages than the batch brought is asked again outside of it.
    ///
    /// # Errors
    /// As [`FhirClient::batch_read`].
    pub async fn batch(&self, keys: &[ResourceKey], searches: &[Search]) -> Result<Answers, EhrError> {
        if keys.is_empty() && searches.is_empty() {
            return Ok(Answers::default());
        }
        let settings = &self.connection().settings;
        let urls = keys.iter().map(ToString::to_string).chain(searches.iter().map(|search| search.url(settings)));
        let entries: Vec<Value> = urls.map(|url| json!({"request": {"method": "GET", "url": url}})).collect();
        let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let request = post(self.connection().base_url.url().clone(), fhir_headers(), batch.to_string().into_bytes());
        let reply = self.send(request, Repeat::Freely).await?;
        if reply.status != 200 {
            return Err(refused(&reply));
        }
        let wrong = || not_fhir(&reply, NotFhir::WrongResource);
        let mut answers = batch_response(self.body(&reply)?).map_err(|_| wrong())?;
        if answers.len() != keys.len() + searches.len() {
            return Err(wrong());
        }
        let found = answers.split_off(keys.len());
        let reads = keys.iter().zip(answers).map(|(key, answer)| read_answer(&reply, key, answer)).collect();
        let mut all = Vec::with_capacity(searches.len());
        for (search, answer) in searches.iter().zip(found) {
            all.push(match search_answer(&reply, answer) {
                Ok(Some(matches)) => Ok(matches),
                Ok(None) => self.find_all(search.clone()).await,
                Err(error) => Err(error),
            });
        }
        Ok(Answers { reads, searches: all })
    }
}

fn read_answer(reply: &Reply, key: &ResourceKey, answer: BatchEntry) -> Result<Read, EhrError> {
    match (answer.status, answer.resource) {
        (Some(200), Some(resource)) => {
            identify(resource, answer.etag, key).ok_or_else(|| not_fhir(reply, NotFhir::WrongResource))
        }
        (Some(301 | 302 | 307 | 308), _) if moved_to(key, answer.location.as_deref()).is_some() => {
            moved_to(key, answer.location.as_deref())
                .map(Read::Moved)
                .ok_or_else(|| not_fhir(reply, NotFhir::WrongResource))
        }
        (Some(status @ (404 | 410)), _) => Ok(Read::Gone { deleted: status == 410 }),
        (status, _) => Err(refusal(reply, status, answer.outcome)),
    }
}

/// The record of the same type to which a redirect leads. Only its id is used: it is read at our own address.
fn moved_to(key: &ResourceKey, location: Option<&str>) -> Option<ResourceKey> {
    ResourceKey::from_reference(location?).filter(|to| to.resource_type == key.resource_type && to.id != key.id)
}

/// The matches; `None` where there are more pages.
fn search_answer(reply: &Reply, answer: BatchEntry) -> Result<Option<Vec<Value>>, EhrError> {
    let (Some(200), Some(bundle)) = (answer.status, answer.resource) else {
        return Err(refusal(reply, answer.status, answer.outcome));
    };
    let page = SearchPage::read(bundle).map_err(|_| not_fhir(reply, NotFhir::WrongResource))?;
    if !page.is_whole() {
        return Err(EhrError::Incomplete { place: reply.place.clone() });
    }
    Ok(page.next.is_none().then_some(page.matches))
}

fn refusal(
    reply: &Reply,
    status: Option<u16>,
    outcome: Option<crate::fhir::operation_outcome::OperationOutcome>,
) -> EhrError {
    let status = status.unwrap_or(reply.status);
    let refusal = match status {
        401 => Refusal::Unauthorized,
        403 => Refusal::Forbidden,
        500..=599 => Refusal::ServerFault,
        _ => Refusal::Other,
    };
    let codes = outcome.map(|outcome| vec![outcome.summary()]).unwrap_or_default();
    EhrError::Refused { place: reply.place.clone(), status, refusal, codes }
}
