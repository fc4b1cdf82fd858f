//! Random lives of a patient: appointments are made, moved, called off and booked anew, people die, are merged, answer, opt
//! out and come back, the EHR fails, time jumps forward and back. After each event the patient is planned anew and what fell due is decided; what must
//! never happen is looked for all the time. `BECKON_HISTORIES` sets how many lives, `BECKON_SEED` which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use beckon::clock::{Entropy, SystemEntropy};
use beckon::domain::*;
use beckon::rules::*;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use super::fixtures::*;

/// Rules that need nothing but appointments and a condition, so that a life of many events is cheap.
static RULES: LazyLock<Vec<CompiledRule>> =
    LazyLock::new(|| ["appointment-reminder", "diabetes-check-up", "no-show-follow-up"].map(starter).into());

#[derive(Debug, Clone)]
enum Happening {
    Book {
        in_hours: i64,
        confirmed: bool,
    },
    Move {
        which: usize,
        by_minutes: i64,
    },
    Cancel {
        which: usize,
    },
    BookAnew {
        which: usize,
        by_minutes: i64,
    },
    Decline {
        which: usize,
    },
    Miss {
        which: usize,
    },
    Delete {
        which: usize,
    },
    Confirm {
        which: usize,
    },
    Merge,
    Unmerge,
    Die,
    Revive,
    OptOut {
        sms_only: bool,
    },
    OptIn,
    SwitchOff,
    Pause {
        hours: i64,
    },
    SwitchOn,
    EhrFails,
    EhrRecovers,
    Pass {
        minutes: i64,
    },
    Sleep {
        hours: i64,
    },
    /// The clock is set right, to an earlier time.
    SetBack {
        minutes: i64,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let minutes = || prop_oneof![-45_i64..45, -3000_i64..3000];
    prop_oneof![
        6 => (1_i64..200, any::<bool>()).prop_map(|(in_hours, confirmed)| H::Book { in_hours, confirmed }),
        3 => (0_usize..8, minutes()).prop_map(|(which, by_minutes)| H::Move { which, by_minutes }),
        2 => (0_usize..8).prop_map(|which| H::Cancel { which }),
        3 => (0_usize..8, minutes()).prop_map(|(which, by_minutes)| H::BookAnew { which, by_minutes }),
        1 => (0_usize..8).prop_map(|which| H::Decline { which }),
        2 => (0_usize..8).prop_map(|which| H::Miss { which }),
        1 => (0_usize..8).prop_map(|which| H::Delete { which }),
        2 => (0_usize..8).prop_map(|which| H::Confirm { which }),
        1 => Just(H::Merge),
        2 => Just(H::Unmerge),
        1 => Just(H::Die),
        1 => Just(H::Revive),
        1 => any::<bool>().prop_map(|sms_only| H::OptOut { sms_only }),
        1 => Just(H::OptIn),
        1 => Just(H::SwitchOff),
        1 => (1_i64..100).prop_map(|hours| H::Pause { hours }),
        1 => Just(H::SwitchOn),
        1 => Just(H::EhrFails),
        2 => Just(H::EhrRecovers),
        8 => (1_i64..3000).prop_map(|minutes| H::Pass { minutes }),
        3 => (1_i64..400).prop_map(|hours| H::Sleep { hours }),
        1 => (1_i64..180).prop_map(|minutes| H::SetBack { minutes }),
    ]
}

#[derive(Debug, Clone)]
struct Life {
    /// Hours from 1 March 2026: the lives lie across the change of summer time.
    begins: i64,
    state: &'static str,
    phone: &'static str,
    happenings: Vec<Happening>,
}

fn life() -> impl Strategy<Value = Life> {
    let places = prop_oneof![
        Just(("TX", "+15125550101")),
        Just(("HI", "+12125550101")),
        Just(("AZ", "+16025550101")),
        Just(("", "+12065550101")),
    ];
    (prop_oneof![0_i64..400, 5600_i64..6100], places, prop::collection::vec(happening(), 1..30))
        .prop_map(|(begins, (state, phone), happenings)| Life { begins, state, phone, happenings })
}

struct Run {
    world: World,
    rules: Vec<CompiledRule>,
    now: DateTime<Utc>,
    next_id: usize,
    sent: BTreeSet<(RuleId, OccasionKey, StepId)>,
    told: Vec<(DateTime<Utc>, bool)>,
}

impl Run {
    fn new(life: &Life) -> Self {
        let mut patient = ana();
        patient["address"][0]["state"] = json!(life.state);
        patient["address"][0].as_object_mut().unwrap().remove("postalCode");
        patient["telecom"][0]["value"] = json!(life.phone);
        Self {
            world: World::new(patient, vec![]),
            rules: RULES.clone(),
            now: at("2026-03-01T00:00:00Z") + TimeDelta::hours(life.begins),
            next_id: 0,
            sent: BTreeSet::new(),
            told: vec![],
        }
    }

