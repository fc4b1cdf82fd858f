//! Accounts of staff: add, list, disable; and how often a sign-in may be tried.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, SqlErr};
use serde_json::json;

use super::tables::{staff, staff_session};
use super::{StoreError, Tx, View};
use crate::domain::{Actor, EventKind, Role, Staff, StaffId, TenantId};

/// Failed sign-ins in a row after which an account rests.
pub const SIGN_IN_TRIES: i32 = 5;

/// How long it rests.
pub const SIGN_IN_REST: TimeDelta = TimeDelta::minutes(15);

/// An account that is about to be made. The password is hashed before it comes here.
#[derive(Debug, Clone)]
pub struct NewStaff {
    /// Lower case.
    pub login: String,
    pub display_name: String,
    pub roles: Vec<Role>,
    /// PHC string.
    pub password_hash: String,
}

/// Whether a sign-in may be tried now.
#[derive(Debug)]
pub enum SignInTry {
    /// No such account, or a disabled one.
    Refused,
    /// Too many failures: not before this instant.
    Resting { staff: Staff, until: DateTime<Utc> },
    /// The try is counted; `complete_sign_in` takes the count back.
    Counted { staff: Staff, password_hash: String },
}

impl Tx<'_> {
    /// Adds an account. `Conflict` when the login is taken.
    pub async fn add_staff(&mut self, actor: Actor, new: NewStaff) -> Result<Staff, StoreError> {
        let id = self.store.new_id();
        let row = staff::ActiveModel {
            id: Set(id),
            tenant: Set(self.tenant.to_string()),
            login: Set(new.login.clone()),
            display_name: Set(new.display_name.clone()),
            password_hash: Set(new.password_hash),
            roles: Set(roles_text(&new.roles)),
            failed_sign_ins: Set(0),
            locked_until: Set(None),
            created_at: Set(self.now()),
            disabled_at: Set(None),
        };
        staff::Entity::insert(row).exec_without_returning(&self.txn).await.map_err(|error| match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => StoreError::Conflict(format!(
                "there is already an account {:?}; choose another login (a login is never given twice)",
                new.login
            )),
            _ => error.into(),
        })?;
        let added = self
            .event(actor, EventKind::StaffAdded)
            .with_detail(json!({ "login": new.login, "roles": roles_text(&new.roles) }));
        self.append(added).await?;
        Ok(Staff {
            id: StaffId(id),
            tenant: self.tenant.clone(),
            login: new.login,
            display_name: new.display_name,
            roles: new.roles,
            disabled_at: None,
        })
    }

    /// Disables an account and ends its sessions. Answers whether there was one to disable.
    pub async fn disable_staff(&mut self, actor: Actor, login: &str) -> Result<bool, StoreError> {
        let Some(row) = self.view().staff_row(login).await?.filter(|row| row.disabled_at.is_none()) else {
            return Ok(false);
        };
        staff::Entity::update_many()
            .col_expr(staff::Column::DisabledAt, Expr::value(self.now()))
            .filter(staff::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff::Column::Id.eq(row.id))
            .exec(&self.txn)
            .await?;
        staff_session::Entity::delete_many()
            .filter(staff_session::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff_session::Column::Staff.eq(row.id))
            .exec(&self.txn)
            .await?;
        let disabled = self.event(actor, EventKind::StaffDisabled).with_detail(json!({ "login": login }));
        self.append(disabled).await?;
        Ok(true)
    }

    /// Counts a try before the password is looked at, so that a hundred tries at once are still a hundred tries.
    pub async fn begin_sign_in(&mut self, login: &str) -> Result<SignInTry, StoreError> {
        let now = self.now();
        let row = staff::Entity::find()
            .filter(staff::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff::Column::Login.eq(login))
            .filter(staff::Column::DisabledAt.is_null())
            .lock_exclusive()
            .one(&self.txn)
            .await?;
        let Some(row) = row else { return Ok(SignInTry::Refused) };
        if let Some(until) = row.locked_until.filter(|until| *until > now) {
            return Ok(SignInTry::Resting { staff: staff_of(row)?, until });
        }
        // A rest that is over gives a fresh row of tries.
        let tries = if row.locked_until.is_some() { 1 } else { row.failed_sign_ins + 1 };
        let locked_until = (tries >= SIGN_IN_TRIES).then(|| now + SIGN_IN_REST);
        self.set_tries(row.id, tries, locked_until).await?;
        let password_hash = row.password_hash.clone();
        Ok(SignInTry::Counted { staff: staff_of(row)?, password_hash })
    }

    /// Takes the counted tries back: the password was right.
    pub(super) async fn clear_tries(&mut self, staff: StaffId) -> Result<(), StoreError> {
        self.set_tries(staff.0, 0, None).await
    }

    async fn set_tries(
        &mut self,
        id: uuid::Uuid,
        tries: i32,
        locked_until: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        staff::Entity::update_many()
            .col_expr(staff::Column::FailedSignIns, Expr::value(tries))
            .col_expr(staff::Column::LockedUntil, Expr::value(locked_until))
            .filter(staff::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff::Column::Id.eq(id))
            .exec(&self.txn)
            .await?;
        Ok(())
    }
}

impl View<'_> {
    /// All accounts, by login, disabled ones included.
    pub async fn staff(&self) -> Result<Vec<Staff>, StoreError> {
        let rows = staff::Entity::find()
            .filter(staff::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_asc(staff::Column::Login)
            .all(&self.conn)
            .await?;
        rows.into_iter().map(staff_of).collect()
    }

    /// The account with this login, disabled or not.
    pub async fn staff_by_login(&self, login: &str) -> Result<Option<Staff>, StoreError> {
        self.staff_row(login).await?.map(staff_of).transpose()
    }

    pub(super) async fn staff_row(&self, login: &str) -> Result<Option<staff::Model>, StoreError> {
        Ok(staff::Entity::find()
            .filter(staff::Column::Tenant.eq(self.tenant.as_str()))
            .filter(staff::Column::Login.eq(login))
            .one(&self.conn)
            .await?)
    }
}

pub(super) fn staff_of(row: staff::Model) -> Result<Staff, StoreError> {
    let roles = row
        .roles
        .split(',')
        .filter(|role| !role.is_empty())
        .map(|role| Role::parse(role).ok_or(StoreError::Corrupt { what: "role", reason: "unknown".to_owned() }))
        .collect::<Result<_, _>>()?;
    Ok(Staff {
        id: StaffId(row.id),
        tenant: TenantId::new(row.tenant),
        login: row.login,
        display_name: row.display_name,
        roles,
        disabled_at: row.disabled_at,
    })
}

fn roles_text(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}
