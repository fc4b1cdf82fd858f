//! EHR connections and the keys they sign with.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use zeroize::Zeroizing;

use super::alike::padded;
use super::keyring::{Class, NOBODY};
use super::tables::{ehr, ehr_key};
use super::{StoreError, Tx, View};
use crate::domain::EhrId;

/// A connection as it is kept. What its settings mean is the ehr room's business.
#[derive(Debug, Clone, PartialEq)]
pub struct EhrRow {
    pub id: EhrId,
    pub base_url: String,
    pub vendor: String,
    pub client_id: String,
    pub settings: Value,
    /// What the server last granted, as it spelled it.
    pub granted_scopes: Option<String>,
    pub created_at: DateTime<Utc>,
    pub disabled_at: Option<DateTime<Utc>>,
}

/// What the operator said of a connection, and the times of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EhrStamp {
    pub said: [String; 4],
    pub keys: Vec<(String, DateTime<Utc>, Option<DateTime<Utc>>)>,
}

/// A signing key as it is kept; the private half is sealed with the tenant's key.
#[derive(Clone)]
pub struct EhrKeyRow {
    pub kid: String,
    pub alg: String,
    /// JWK without private members.
    pub public_jwk: Value,
    /// PKCS#8.
    pub private_key: Zeroizing<Vec<u8>>,
    pub created_at: DateTime<Utc>,
    /// From here on it signs, until a later key of its algorithm does.
    pub signs_from: DateTime<Utc>,
    /// From here on it is not published any more.
    pub published_until: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for EhrKeyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EhrKeyRow").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

impl Tx<'_> {
    /// Adds a connection.
    ///
    /// # Errors
    /// `Conflict` where its id is taken.
    pub async fn add_ehr(&mut self, row: &EhrRow) -> Result<(), StoreError> {
        let key = (self.tenant.to_string(), row.id.to_string());
        if ehr::Entity::find_by_id(key).one(&self.txn).await?.is_some() {
            return Err(StoreError::Conflict(format!("there is an EHR connection {:?} already", row.id.as_str())));
        }
        let now = self.now();
        ehr::Entity::insert(ehr::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            id: Set(row.id.to_string()),
            base_url: Set(row.base_url.clone()),
            vendor: Set(row.vendor.clone()),
            client_id: Set(row.client_id.clone()),
            settings: Set(row.settings.to_string()),
            plan: Set(None),
            granted_scopes: Set(row.granted_scopes.clone()),
            created_at: Set(row.created_at),
            updated_at: Set(now),
            disabled_at: Set(row.disabled_at),
        })
        .exec_without_returning(&self.txn)
        .await?;
        Ok(())
    }

    /// Points a connection to another address.
    pub async fn set_ehr_address(&mut self, id: &EhrId, base_url: &str) -> Result<(), StoreError> {
        ehr::Entity::update_many()
            .col_expr(ehr::Column::BaseUrl, Expr::value(base_url))
            .col_expr(ehr::Column::UpdatedAt, Expr::value(self.now()))
            .filter(ehr::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr::Column::Id.eq(id.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Replaces what a connection's settings say.
    pub async fn set_ehr_settings(&mut self, id: &EhrId, settings: &Value) -> Result<(), StoreError> {
        ehr::Entity::update_many()
            .col_expr(ehr::Column::Settings, Expr::value(settings.to_string()))
            .col_expr(ehr::Column::UpdatedAt, Expr::value(self.now()))
            .filter(ehr::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr::Column::Id.eq(id.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Keeps what the server granted, so that a missing scope is known without asking again. That is nothing that the
    /// operator changed: open clients go on.
    pub async fn set_granted_scopes(&mut self, id: &EhrId, granted: &str) -> Result<(), StoreError> {
        ehr::Entity::update_many()
            .col_expr(ehr::Column::GrantedScopes, Expr::value(granted))
            .filter(ehr::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr::Column::Id.eq(id.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Keeps the capability plan that a run went by.
    pub async fn set_ehr_plan(&mut self, id: &EhrId, plan: &Value) -> Result<(), StoreError> {
        ehr::Entity::update_many()
            .col_expr(ehr::Column::Plan, Expr::value(plan.to_string()))
            .filter(ehr::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr::Column::Id.eq(id.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Adds keys of a connection.
    pub async fn add_ehr_keys(&mut self, id: &EhrId, keys: &[EhrKeyRow]) -> Result<(), StoreError> {
        self.prepare_keys(Class::Tenant, [NOBODY]).await?;
        for key in keys {
            let place = key_row(id, &key.kid);
            let private = self.seal(Class::Tenant, NOBODY, "ehr_key", "private_key", &place, &key.private_key)?;
            ehr_key::Entity::insert(ehr_key::ActiveModel {
                tenant: Set(self.tenant.to_string()),
                ehr: Set(id.to_string()),
                kid: Set(key.kid.clone()),
                alg: Set(key.alg.clone()),
                public_jwk: Set(key.public_jwk.to_string()),
                private_key: Set(private),
                created_at: Set(key.created_at),
                signs_from: Set(key.signs_from),
                published_until: Set(key.published_until),
            })
            .exec_without_returning(&self.txn)
            .await?;
        }
        Ok(())
    }

    /// Sets when a key is to vanish from the published set.
    pub async fn end_ehr_key(&mut self, id: &EhrId, kid: &str, until: DateTime<Utc>) -> Result<(), StoreError> {
        ehr_key::Entity::update_many()
            .col_expr(ehr_key::Column::PublishedUntil, Expr::value(until))
            .filter(ehr_key::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_key::Column::Ehr.eq(id.as_str()))
            .filter(ehr_key::Column::Kid.eq(kid))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Sets when a key begins to sign, and that it is published without an end.
    pub async fn set_ehr_key_signs(&mut self, id: &EhrId, kid: &str, from: DateTime<Utc>) -> Result<(), StoreError> {
        ehr_key::Entity::update_many()
            .col_expr(ehr_key::Column::SignsFrom, Expr::value(from))
            .filter(ehr_key::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_key::Column::Ehr.eq(id.as_str()))
            .filter(ehr_key::Column::Kid.eq(kid))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Destroys the keys that are not published any more, and answers their ids.
    pub async fn purge_ehr_keys(&mut self, id: &EhrId) -> Result<Vec<String>, StoreError> {
        let ended = ehr_key::Entity::find()
            .filter(ehr_key::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_key::Column::Ehr.eq(id.as_str()))
            .filter(ehr_key::Column::PublishedUntil.lte(self.now()))
            .all(&self.txn)
            .await?;
        let kids: Vec<String> = ended.into_iter().map(|row| row.kid).collect();
        ehr_key::Entity::delete_many()
            .filter(ehr_key::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_key::Column::Ehr.eq(id.as_str()))
            .filter(ehr_key::Column::Kid.is_in(padded(kids.iter().map(String::as_str))))
            .exec(&self.txn)
            .await?;
        Ok(kids)
    }
}

impl View<'_> {
    /// All connections, in the order of their ids.
    pub async fn ehrs(&self) -> Result<Vec<EhrRow>, StoreError> {
        let rows = ehr::Entity::find()
            .filter(ehr::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_asc(ehr::Column::Id)
            .all(&self.conn)
            .await?;
        rows.into_iter().map(read).collect()
    }

    pub async fn ehr(&self, id: &EhrId) -> Result<Option<EhrRow>, StoreError> {
        let key = (self.tenant.to_string(), id.to_string());
        ehr::Entity::find_by_id(key).one(&self.conn).await?.map(read).transpose()
    }

    /// The capability plan that the last run went by.
    pub async fn ehr_plan(&self, id: &EhrId) -> Result<Option<Value>, StoreError> {
        let key = (self.tenant.to_string(), id.to_string());
        let row = ehr::Entity::find_by_id(key).one(&self.conn).await?;
        row.and_then(|row| row.plan).map(|text| json("capability plan", &text)).transpose()
    }

    /// What tells whether an open client still goes by what the operator wants; `None` where there is no such connection,
    /// or it is disabled.
    pub async fn ehr_stamp(&self, id: &EhrId) -> Result<Option<EhrStamp>, StoreError> {
        let key = (self.tenant.to_string(), id.to_string());
        let Some(row) = ehr::Entity::find_by_id(key).one(&self.conn).await? else { return Ok(None) };
        if row.disabled_at.is_some() {
            return Ok(None);
        }
        let keys = ehr_key::Entity::find()
            .select_only()
            .column(ehr_key::Column::Kid)
            .column(ehr_key::Column::SignsFrom)
            .column(ehr_key::Column::PublishedUntil)
            .filter(ehr_key::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_key::Column::Ehr.eq(id.as_str()))
            .order_by_asc(ehr_key::Column::Kid)
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(Some(EhrStamp { said: [row.base_url, row.vendor, row.client_id, row.settings], keys }))
    }

    /// All keys of a connection, oldest first.
    pub async fn ehr_keys(&self, id: &EhrId) -> Result<Vec<EhrKeyRow>, StoreError> {
        let rows = ehr_key::Entity::find()
            .filter(ehr_key::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_key::Column::Ehr.eq(id.as_str()))
            .order_by_asc(ehr_key::Column::CreatedAt)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().map(|row| row.private_key.as_slice())).await?;
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            let place = key_row(id, &row.kid);
            let private_key = keys.open("ehr_key", "private_key", &place, &row.private_key)?;
            read.push(EhrKeyRow {
                public_jwk: json("public key", &row.public_jwk)?,
                kid: row.kid,
                alg: row.alg,
                private_key: Zeroizing::new(private_key),
                created_at: row.created_at,
                signs_from: row.signs_from,
                published_until: row.published_until,
            });
        }
        Ok(read)
    }
}

fn read(row: ehr::Model) -> Result<EhrRow, StoreError> {
    Ok(EhrRow {
        settings: json("EHR connection", &row.settings)?,
        id: EhrId::new(row.id),
        base_url: row.base_url,
        vendor: row.vendor,
        client_id: row.client_id,
        granted_scopes: row.granted_scopes,
        created_at: row.created_at,
        disabled_at: row.disabled_at,
    })
}

fn json(what: &'static str, text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt { what, reason: format!("at column {}", error.column()) })
}

fn key_row(id: &EhrId, kid: &str) -> String {
    format!("{id}/{kid}")
}
