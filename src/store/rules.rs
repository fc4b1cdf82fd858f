//! Rule versions and which of them are live.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::tables::{rule_live, rule_version};
use super::{StoreError, Tx, View};
use crate::domain::{Actor, Rule, RuleAct, RuleId, RuleVersionId};

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
        self.record(&rule.id, &rule.version, RuleAct::Drafted, None, None, by).await?;
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
