//! Bulk exports: asked for before the server is, so that a restart goes on and asks for nothing twice.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::keyring::{Class, NOBODY};
use super::tables::{bulk_export, bulk_file};
use super::{StoreError, Tx, View};
use crate::domain::{EhrId, ResourceType, RunId};

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportState {
    /// We want it; the server may or may not know.
    Asked,
    /// The server works on it.
    Running,
    /// Its files are there, and some may be stored already.
    Loading,
    /// Everything is stored; the server does not know that yet.
    Loaded,
    Done,
    /// Stored as far as it came, and not all of it came: the next export begins where this one began.
    Faulty,
    Failed,
    /// The server forgot it.
    Expired,
}

impl ExportState {
    const ALL: [Self; 8] = [
        Self::Asked,
        Self::Running,
        Self::Loading,
        Self::Loaded,
        Self::Done,
        Self::Faulty,
        Self::Failed,
        Self::Expired,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Running => "running",
            Self::Loading => "loading",
            Self::Loaded => "loaded",
            Self::Done => "done",
            Self::Faulty => "faulty",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        let unknown = || StoreError::Corrupt { what: "export", reason: "its state is not known".to_owned() };
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(unknown)
    }
}

/// One export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    pub id: Uuid,
    pub ehr: EhrId,
    /// The pull run that asked for it: what it brings is marked as seen by that run.
    pub run: RunId,
    pub target: String,
    pub types: Vec<ResourceType>,
    pub state: ExportState,
    /// What changed since; everything without it.
    pub since: Option<DateTime<Utc>>,
    pub poll_url: Option<String>,
    /// Where the manifest goes on, while it is not read to its end.
    pub next_url: Option<String>,
    pub transaction_time: Option<DateTime<Utc>>,
    pub requires_token: bool,
    /// Questions since the last answer that helped.
    pub tries: u32,
    /// Exports before this one that the server forgot.
    pub restarts: u32,
    /// The server's own words.
    pub progress: Option<String>,
    pub error: Option<String>,
    pub asked_at: DateTime<Utc>,
    /// When it is worth while to look at it again.
    pub next_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// One file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFileRow {
    pub number: u32,
    /// `output`, `deleted` or `outcome`.
    pub section: String,
    pub type_name: String,
    pub url: String,
    pub expected: Option<u64>,
    /// Lines that are stored.
    pub lines: u64,
    pub tries: u32,
    pub is_done: bool,
    /// What is wrong with it, without PHI.
    pub problem: Option<String>,
    /// What the server says of the export although it went well, without PHI.
    pub note: Option<String>,
}

impl Tx<'_> {
    /// Keeps an export as it stands now: a new one, or what changed of an old one.
    pub async fn keep_export(&mut self, row: &ExportRow) -> Result<(), StoreError> {
        self.prepare_keys(Class::Tenant, [NOBODY]).await?;
        let sealed = |column: &str, url: &Option<String>| {
            let place = row.id.to_string();
            url.as_ref()
                .map(|url| self.seal(Class::Tenant, NOBODY, "bulk_export", column, &place, url.as_bytes()))
                .transpose()
        };
        let types: Vec<&str> = row.types.iter().map(|kind| kind.as_str()).collect();
        let model = bulk_export::ActiveModel {
            id: Set(row.id),
            tenant: Set(self.tenant.to_string()),
            ehr: Set(row.ehr.to_string()),
            run: Set(row.run.0),
            target: Set(row.target.clone()),
            types: Set(types.join(",")),
            state: Set(row.state.as_str().to_owned()),
            since: Set(row.since),
            poll_url: Set(sealed("poll_url", &row.poll_url)?),
            next_url: Set(sealed("next_url", &row.next_url)?),
            transaction_time: Set(row.transaction_time),
            requires_token: Set(i32::from(row.requires_token)),
            tries: Set(row.tries.cast_signed()),
            restarts: Set(row.restarts.cast_signed()),
            progress: Set(row.progress.clone()),
            error: Set(row.error.clone()),
            asked_at: Set(row.asked_at),
            next_at: Set(row.next_at),
            ended_at: Set(row.ended_at),
        };
        let known = bulk_export::Entity::find_by_id(row.id).one(&self.txn).await?;
        if known.is_some() {
            bulk_export::Entity::update(model).exec(&self.txn).await?;
        } else {
            bulk_export::Entity::insert(model).exec_without_returning(&self.txn).await?;
        }
        Ok(())
    }

    /// Adds files to an export, numbered after those it has.
    pub async fn add_export_files(&mut self, export: Uuid, files: &[ExportFileRow]) -> Result<(), StoreError> {
        self.prepare_keys(Class::Tenant, [NOBODY]).await?;
        for file in files {
            let place = format!("{export}/{}", file.number);
            let url = self.seal(Class::Tenant, NOBODY, "bulk_file", "url", &place, file.url.as_bytes())?;
            bulk_file::Entity::insert(bulk_file::ActiveModel {
                export: Set(export),
                number: Set(file.number.cast_signed()),
                tenant: Set(self.tenant.to_string()),
                section: Set(file.section.clone()),
                type_name: Set(file.type_name.clone()),
                url: Set(url),
                expected: Set(file.expected.and_then(|count| i64::try_from(count).ok())),
                lines: Set(i32::try_from(file.lines).unwrap_or(i32::MAX)),
                tries: Set(file.tries.cast_signed()),
                state: Set(state(file.is_done).to_owned()),
                problem: Set(file.problem.clone()),
                note: Set(file.note.clone()),
            })
            .exec_without_returning(&self.txn)
            .await?;
        }
        Ok(())
    }

    /// Keeps how far a file is read.
    pub async fn note_export_file(&mut self, export: Uuid, file: &ExportFileRow) -> Result<(), StoreError> {
        use bulk_file::Column as C;
        bulk_file::Entity::update_many()
            .col_expr(C::Lines, Expr::value(i32::try_from(file.lines).unwrap_or(i32::MAX)))
            .col_expr(C::Tries, Expr::value(file.tries.cast_signed()))
            .col_expr(C::State, Expr::value(state(file.is_done)))
            .col_expr(C::Problem, Expr::value(file.problem.clone()))
            .col_expr(C::Note, Expr::value(file.note.clone()))
            .filter(C::Export.eq(export))
            .filter(C::Number.eq(file.number.cast_signed()))
            .filter(C::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }
}