    fn live(&mut self, life: &Life) {
        for happening in &life.happenings {
            match happening {
                Happening::Pass { minutes } => self.pass(self.now + TimeDelta::minutes(*minutes)),
                // Nobody looks in the meantime, as after an outage.
                Happening::Sleep { hours } => {
                    self.now += TimeDelta::hours(*hours);
                    self.settle();
                }
                Happening::SetBack { minutes } => {
                    self.now -= TimeDelta::minutes(*minutes);
                    self.settle();
                }
                other => {
                    self.happen(other);
                    self.settle();
                }
            }
        }
        self.world.ehr_is_down = false;
        self.pass(self.now + TimeDelta::days(20));
        for reminder in &self.world.reminders {
            let is_over = reminder.plan.expires_at <= self.now;
            assert!(!(reminder.state.is_open() && is_over), "left open past its time: {reminder:?}");
        }
    }

    fn happen(&mut self, happening: &Happening) {
        let count = self.world.resources.len();
        let pick = |which: &usize| (count > 0).then(|| which % count.max(1));
        match happening {
            Happening::Book { in_hours, confirmed } => {
                let start = self.now + TimeDelta::hours(*in_hours);
                self.book(start, if *confirmed { "accepted" } else { "needs-action" });
            }
            Happening::Move { which, by_minutes } => {
                let Some(index) = pick(which) else { return };
                let start = self.start(index) + TimeDelta::minutes(*by_minutes);
                self.world.resources[index]["start"] = json!(start.to_rfc3339());
                self.world.resources[index]["end"] = json!((start + TimeDelta::minutes(30)).to_rfc3339());
            }
            Happening::BookAnew { which, by_minutes } => {
                let Some(index) = pick(which) else { return };
                self.world.resources[index]["status"] = json!("cancelled");
                self.book(self.start(index) + TimeDelta::minutes(*by_minutes), "needs-action");
            }
            Happening::Cancel { which } => self.set_status(pick(which), "cancelled"),
            Happening::Miss { which } => self.set_status(pick(which), "noshow"),
            Happening::Decline { which } => {
                if let Some(index) = pick(which) {
                    self.world.resources[index]["participant"][0]["status"] = json!("declined");
                }
            }
            Happening::Confirm { which } => {
                if let Some(index) = pick(which) {
                    self.world.resources[index]["participant"][0]["status"] = json!("accepted");
                }
            }
            Happening::Merge => {
                self.world.patient["link"] =
                    json!([{ "type": "replaced-by", "other": { "reference": "Patient/survivor" } }]);
            }
            Happening::Unmerge => {
                self.world.patient.as_object_mut().unwrap().remove("link");
            }
            Happening::Delete { which } => {
                if let Some(index) = pick(which) {
                    self.world.resources.remove(index);
                }
            }
            Happening::Die => self.world.patient["deceasedBoolean"] = json!(true),
            Happening::Revive => self.world.patient["deceasedBoolean"] = json!(false),
            Happening::OptOut { sms_only } => self.world.opt_outs.push(OptOut {
                id: OptOutId(uuid::Uuid::nil()),
                scope: if *sms_only { OptOutScope::Channel(Channel::Sms) } else { OptOutScope::All },
                address: None,
                patient: Some(PatientId::new("ana")),
                source: "test".to_owned(),
                words: None,
                at: self.now,
                revoked_at: None,
            }),
            Happening::OptIn => self.world.opt_outs.clear(),
            Happening::SwitchOff => self.enrol(EnrolmentState::Off),
            Happening::Pause { hours } => self.enrol(EnrolmentState::PausedUntil(self.now + TimeDelta::hours(*hours))),
            Happening::SwitchOn => self.enrol(EnrolmentState::On),
            Happening::EhrFails => self.world.ehr_is_down = true,
            Happening::EhrRecovers => self.world.ehr_is_down = false,
            Happening::Pass { .. } | Happening::Sleep { .. } | Happening::SetBack { .. } => unreachable!(),
        }
    }

    fn start(&self, index: usize) -> DateTime<Utc> {
        at(self.world.resources[index]["start"].as_str().unwrap())
    }

