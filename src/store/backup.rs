//! All rows of the database as a stream of lines, and back: one form for SQLite and PostgreSQL. Sealed columns stay
//! sealed; what the lines lie in is the caller's affair.
//!
//! The first line says what it is and from when; then for each table a line with its name and columns, and one array a
//! row; the last line counts the rows of each table and holds the SHA-256 of all bytes before it.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::TryStreamExt as _;
use sea_orm::sea_query::{ColumnType, Expr, Query, SimpleExpr};
use sea_orm::{
    AccessMode, ColumnTrait, ConnectionTrait, DatabaseTransaction, DynIden, EntityTrait, IdenStatic as _,
    IsolationLevel, Iterable as _, ModelTrait as _, PaginatorTrait, QueryFilter, SqliteTransactionMode,
    TransactionOptions, TransactionTrait, Value as Cell,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::tables::{
    alert, attempt, blind_index, bulk_export, bulk_file, clinic_default, cohort, data_key, decision, ehr, ehr_budget,
    ehr_key, ehr_usage, ehr_watch, enrolment, event, halt, history_checkpoint, history_head, history_key,
    history_publication, history_tile, hl7_message, leader, message, mirror, notice, notice_event, opt_out, patient,
    patient_choice, patient_merge, pull_run, quarantine, quarantine_patient, quarantine_retry, receipt, reconciliation,
    release_count, reminder, reply, roster, rule_change, rule_live, rule_version, saved_question, send_mode, staff,
    staff_session, staff_task, subscription, tenant, tenant_key, text_review, watermark, write_back,
};
use super::{Store, StoreError, Tx};
use crate::clock::hexadecimal;
use crate::domain::TenantId;

/// The form of the lines.
const FORM: u32 = 1;
/// Rows of one statement, and about so many bytes.
const ROWS_AT_ONCE: usize = 300;
const BYTES_AT_ONCE: usize = 4 << 20;

/// Runs something for every table that a backup holds. Leads, sessions, leases and the ledger of requests are left out:
/// they end with a restore.
macro_rules! for_each_table {
    ($run:ident) => {
        $run!(
            tenant,
            tenant_key,
            data_key,
            ehr,
            ehr_key,
            ehr_budget,
            ehr_usage,
            ehr_watch,
            roster,
            watermark,
            pull_run,
            bulk_export,
            bulk_file,
            subscription,
            notice,
            notice_event,
            mirror,
            patient,
            patient_merge,
            blind_index,
            quarantine,
            quarantine_patient,
            hl7_message,
            quarantine_retry,
            rule_version,
            rule_live,
            text_review,
            staff_task,
            rule_change,
            enrolment,
            clinic_default,
            patient_choice,
            reminder,
            decision,
            message,
            attempt,
            write_back,
            receipt,
            reply,
            opt_out,
            send_mode,
            halt,
            release_count,
            alert,
            reconciliation,
            cohort,
            event,
            history_head,
            history_tile,
            history_key,
            history_checkpoint,
            history_publication,
            saved_question,
            staff
        )
    };
}

/// Why rows cannot be read out or put back.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the backup cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    #[error("line {line} of the backup cannot be understood: {what}")]
    Line { line: u64, what: String },
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    #[error(
        "the backup has schema {theirs} (written by Beckon {version}) and this Beckon has {ours}; restore it with the \
         Beckon that wrote it, then start the newer one on it: it brings the database up to date"
    )]
    Schema { theirs: String, ours: String, version: String },
    #[error("the database is not empty ({0} has rows); --force replaces everything in it")]
    NotEmpty(String),
    #[error(
        "a gateway works on this database (its lead of {name:?} ends at {until}); stop every replica, wait until then, \
         and try again"
    )]
    InUse { name: String, until: DateTime<Utc> },
}

