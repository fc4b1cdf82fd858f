//! Every act on every version of a rule; which version is live follows from them.

use std::collections::BTreeSet;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::json;

use super::tables::{rule_change, rule_live, rule_version};
use super::{StoreError, Tx, View};
use crate::domain::{
    Actor, EventKind, ResourceType, Rule, RuleAct, RuleChange, RuleId, RuleStage, RuleVersionId, may_go_live,
    may_revert, may_review,
};

/// One version of a rule and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleVersionLine {
    pub rule: Rule,
    pub stage: RuleStage,
    pub added_by: String,
    pub added_at: chrono::DateTime<chrono::Utc>,
}

impl Tx<'_> {
    /// Records that a person looked at a version and finds it right.
    ///
    /// # Errors
    /// `Conflict` where this person may not, or there is no such version.
    pub async fn review_rule(
        &mut self,
        rule: &RuleId,
        version: &RuleVersionId,
        note: Option<&str>,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let (live, changes) = self.known(rule, version).await?;
        may_review(version, live.as_ref(), &changes, by).map_err(|error| StoreError::Conflict(error.to_string()))?;
        self.record(rule, version, RuleAct::Reviewed, None, note, by).await
    }

    /// Makes a reviewed version live; the patients whom it may concern are planned anew.
    ///
    /// # Errors
    /// `Conflict` where this person may not, or there is no such version.
    pub async fn make_rule_live(
        &mut self,
        rule: &RuleId,
        version: &RuleVersionId,
        note: Option<&str>,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let (live, changes) = self.known(rule, version).await?;
        may_go_live(version, live.as_ref(), &changes, by).map_err(|error| StoreError::Conflict(error.to_string()))?;
        let kind = self.point(rule, version, live, RuleAct::Live, note, by).await?;
        self.open_cohort(&kind.into_iter().collect(), std::slice::from_ref(rule), "a rule went live").await
    }

    /// Goes back to a version that was live before.
    ///
    /// # Errors
    /// `Conflict` where there is none.
    pub async fn revert_rule(
        &mut self,
        rule: &RuleId,
        version: &RuleVersionId,
        note: Option<&str>,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let (live, changes) = self.known(rule, version).await?;
        may_revert(version, live.as_ref(), &changes, by).map_err(|error| StoreError::Conflict(error.to_string()))?;
        let kind = self.point(rule, version, live, RuleAct::Reverted, note, by).await?;
        self.open_cohort(&kind.into_iter().collect(), std::slice::from_ref(rule), "a rule was taken back").await
    }

    /// Takes a rule out of use; what was planned is cancelled.
    ///
    /// # Errors
    /// `Conflict` where it is not live.
    pub async fn retire_rule(&mut self, rule: &RuleId, note: Option<&str>, by: &Actor) -> Result<(), StoreError> {
        let Some(live) = self.view().live_version(rule).await? else {
            return Err(StoreError::Conflict(format!("no version of {rule} is live")));
        };
        rule_live::Entity::delete_by_id((self.tenant.to_string(), rule.to_string())).exec(&self.txn).await?;
        self.record(rule, &live, RuleAct::Retired, Some(live.clone()), note, by).await?;
        self.open_cohort(&BTreeSet::new(), std::slice::from_ref(rule), "a rule was retired").await
    }

    /// At the first start: makes these versions live on the word of the settings alone, and records that. Answers whether
    /// it did; never again once any version was made live.
    pub async fn set_live_rules(&mut self, live: &[(RuleId, RuleVersionId)], by: &Actor) -> Result<bool, StoreError> {
        if live.is_empty() || self.view().was_any_rule_live().await? {
            return Ok(false);
        }
        let note = "made live by the settings at the first start; nobody reviewed it in Beckon";
        let mut kinds = BTreeSet::new();
        for (rule, version) in live {
            kinds.extend(self.point(rule, version, None, RuleAct::Live, Some(note), by).await?);
        }
        // One cohort for all of them: nobody is planned once a rule.
        let rules: Vec<RuleId> = live.iter().map(|(rule, _)| rule.clone()).collect();
        self.open_cohort(&kinds, &rules, "the first rules went live").await?;
        Ok(true)
    }

    async fn known(
        &self,
        rule: &RuleId,
        version: &RuleVersionId,
    ) -> Result<(Option<RuleVersionId>, Vec<RuleChange>), StoreError> {
        if self.view().rule_version(rule, version).await?.is_none() {
            return Err(StoreError::Conflict(format!("there is no such version of {rule}")));
        }
        Ok((self.view().live_version(rule).await?, self.view().rule_changes(Some(rule)).await?))
    }

    /// Points to another live version. Answers which type the rule is about: whom it may concern.
    async fn point(
        &mut self,
        rule: &RuleId,
        version: &RuleVersionId,
        before: Option<RuleVersionId>,
        act: RuleAct,
        note: Option<&str>,
        by: &Actor,
    ) -> Result<Option<ResourceType>, StoreError> {
        use rule_live::Column as C;
        let row = rule_live::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            rule: Set(rule.to_string()),
            version: Set(version.to_string()),
            made_live_by: Set(by.as_text()),
            live_at: Set(self.now()),
        };
        rule_live::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([C::Tenant, C::Rule])
                    .update_columns([C::Version, C::MadeLiveBy, C::LiveAt])
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        let kind = self.view().rule_version(rule, version).await?.map(|rule| rule.resource);
        self.record(rule, version, act, before, note, by).await?;
        Ok(kind)
    }

    /// Writes an act down, in the rule's own log and in the history.
    pub(super) async fn record(
        &mut self,
        rule: &RuleId,
        version: &RuleVersionId,
        act: RuleAct,
        before: Option<RuleVersionId>,
        note: Option<&str>,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let row = rule_change::ActiveModel {
            id: Set(self.store.new_id()),
            tenant: Set(self.tenant.to_string()),
            rule: Set(rule.to_string()),
            version: Set(version.to_string()),
            act: Set(act.as_str().to_owned()),
            before: Set(before.as_ref().map(ToString::to_string)),
            note: Set(note.map(str::to_owned)),
            changed_by: Set(by.as_text()),
            changed_at: Set(self.now()),
        };
        rule_change::Entity::insert(row).exec_without_returning(&self.txn).await?;
        let kind = match act {
            RuleAct::Drafted => EventKind::RuleVersionAdded,
            RuleAct::Reviewed => EventKind::RuleReviewed,
            RuleAct::Live | RuleAct::Reverted => EventKind::RulesLive,
            RuleAct::Retired => EventKind::RuleRetired,
        };
        let detail = json!({ "act": act, "version": version, "before": before, "note": note });
        let event = self.event(by.clone(), kind).about_rule(rule).with_detail(detail);
        self.append(event).await
    }
}

