//! Types that a server does not list as a whole: patient by patient, place by place, or id by id. What only a full look
//! can tell is looked at twice a day; appointments, which move, are looked at in every run, around today.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use crate::domain::{ResourceKey, ResourceType};
use crate::ehr::error::EhrError;
use crate::ehr::read::Read;
use crate::ehr::search::Search;
use crate::store::{BY_ID, Unusable, Watermark, Whose};

use super::listing::{Stop, instant};
use super::page::{Prepared, Run};
use super::report::TypeReport;
use super::roster::ROSTER_TYPES;

/// From its first instant to just before its last: when appointments begin.
pub(super) type Window = (DateTime<Utc>, DateTime<Utc>);

/// How old a full look may grow: half of how fresh a rule wants absence to be proven, unless it says otherwise.
pub(super) const SNAPSHOT_EVERY: TimeDelta = TimeDelta::hours(12);
/// What every run looks at: what is being missed or followed up, and what is close enough to be reminded of.
const NEAR_BACK: TimeDelta = TimeDelta::days(2);
const NEAR_AHEAD: TimeDelta = TimeDelta::days(45);
/// How long a stretch one question to a place covers.
const STRETCH: TimeDelta = TimeDelta::days(14);
const CHUNK: u64 = 200;

/// Of whom or what the same is asked.
#[derive(Clone, Copy)]
enum Through {
    Patients(Whose),
    /// Locations that the roster names.
    Places,
}

