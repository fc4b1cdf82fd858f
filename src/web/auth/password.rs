//! Passwords: Argon2id with the library's recommended cost, hashed off the request threads.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::{PasswordHash, PasswordHash as Phc};
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::clock::Entropy;

/// Characters that a password has at least (ASVS 5.0, 6.2.1 asks for 8 and recommends 15).
pub const MIN_PASSWORD: usize = 12;

/// Characters that one has at most: longer input only costs time.
const MAX_PASSWORD: usize = 256;

/// Hashes at once: each takes 19 MiB and a core, so a flood of sign-ins queues instead of filling the memory.
static HASHING: Semaphore = Semaphore::const_new(2);

/// Why a password was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("the password is shorter than {MIN_PASSWORD} characters; choose a longer one, such as four random words")]
    TooShort,
    #[error("the password is longer than {MAX_PASSWORD} characters; choose a shorter one")]
    TooLong,
    #[error("the password is the login, or contains it; choose another one")]
    ContainsLogin,
    #[error("the password could not be hashed; try again")]
    Hashing,
}

/// Checks and hashes a new password. Answers a PHC string.
pub async fn hash_password(
    login: &str,
    password: SecretString,
    entropy: &Arc<dyn Entropy>,
) -> Result<String, PasswordError> {
    check(login, password.expose_secret())?;
    let mut salt = [0_u8; 16];
    entropy.fill(&mut salt);
    blocking(move || {
        let hash: Result<Phc, _> =
            Argon2::default().hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
        hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::Hashing)
    })
    .await?
}

/// Whether the password is the one that was hashed. Without a hash it takes as long and answers no, so that the time
/// of an answer does not tell which logins exist.
pub async fn verify_password(hash: Option<String>, password: SecretString) -> Result<bool, PasswordError> {
    blocking(move || {
        let known = hash.is_some();
        let text = hash.unwrap_or_else(|| NOBODYS.to_owned());
        let Ok(parsed) = PasswordHash::new(&text) else { return false };
        let right = Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
        right && known
    })
    .await
}

/// A hash of nobody's password, with the cost that ours have.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
    let _turn = HASHING.acquire().await.map_err(|_| PasswordError::Hashing)?;
    tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Hashing)
}

fn check(login: &str, password: &str) -> Result<(), PasswordError> {
    let length = password.chars().count();
    if length < MIN_PASSWORD {
        return Err(PasswordError::TooShort);
    }
    if length > MAX_PASSWORD {
        return Err(PasswordError::TooLong);
    }
    if password.to_lowercase().contains(&login.to_lowercase()) {
        return Err(PasswordError::ContainsLogin);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;

    fn entropy() -> Arc<dyn Entropy> {
        Arc::new(SystemEntropy)
    }

    #[tokio::test]
    async fn a_password_is_short_long_or_the_login_no_more() {
        for (password, expected) in
            [("elevenchars", PasswordError::TooShort), ("the one of Ada@clinic", PasswordError::ContainsLogin)]
        {
            let refused = hash_password("ada@clinic", SecretString::from(password), &entropy()).await;
            assert_eq!(refused, Err(expected), "{password}");
        }
        let endless = SecretString::from("x".repeat(257));
        assert_eq!(hash_password("ada", endless, &entropy()).await, Err(PasswordError::TooLong));
    }

    #[tokio::test]
    async fn only_the_password_that_was_hashed_is_right() {
        let right = || SecretString::from("correct horse battery");
        let hash = hash_password("ada", right(), &entropy()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify_password(Some(hash.clone()), right()).await.unwrap());
        assert!(!verify_password(Some(hash), SecretString::from("correct horse batterz")).await.unwrap());
        assert!(!verify_password(None, right()).await.unwrap());
    }
}
