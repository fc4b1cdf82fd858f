//! `beckon enrol`

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use clap::Parser;

use super::Failure;
use super::open::{At, actor};
use crate::domain::{EnrolmentState, RuleId, date_begins};

/// Examples: beckon enrol MRN-1042 diabetes-check-up off          beckon enrol p17 appointment-reminder pause-until 2026-04-01
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// MRN, FHIR id, or EHR/ID.
    patient: String,
    rule: String,
    #[arg(value_parser = ["on", "off", "pause-until"])]
    state: String,
    /// With pause-until: a day (YYYY-MM-DD), which begins where the organisation is, or an instant.
    until: Option<String>,
}

pub(super) async fn run(at: &At, args: Args) -> Result<(), Failure> {
    let opened = at.open().await?;
    let zone = opened.zone();
    let state = match (args.state.as_str(), args.until.as_deref()) {
        ("on", None) => EnrolmentState::On,
        ("off", None) => EnrolmentState::Off,
        ("pause-until", Some(text)) => EnrolmentState::PausedUntil(instant(text, zone)?),
        ("pause-until", None) => return Err(Failure::Usage("pause-until needs a day, such as 2026-04-01".to_owned())),
        _ => return Err(Failure::Usage("only pause-until takes a day".to_owned())),
    };
    if let EnrolmentState::PausedUntil(until) = state
        && until <= opened.store.clock().now()
    {
        return Err(Failure::Usage("the pause would end in the past".to_owned()));
    }
    let (ehr, patient) = opened.patient(&args.patient).await?;
    let rule = RuleId::new(args.rule);
    let view = opened.store.view(&opened.tenant);
    let live = view.live_rules().await.map_err(Failure::remote)?;
    if !live.iter().any(|it| it.id == rule) {
        let known: Vec<&str> = live.iter().map(|it| it.id.as_str()).collect();
        return Err(Failure::Problem(format!("no live rule is called {rule}; there are: {}", known.join(", "))));
    }
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    tx.set_enrolment(&ehr, &patient, &rule, state, &actor()).await.map_err(Failure::remote)?;
    tx.commit().await.map_err(Failure::remote)?;
    let words = match state {
        EnrolmentState::PausedUntil(until) => {
            format!("paused until {}", until.with_timezone(&zone).format("%a %-d %b %Y, %H:%M %Z"))
        }
        _ => args.state,
    };
    println!("{rule} is {words} for {ehr}/{patient}.");
    Ok(())
}

/// A whole day means its first instant on the organisation's wall clock.
pub(super) fn instant(text: &str, zone: Tz) -> Result<DateTime<Utc>, Failure> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    day.map(|day| date_begins(day, zone))
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc)))
        .ok_or_else(|| Failure::Usage(format!("{text:?} is neither a day (2026-04-01) nor an instant")))
}
