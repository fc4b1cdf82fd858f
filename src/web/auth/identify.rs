//! Who sits at a terminal: an account's login and password, counted and recorded as at a page.

use secrecy::SecretString;

use super::account::normal_login;
use super::password::verify_password;
use crate::domain::{Staff, TenantId};
use crate::store::{SignInTry, Store, StoreError};

/// Why somebody was not recognised.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    #[error("login and password do not fit an active account; after several failures an account rests for 15 minutes")]
    Unknown,
    #[error("the password could not be checked; try again")]
    Unchecked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The account behind a login and a password.
///
/// # Errors
/// They do not fit, or the account rests.
pub async fn identify(
    store: &Store,
    tenant: &TenantId,
    login: &str,
    password: SecretString,
) -> Result<Staff, IdentifyError> {
    let mut tx = store.write(tenant).await?;
    let tried = tx.begin_sign_in(&normal_login(login)).await?;
    tx.commit().await?;
    let (staff, hash, because) = match tried {
        SignInTry::Refused => (None, None, "no such account"),
        SignInTry::Resting { staff, .. } => (Some(staff), None, "too many failures"),
        SignInTry::Counted { staff, password_hash } => (Some(staff), Some(password_hash), "wrong password"),
    };
    let right = verify_password(hash, password).await.map_err(|_| IdentifyError::Unchecked)?;
    let mut tx = store.write(tenant).await?;
    if let Some(staff) = staff.clone().filter(|_| right) {
        tx.identified(&staff, "command line").await?;
        tx.commit().await?;
        return Ok(staff);
    }
    tx.refuse_sign_in(staff.as_ref(), because).await?;
    tx.commit().await?;
    Err(IdentifyError::Unknown)
}
