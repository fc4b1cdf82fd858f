//! Several visits of a day in one message.

use chrono::TimeDelta;

use crate::support::house::{ADA, House, Setup, each_house_with};

const RULE: &str = r#"
title = "Visits of a day"
purpose = "treatment"
resource = "Appointment"
condition = "status = 'booked'"
anchor = "start"
per = "day"
channels = [{ channel = "sms", detail = "limited" }]
[[step]]
id = "day-before"
at = "1 day before"
expires = "1 hour before"
template = "visits"
"#;

fn setup() -> (tempfile::TempDir, Setup) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("day");
    std::fs::create_dir(&to).unwrap();
    for (file, text) in [
        ("rule.toml", RULE),
        ("en.sms.visits.txt", "{{ organisation_name }}: {{ date }}: {{ visits }}. Reply STOP to opt out."),
        ("en.sms.neutral.txt", "{{ organisation_name }}: please call {{ organisation_phone }}. Reply STOP to opt out."),
    ] {
        std::fs::write(to.join(file), text).unwrap();
    }
    let setup = Setup { rules: vec!["day"], rules_folder: Some(folder.path().to_owned()), ..Setup::default() };
    (folder, setup)
}

/// Two visits on one day, the earlier one's reminder due in an hour.
async fn two_visits(house: &House) -> chrono::DateTime<chrono::Utc> {
    house.ada();
    let start = house.now() + TimeDelta::days(1) + TimeDelta::hours(1);
    house.book("first", ADA, start);
    house.book("second", ADA, start + TimeDelta::hours(2));
    house.sync().await;
    start
}

#[tokio::test]
async fn two_visits_of_a_day_are_told_in_one_text() {
    let (_folder, setup) = setup();
    each_house_with(setup, async |house| {
        let start = two_visits(&house).await;
        house.live_until(start).await;
        let texts = house.texts();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert_eq!(texts[0].body.matches(" AM").count() + texts[0].body.matches(" PM").count(), 2, "{}", texts[0].body);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_second_visit_that_was_called_off_since_the_pull_is_not_named() {
    let (_folder, setup) = setup();
    each_house_with(setup, async |house| {
        let start = two_visits(&house).await;
        house.appointment("second", ADA, start + TimeDelta::hours(2), "cancelled");
        house.live(TimeDelta::hours(2)).await;
        let texts = house.texts();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert_eq!(texts[0].body.matches(" AM").count() + texts[0].body.matches(" PM").count(), 1, "{}", texts[0].body);
        house.close().await;
    })
    .await;
}
