//! A backup is one file: all rows as they stand at one instant, sealed as a whole under a key that only the root key
//! opens. It can be taken while the gateway runs, and goes into either kind of database.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use crate::config::Settings;
use crate::domain::{Actor, EventKind, TenantId};
use crate::seal::{KeyBytes, RootKey, SealError, SealedReader, SealedWriter};
use crate::store::{Dump, DumpError, HaltScope, Store, StoreError, inspect};

/// Rows done, and rows in all.
pub type Told<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{file}: {error}")]
    File { file: PathBuf, error: std::io::Error },
    #[error("{0} is there already; a backup never replaces another one")]
    Exists(PathBuf),
    #[error("{file}: {error}")]
    Rows { file: PathBuf, error: DumpError },
    #[error("seal.root_key: {0}")]
    RootKey(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What lies in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    pub file: PathBuf,
    /// The instant that it shows.
    pub taken_at: DateTime<Utc>,
    pub schema: String,
    pub rows: u64,
    pub sha256: String,
    pub tenants: Vec<TenantId>,
}

impl BackupReport {
    fn new(file: &Path, dump: Dump, tenants: Vec<TenantId>) -> Self {
        Self {
            file: file.to_owned(),
            taken_at: dump.head.taken_at,
            schema: dump.head.schema,
            rows: dump.head.rows,
            sha256: dump.sha256,
            tenants,
        }
    }
}

/// Writes a backup to `file`, which must not be there yet. Until it is whole it is called `FILE.partial`.
///
/// # Errors
/// The file or the database refuses; then there is no `file`.
pub async fn take(
    store: &Store,
    settings: &Settings,
    file: &Path,
    told: Told<'_>,
    by: &Actor,
) -> Result<BackupReport, BackupError> {
    let failed = |error| BackupError::File { file: file.to_owned(), error };
    if file.exists() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let root = RootKey::parse(&settings.seal.root_key)?;
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let out = BufWriter::new(private(&partial).map_err(failed)?);
    let key = KeyBytes::generate(store.entropy().as_ref());
    let mut sealed = SealedWriter::new(out, &root, store.new_id(), &key).map_err(failed)?;
    let dump = match store.dump(&mut sealed, told).await {
        Ok(dump) => dump,
        Err(error) => {
            // What is left of it is of no use.
            let _left_behind = std::fs::remove_file(&partial);
            return Err(BackupError::Rows { file: file.to_owned(), error });
        }
    };
    let written = sealed.finish().map_err(failed)?.into_inner().map_err(|error| failed(error.into_error()))?;
    written.sync_all().map_err(failed)?;
    std::fs::rename(&partial, file).map_err(failed)?;
    let mut tenants = Vec::new();
    for (tenant, _) in store.tenants().await? {
        let mut tx = store.write(&tenant).await?;
        let event = tx.event(by.clone(), EventKind::BackupTaken).with_detail(json!({
            "taken_at": dump.head.taken_at, "rows": dump.head.rows, "sha256": dump.sha256,
        }));
        tx.append(event).await?;
        tx.commit().await?;
        tenants.push(tenant);
    }
    Ok(BackupReport::new(file, dump, tenants))
}

/// A new file that only its owner reads.
fn private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Checks `file` to its end, then puts its rows into the database. Every tenant starts halted: what went out since the
/// backup is not in it.
///
/// # Errors
/// The file is damaged or of another schema or root key; the database is not empty (without `force`) or in use. Then
/// nothing was changed.
pub async fn restore(
    store: &Store,
    settings: &Settings,
    file: &Path,
    force: bool,
    told: Told<'_>,
    by: &Actor,
) -> Result<BackupReport, BackupError> {
    let rows = |error| BackupError::Rows { file: file.to_owned(), error };
    let root = RootKey::parse(&settings.seal.root_key)?;
    let dump = inspect(&mut open(file, &root)?, told).map_err(rows)?;
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let taken = dump.head.taken_at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let reason = format!("restored from the backup of {taken}; reconcile, then: beckon resume");
    let detail = json!({
        "file": name, "taken_at": dump.head.taken_at, "rows": dump.head.rows, "sha256": dump.sha256,
    });
    let acts = async |tx: &mut crate::store::Tx<'_>, _: &TenantId| {
        tx.halt(&HaltScope::Everything, &reason, by).await?;
        let event = tx.event(by.clone(), EventKind::Restored).with_detail(detail.clone());
        tx.append(event).await
    };
    let tenants = store.load(&dump, &mut open(file, &root)?, force, told, &acts).await.map_err(rows)?;
    Ok(BackupReport::new(file, dump, tenants))
}

fn open(file: &Path, root: &RootKey) -> Result<BufReader<SealedReader<BufReader<File>>>, BackupError> {
    let failed = |error| BackupError::File { file: file.to_owned(), error };
    let sealed = BufReader::new(File::open(file).map_err(failed)?);
    Ok(BufReader::with_capacity(1 << 18, SealedReader::new(sealed, root).map_err(failed)?))
}
