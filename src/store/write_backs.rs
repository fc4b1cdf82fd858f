//! What the EHR was told. The local ledger is the truth; the EHR's copy follows.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::alike::{padded, slices};
use super::codes::decode;
use super::tables::write_back;
use super::{StoreError, Tx, View, of_ehr};
use crate::domain::{EhrId, MessageId, PatientId, ReplyId, WriteBackState};

/// What is written: a message that went out, or a reply that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteBackSubject {
    Message(MessageId),
    Reply(ReplyId),
}

impl WriteBackSubject {
    const fn columns(self) -> (&'static str, Uuid) {
        match self {
            Self::Message(id) => ("message", id.0),
            Self::Reply(id) => ("reply", id.0),
        }
    }

    /// The stable value of the identifier under which the EHR knows it.
    pub fn outreach_id(self) -> String {
        let (kind, id) = self.columns();
        format!("{kind}-{id}")
    }
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBack {
    pub id: Uuid,
    pub ehr: EhrId,
    pub patient: PatientId,
    pub subject: WriteBackSubject,
    pub state: WriteBackState,
    pub remote_type: Option<String>,
    pub remote_id: Option<String>,
    pub etag: Option<String>,
    /// The message state that was last written.
    pub written_status: Option<String>,
    pub tries: u32,
    pub last_error: Option<String>,
}

/// How a try to write ended.
#[derive(Debug, Clone)]
pub struct WriteBackResult {
    pub state: WriteBackState,
    /// Type, id and ETag at the EHR.
    pub remote: Option<(String, String, Option<String>)>,
    pub written_status: Option<String>,
    /// The server said no: what [`Tx::intend_write_back`] noted did not happen.
    pub refused: bool,
    pub error: Option<String>,
    /// When to try again, or to write the next state.
    pub next_at: Option<DateTime<Utc>>,
}

impl Tx<'_> {
    /// Asks for these to be written (again) at once; a line that stands is woken, never doubled.
    pub async fn queue_write_backs(
        &mut self,
        lines: &[(EhrId, PatientId, WriteBackSubject)],
    ) -> Result<(), StoreError> {
        let now = self.now();
        for chunk in slices(lines, 256) {
            let rows = chunk.iter().map(|(ehr, patient, subject)| {
                let (kind, id) = subject.columns();
                write_back::ActiveModel {
                    id: Set(self.store.new_id()),
                    tenant: Set(self.tenant.to_string()),
                    ehr: Set(ehr.to_string()),
                    patient: Set(patient.to_string()),
                    subject_kind: Set(kind.to_owned()),
                    subject_id: Set(id),
                    state: Set(WriteBackState::Pending.as_str().to_owned()),
                    remote_type: Set(None),
                    remote_id: Set(None),
                    etag: Set(None),
                    written_status: Set(None),
                    tries: Set(0),
                    last_error: Set(None),
                    next_at: Set(Some(now)),
                    leased_by: Set(None),
                    leased_until: Set(None),
                    created_at: Set(now),
                    updated_at: Set(now),
                }
            });
            use write_back::Column as C;
            write_back::Entity::insert_many(rows)
                .on_conflict(
                    OnConflict::columns([C::Tenant, C::SubjectKind, C::SubjectId])
                        .update_columns([C::NextAt, C::UpdatedAt])
                        .to_owned(),
                )
                .exec_without_returning(&self.txn)
                .await?;
        }
        Ok(())
    }

    /// Takes due lines. Their next instant becomes the end of the lease: a replica that dies leaves them due again.
    /// With `only` those of one EHR.
    pub async fn claim_write_backs(
        &mut self,
        holder: Uuid,
        only: Option<&EhrId>,
        limit: u64,
    ) -> Result<Vec<WriteBack>, StoreError> {
        let now = self.now();
        let rows = write_back::Entity::find()
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(of_ehr(write_back::Column::Ehr, only))
            .filter(write_back::Column::NextAt.lte(now))
            .filter(
                Condition::any()
                    .add(write_back::Column::LeasedUntil.is_null())
                    .add(write_back::Column::LeasedUntil.lte(now)),
            )
            .order_by_asc(write_back::Column::NextAt)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(&self.txn)
            .await?;
        write_back::Entity::update_many()
            .col_expr(write_back::Column::LeasedBy, Expr::value(holder))
            .col_expr(write_back::Column::LeasedUntil, Expr::value(now + LEASE))
            .col_expr(write_back::Column::NextAt, Expr::value(now + LEASE))
            .filter(write_back::Column::Id.is_in(padded(rows.iter().map(|row| row.id))))
            .exec(&self.txn)
            .await?;
        rows.into_iter().map(write_back_of).collect()
    }