    fn set_status(&mut self, index: Option<usize>, status: &str) {
        if let Some(index) = index {
            self.world.resources[index]["status"] = json!(status);
        }
    }

    fn book(&mut self, start: DateTime<Utc>, answer: &str) {
        self.next_id += 1;
        let id = format!("a{}", self.next_id);
        let resource = appointment(&id, "booked", &start.to_rfc3339(), &self.now.to_rfc3339(), answer);
        self.world.resources.push(resource);
    }

    fn enrol(&mut self, state: EnrolmentState) {
        self.world.enrolments = self
            .rules
            .iter()
            .map(|rule| Enrolment {
                patient: PatientId::new("ana"),
                rule: rule.id().clone(),
                state,
                by: "dr".to_owned(),
                at: self.now,
            })
            .collect();
    }

    /// Time passes with the gateway awake: it looks whenever something falls due, and at least every six hours.
    fn pass(&mut self, until: DateTime<Utc>) {
        while self.now < until {
            let open = self.world.reminders.iter().filter(|it| it.state.is_open());
            let due = open.map(|it| it.next_at).filter(|next| *next > self.now).min();
            self.now = due.unwrap_or(until).min(until).min(self.now + TimeDelta::hours(6));
            self.settle();
        }
    }

    /// Plans, and decides whatever is due until nothing is.
    fn settle(&mut self) {
        self.world.covered = Some(self.now);
        for _ in 0..50 {
            self.plan();
            let due: Vec<ReminderId> = self
                .world
                .reminders
                .iter()
                .filter(|it| it.state.is_open() && it.next_at <= self.now)
                .map(|it| it.id)
                .collect();
            if due.is_empty() {
                return;
            }
            for id in due {
                self.decide(id);
            }
        }
        panic!("what is due is never settled");
    }

    fn plan(&mut self) {
        let rules = self.rules.clone();
        let (plan, _) = self.world.replan(&rules, self.now);
        let (again, changes) = self.world.clone().replan(&rules, self.now);
        assert!(changes.is_empty(), "planning twice changed {changes:?}");
        assert_eq!(plan.reminders, again.reminders);
        self.check_accounts(&plan);
    }

    /// I5: each resource × rule × step is a reminder or a reason; no two reminders are the same.
    fn check_accounts(&self, plan: &Plan) {
        let mut keys = BTreeSet::new();
        for it in &self.world.reminders {
            assert!(keys.insert((&it.plan.rule, &it.plan.occasion.key, &it.plan.step)), "twice: {it:?}");
            assert!(it.state != ReminderState::Cancelled || it.reason.is_some(), "cancelled for nothing: {it:?}");
        }
        for rule in &self.rules {
            for resource in self.world.resources.iter().filter(|it| it["resourceType"] == rule.rule().resource.as_str())
            {
                let id = resource["id"].as_str().unwrap();
                for step in &rule.rule().steps {
                    let is_planned = plan
                        .reminders
                        .iter()
                        .any(|it| it.rule == *rule.id() && it.step == step.id && it.occasion.resource.id == id);
                    let has_reason = plan.not_applicable.iter().any(|it| {
                        it.rule == *rule.id()
                            && it.resource.id == id
                            && it.step.as_ref().is_none_or(|named| *named == step.id)
                    });
                    assert!(is_planned != has_reason, "{} {id} {}: {is_planned} {has_reason}", rule.id(), step.id);
                }
            }
        }
        // An open reminder rests on a plan that stands, unless what is missing is our knowledge or its time is over.
        for it in self.world.reminders.iter().filter(|it| it.state.is_open() && it.plan.expires_at > self.now) {
            assert!(plan.reminders.contains(&it.plan), "nothing stands behind {it:?}");
        }
    }

    fn decide(&mut self, id: ReminderId) {
        let reminder = self.world.reminders.iter().find(|it| it.id == id).unwrap().clone();
        let rule = self.rules.iter().find(|it| *it.id() == reminder.plan.rule).unwrap().clone();
        let decision = self.world.decide(&reminder, Some(&rule), self.now);
        let (state, reason, next_at) = match &decision.verdict {
            Verdict::Release(release) => {
                self.check_release(&reminder, release);
                (ReminderState::Released, None, self.now)
            }
            Verdict::Withhold(reason) => (ReminderState::Withheld, Some(*reason), self.now),
            Verdict::Expire(reason) => (ReminderState::Expired, Some(*reason), self.now),
            Verdict::Cancel(reason) => (ReminderState::Cancelled, Some(*reason), self.now),
            Verdict::Wait { until, reason } => {
                assert!(*until > self.now, "a wait that is over: {decision:?}");
                assert!(*until <= reminder.plan.expires_at, "a wait past the end: {decision:?}");
                (ReminderState::Waiting, Some(*reason), *until)
            }
        };
        let now = self.now;
        let kept = self.world.reminder(id);
        (kept.state, kept.reason, kept.next_at, kept.updated_at) = (state, reason, next_at, now);
    }

