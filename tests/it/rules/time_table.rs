//! When steps fall due on the clock on the wall: gaps and overlaps of summer time, leap days, months of every length, and
//! zones that are off by 30 and 45 minutes. The expected instants were reckoned by another implementation of the zone
//! database (Python's zoneinfo): days and months keep the wall clock, a time that the clock skips is the first minute after
//! the gap, one that it shows twice is the first showing.

use beckon::domain::*;
use beckon::rules::{CompiledRule, Facilities, Facility};
use chrono::NaiveTime;

use super::fixtures::*;
use Offset::{Days, Minutes, Months};

/// Anchor, offset, time of day (empty: as the anchor's), zone of the facility, and when it is due.
#[rustfmt::skip]
const TABLE: &[(&str, Offset, &str, &str, &str)] = &[
    ("2026-06-10T14:00:00Z", Days(-3), "", "America/New_York", "2026-06-07T14:00:00Z"),
    ("2026-06-10T14:00:00Z", Days(-1), "10:00", "America/New_York", "2026-06-09T14:00:00Z"),
    ("2026-06-10T14:00:00Z", Minutes(-120), "", "America/New_York", "2026-06-10T12:00:00Z"),
    ("2026-06-10T14:00:00Z", Days(0), "18:00", "America/Chicago", "2026-06-10T23:00:00Z"),
    ("2026-01-15T02:00:00Z", Days(-1), "10:00", "America/Los_Angeles", "2026-01-13T18:00:00Z"),
    ("2026-01-15T02:00:00Z", Days(1), "10:00", "Pacific/Honolulu", "2026-01-15T20:00:00Z"),
    ("2026-03-10T14:00:00Z", Days(-3), "", "America/New_York", "2026-03-07T15:00:00Z"),
    ("2026-03-10T14:00:00Z", Minutes(-4320), "", "America/New_York", "2026-03-07T14:00:00Z"),
    ("2026-03-09T06:30:00Z", Days(-1), "", "America/New_York", "2026-03-08T07:00:00Z"),
    ("2026-03-09T14:00:00Z", Days(-1), "02:00", "America/New_York", "2026-03-08T07:00:00Z"),
    ("2026-03-09T14:00:00Z", Days(-1), "02:59", "America/Chicago", "2026-03-08T08:00:00Z"),
    ("2026-03-09T14:00:00Z", Days(-1), "03:00", "America/Chicago", "2026-03-08T08:00:00Z"),
    ("2026-03-09T14:00:00Z", Days(-1), "01:59", "America/Denver", "2026-03-08T08:59:00Z"),
    ("2026-03-09T14:00:00Z", Days(-1), "02:30", "America/Phoenix", "2026-03-08T09:30:00Z"),
    ("2026-03-09T20:00:00Z", Days(-1), "02:30", "America/Anchorage", "2026-03-08T11:00:00Z"),
    ("2026-03-09T14:00:00Z", Days(-1), "00:00", "America/Havana", "2026-03-08T05:00:00Z"),
    ("2026-11-02T06:30:00Z", Days(-1), "", "America/New_York", "2026-11-01T05:30:00Z"),
    ("2026-11-02T15:00:00Z", Days(-1), "01:00", "America/New_York", "2026-11-01T05:00:00Z"),
    ("2026-11-02T15:00:00Z", Days(-1), "01:59", "America/Chicago", "2026-11-01T06:59:00Z"),
    ("2026-11-02T15:00:00Z", Days(-1), "02:00", "America/Chicago", "2026-11-01T08:00:00Z"),
    ("2026-11-01T06:30:00Z", Days(0), "", "America/New_York", "2026-11-01T06:30:00Z"),
    ("2026-11-01T06:30:00Z", Minutes(-60), "", "America/New_York", "2026-11-01T05:30:00Z"),
    ("2026-11-01T06:30:00Z", Days(0), "01:30", "America/New_York", "2026-11-01T05:30:00Z"),
    ("2026-11-03T15:00:00Z", Days(-3), "", "America/Los_Angeles", "2026-10-31T14:00:00Z"),
    ("2026-11-03T15:00:00Z", Minutes(-4320), "", "America/Los_Angeles", "2026-10-31T15:00:00Z"),
    ("2026-11-02T15:00:00Z", Days(-1), "00:30", "America/Havana", "2026-11-01T04:30:00Z"),
    ("2026-03-30T08:00:00Z", Days(-1), "02:30", "Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("2026-03-30T08:00:00Z", Days(-1), "01:30", "Europe/London", "2026-03-29T01:00:00Z"),
    ("2026-03-30T08:00:00Z", Days(-1), "01:15", "Europe/Lisbon", "2026-03-29T01:00:00Z"),
    ("2026-10-26T08:00:00Z", Days(-1), "02:30", "Europe/Berlin", "2026-10-25T00:30:00Z"),
    ("2026-10-26T08:00:00Z", Days(-1), "01:30", "Europe/London", "2026-10-25T00:30:00Z"),
    ("2026-10-26T08:00:00Z", Days(-1), "", "Europe/Berlin", "2026-10-25T08:00:00Z"),
    ("2026-04-25T08:00:00Z", Days(-1), "00:00", "Africa/Cairo", "2026-04-23T22:00:00Z"),
    ("2026-04-25T08:00:00Z", Days(-1), "00:30", "Africa/Cairo", "2026-04-23T22:00:00Z"),
    ("2018-11-05T12:00:00Z", Days(-1), "00:00", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("2018-11-05T12:00:00Z", Days(-1), "00:45", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("2018-02-19T12:00:00Z", Days(-2), "23:30", "America/Sao_Paulo", "2018-02-18T01:30:00Z"),
    ("2011-12-30T20:00:00Z", Days(-1), "", "Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("2011-12-31T20:00:00Z", Days(-2), "09:00", "Pacific/Apia", "2011-12-30T19:00:00Z"),
    ("2026-05-04T04:30:00Z", Days(-1), "09:00", "Asia/Kolkata", "2026-05-03T03:30:00Z"),
    ("2026-05-04T04:30:00Z", Days(-1), "", "Asia/Kolkata", "2026-05-03T04:30:00Z"),
    ("2026-05-04T04:30:00Z", Days(-1), "09:00", "Asia/Kathmandu", "2026-05-03T03:15:00Z"),
    ("2026-05-03T18:20:00Z", Days(0), "00:00", "Asia/Kathmandu", "2026-05-03T18:15:00Z"),
    ("2026-05-03T18:10:00Z", Days(0), "00:00", "Asia/Kathmandu", "2026-05-02T18:15:00Z"),
    ("2026-05-04T04:30:00Z", Days(-1), "09:00", "Asia/Yangon", "2026-05-03T02:30:00Z"),
    ("2026-05-04T04:30:00Z", Days(-1), "09:00", "Asia/Tehran", "2026-05-03T05:30:00Z"),
    ("2026-05-04T04:30:00Z", Days(-1), "09:00", "Asia/Kabul", "2026-05-03T04:30:00Z"),
    ("2026-05-04T04:30:00Z", Days(-1), "09:00", "Australia/Eucla", "2026-05-03T00:15:00Z"),
    ("2026-05-04T04:30:00Z", Days(-1), "09:00", "Australia/Darwin", "2026-05-02T23:30:00Z"),
    ("2026-03-09T14:00:00Z", Days(-1), "02:30", "America/St_Johns", "2026-03-08T05:30:00Z"),
    ("2026-11-02T14:00:00Z", Days(-1), "01:15", "America/St_Johns", "2026-11-01T03:45:00Z"),
    ("2026-10-05T00:00:00Z", Days(-1), "02:15", "Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("2026-10-05T00:00:00Z", Days(-1), "02:45", "Australia/Lord_Howe", "2026-10-03T15:45:00Z"),
    ("2026-04-06T00:00:00Z", Days(-1), "01:45", "Australia/Lord_Howe", "2026-04-04T14:45:00Z"),
    ("2026-10-05T00:00:00Z", Days(-1), "02:30", "Australia/Adelaide", "2026-10-03T16:30:00Z"),
    ("2026-04-06T00:00:00Z", Days(-1), "02:30", "Australia/Adelaide", "2026-04-04T16:00:00Z"),
    ("2026-09-28T00:00:00Z", Days(-1), "02:50", "Pacific/Chatham", "2026-09-26T14:00:00Z"),
    ("2026-04-06T00:00:00Z", Days(-1), "03:00", "Pacific/Chatham", "2026-04-04T13:15:00Z"),
    ("2026-05-04T04:30:00Z", Days(-1), "09:00", "Pacific/Marquesas", "2026-05-02T18:30:00Z"),
    ("2028-03-01T15:00:00Z", Days(-1), "09:00", "America/New_York", "2028-02-29T14:00:00Z"),
    ("2027-03-01T15:00:00Z", Days(-1), "09:00", "America/New_York", "2027-02-28T14:00:00Z"),
    ("2028-02-29T15:00:00Z", Months(12), "", "America/New_York", "2029-02-28T15:00:00Z"),
    ("2028-02-29T15:00:00Z", Months(48), "", "America/New_York", "2032-02-29T15:00:00Z"),
    ("2028-02-29T15:00:00Z", Months(-12), "09:00", "America/New_York", "2027-02-28T14:00:00Z"),
    ("2026-08-31T14:00:00Z", Months(6), "", "America/New_York", "2027-02-28T15:00:00Z"),
    ("2027-08-31T14:00:00Z", Months(6), "", "America/New_York", "2028-02-29T15:00:00Z"),
    ("2026-01-31T15:00:00Z", Months(1), "09:00", "America/Chicago", "2026-02-28T15:00:00Z"),
    ("2026-03-31T15:00:00Z", Months(-1), "09:00", "America/Chicago", "2026-02-28T15:00:00Z"),
    ("2026-12-31T23:30:00Z", Days(1), "09:00", "Pacific/Auckland", "2027-01-01T20:00:00Z"),
    ("2026-12-31T23:30:00Z", Months(2), "", "Asia/Tokyo", "2027-02-28T23:30:00Z"),
    ("2026-02-08T07:30:00Z", Months(1), "", "America/New_York", "2026-03-08T07:00:00Z"),
    ("2026-10-01T05:30:00Z", Months(1), "", "America/New_York", "2026-11-01T05:30:00Z"),
    ("2028-02-28T15:00:00Z", Days(1), "09:00", "Asia/Kathmandu", "2028-02-29T03:15:00Z"),
    ("1999-12-31T15:00:00Z", Days(60), "09:00", "America/Chicago", "2000-02-29T15:00:00Z"),
];

/// A rule with one step, which is of use for a year.
fn rule(offset: Offset, time: &str) -> CompiledRule {
    let mut rule = starter("appointment-reminder").rule().clone();
    let step = &mut rule.steps[0];
    step.at = Moment { offset, at_time: (!time.is_empty()).then(|| NaiveTime::parse_from_str(time, "%H:%M").unwrap()) };
    step.expires = Moment { offset: Months(120), at_time: None };
    step.skip_if_booked_within_minutes = None;
    rule.steps.truncate(1);
    CompiledRule::compile(rule).unwrap()
}

#[test]
fn every_step_of_the_table_falls_due_when_the_wall_clock_says() {
    assert!(TABLE.len() >= 60);
    for (anchor, offset, time, zone, expected) in TABLE {
        let booked = appointment("a", "booked", anchor, "1990-01-01T00:00:00Z", "needs-action");
        let mut world = World::new(ana(), vec![booked]);
        let facility = Facility { name: None, zone: Some(zone.parse().unwrap()) };
        world.facilities = Facilities { by_location: [("main".to_owned(), facility)].into(), ..Facilities::default() };
        let plan = world.plan(&[rule(*offset, time)], at("1995-01-01T00:00:00Z"));
        let due: Vec<String> =
            plan.reminders.iter().map(|it| it.due_at.format("%Y-%m-%dT%H:%M:%SZ").to_string()).collect();
        assert_eq!(due, [*expected], "{anchor} {offset:?} {time} {zone}");
    }
}

#[test]
fn each_zone_that_a_person_may_be_in_is_recorded_with_its_source_and_a_set_one_beats_the_rest() {
    let rule = starter("appointment-reminder");
    let booked = appointment("a", "booked", "2026-06-10T15:00:00Z", "2026-05-01T12:00:00Z", "needs-action");
    let mut world = World::new(ana(), vec![booked]);
    world.patient["telecom"][0]["value"] = serde_json::json!("+18085550101");
    world.replan(std::slice::from_ref(&rule), at("2026-06-01T00:00:00Z"));
    let zones = |world: &World| -> Vec<String> {
        let reminder = world.reminders.last().unwrap();
        let decision = world.decide(reminder, Some(&rule), at("2026-06-09T19:00:00Z"));
        decision.facts.into_iter().filter(|it| it.name == "zone candidate").map(|it| it.value).collect()
    };
    assert_eq!(
        zones(&world),
        ["America/Chicago by address", "Pacific/Honolulu by area code", "America/Chicago by facility"]
    );
    world.set_zone = Some(chrono_tz::Asia::Kathmandu);
    assert_eq!(zones(&world), ["Asia/Kathmandu by setting"]);
}
