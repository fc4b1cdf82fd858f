//! Opening a database: SQLite with a write-ahead log that survives a power cut, or PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, Statement};
use secrecy::ExposeSecret;

use super::{Store, StoreError};
use crate::clock::{Clock, Entropy};
use crate::config;
use crate::seal::RootKey;

impl Store {
    /// Opens the database that the settings name, and brings its schema up to date.
    pub async fn open(
        database: &config::Database,
        root: RootKey,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        let url = database.url.expose_secret();
        let sqlite = url.starts_with("sqlite:");
        let address = if sqlite && !url.contains('?') { format!("{url}?mode=rwc") } else { url.to_owned() };
        let writer = if sqlite {
            connect(options(&address, 1).map_sqlx_sqlite_opts(writing), url).await?
        } else {
            connect(&mut options(&address, database.max_connections), url).await?
        };
        if !is_up_to_date(&writer).await {
            Migrator::up(&writer, None).await.map_err(|error| StoreError::Open(super::brief(&error.to_string())))?;
        }
        let reader = if sqlite {
            super::statistics::state(&writer).await?;
            connect(options(&address, database.max_connections).map_sqlx_sqlite_opts(reading), url).await?
        } else {
            writer.clone()
        };
        Ok(Self::new(reader, writer, root, clock, entropy))
    }
}

/// Whether there is nothing to migrate: then an account that may not change the schema is enough.
async fn is_up_to_date(db: &DatabaseConnection) -> bool {
    let all = Statement::from_string(db.get_database_backend(), "SELECT version FROM seaql_migrations");
    // Where the table is not there yet, everything is to be done.
    let Ok(rows) = db.query_all_raw(all).await else { return false };
    let done: Vec<String> = rows.iter().filter_map(|row| row.try_get("", "version").ok()).collect();
    migration::names().iter().all(|name| done.contains(name))
}

fn options(address: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(address);
    options
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(30))
        // Statements can carry PHI as literals: they are never logged.
        .sqlx_logging(false);
    options
}

async fn connect(options: &mut ConnectOptions, url: &str) -> Result<DatabaseConnection, StoreError> {
    Database::connect(options.clone()).await.map_err(|error| open_error(url, &error))
}

fn common(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .journal_mode(SqliteJournalMode::Wal)
        // FULL: what was committed is on disk, also after a power cut.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(20))
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
}

/// All writes go through one connection. A connection drops its whole page cache whenever another one has written, so
/// that writers which take turns read the upper pages of every index from the file again for each transaction.
fn writing(options: SqliteConnectOptions) -> SqliteConnectOptions {
    // KiB, and only what is in use. Pages that are written again and again reach the database file once in 64 MiB of
    // log instead of once in 4.
    common(options).pragma("cache_size", "-65536").pragma("wal_autocheckpoint", "16384").statement_cache_capacity(400)
}

fn reading(options: SqliteConnectOptions) -> SqliteConnectOptions {
    // The default of 2 MiB is read again and again within one query once there are some thousand patients.
    common(options).pragma("cache_size", "-16384")
}

/// Names the file or the host, never the password.
fn open_error(url: &str, error: &sea_orm::DbErr) -> StoreError {
    let place = url.rsplit_once('@').map_or(url, |(_, place)| place);
    let place = place.split('?').next().unwrap_or_default();
    StoreError::Open(format!("{place}: {}", super::brief(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sea_orm::{ConnectionTrait as _, Statement};
    use secrecy::SecretString;

    use super::*;
    use crate::clock::{SystemClock, SystemEntropy};

    #[tokio::test]
    async fn what_is_committed_on_sqlite_survives_a_power_cut_and_what_is_deleted_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let url = SecretString::from(format!("sqlite://{}", folder.path().join("beckon.sqlite").display()));
        let root = RootKey::parse(&SecretString::from("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")).unwrap();
        let database = config::Database { url, max_connections: 2 };
        let store = Store::open(&database, root, Arc::new(SystemClock), Arc::new(SystemEntropy)).await.unwrap();
        // 2 is FULL.
        for (pragma, value) in [("synchronous", "2"), ("journal_mode", "wal"), ("secure_delete", "1")] {
            let asked = Statement::from_string(sea_orm::DatabaseBackend::Sqlite, format!("PRAGMA {pragma}"));
            let row = store.inner.db.query_one_raw(asked).await.unwrap().unwrap();
            let found =
                row.try_get_by_index::<String>(0).or_else(|_| row.try_get_by_index::<i64>(0).map(|it| it.to_string()));
            assert_eq!(found.unwrap(), value, "{pragma}");
        }
    }
}