impl From<sea_orm::DbErr> for DumpError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpHead {
    pub beckon_backup: u32,
    /// The instant that the rows are from.
    pub taken_at: DateTime<Utc>,
    pub schema: String,
    pub version: String,
    /// `sqlite` or `postgres`: where it came from. It can go into either.
    pub database: String,
    pub rows: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct TableLine {
    table: String,
    columns: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct EndLine {
    tables: BTreeMap<String, u64>,
    sha256: String,
}

/// A backup that was read to its end and found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    pub head: DumpHead,
    pub tables: BTreeMap<String, u64>,
    pub sha256: String,
}

/// Told of how many rows of how many.
pub type Told<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

impl Store {
    /// Writes all rows as they stand at one instant, while others go on reading and writing.
    ///
    /// # Errors
    /// The database or `out` refuses.
    pub async fn dump(&self, out: &mut (dyn Write + Send), told: Told<'_>) -> Result<Dump, DumpError> {
        let options = TransactionOptions {
            isolation_level: (!self.is_sqlite()).then_some(IsolationLevel::RepeatableRead),
            access_mode: (!self.is_sqlite()).then_some(AccessMode::ReadOnly),
            sqlite_transaction_mode: self.is_sqlite().then_some(SqliteTransactionMode::Deferred),
        };
        let txn = self.inner.db.begin_with_options(options).await?;
        let mut rows = 0;
        macro_rules! count {
            ($($table:ident),+) => { $(rows += $table::Entity::find().count(&txn).await?;)+ };
        }
        for_each_table!(count);
        let head = DumpHead {
            beckon_backup: FORM,
            taken_at: self.clock().now(),
            schema: migration::schema_version(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: if self.is_sqlite() { "sqlite" } else { "postgres" }.to_owned(),
            rows,
        };
        let mut lines = Lines { out, hash: Context::new(&SHA256), done: 0, total: rows, told };
        lines.write(&head)?;
        let mut tables = BTreeMap::new();
        macro_rules! write {
            ($($table:ident),+) => {
                $(tables.insert(stringify!($table).to_owned(), lines.table::<$table::Entity>(&txn).await?);)+
            };
        }
        for_each_table!(write);
        let sha256 = hexadecimal(lines.hash.clone().finish().as_ref());
        lines.write(&EndLine { tables: tables.clone(), sha256: sha256.clone() })?;
        txn.commit().await?;
        Ok(Dump { head, tables, sha256 })
    }

    /// Puts all rows of a backup into this database in one transaction, and lets `then` act in it before the commit: a
    /// restore that fails anywhere changes nothing. The backup must have been inspected before.
    ///
    /// # Errors
    /// The database is not empty and `force` is not given; a gateway works on it; the backup or the database refuses.
    pub async fn load(
        &self,
        dump: &Dump,
        input: &mut (dyn BufRead + Send),
        force: bool,
        told: Told<'_>,
        then: impl AsyncFnOnce(&mut Tx<'_>, &TenantId) -> Result<(), StoreError> + Clone,
    ) -> Result<Vec<TenantId>, DumpError> {
        self.nobody_leads().await?;
        let mut tx = self.write(&TenantId::main()).await?;
        if force {
            macro_rules! clear {
                ($($table:ident),+) => { $($table::Entity::delete_many().exec(&tx.txn).await?;)+ };
            }
            for_each_table!(clear);
        } else {
            empty(&tx.txn).await?;
            // A tenant that was made by the way sealed nothing yet.
            tenant::Entity::delete_many().exec(&tx.txn).await?;
            tenant_key::Entity::delete_many().exec(&tx.txn).await?;
        }
        staff_session::Entity::delete_many().exec(&tx.txn).await?;
        leader::Entity::delete_many().exec(&tx.txn).await?;
        fill(&tx.txn, dump, input, told).await?;
        self.keys().forget();
        let tenants = tenant::Entity::find().all(&tx.txn).await?;
        let tenants: Vec<TenantId> = tenants.into_iter().map(|row| TenantId::new(row.id)).collect();
        for it in &tenants {
            tx.tenant = it.clone();
            then.clone()(&mut tx, it).await?;
        }
        tx.commit().await?;
        Ok(tenants)
    }

    async fn nobody_leads(&self) -> Result<(), DumpError> {
        let now = self.clock().now();
        let lead = leader::Entity::find().filter(leader::Column::Until.gt(now)).one(&self.inner.db).await?;
        match lead {
            Some(row) => Err(DumpError::InUse { name: row.name, until: row.until }),
            None => Ok(()),
        }
    }
}

async fn empty(txn: &DatabaseTransaction) -> Result<(), DumpError> {
    macro_rules! check {
        ($($table:ident),+) => {
            $(
                let made_by_the_way = matches!(stringify!($table), "tenant" | "tenant_key");
                if !made_by_the_way && $table::Entity::find().count(txn).await? > 0 {
                    return Err(DumpError::NotEmpty(stringify!($table).to_owned()));
                }
            )+
        };
    }
    for_each_table!(check);
    Ok(())
}

/// Writes lines and hashes them.
struct Lines<'a> {
    out: &'a mut (dyn Write + Send),
    hash: Context,
    done: u64,
    total: u64,
    told: Told<'a>,
}

impl Lines<'_> {
    fn write<T: Serialize>(&mut self, line: &T) -> Result<(), DumpError> {
        let mut text = serde_json::to_vec(line).map_err(std::io::Error::other)?;
        text.push(b'\n');
        self.hash.update(&text);
        self.out.write_all(&text)?;
        Ok(())
    }

