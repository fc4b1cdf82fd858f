//! Who is asking: accounts, passwords, sessions, sign-in and sign-out. It must not know what any page shows.

mod account;
mod demo;
mod identify;
mod password;
mod session;
mod sign_in;

pub use account::{AccountError, new_account};
pub use demo::prepare_demo_accounts;
pub use identify::{IdentifyError, identify};
pub use password::{MIN_PASSWORD, PasswordError, hash_password, verify_password};

pub(in crate::web) use session::{Visitor, visitor};
pub(in crate::web) use sign_in::{demo_sign_in, sign_in, sign_in_page, sign_out};
