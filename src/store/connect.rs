//! Opening a database: SQLite with a write-ahead log that survives a power cut, or PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database};
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
        Migrator::up(&db, None).await.map_err(|error| StoreError::Open(super::brief(&error.to_string())))?;
        if sqlite {
            super::statistics::state(&db).await?;
        }
        Ok(Self::new(db, root, clock, entropy))
    }
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
