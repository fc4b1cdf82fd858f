//! Types that a server does not list as a whole: patient by patient, place by place, or id by id. What only a full look
//! can tell is looked at twice a day; appointments, which move, are looked at in every run, around today.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use crate::domain::{PatientId, ResourceKey, ResourceType};
use crate::ehr::error::EhrError;
use crate::ehr::read::Read;
use crate::ehr::search::Search;
use crate::store::{BY_ID, Unusable, Watermark};

use super::listing::{Stop, instant};
use super::page::Run;
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
        let connection = self.client.connection();
        let full = self.full_is_due(mark, self.options.full_every.min(SNAPSHOT_EVERY));
        let moves = kind == ResourceType::Appointment;
        let window = moves.then(|| self.appointments(full));
        let since = mark.and_then(|mark| mark.full_completed_at).filter(|_| !full && !moves);
        let mut after = String::new();
        let mut failed: Option<EhrError> = None;
        loop {
            let view = self.store.view(&connection.tenant);
            let patients: Vec<PatientId> = match since {
                Some(since) => view.patients_changed_since(&connection.id, since, &after, 500).await?,
                None => view.active_patients(&connection.id, &after, 500).await?,
            };
            let Some(last) = patients.last() else { break };
            last.as_str().clone_into(&mut after);
            for patient in &patients {
                let mut search = Search::new(kind).with("patient", patient.as_str());
                if let Some((from, _)) = window {
                    search = search.with("date", format!("ge{}", instant(from)));
                }
                match self.plan.of(kind).and_then(|of_type| of_type.split) {
                    None => self.part(kind, &search, asked, report, &mut failed).await?,
                    Some((name, values)) => {
                        for value in values {
                            let search = search.clone().with(name, *value);
                            self.part(kind, &search, asked, report, &mut failed).await?;
                        }
                    }
                }
            }
        }
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
        let connection = self.client.connection();
        let full = self.full_is_due(mark, self.options.full_every);
        let (from, to) = self.appointments(full);
        let mut after = String::new();
        let mut failed: Option<EhrError> = None;
        loop {
            let view = self.store.view(&connection.tenant);
            let places = view.roster(&connection.id, ResourceType::Location, &after, CHUNK).await?;
            let Some(last) = places.last() else { break };
            after.clone_from(last);
            for place in &places {
                let mut begin = from;
                while begin < to {
                    let end = (begin + STRETCH).min(to);
                    let search = Search::new(kind)
                        .with("location", place.as_str())
                        .with("date", format!("ge{}", instant(begin)))
                        .with("date", format!("lt{}", instant(end)));
                    self.part(kind, &search, asked, report, &mut failed).await?;
                    begin = end;
                }
            }
        }
        if after.is_empty() {
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
        match self.all_pages(kind, search, None, asked, report).await {
            Ok(seen) => report.error = report.error.take().or(seen.incomplete),
            Err(Stop::Ehr(error)) if !matches!(error, EhrError::Token(_)) => *failed = failed.take().or(Some(error)),
            Err(stop) => return Err(stop),
        }
        Ok(())
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
                    Ok(Read::Moved(_)) => {
                        self.set_aside(named(&key, "it was merged into another record"), report).await?;
                    }
                    Ok(Read::NotModified) => {}
                    Err(error) if error.is_transient() => failed = failed.or(Some(error)),
                    Err(error) => self.set_aside(named(&key, &error.to_string()), report).await?,
                }
            }
            if !found.is_empty() {
                let missing = self.destination().page(kind, &found, asked, report).await?;
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
