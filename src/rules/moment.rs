//! Instants relative to an anchor, on the wall clock of a facility.

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc, Weekday,
};
use chrono_tz::Tz;

use crate::domain::{Holiday, Moment, Offset};

/// The instant that `moment` names when it is counted from `anchor` in `zone`.
///
/// Minutes are elapsed time. Days, working days and months keep the wall clock across a change of summer time; months
/// are clamped to the last day. *At once* has no instant of its own: the planner knows when it planned; here it is the
/// anchor. `None` only outside the calendar.
pub(super) fn resolve(moment: &Moment, anchor: DateTime<Utc>, zone: Tz, holidays: &[Holiday]) -> Option<DateTime<Utc>> {
    let moved = match moment.offset {
        Offset::WorkingDays(days) => {
            let local = anchor.with_timezone(&zone).naive_local();
            on_wall(working_days(local.date(), days, holidays)?.and_time(local.time()), zone)?
        }
        by => offset(anchor, by, zone)?,
    };
    match moment.at_time {
        None => Some(moved),
        Some(time) => on_wall(moved.with_timezone(&zone).date_naive().and_time(time), zone),
    }
}

/// `anchor` moved by `by`.
pub(super) fn offset(anchor: DateTime<Utc>, by: Offset, zone: Tz) -> Option<DateTime<Utc>> {
    let local = anchor.with_timezone(&zone).naive_local();
    match by {
        Offset::Minutes(minutes) => anchor.checked_add_signed(TimeDelta::try_minutes(minutes)?),
        Offset::AtOnce | Offset::Days(0) | Offset::Months(0) | Offset::WorkingDays(0) => Some(anchor),
        Offset::WorkingDays(days) => on_wall(working_days(local.date(), days, &[])?.and_time(local.time()), zone),
        Offset::Days(days) => {
            let count = Days::new(days.unsigned_abs());
            let day = if days < 0 { local.checked_sub_days(count) } else { local.checked_add_days(count) };
            on_wall(day?, zone)
        }
        Offset::Months(months) => {
            let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
            let day = if months < 0 { local.checked_sub_months(count) } else { local.checked_add_months(count) };
            on_wall(day?, zone)
        }
    }
}

/// The day that is so many working days after (negative: before) `day`, which itself need not be one.
fn working_days(day: NaiveDate, count: i64, holidays: &[Holiday]) -> Option<NaiveDate> {
    let mut day = day;
    let mut left = count.unsigned_abs();
    while left > 0 {
        day = if count < 0 { day.pred_opt()? } else { day.succ_opt()? };
        if is_working_day(day, holidays) {
            left -= 1;
        }
    }
    Some(day)
}

fn is_working_day(day: NaiveDate, holidays: &[Holiday]) -> bool {
    let is_holiday = |it: &Holiday| match it {
        Holiday::Yearly { month, day: of_month } => day.month() == *month && day.day() == *of_month,
        Holiday::On(date) => *date == day,
    };
    !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) && !holidays.iter().any(is_holiday)
}

/// The instant at which the clock on the wall shows `local`. Where the clock skips it, the first minute that exists
/// after it; where the clock shows it twice, the first time.
pub(super) fn on_wall(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    // The longest gap there was is a whole day (Samoa, 2011-12-30).
    (0..=25 * 60).find_map(|minutes| {
        let candidate = local.checked_add_signed(TimeDelta::minutes(minutes))?;
        let found = zone.from_local_datetime(&candidate).earliest()?;
        Some(found.with_timezone(&Utc))
    })
}

/// The first instant of a day.
pub fn start_of_day(day: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    on_wall(day.and_time(NaiveTime::MIN), zone)
}