    async fn table<E: EntityTrait>(&mut self, txn: &DatabaseTransaction) -> Result<u64, DumpError> {
        let columns: Vec<E::Column> = E::Column::iter().collect();
        let names = columns.iter().map(|column| column.as_str().to_owned()).collect();
        self.write(&TableLine { table: E::default().table_name().to_owned(), columns: names })?;
        let mut rows = E::find().stream(txn).await?;
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            let cells: Vec<Value> = columns.iter().map(|column| written(row.get(*column))).collect();
            self.write(&cells)?;
            count += 1;
            self.done += 1;
            if self.done.is_multiple_of(500) {
                (self.told)(self.done, self.total);
            }
        }
        (self.told)(self.done, self.total);
        Ok(count)
    }
}

fn written(cell: Cell) -> Value {
    match cell {
        Cell::String(Some(text)) => Value::String(text),
        Cell::Uuid(Some(id)) => Value::String(id.to_string()),
        Cell::Int(Some(number)) => number.into(),
        Cell::BigInt(Some(number)) => number.into(),
        Cell::Bytes(Some(bytes)) => Value::String(BASE64.encode(bytes)),
        Cell::ChronoDateTimeUtc(Some(at)) => Value::String(at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        _ => Value::Null,
    }
}

fn read(kind: &ColumnType, value: &Value) -> Option<Cell> {
    let text = value.as_str();
    Some(match (kind, value) {
        (ColumnType::String(_) | ColumnType::Text, Value::Null) => Cell::String(None),
        (ColumnType::String(_) | ColumnType::Text, _) => Cell::String(Some(text?.to_owned())),
        (ColumnType::Uuid, Value::Null) => Cell::Uuid(None),
        (ColumnType::Uuid, _) => Cell::Uuid(Some(text?.parse::<Uuid>().ok()?)),
        (ColumnType::Integer, Value::Null) => Cell::Int(None),
        (ColumnType::Integer, _) => Cell::Int(Some(i32::try_from(value.as_i64()?).ok()?)),
        (ColumnType::BigInteger, Value::Null) => Cell::BigInt(None),
        (ColumnType::BigInteger, _) => Cell::BigInt(Some(value.as_i64()?)),
        (ColumnType::TimestampWithTimeZone, Value::Null) => Cell::ChronoDateTimeUtc(None),
        (ColumnType::TimestampWithTimeZone, _) => {
            Cell::ChronoDateTimeUtc(Some(DateTime::parse_from_rfc3339(text?).ok()?.to_utc()))
        }
        (ColumnType::Blob | ColumnType::Binary(_) | ColumnType::VarBinary(_), Value::Null) => Cell::Bytes(None),
        (ColumnType::Blob | ColumnType::Binary(_) | ColumnType::VarBinary(_), _) => {
            Cell::Bytes(Some(BASE64.decode(text?).ok()?))
        }
        _ => return None,
    })
}

/// Reads a backup to its end and checks all that can be checked before anything is changed.
///
/// # Errors
/// It is damaged, or of another schema.
pub fn inspect(input: &mut dyn BufRead, told: Told<'_>) -> Result<Dump, DumpError> {
    let mut hash = Context::new(&SHA256);
    let mut text = Vec::new();
    let mut head: Option<DumpHead> = None;
    let mut tables: BTreeMap<String, u64> = BTreeMap::new();
    let mut table = String::new();
    let (mut line, mut done) = (0, 0);
    loop {
        text.clear();
        if input.read_until(b'\n', &mut text)? == 0 {
            return Err(DumpError::Damaged("its last line is missing".to_owned()));
        }
        line += 1;
        let unclear = |what: &str| DumpError::Line { line, what: what.to_owned() };
        let Some(head) = &head else {
            let found: DumpHead = serde_json::from_slice(&text).map_err(|_| unclear("it is not a backup"))?;
            let ours = migration::schema_version();
            if found.beckon_backup != FORM || found.schema != ours {
                return Err(DumpError::Schema { theirs: found.schema, ours, version: found.version });
            }
            hash.update(&text);
            head = Some(found);
            continue;
        };
        match text.first() {
            Some(b'[') => {
                let known = tables.get_mut(&table).ok_or_else(|| unclear("a row before any table"))?;
                *known += 1;
                done += 1;
                if done % 5000 == 0 {
                    told(done, head.rows);
                }
            }
            _ => {
                if let Ok(end) = serde_json::from_slice::<EndLine>(&text) {
                    let found = hexadecimal(hash.finish().as_ref());
                    if end.sha256 != found || end.tables != tables || head.rows != done {
                        return Err(DumpError::Damaged("its rows are not those that its last line counts".to_owned()));
                    }
                    told(done, head.rows);
                    return Ok(Dump { head: head.clone(), tables, sha256: found });
                }
                let next: TableLine =
                    serde_json::from_slice(&text).map_err(|_| unclear("neither a row nor a table"))?;
                tables.insert(next.table.clone(), 0);
                table = next.table;
            }
        }
        hash.update(&text);
    }
}

/// Inserts every row.
async fn fill(
    txn: &DatabaseTransaction,
    dump: &Dump,
    input: &mut (dyn BufRead + Send),
    told: Told<'_>,
) -> Result<(), DumpError> {
    let mut text = Vec::new();
    let (mut line, mut done) = (0, 0);
    let mut table: Option<Filling> = None;
    loop {
        text.clear();
        if input.read_until(b'\n', &mut text)? == 0 {
            return Err(DumpError::Damaged("its last line is missing".to_owned()));
        }
        line += 1;
        if line == 1 {
            continue;
        }
        let unclear = |what: &str| DumpError::Line { line, what: what.to_owned() };
        if text.first() == Some(&b'[') {
            let cells: Vec<Value> = serde_json::from_slice(&text).map_err(|_| unclear("it is no row"))?;
            let filling = table.as_mut().ok_or_else(|| unclear("a row before any table"))?;
            if !filling.take(&cells, text.len()) {
                return Err(unclear("a row does not fit its table"));
            }
            done += 1;
            if filling.is_full() {
                filling.insert(txn).await?;
                told(done, dump.head.rows);
            }
            continue;
        }
        if let Some(mut filled) = table.take() {
            filled.insert(txn).await?;
        }
        if serde_json::from_slice::<EndLine>(&text).is_ok() {
            told(done, dump.head.rows);
            return Ok(());
        }
        let next: TableLine = serde_json::from_slice(&text).map_err(|_| unclear("neither a row nor a table"))?;
        table = Some(Filling::of(&next).ok_or_else(|| unclear("a table that this Beckon does not have"))?);
    }
}

/// Rows of one table on their way in.
struct Filling {
    table: DynIden,
    columns: Vec<(DynIden, ColumnType)>,
    rows: Vec<Vec<SimpleExpr>>,
    bytes: usize,
}

impl Filling {
    fn of(line: &TableLine) -> Option<Self> {
        macro_rules! find {
            ($($table:ident),+) => {
                $(
                    if $table::Entity.table_name() == line.table {
                        return Self::with::<$table::Entity>(line);
                    }
                )+
            };
        }
        use sea_orm::EntityName as _;
        for_each_table!(find);
        None
    }

    fn with<E: EntityTrait>(line: &TableLine) -> Option<Self> {
        let mut columns = Vec::new();
        for name in &line.columns {
            let column = E::Column::iter().find(|column| column.as_str() == name)?;
            columns.push((DynIden::from(column.as_str()), column.def().get_column_type().clone()));
        }
        let all = columns.len() == E::Column::iter().count();
        all.then(|| Self { table: DynIden::from(E::default().table_name()), columns, rows: Vec::new(), bytes: 0 })
    }

    fn take(&mut self, cells: &[Value], bytes: usize) -> bool {
        let row: Option<Vec<SimpleExpr>> = (cells.len() == self.columns.len())
            .then(|| {
                self.columns.iter().zip(cells).map(|((_, kind), cell)| Some(Expr::value(read(kind, cell)?))).collect()
            })
            .flatten();
        self.bytes += bytes;
        match row {
            Some(row) => {
                self.rows.push(row);
                true
            }
            None => false,
        }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }

    async fn insert(&mut self, txn: &DatabaseTransaction) -> Result<(), DumpError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut statement = Query::insert();
        statement.into_table(self.table.clone()).columns(self.columns.iter().map(|(name, _)| name.clone()));
        for row in self.rows.drain(..) {
            statement.values(row).map_err(|error| DumpError::Damaged(error.to_string()))?;
        }
        self.bytes = 0;
        txn.execute(&statement).await?;
        Ok(())
    }
}
