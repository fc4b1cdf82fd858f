//! Questions to the history that officers keep, under the names that they gave them.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::keyring::{Class, NOBODY};
use super::tables::saved_question;
use super::{StoreError, Tx, View};

/// One kept question.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedQuestion {
    pub id: Uuid,
    pub name: String,
    /// Who keeps it.
    pub login: String,
    /// Its fields.
    pub question: Value,
    pub created_at: DateTime<Utc>,
}

/// Name and fields may hold an address: they are sealed.
#[derive(Serialize, Deserialize)]
struct SealedQuestion {
    name: String,
    question: Value,
}

impl Tx<'_> {
    pub async fn save_question(&mut self, name: &str, login: &str, question: &Value) -> Result<Uuid, StoreError> {
        let id = self.store.new_id();
        self.prepare_keys(Class::Tenant, [NOBODY]).await?;
        let body = SealedQuestion { name: name.to_owned(), question: question.clone() };
        let body = self.seal_json(Class::Tenant, NOBODY, "saved_question", "body", &id.to_string(), &body)?;
        saved_question::Entity::insert(saved_question::ActiveModel {
            id: Set(id),
            tenant: Set(self.tenant.to_string()),
            login: Set(login.to_owned()),
            body: Set(body),
            created_at: Set(self.now()),
        })
        .exec_without_returning(&self.txn)
        .await?;
        Ok(id)
    }

    /// Answers whether there was one.
    pub async fn remove_question(&mut self, id: Uuid) -> Result<bool, StoreError> {
        let done = saved_question::Entity::delete_many()
            .filter(saved_question::Column::Tenant.eq(self.tenant.as_str()))
            .filter(saved_question::Column::Id.eq(id))
            .exec(&self.txn)
            .await?;
        Ok(done.rows_affected > 0)
    }
}

impl View<'_> {
    /// All kept questions, oldest first.
    pub async fn saved_questions(&self) -> Result<Vec<SavedQuestion>, StoreError> {
        let rows = saved_question::Entity::find()
            .filter(saved_question::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_asc(saved_question::Column::CreatedAt)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().map(|row| row.body.as_slice())).await?;
        rows.into_iter()
            .map(|row| {
                let id = row.id.to_string();
                let body: SealedQuestion = keys.open_json("question", "saved_question", "body", &id, &row.body)?;
                Ok(SavedQuestion {
                    id: row.id,
                    name: body.name,
                    login: row.login,
                    question: body.question,
                    created_at: row.created_at,
                })
            })
            .collect()
    }
}