impl View<'_> {
    pub async fn live_version(&self, rule: &RuleId) -> Result<Option<RuleVersionId>, StoreError> {
        let key = (self.tenant.to_string(), rule.to_string());
        let row = rule_live::Entity::find_by_id(key).one(&self.conn).await?;
        Ok(row.map(|row| RuleVersionId::new(row.version)))
    }

    /// Whether any version of any rule was ever made live.
    pub async fn was_any_rule_live(&self) -> Result<bool, StoreError> {
        let live = rule_live::Entity::find().filter(rule_live::Column::Tenant.eq(self.tenant.as_str()));
        let acts = [RuleAct::Live, RuleAct::Reverted].map(RuleAct::as_str);
        let were = rule_change::Entity::find()
            .filter(rule_change::Column::Tenant.eq(self.tenant.as_str()))
            .filter(rule_change::Column::Act.is_in(acts));
        Ok(live.count(&self.conn).await? + were.count(&self.conn).await? > 0)
    }

    /// Everything that was done with one rule, or with all, oldest first.
    pub async fn rule_changes(&self, rule: Option<&RuleId>) -> Result<Vec<RuleChange>, StoreError> {
        let mut query = rule_change::Entity::find().filter(rule_change::Column::Tenant.eq(self.tenant.as_str()));
        if let Some(rule) = rule {
            query = query.filter(rule_change::Column::Rule.eq(rule.as_str()));
        }
        let rows = query.order_by_asc(rule_change::Column::Id).all(&self.conn).await?;
        rows.into_iter()
            .map(|row| {
                let corrupt = || StoreError::Corrupt { what: "rule change", reason: "unknown act".to_owned() };
                Ok(RuleChange {
                    act: RuleAct::parse(&row.act).ok_or_else(corrupt)?,
                    rule: RuleId::new(row.rule),
                    version: RuleVersionId::new(row.version),
                    before: row.before.map(RuleVersionId::new),
                    note: row.note,
                    by: row.changed_by,
                    at: row.changed_at,
                })
            })
            .collect()
    }

    /// Every version of one rule, or of all, the newest of each first.
    pub async fn rule_versions(&self, rule: Option<&RuleId>) -> Result<Vec<RuleVersionLine>, StoreError> {
        let mut query = rule_version::Entity::find().filter(rule_version::Column::Tenant.eq(self.tenant.as_str()));
        if let Some(rule) = rule {
            query = query.filter(rule_version::Column::Rule.eq(rule.as_str()));
        }
        let rows = query
            .order_by_asc(rule_version::Column::Rule)
            .order_by_desc(rule_version::Column::AddedAt)
            .all(&self.conn)
            .await?;
        let changes = self.rule_changes(rule).await?;
        let live = rule_live::Entity::find()
            .filter(rule_live::Column::Tenant.eq(self.tenant.as_str()))
            .all(&self.conn)
            .await?;
        rows.into_iter()
            .map(|row| {
                let rule: Rule = serde_json::from_str(&row.body)
                    .map_err(|error| StoreError::Corrupt { what: "rule", reason: error.to_string() })?;
                let of_rule: Vec<RuleChange> = changes.iter().filter(|it| it.rule == rule.id).cloned().collect();
                let live = live.iter().find(|it| it.rule == row.rule);
                let live = live.map(|it| RuleVersionId::new(it.version.as_str()));
                let stage = RuleStage::of(&rule.version, live.as_ref(), &of_rule);
                Ok(RuleVersionLine { rule, stage, added_by: row.added_by, added_at: row.added_at })
            })
            .collect()
    }
}
