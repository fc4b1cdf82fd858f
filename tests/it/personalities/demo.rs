//! The demo's accounts are complete whoever made the hospital's EHR.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use beckon::app::demo::{DemoHouse, DemoOptions};
use beckon::clock::ManualClock;
use beckon::domain::ReminderState;
use beckon::sandbox::Personality;

use crate::support::monday_noon;

/// Enough for reminders to fall due at every hospital; the whole 14 days are `beckon demo --once --personality …`.
const DAYS: i64 = 2;

#[tokio::test]
async fn every_vendors_hospital_is_accounted_for() {
    for name in Personality::NAMES {
        let folder = tempfile::tempdir().unwrap();
        let options = DemoOptions {
            patients: 30,
            seed: 1,
            personality: Personality::named(name).unwrap(),
            folder: folder.path().to_owned(),
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
        };
        let clock = Arc::new(ManualClock::at(monday_noon()));
        let house = DemoHouse::build(&options, clock.clone(), true).await.unwrap();
        let accounts = house.run_days(&clock, DAYS, &|_| {}).await.unwrap();
        assert_eq!(accounts.unexplained, Vec::<String>::new(), "{name}");
        assert!(accounts.reminders_in(ReminderState::Released) > 0, "{name}: {accounts:?}");
        let none = accounts.write_backs.contains_key("unsupported");
        assert_eq!(none, name == "athena", "{name}: {:?}", accounts.write_backs);
    }
}
