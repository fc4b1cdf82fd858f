//! The demo's accounts: one a role, without a password that anybody could type.

use crate::domain::{Actor, Role};
use crate::store::{NewStaff, StoreError};
use crate::web::state::{Demo, WebState};

/// Makes the demo's accounts where they are missing. Their hash is no hash, so that only the demo's buttons open them.
pub async fn prepare_demo_accounts(state: &WebState) -> Result<(), StoreError> {
    for (role, name) in [
        (Role::Admin, "Alex (admin)"),
        (Role::Clinician, "Casey (clinician)"),
        (Role::Compliance, "Robin (compliance)"),
    ] {
        let login = Demo::login(role);
        if state.view().staff_by_login(&login).await?.is_some() {
            continue;
        }
        let new = NewStaff {
            login,
            display_name: name.to_owned(),
            roles: vec![role],
            password_hash: "no password".to_owned(),
        };
        let mut tx = state.store.write(&state.tenant).await?;
        tx.add_staff(Actor::system("demo"), new).await?;
        tx.commit().await?;
    }
    Ok(())
}
