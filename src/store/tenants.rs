//! Tenants and their first keys.

use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};

use super::tables::{tenant, tenant_key};
use super::{Store, StoreError};
use crate::domain::TenantId;
use crate::seal::KeyBytes;

impl Store {
    /// Makes a tenant with its keys, unless it is there. Answers whether it was made.
    pub async fn add_tenant(&self, id: &TenantId, name: &str) -> Result<bool, StoreError> {
        let tx = self.write(id).await?;
        if tenant::Entity::find_by_id(id.as_str()).one(&tx.txn).await?.is_some() {
            return Ok(false);
        }
        let now = tx.now();
        let row = tenant::ActiveModel { id: Set(id.to_string()), name: Set(name.to_owned()), created_at: Set(now) };
        tenant::Entity::insert(row).exec_without_returning(&tx.txn).await?;
        let mut keys = Vec::new();
        for kind in ["seal", "index", "mac"] {
            let key = self.new_id();
            let bytes = KeyBytes::generate(self.entropy().as_ref());
            keys.push(tenant_key::ActiveModel {
                id: Set(key),
                tenant: Set(id.to_string()),
                kind: Set(kind.to_owned()),
                wrapped: Set(self.keys().root.key().wrap(id.as_str(), key, &bytes)?.0),
                created_at: Set(now),
                retired_at: Set(None),
            });
        }
        tenant_key::Entity::insert_many(keys).exec_without_returning(&tx.txn).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// All tenants as (id, name), by id.
    pub async fn tenants(&self) -> Result<Vec<(TenantId, String)>, StoreError> {
        let rows = tenant::Entity::find().order_by_asc(tenant::Column::Id).all(&self.inner.db).await?;
        Ok(rows.into_iter().map(|row| (TenantId::new(row.id), row.name)).collect())
    }
}