impl Run<'_> {
    /// When appointments begin that are looked at now.
    fn appointments(&self, full: bool) -> Window {
        let now = self.store.clock().now().trunc_subsecs(0);
        if !full {
            return (now - NEAR_BACK, now + NEAR_AHEAD);
        }
        let settings = &self.client.connection().settings;
        let days = |count: u16| TimeDelta::days(count.into());
        (now - days(settings.appointment_days_back), now + days(settings.appointment_days_ahead))
    }

    /// Patient by patient. Between two full looks only patients who are new or changed, but everybody's appointments.
    pub(super) async fn by_patient(
        &self,
        kind: ResourceType,
        mark: Option<&Watermark>,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<(), Stop> {
        report.how = "patient by patient";
        self.began(kind, report);
        let full = self.full_is_due(mark, self.options.full_every.min(SNAPSHOT_EVERY));
        let moves = kind == ResourceType::Appointment;
        let window = moves.then(|| self.appointments(full));
        let since = mark.and_then(|mark| mark.full_completed_at).filter(|_| !full && !moves);
        let split = self.plan.of(kind).and_then(|of_type| of_type.split);
        let through = Through::Patients(since.map_or(Whose::Active, Whose::ChangedSince));
        let questions = |patient: &str| {
            let mut search = Search::new(kind).with("patient", patient);
            if let Some((from, _)) = window {
                search = search.with("date", format!("ge{}", instant(from)));
            }
            match split {
                Some((name, values)) => values.iter().map(|value| search.clone().with(name, *value)).collect(),
                None => vec![search],
            }
        };
        let (_, failed) = self.go_through(kind, through, &questions, asked, report).await?;
        if since.is_some() {
            // Some patients only: nothing is known anew of the others.
            return failed.map_or(Ok(()), |error| Err(error.into()));
        }
        let starting = window.map(|(from, _)| (from, far(from)));
        let open = self.confirm_unseen(kind, starting, report).await?;
        self.end_of_look(kind, mark, "patient by patient", full, failed.or(open), report).await
    }

    /// The places that the roster names, some days at a time.
    pub(super) async fn by_location(
        &self,
        kind: ResourceType,
        mark: Option<&Watermark>,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<(), Stop> {
        report.how = "by location and day";
        self.began(kind, report);
        let full = self.full_is_due(mark, self.options.full_every);
        let (from, to) = self.appointments(full);
        let questions = |place: &str| {
            let begins = std::iter::successors(Some(from), |begin| Some(*begin + STRETCH)).take_while(|it| *it < to);
            let question = |begin: DateTime<Utc>| {
                Search::new(kind)
                    .with("location", place)
                    .with("date", format!("ge{}", instant(begin)))
                    .with("date", format!("lt{}", instant((begin + STRETCH).min(to))))
            };
            begins.map(question).collect()
        };
        let (any, failed) = self.go_through(kind, Through::Places, &questions, asked, report).await?;
        if !any {
            report.error =
                Some("the roster names no location to look at; name them with beckon ehr roster import".to_owned());
            return Ok(());
        }
        let open = self.confirm_unseen(kind, Some((from, to)), report).await?;
        self.end_of_look(kind, mark, "by location and day", full, failed.or(open), report).await
    }

    /// No search at all: what the roster names and is new, and what is known already.
    pub(super) async fn by_id(
        &self,
        kind: ResourceType,
        mark: Option<&Watermark>,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<(), Stop> {
        report.how = BY_ID;
        self.began(kind, report);
        let full = self.full_is_due(mark, self.options.full_every.min(SNAPSHOT_EVERY));
        let moves = kind == ResourceType::Appointment;
        if !ROSTER_TYPES.contains(&kind) {
            let words = "found only where another resource names it: that there is none is never taken for a fact";
            report.note = Some(words.to_owned());
        }
        let failed = self.read_roster(kind, asked, report).await?;
        if !full && !moves {
            return failed.map_or(Ok(()), |error| Err(error.into()));
        }
        let starting = (!full).then(|| self.appointments(false));
        let open = self.confirm_unseen(kind, starting, report).await?;
        self.end_of_look(kind, mark, BY_ID, full, failed.or(open), report).await
    }

    /// One of many searches: a record that is protected or too large does not cost the others theirs.
    pub(super) async fn part(
        &self,
        kind: ResourceType,
        search: &Search,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
        failed: &mut Option<EhrError>,
    ) -> Result<(), Stop> {
        let seen = self.all_pages(kind, vec![search.clone()], None, asked, report).await?;
        report.error = report.error.take().or(seen.incomplete);
        *failed = failed.take().or(seen.failed);
        Ok(())
    }

    /// Asks the same of everybody, or of every place. Answers whether there was any, and the first search that failed: a
    /// record that is protected or too large does not cost the others theirs.
    async fn go_through(
        &self,
        kind: ResourceType,
        through: Through,
        questions: &(dyn Fn(&str) -> Vec<Search> + Sync),
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<(bool, Option<EhrError>), Stop> {
        let connection = self.client.connection();
        let mut after = String::new();
        let mut failed: Option<EhrError> = None;
        loop {
            let view = self.store.view(&connection.tenant);
            let ids: Vec<String> = match through {
                Through::Places => view.roster(&connection.id, ResourceType::Location, &after, CHUNK).await?,
                Through::Patients(whose) => {
                    let patients = view.patients_in_order(&connection.id, whose, &after, CHUNK).await?;
                    patients.iter().map(|patient| patient.as_str().to_owned()).collect()
                }
            };
            let Some(last) = ids.last() else { return Ok((!after.is_empty(), failed)) };
            after.clone_from(last);
            let searches = ids.iter().flat_map(|id| questions(id)).collect();
            let seen = self.all_pages(kind, searches, None, asked, report).await?;
            report.error = report.error.take().or(seen.incomplete);
            failed = failed.or(seen.failed);
        }
    }

    async fn end_of_look(
        &self,
        kind: ResourceType,
        mark: Option<&Watermark>,
        mode: &str,
        full: bool,
        failed: Option<EhrError>,
        report: &TypeReport,
    ) -> Result<(), Stop> {
        if let Some(error) = failed {
            return Err(error.into());
        }
        if report.error.is_some() {
            return Ok(());
        }
        if full && mode != BY_ID {
            self.let_out_unseen(kind).await?;
        }
        Ok(self.move_mark(kind, mark, mode, None, full).await?)
    }

    /// Reads what the roster names and the mirror never had. What the EHR does not give is set aside; the first error
    /// that may pass is answered.
    async fn read_roster(
        &self,
        kind: ResourceType,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<Option<EhrError>, Stop> {
        let connection = self.client.connection();
        let view = self.store.view(&connection.tenant);
        let mut after = String::new();
        let mut failed = None;
        loop {
            let ids = view.roster(&connection.id, kind, &after, CHUNK).await?;
            let Some(last) = ids.last() else { return Ok(failed) };
            after.clone_from(last);
            let new = view.never_mirrored(&connection.id, kind, ids).await?;
            asked.extend(new.iter().cloned());
            let mut found = Vec::new();
            for (key, answer) in self.read_all(&new).await {
                match answer {
                    Ok(Read::Found(it)) => found.push(it.resource),
                    Ok(Read::Gone { .. }) => self.set_aside(named(&key, "the EHR does not have it"), report).await?,
                    Ok(Read::Moved(survivor)) if kind == ResourceType::Patient => self.merged(&key, &survivor).await?,
                    Ok(Read::Moved(_)) => {
                        self.set_aside(named(&key, "another resource has its place"), report).await?;
                    }
                    Ok(Read::NotModified) => {}
                    Err(error) if error.is_transient() => failed = failed.or(Some(error)),
                    Err(error) => self.set_aside(named(&key, &error.to_string()), report).await?,
                }
            }
            if !found.is_empty() {
                let page = Prepared::of(kind, found, self.store.clock().now());
                let missing = self.destination().page(page, asked, report).await?;
                self.fetch_referred(missing, report).await?;
            }
        }
    }
}

/// Later than any appointment is made.
fn far(from: DateTime<Utc>) -> DateTime<Utc> {
    from + TimeDelta::days(36_500)
}

fn named(key: &ResourceKey, why: &str) -> Unusable {
    Unusable {
        resource_type: key.resource_type.to_string(),
        resource_id: key.id.clone(),
        path: key.resource_type.to_string(),
        reason: format!("is named by the roster, but {why}"),
        hides_from: Vec::new(),
    }
}
