//! What `beckon bench` holds the store against: a database of its own, and one plain table in it.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectionTrait, Database};
use url::Url;

use super::{Store, StoreError, Tx};

mod plain {
    #![expect(clippy::disallowed_methods, reason = "sea-orm's macros name `begin` in code that nobody calls")]

    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "bench_plain")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub body: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A PostgreSQL database that a bench makes and drops: it never works in one that is there.
#[derive(Debug)]
pub struct ScratchDatabase {
    server: Url,
    name: String,
}

impl ScratchDatabase {
    /// Makes the database `name` on the server of `url`.
    ///
    /// # Errors
    /// The server does not answer, or the account may not create databases.
    pub async fn create(url: &str, name: &str) -> Result<Self, StoreError> {
        let server = Url::parse(url).map_err(|error| StoreError::Open(error.to_string()))?;
        let known = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !known {
            return Err(StoreError::Open("a scratch database is named by small letters and digits".to_owned()));
        }
        let scratch = Self { server, name: name.to_owned() };
        scratch.run(&format!("CREATE DATABASE {name}")).await?;
        Ok(scratch)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.to_string()
    }

    pub async fn remove(self) -> Result<(), StoreError> {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }

    async fn run(&self, statement: &str) -> Result<(), StoreError> {
        let mut url = self.server.clone();
        if url.path().trim_matches('/').is_empty() {
            url.set_path("postgres");
        }
        let db = Database::connect(url.as_str()).await?;
        db.execute_unprepared(statement).await?;
        db.close().await?;
        Ok(())
    }
}

impl Store {
    /// Makes the plain table.
    pub async fn make_plain_table(&self) -> Result<(), StoreError> {
        self.inner
            .writing
            .execute_unprepared("CREATE TABLE bench_plain (id BIGINT NOT NULL PRIMARY KEY, body TEXT NOT NULL)")
            .await?;
        Ok(())
    }

    /// Ends all connections.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.db.clone().close().await?;
        Ok(self.inner.writing.clone().close().await?)
    }
}

impl Tx<'_> {
    /// Inserts texts as they are, numbered from `first` on: no key, no index, no history.
    pub async fn insert_plain(&mut self, first: i64, bodies: Vec<String>) -> Result<(), StoreError> {
        let rows =
            bodies.into_iter().zip(first..).map(|(body, id)| plain::ActiveModel { id: Set(id), body: Set(body) });
        plain::Entity::insert_many(rows).exec_without_returning(&self.txn).await?;
        Ok(())
    }
}
