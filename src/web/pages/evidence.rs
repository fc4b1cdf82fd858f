//! What leaves the house by a compliance officer's hand: exports of a search, a patient's evidence packet, and the
//! checkpoints of the history.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use askama::Template;
use futures_util::stream;

use super::find::find;
use super::history::{chosen, filter_of, question_of};
use crate::domain::{EhrId, PatientId, ResourceKey, ResourceType};
use crate::history::export::{Export, Format};
use crate::history::question::about_patient;
use crate::history::{HistoryError, checkpoint, packet};
use crate::store::{CheckpointRow, Publication, StoreError};
use crate::web::answer::{Answer, page, text};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::moment;

const ROWS: u64 = 50;

/// `POST /history/export`: what the question finds, as it is read.
pub async fn export(call: Call) -> Answer {
    let bad = |what: &str, to_do: &'static str| WebError::BadInput(what.to_owned(), to_do);
    let format = Format::parse(call.field("format")).ok_or_else(|| bad("There is no such format.", "Go back."))?;
    let (who, question) = (call.field("who"), question_of(&call));
    let mut filter = filter_of(&call, &question).map_err(|unclear| bad(&unclear, "Go back and correct the field."))?;
    let mut about = None;
    if !who.is_empty() {
        let found = find(&call, who).await?;
        let it = chosen(&call, &found).ok_or_else(|| {
            bad("It is not clear which patient is meant.", "Go back, search, and choose one; then export.")
        })?;
        about_patient(&mut filter, &it.key.0, &it.key.1);
        about = Some(it.key.clone());
    }
    let (store, tenant) = (&call.state.store, &call.state.tenant);
    let export = Export::begin(store, tenant, filter, format, call.actor()?, &question, about).await?;
    let bytes = stream::unfold(Some(export), async |export| {
        let mut export = export?;
        match export.next().await {
            Ok(Some(bytes)) => Some((Ok(Bytes::from(bytes)), Some(export))),
            Ok(None) => None,
            Err(error) => {
                // The browser notices that the file is not whole: the connection ends before the stream does.
                tracing::error!(%error, "an export broke off");
                Some((Err(actix_web::error::ErrorInternalServerError("the export broke off")), None))
            }
        }
    });
    let name = format!("history-{}.{}", call.state.now().format("%Y%m%d-%H%M%S"), format.as_str());
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, format.media_type()))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(Box::pin(bytes)))
}

/// `POST /patients/{ehr}/{patient}/packet`
pub async fn patient_packet(call: Call) -> Answer {
    let (ehr, patient) = (EhrId::new(call.path("ehr")), PatientId::new(call.path("patient")));
    let key = ResourceKey::new(ResourceType::Patient, patient.as_str());
    call.state.view().mirror_resource(&ehr, &key).await?.ok_or(WebError::NotFound)?;
    let reason = call.field("reason").trim();
    let request = packet::Request {
        ehr,
        patient,
        by: call.actor()?,
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
        organisation: call.state.settings.organisation.name.clone(),
        gateway: call.state.settings.server.public_url.clone(),
        origin: checkpoint::origin(&call.state.settings, &call.state.tenant),
        zone: call.state.zone(),
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    Box::pin(packet::write(&call.state.store, &call.state.tenant, &request, &mut bytes)).await?;
    let name = format!("packet-{}.zip", call.state.now().format("%Y%m%d-%H%M%S"));
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/zip"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(bytes.into_inner()))
}

struct Row {
    size: u64,
    at: String,
}

struct KeeperRow {
    way: &'static str,
    size: u64,
    at: String,
    problem: String,
}

#[derive(Template)]
#[template(path = "checkpoints.html")]
struct CheckpointsPage {
    shell: Shell,
    size: u64,
    key: String,
    keepers: Vec<KeeperRow>,
    rows: Vec<Row>,
    before: Option<u64>,
}

/// `GET /history/checkpoints`
pub async fn checkpoints(call: Call) -> Answer {
    let view = call.state.view();
    let zone = call.state.zone();
    let before = call.query("before").parse().ok();
    let mut rows = view.newest_checkpoints(before, ROWS + 1).await?;
    let more = rows.len() as u64 > ROWS;
    rows.truncate(ROWS as usize);
    let key = view.log_keys().await?.into_iter().find(|key| key.retired_at.is_none());
    page(&CheckpointsPage {
        shell: Shell::of(&call, "Checkpoints", "/history").await?,
        size: view.history_head().await?.size,
        key: key.as_ref().map(checkpoint::verifier).transpose()?.map(|key| key.text()).unwrap_or_default(),
        keepers: view.publications().await?.into_iter().map(|it| keeper(&call, it)).collect(),
        before: rows.last().filter(|_| more).map(|row| row.size),
        rows: rows.into_iter().map(|row| Row { size: row.size, at: moment(row.at, zone) }).collect(),
    })
}

fn keeper(call: &Call, it: Publication) -> KeeperRow {
    KeeperRow {
        way: match it.way.as_str() {
            "folder" => "Folder",
            "url" => "Web address",
            "email" => "Email",
            _ => "Bucket",
        },
        size: it.size,
        at: it.published_at.map(|at| moment(at, call.state.zone())).unwrap_or_default(),
        problem: it.problem.unwrap_or_default(),
    }
}

/// `GET /history/checkpoints/{size}`: the signed note.
pub async fn note(call: Call) -> Answer {
    let size = call.path("size").parse().map_err(|_| WebError::NotFound)?;
    let row: CheckpointRow = call.state.view().checkpoint_of_size(size).await?.ok_or(WebError::NotFound)?;
    Ok(text(row.note))
}

impl From<HistoryError> for WebError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Store(error) => Self::Store(error),
            // What was changed from outside is told as it is: whoever asks must know that nothing can be proven.
            HistoryError::Altered(_) | HistoryError::Inconsistent { .. } => {
                Self::Store(StoreError::Conflict(error.to_string()))
            }
            error => {
                tracing::error!(%error, "the history could not be proven or written out");
                Self::Internal("the history could not be proven or written out")
            }
        }
    }
}