impl View<'_> {
    /// The last exports of an EHR, newest first; of one target, or of all.
    pub async fn exports(&self, ehr: &EhrId, target: Option<&str>, limit: u64) -> Result<Vec<ExportRow>, StoreError> {
        let mut found = bulk_export::Entity::find();
        if let Some(target) = target {
            found = found.filter(bulk_export::Column::Target.eq(target));
        }
        let rows = found
            .filter(bulk_export::Column::Tenant.eq(self.tenant.as_str()))
            .filter(bulk_export::Column::Ehr.eq(ehr.as_str()))
            .order_by_desc(bulk_export::Column::AskedAt)
            .order_by_desc(bulk_export::Column::Id)
            .limit(limit)
            .all(&self.conn)
            .await?;
        self.read_exports(rows).await
    }

    /// When the first of the exports under way is to be looked at again.
    pub async fn next_export_at(&self, ehr: &EhrId) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(bulk_export::Entity::find()
            .select_only()
            .column(bulk_export::Column::NextAt)
            .filter(bulk_export::Column::Tenant.eq(self.tenant.as_str()))
            .filter(bulk_export::Column::Ehr.eq(ehr.as_str()))
            .filter(bulk_export::Column::EndedAt.is_null())
            .order_by_asc(bulk_export::Column::NextAt)
            .into_tuple::<DateTime<Utc>>()
            .one(&self.conn)
            .await?)
    }

    async fn read_exports(&self, rows: Vec<bulk_export::Model>) -> Result<Vec<ExportRow>, StoreError> {
        let mut sealed: Vec<&[u8]> = Vec::new();
        for row in &rows {
            sealed.extend(row.poll_url.iter().chain(&row.next_url).map(Vec::as_slice));
        }
        let keys = self.load_keys(sealed).await?;
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            let place = row.id.to_string();
            let open = |column: &str, sealed: &Option<Vec<u8>>| {
                sealed.as_ref().map(|it| text(keys.open("bulk_export", column, &place, it)?)).transpose()
            };
            let (poll_url, next_url) = (open("poll_url", &row.poll_url)?, open("next_url", &row.next_url)?);
            read.push(ExportRow {
                id: row.id,
                ehr: EhrId::new(row.ehr),
                run: RunId(row.run),
                types: row.types.split(',').filter_map(ResourceType::parse).collect(),
                state: ExportState::parse(&row.state)?,
                target: row.target,
                since: row.since,
                poll_url,
                next_url,
                transaction_time: row.transaction_time,
                requires_token: row.requires_token != 0,
                tries: row.tries.cast_unsigned(),
                restarts: row.restarts.cast_unsigned(),
                progress: row.progress,
                error: row.error,
                asked_at: row.asked_at,
                next_at: row.next_at,
                ended_at: row.ended_at,
            });
        }
        Ok(read)
    }

    /// The files of an export, in order.
    pub async fn export_files(&self, export: Uuid) -> Result<Vec<ExportFileRow>, StoreError> {
        let rows = bulk_file::Entity::find()
            .filter(bulk_file::Column::Export.eq(export))
            .filter(bulk_file::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_asc(bulk_file::Column::Number)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().map(|row| row.url.as_slice())).await?;
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            let url = text(keys.open("bulk_file", "url", &format!("{export}/{}", row.number), &row.url)?)?;
            read.push(ExportFileRow {
                number: row.number.cast_unsigned(),
                section: row.section,
                type_name: row.type_name,
                url,
                expected: row.expected.and_then(|count| u64::try_from(count).ok()),
                lines: u64::try_from(row.lines).unwrap_or(0),
                tries: row.tries.cast_unsigned(),
                is_done: row.state == state(true),
                problem: row.problem,
                note: row.note,
            });
        }
        Ok(read)
    }
}

const fn state(is_done: bool) -> &'static str {
    if is_done { "done" } else { "open" }
}

fn text(bytes: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(bytes)
        .map_err(|_| StoreError::Corrupt { what: "address of an export", reason: "it is no text".to_owned() })
}
