//! Rule versions and which of them are live.

use std::collections::BTreeSet;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

use super::tables::{rule_live, rule_version};
use super::{StoreError, Tx, View};
use crate::domain::{Actor, EventKind, Rule, RuleId, RuleVersionId};

impl Tx<'_> {
    /// Keeps a rule version for ever, unless it is there. Answers whether it is new.
    pub async fn add_rule_version(&mut self, rule: &Rule, by: &Actor) -> Result<bool, StoreError> {
        let key = (self.tenant.to_string(), rule.id.to_string(), rule.version.to_string());
        if rule_version::Entity::find_by_id(key).one(&self.txn).await?.is_some() {
            return Ok(false);
        }
        let body = serde_json::to_string(rule)
            .map_err(|error| StoreError::Corrupt { what: "rule", reason: error.to_string() })?;
        let row = rule_version::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            rule: Set(rule.id.to_string()),
            version: Set(rule.version.to_string()),
            body: Set(body),
            added_by: Set(by.as_text()),
            added_at: Set(self.now()),
        };
        rule_version::Entity::insert(row).exec_without_returning(&self.txn).await?;
        let event = self
            .event(by.clone(), EventKind::RuleVersionAdded)
            .about_rule(&rule.id)
            .with_detail(json!({ "version": rule.version, "title": rule.title }));
        self.append(event).await?;
        Ok(true)
    }

    /// Makes exactly these versions live; a rule that is not named plans nothing any more. Answers whether that
    /// changed anything.
    pub async fn set_live_rules(&mut self, live: &[(RuleId, RuleVersionId)], by: &Actor) -> Result<bool, StoreError> {
        let now = self.now();
        let rows =
            rule_live::Entity::find().filter(rule_live::Column::Tenant.eq(self.tenant.as_str())).all(&self.txn).await?;
        let before: BTreeSet<(String, String)> = rows.into_iter().map(|row| (row.rule, row.version)).collect();
        let after: BTreeSet<(String, String)> =
            live.iter().map(|(rule, version)| (rule.to_string(), version.to_string())).collect();
        if before == after {
            return Ok(false);
        }
        for (rule, _) in before.iter().filter(|(rule, _)| !after.iter().any(|(other, _)| other == rule)) {
            rule_live::Entity::delete_by_id((self.tenant.to_string(), rule.clone())).exec(&self.txn).await?;
        }
        for (rule, version) in after.difference(&before) {
            let row = rule_live::ActiveModel {
                tenant: Set(self.tenant.to_string()),
                rule: Set(rule.clone()),
                version: Set(version.clone()),
                made_live_by: Set(by.as_text()),
                live_at: Set(now),
            };
            use rule_live::Column as C;
            rule_live::Entity::insert(row)
                .on_conflict(
                    OnConflict::columns([C::Tenant, C::Rule])
                        .update_columns([C::Version, C::MadeLiveBy, C::LiveAt])
                        .to_owned(),
                )
                .exec_without_returning(&self.txn)
                .await?;
        }
        let event = self.event(by.clone(), EventKind::RulesLive).with_detail(json!({
            "before": before.iter().map(|(rule, version)| json!([rule, version])).collect::<Vec<_>>(),
            "after": after.iter().map(|(rule, version)| json!([rule, version])).collect::<Vec<_>>(),
        }));
        self.append(event).await?;
        Ok(true)
    }
}

impl View<'_> {
    /// The live version of every live rule.
    pub async fn live_rules(&self) -> Result<Vec<Rule>, StoreError> {
        let live = rule_live::Entity::find()
            .filter(rule_live::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_asc(rule_live::Column::Rule)
            .all(&self.conn)
            .await?;
        let mut rules = Vec::with_capacity(live.len());
        for row in live {
            rules.extend(self.rule_version(&RuleId::new(row.rule), &RuleVersionId::new(row.version)).await?);
        }
        Ok(rules)
    }

    pub async fn rule_version(&self, rule: &RuleId, version: &RuleVersionId) -> Result<Option<Rule>, StoreError> {
        let key = (self.tenant.to_string(), rule.to_string(), version.to_string());
        let Some(row) = rule_version::Entity::find_by_id(key).one(&self.conn).await? else { return Ok(None) };
        serde_json::from_str(&row.body)
            .map(Some)
            .map_err(|error| StoreError::Corrupt { what: "rule", reason: error.to_string() })
    }
}
