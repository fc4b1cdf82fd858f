//! Opening a database: SQLite with a write-ahead log that survives a power cut, or PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
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
        let mut options = ConnectOptions::new(address);
        options
            .max_connections(database.max_connections)
            .acquire_timeout(Duration::from_secs(30))
            // Statements can carry PHI as literals: they are never logged.
            .sqlx_logging(false)
            .map_sqlx_sqlite_opts(|options| {
                options
                    .journal_mode(SqliteJournalMode::Wal)
                    // FULL: what was committed is on disk, also after a power cut.
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(Duration::from_secs(20))
                    .foreign_keys(true)
                    .pragma("secure_delete", "ON")
                    // KiB, and only what is in use: the default of 2 MiB reads the upper pages of every index again
                    // and again once there are some thousand patients.
                    .pragma("cache_size", "-16384")
            });
        let db = Database::connect(options).await.map_err(|error| open_error(url, &error))?;
        if !is_up_to_date(&db).await {
            Migrator::up(&db, None).await.map_err(|error| StoreError::Open(super::brief(&error.to_string())))?;
        }
        if sqlite {
            super::statistics::state(&db).await?;
        }
        Ok(Self::new(db, root, clock, entropy))
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

/// Names the file or the host, never the password.
fn open_error(url: &str, error: &sea_orm::DbErr) -> StoreError {
    let place = url.rsplit_once('@').map_or(url, |(_, place)| place);
    let place = place.split('?').next().unwrap_or_default();
    StoreError::Open(format!("{place}: {}", super::brief(&error.to_string())))
}