/// The first midnight after `now`.
pub(super) fn next_midnight(now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    start_of_day(now.with_timezone(&zone).date_naive().succ_opt()?, zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Asia, Australia, Pacific};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn moment(offset: Offset, time: Option<(u32, u32)>) -> Moment {
        Moment { offset, at_time: time.map(|(h, m)| NaiveTime::from_hms_opt(h, m, 0).unwrap()) }
    }

    #[test]
    fn steps_keep_the_wall_clock_of_the_facility() {
        for (anchor, offset, time, zone, expected) in [
            // An ordinary week.
            ("2026-06-10T14:00:00Z", Offset::Days(-3), None, America::New_York, "2026-06-07T14:00:00Z"),
            // 2026-03-08: summer time begins. Three days before 10:00 EDT is 10:00 EST.
            ("2026-03-10T14:00:00Z", Offset::Days(-3), None, America::New_York, "2026-03-07T15:00:00Z"),
            // 72 elapsed hours do not keep the wall clock.
            ("2026-03-10T14:00:00Z", Offset::Minutes(-72 * 60), None, America::New_York, "2026-03-07T14:00:00Z"),
            // 02:30 does not exist on 2026-03-08: the first minute after the gap.
            ("2026-03-09T06:30:00Z", Offset::Days(-1), None, America::New_York, "2026-03-08T07:00:00Z"),
            // 01:30 exists twice on 2026-11-01: the first.
            ("2026-11-02T06:30:00Z", Offset::Days(-1), None, America::New_York, "2026-11-01T05:30:00Z"),
            // A named time of day counts on the facility's day, not on that of Greenwich.
            ("2026-01-15T02:00:00Z", Offset::Days(-1), Some((10, 0)), America::Los_Angeles, "2026-01-13T18:00:00Z"),
            // Zones off the full hour, and a summer time of half an hour.
            ("2026-05-04T04:30:00Z", Offset::Days(-1), Some((9, 0)), Asia::Kolkata, "2026-05-03T03:30:00Z"),
            ("2026-10-05T00:00:00Z", Offset::Days(-1), Some((2, 15)), Australia::Lord_Howe, "2026-10-03T15:30:00Z"),
            // A day that was skipped whole.
            ("2011-12-30T20:00:00Z", Offset::Days(-1), None, Pacific::Apia, "2011-12-30T10:00:00Z"),
            // Months are clamped.
            ("2026-08-31T14:00:00Z", Offset::Months(6), None, America::New_York, "2027-02-28T15:00:00Z"),
            ("2026-06-10T14:00:00Z", Offset::Days(0), None, America::New_York, "2026-06-10T14:00:00Z"),
        ] {
            let got = resolve(&moment(offset, time), at(anchor), zone, &[]).unwrap();
            assert_eq!(got, at(expected), "{anchor} {offset:?} {time:?} {zone}");
        }
    }

    #[test]
    fn an_anchor_in_the_second_pass_of_a_repeated_hour_stays_where_it_is() {
        let second_pass = at("2026-11-01T06:30:00Z");
        assert_eq!(resolve(&moment(Offset::Days(0), None), second_pass, America::New_York, &[]), Some(second_pass));
    }

    #[test]
    fn working_days_step_over_weekends_and_holidays() {
        let holidays =
            [Holiday::Yearly { month: 12, day: 25 }, Holiday::On(NaiveDate::from_ymd_opt(2026, 7, 3).unwrap())];
        for (anchor, days, time, expected) in [
            // A Wednesday at 10:00 in Chicago; the Monday before.
            ("2026-06-10T15:00:00Z", -2, None, "2026-06-08T15:00:00Z"),
            // A Monday; two working days before is the Thursday.
            ("2026-06-08T15:00:00Z", -2, Some((10, 0)), "2026-06-04T15:00:00Z"),
            // From a Sunday on, the next working day is Monday.
            ("2026-06-07T15:00:00Z", 1, None, "2026-06-08T15:00:00Z"),
            // Friday 3 July 2026 is kept as the holiday of the fourth.
            ("2026-07-06T15:00:00Z", -1, None, "2026-07-02T15:00:00Z"),
            // Christmas, a weekend, and the clocks of winter.
            ("2026-12-24T16:00:00Z", 1, Some((9, 0)), "2026-12-28T15:00:00Z"),
            ("2026-11-02T16:00:00Z", -1, None, "2026-10-30T15:00:00Z"),
        ] {
            let got =
                resolve(&moment(Offset::WorkingDays(days), time), at(anchor), America::Chicago, &holidays).unwrap();
            assert_eq!(got, at(expected), "{anchor} {days}");
        }
    }
}
