//! Time passing in the whole hospital.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::ehr::deliver;
use super::world::World;

/// What [`advance`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Advanced {
    /// Resources that changed at the EHR.
    pub changes: usize,
    /// Status callbacks that were answered with 2xx.
    pub callbacks: usize,
    /// Texts that patients wrote.
    pub replies: usize,
    /// Notices of subscriptions that were taken.
    pub notices: usize,
}

impl Advanced {
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// Lets everything happen that is due by `now`, once.
pub async fn advance(world: &World, now: DateTime<Utc>) -> Advanced {
    let changes = world.script.happen(&world.ehr.archive, now);
    let notices = deliver(&world.ehr, &world.http).await;
    let callbacks = world.phone.call_back(now).await;
    let answers = world.script.answers(&world.phone.texts(), now);
    let replies = answers.len();
    for (patient, hospital, body) in answers {
        world.phone.reply_as(&patient, &hospital, &body).await;
    }
    Advanced { changes, callbacks, replies, notices }
}
