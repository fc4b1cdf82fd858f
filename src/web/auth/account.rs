//! New accounts: everything about them is checked here, once.

use std::sync::Arc;

use secrecy::SecretString;

use super::password::{PasswordError, hash_password};
use crate::clock::Entropy;
use crate::domain::Role;
use crate::store::NewStaff;

/// Why an account cannot be made as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error("the login {0:?} will not do; use 2 to 64 lower-case letters, digits and any of . _ - @")]
    Login(String),
    #[error("the name is empty or longer than 100 characters; write the person's name as colleagues know it")]
    Name,
    #[error("an account needs at least one role: admin, clinician or compliance")]
    NoRole,
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// Checks a new account and hashes its password; `Tx::add_staff` then adds it.
pub async fn new_account(
    login: &str,
    display_name: &str,
    roles: &[Role],
    password: SecretString,
    entropy: &Arc<dyn Entropy>,
) -> Result<NewStaff, AccountError> {
    let login = normal_login(login);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@".contains(c);
    if !(2..=64).contains(&login.len()) || !login.chars().all(plain) {
        return Err(AccountError::Login(login));
    }
    let display_name = display_name.trim();
    if display_name.is_empty() || display_name.chars().count() > 100 {
        return Err(AccountError::Name);
    }
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() {
        return Err(AccountError::NoRole);
    }
    let password_hash = hash_password(&login, password, entropy).await?;
    Ok(NewStaff { login, display_name: display_name.to_owned(), roles, password_hash })
}

/// How a login is looked up: case and stray spaces do not matter.
pub(super) fn normal_login(typed: &str) -> String {
    typed.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;

    #[tokio::test]
    async fn an_account_is_checked_before_it_is_made() {
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let password = || SecretString::from("correct horse battery");
        for (login, name, roles, expected) in [
            ("a", "Ada", &[Role::Admin][..], AccountError::Login("a".to_owned())),
            ("ada lovelace", "Ada", &[Role::Admin], AccountError::Login("ada lovelace".to_owned())),
            ("ada", "  ", &[Role::Admin], AccountError::Name),
            ("ada", "Ada", &[], AccountError::NoRole),
        ] {
            let refused = new_account(login, name, roles, password(), &entropy).await.unwrap_err();
            assert_eq!(refused, expected, "{login}");
        }
        let made = new_account(" Ada ", " Ada L. ", &[Role::Clinician, Role::Clinician], password(), &entropy).await;
        let made = made.unwrap();
        assert_eq!((made.login.as_str(), made.display_name.as_str()), ("ada", "Ada L."));
        assert_eq!(made.roles, vec![Role::Clinician]);
    }
}
