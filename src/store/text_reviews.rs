//! Who read a rule's texts over, in which language, as they stood.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

use super::tables::text_review;
use super::{StoreError, Tx, View};
use crate::domain::{Actor, EventKind, RuleId, TextReview};

impl Tx<'_> {
    /// Records a review; one of the same texts takes the place of an earlier one.
    pub async fn record_text_review(
        &mut self,
        rule: &RuleId,
        language: &str,
        texts: &str,
        reviewer: &str,
        qualification: &str,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let row = text_review::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            rule: Set(rule.to_string()),
            language: Set(language.to_owned()),
            texts: Set(texts.to_owned()),
            reviewer: Set(reviewer.to_owned()),
            qualification: Set(qualification.to_owned()),
            recorded_by: Set(by.as_text()),
            recorded_at: Set(self.now()),
        };
        use text_review::Column as C;
        text_review::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([C::Tenant, C::Rule, C::Language, C::Texts])
                    .update_columns([C::Reviewer, C::Qualification, C::RecordedBy, C::RecordedAt])
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        let event = self.event(by.clone(), EventKind::TextsReviewed).about_rule(rule).with_detail(json!({
            "language": language, "texts": texts, "reviewer": reviewer, "qualification": qualification,
        }));
        self.append(event).await?;
        Ok(())
    }
}

impl View<'_> {
    /// All of them, in order of rule and language, the latest last.
    pub async fn text_reviews(&self) -> Result<Vec<TextReview>, StoreError> {
        let rows = text_review::Entity::find()
            .filter(text_review::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_asc(text_review::Column::Rule)
            .order_by_asc(text_review::Column::Language)
            .order_by_asc(text_review::Column::RecordedAt)
            .all(&self.conn)
            .await?;
        let review = |row: text_review::Model| TextReview {
            rule: RuleId::new(row.rule),
            language: row.language,
            texts: row.texts,
            reviewer: row.reviewer,
            qualification: row.qualification,
            by: row.recorded_by,
            at: row.recorded_at,
        };
        Ok(rows.into_iter().map(review).collect())
    }
}