    /// I1 to I4, looked at with other eyes than the decider's: on the raw resources and the wall clocks.
    fn check_release(&mut self, reminder: &Reminder, release: &Release) {
        let (plan, now) = (&reminder.plan, self.now);
        assert!(!self.world.ehr_is_down, "sent without looking");
        assert_ne!(self.world.patient["deceasedBoolean"], json!(true), "sent to the dead");
        assert!(self.world.patient.get("link").is_none(), "sent in the name of a record that was merged away");
        let is_out = |it: &OptOut| it.scope == OptOutScope::All || it.scope == OptOutScope::Channel(release.channel);
        assert!(!self.world.opt_outs.iter().any(is_out), "sent after STOP");
        assert!(self.world.enrolments.iter().all(|it| it.state.is_on(now)), "sent though switched off");
        let id = &plan.occasion.resource.id;
        let resource = self.world.resources.iter().find(|it| it["id"] == json!(id)).expect("sent about what is gone");
        let start = at(resource["start"].as_str().unwrap());
        let status = resource["status"].as_str().unwrap();
        match plan.rule.as_str() {
            "appointment-reminder" => {
                assert_eq!(status, "booked", "sent about what does not stand");
                assert_ne!(resource["participant"][0]["status"], "declined");
                assert!(now < start, "sent after the start");
            }
            _ => assert_eq!(status, "noshow"),
        }
        assert!((start - plan.occasion.anchor).abs() <= TimeDelta::minutes(30), "sent about another time");
        assert!(now < plan.expires_at && now < release.expires_at && plan.due_at <= now, "late or early");
        let patient = beckon::fhir::read::patient(&self.world.patient, now).value.unwrap();
        let zones = zone_candidates(&patient, None, &self.world.facilities.default, &self.world.settings, now);
        let zones: BTreeMap<&str, chrono_tz::Tz> =
            zones.candidates.iter().map(|it| (it.zone.name(), it.zone)).collect();
        assert!(!zones.is_empty());
        for zone in zones.values() {
            let hour = now.with_timezone(zone).format("%H:%M").to_string();
            assert!(("08:00".."21:00").contains(&hour.as_str()), "sent at {hour} in {zone}");
        }
        assert!(self.sent.insert((plan.rule.clone(), plan.occasion.key.clone(), plan.step.clone())), "sent twice");
        let is_notice = plan.occasion.replaces.is_some() && plan.occasion.anchor - now <= TimeDelta::hours(72);
        if !is_notice {
            for zone in zones.values() {
                let day = |at: DateTime<Utc>| at.with_timezone(zone).date_naive();
                assert!(self.told.iter().all(|(at, _)| day(*at) != day(now)), "two in a day");
            }
            let week = self.told.iter().filter(|(at, _)| now - *at < TimeDelta::days(7)).count();
            assert!(week < 3, "four in a week");
        }
        self.told.push((now, is_notice));
        self.world.contacts.push(now);
    }
}

#[test]
fn whatever_happens_nobody_gets_what_they_must_not_and_all_is_accounted_for() {
    let read = |name: &str| std::env::var_os(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
    let seed = read("BECKON_SEED").unwrap_or_else(|| {
        let mut bytes = [0; 8];
        SystemEntropy.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    });
    let lives = u32::try_from(read("BECKON_HISTORIES").unwrap_or(10_000)).unwrap();
    // Each thread lives a part of them under a seed of its own; one that is named is lived alone.
    let threads = if read("BECKON_SEED").is_some() { 1 } else { 4 };
    let parts: Vec<_> = (0..threads)
        .map(|part| (seed.wrapping_add(part), lives / u32::try_from(threads).unwrap()))
        .map(|(seed, lives)| std::thread::spawn(move || live_all(seed, lives)))
        .collect();
    let failures: Vec<String> = parts.into_iter().filter_map(|part| part.join().unwrap().err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn live_all(seed: u64, lives: u32) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let config = Config { cases: lives, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let result = runner.run(&life(), |life| {
        Run::new(&life).live(&life);
        Ok(())
    });
    result.map_err(|failure| format!("BECKON_SEED={seed} BECKON_HISTORIES={lives}: {failure}"))
}