    /// Notes that a create of this type is about to be sent. A line with a type and no id may have been created by a try
    /// that nobody knows the end of.
    pub async fn intend_write_back(
        &mut self,
        line: &WriteBack,
        holder: Uuid,
        type_name: &str,
    ) -> Result<(), StoreError> {
        write_back::Entity::update_many()
            .col_expr(write_back::Column::RemoteType, Expr::value(type_name))
            .filter(write_back::Column::Id.eq(line.id))
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(write_back::Column::LeasedBy.eq(holder))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Ends a line's turn. If the message moved on while it was being written, the line was woken and stays due.
    pub async fn settle_write_back(
        &mut self,
        line: &WriteBack,
        holder: Uuid,
        result: &WriteBackResult,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let row = write_back::Entity::find_by_id(line.id)
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(write_back::Column::LeasedBy.eq(holder))
            .lock(LockType::Update)
            .one(&self.txn)
            .await?;
        let Some(row) = row else { return Ok(()) };
        let woken = row.next_at.filter(|next| Some(*next) != row.leased_until);
        let tries = row.tries;
        let (row_type, row_remote) = (row.remote_type.clone(), row.remote_id.clone());
        let mut model: write_back::ActiveModel = row.into();
        model.state = Set(result.state.as_str().to_owned());
        if let Some((kind, id, etag)) = &result.remote {
            model.remote_type = Set(Some(kind.clone()));
            model.remote_id = Set(Some(id.clone()));
            model.etag = Set(etag.clone());
        }
        if result.refused && result.remote.is_none() {
            model.remote_type = Set(row_remote.and(row_type));
        }
        if result.written_status.is_some() {
            model.written_status = Set(result.written_status.clone());
        }
        model.tries = Set(if result.error.is_some() { tries + 1 } else { 0 });
        model.last_error = Set(result.error.clone());
        model.next_at = Set(woken.or(result.next_at));
        model.leased_by = Set(None);
        model.leased_until = Set(None);
        model.updated_at = Set(now);
        write_back::Entity::update(model).exec(&self.txn).await?;
        Ok(())
    }
}

/// How long a claimed line is held.
const LEASE: TimeDelta = TimeDelta::seconds(120);

impl View<'_> {
    pub async fn write_back_of(&self, subject: WriteBackSubject) -> Result<Option<WriteBack>, StoreError> {
        let (kind, id) = subject.columns();
        let row = write_back::Entity::find()
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(write_back::Column::SubjectKind.eq(kind))
            .filter(write_back::Column::SubjectId.eq(id))
            .one(&self.conn)
            .await?;
        row.map(write_back_of).transpose()
    }

    /// The next instant at which something is to be written, if there is one.
    pub async fn next_write_back_at(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let next: Option<Option<DateTime<Utc>>> = write_back::Entity::find()
            .select_only()
            .column(write_back::Column::NextAt)
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(write_back::Column::NextAt.is_not_null())
            .order_by_asc(write_back::Column::NextAt)
            .into_tuple()
            .one(&self.conn)
            .await?;
        Ok(next.flatten())
    }
}

fn write_back_of(row: write_back::Model) -> Result<WriteBack, StoreError> {
    Ok(WriteBack {
        id: row.id,
        ehr: EhrId::new(row.ehr),
        patient: PatientId::new(row.patient),
        subject: match row.subject_kind.as_str() {
            "reply" => WriteBackSubject::Reply(ReplyId(row.subject_id)),
            _ => WriteBackSubject::Message(MessageId(row.subject_id)),
        },
        state: decode("write-back state", &row.state)?,
        remote_type: row.remote_type,
        remote_id: row.remote_id,
        etag: row.etag,
        written_status: row.written_status,
        tries: row.tries as u32,
        last_error: row.last_error,
    })
}
