//! Three hundred lives at once on each database: the whole gateway beside a hospital and a phone. Visits are booked, moved,
//! called off and booked anew, people die, records are merged, people write STOP, START, C and R, clinicians switch rules,
//! the EHR fails, the clock jumps. After each step every new text is held against what was true when it went out, by eyes
//! of this test's own; at the end everything is accounted for. `BECKON_LIVES` sets how many, `BECKON_SEED` which.

use std::collections::BTreeMap;

use beckon::clock::{Clock as _, Entropy as _, SystemEntropy};
use beckon::domain::{EnrolmentState, MessageOrigin, PatientId, RuleId};
use beckon::pull::Outcome;
use beckon::sandbox::{Fault, FaultKind};
use beckon::store::MessageFilter;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::support::each_database;
use crate::support::house::{House, Setup, mobile, operator, patient};

const STEPS: usize = 30;
const RULES: [&str; 2] = ["appointment-reminder", "no-show-follow-up"];

#[derive(Debug, Clone)]
enum Happening {
    Book { in_hours: i64, confirmed: bool },
    Move { which: usize, by_hours: i64 },
    Cancel { which: usize },
    BookAnew { which: usize, by_hours: i64 },
    Decline { which: usize },
    Miss { which: usize },
    Delete { which: usize },
    Die,
    Merge,
    Write(&'static str),
    Switch { off: bool },
    Pause { hours: i64 },
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let which = || 0_usize..6;
    prop_oneof![
        8 => (2_i64..150, any::<bool>()).prop_map(|(in_hours, confirmed)| H::Book { in_hours, confirmed }),
        3 => (which(), -40_i64..40).prop_map(|(which, by_hours)| H::Move { which, by_hours }),
        2 => which().prop_map(|which| H::Cancel { which }),
        2 => (which(), -30_i64..30).prop_map(|(which, by_hours)| H::BookAnew { which, by_hours }),
        1 => which().prop_map(|which| H::Decline { which }),
        2 => which().prop_map(|which| H::Miss { which }),
        1 => which().prop_map(|which| H::Delete { which }),
        1 => Just(H::Die),
        1 => Just(H::Merge),
        1 => Just(H::Write("STOP")),
        1 => Just(H::Write("START")),
        2 => Just(H::Write("C")),
        1 => Just(H::Write("R")),
        1 => any::<bool>().prop_map(|off| H::Switch { off }),
        1 => (1_i64..60).prop_map(|hours| H::Pause { hours }),
    ]
}

/// What everybody lives through between two steps.
#[derive(Debug, Clone)]
struct Stretch {
    minutes: i64,
    /// The EHR answers nothing.
    ehr_is_down: bool,
    /// Seconds by which the clock is set back.
    back: i64,
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let minutes = prop_oneof![4 => 20_i64..700, 1 => 1500_i64..3500];
    (minutes, prop::bool::weighted(0.15), prop_oneof![4 => Just(0_i64), 1 => 1_i64..90]).prop_map(
        |(minutes, ehr_is_down, back)| {
            // A long outage is as good as a short one, and everything that waits is looked at every quarter of an hour.
            let minutes = if ehr_is_down { minutes.min(240) } else { minutes };
            Stretch { minutes, ehr_is_down, back }
        },
    )
}

#[derive(Debug, Clone)]
struct Visit {
    id: String,
    start: DateTime<Utc>,
    status: &'static str,
    answer: &'static str,
    created: DateTime<Utc>,
}

/// What is true of one person, as the test knows it.
#[derive(Debug)]
struct Person {
    id: String,
    phone: String,
    state: &'static str,
    dead: bool,
    merged: bool,
    stopped: bool,
    /// Every rule is off until then; until the end of time where it is switched off.
    off: Option<DateTime<Utc>>,
    visits: Vec<Visit>,
    booked: usize,
    /// When a text went out, and whether it told of a change at short notice.
    told: Vec<(DateTime<Utc>, bool)>,
}

impl Person {
    fn new(n: usize) -> Self {
        Self {
            id: format!("p{n:03}"),
            phone: format!("+1312{:03}01{:02}", 600 + n / 60, n % 60),
            state: if n.is_multiple_of(5) { "HI" } else { "IL" },
            dead: false,
            merged: false,
            stopped: false,
            off: None,
            visits: vec![],
            booked: 0,
            told: vec![],
        }
    }

    fn resource(&self) -> serde_json::Value {
        let mut value = patient(&self.id, mobile(&self.phone));
        value["address"][0] = json!({ "use": "home", "state": self.state, "country": "US" });
        if self.dead {
            value["deceasedBoolean"] = json!(true);
        }
        if self.merged {
            value["active"] = json!(false);
            value["link"] = json!([{ "other": { "reference": "Patient/survivor" }, "type": "replaced-by" }]);
        }
        value
    }

    fn may_be_told(&self, at: DateTime<Utc>) -> bool {
        let is_on = self.off.is_none_or(|until| until <= at);
        !self.dead && !self.merged && !self.stopped && is_on
    }

    fn put(&self, house: &House, visit: &Visit) {
        house
            .hospital
            .put(json!({
                "resourceType": "Appointment", "id": visit.id, "status": visit.status,
                "created": visit.created.to_rfc3339(), "start": visit.start.to_rfc3339(),
                "end": (visit.start + TimeDelta::minutes(30)).to_rfc3339(),
                "participant": [
                    { "actor": { "reference": format!("Patient/{}", self.id) }, "status": visit.answer },
                    { "actor": { "reference": "Location/loc-chicago" }, "status": "accepted" }],
            }))
            .unwrap();
    }

    async fn happen(&mut self, house: &House, happening: &Happening) {
        let now = house.now();
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap();
        let count = self.visits.len();
        let pick = |which: &usize| (count > 0).then(|| which % count.max(1));
        match happening {
            Happening::Book { in_hours, confirmed } => {
                let answer = if *confirmed { "accepted" } else { "needs-action" };
                self.book(house, hour + TimeDelta::hours(*in_hours), answer);
            }
            Happening::BookAnew { which, by_hours } => {
                let Some(index) = pick(which) else { return };
                self.visits[index].status = "cancelled";
                self.put(house, &self.visits[index]);
                let start = self.visits[index].start + TimeDelta::hours(*by_hours);
                self.book(house, start, "needs-action");
            }
            Happening::Move { which, by_hours } => {
                let Some(index) = pick(which) else { return };
                self.visits[index].start += TimeDelta::hours(*by_hours);
                self.put(house, &self.visits[index]);
            }
            Happening::Cancel { which } => self.set(house, pick(which), |visit| visit.status = "cancelled"),
            Happening::Miss { which } => self.set(house, pick(which), |visit| visit.status = "noshow"),
            Happening::Decline { which } => self.set(house, pick(which), |visit| visit.answer = "declined"),
            Happening::Delete { which } => {
                let Some(index) = pick(which) else { return };
                let visit = self.visits.remove(index);
                assert!(house.hospital.delete("Appointment", &visit.id));
            }
            Happening::Die | Happening::Merge => {
                self.dead |= matches!(happening, Happening::Die);
                self.merged |= matches!(happening, Happening::Merge);
                house.hospital.put(self.resource()).unwrap();
            }
            Happening::Write(words) => {
                house.hospital.reply_as(&self.phone, house.hospital.sender_number(), words).await.unwrap();
                match *words {
                    "STOP" => self.stopped = true,
                    "START" => self.stopped = false,
                    _ => {}
                }
            }
            Happening::Switch { off } => {
                self.switch(house, if *off { EnrolmentState::Off } else { EnrolmentState::On }).await;
                self.off = off.then_some(DateTime::<Utc>::MAX_UTC);
            }
            Happening::Pause { hours } => {
                let until = now + TimeDelta::hours(*hours);
                self.switch(house, EnrolmentState::PausedUntil(until)).await;
                self.off = Some(until);
            }
        }
    }

    fn book(&mut self, house: &House, start: DateTime<Utc>, answer: &'static str) {
        self.booked += 1;
        let id = format!("{}-v{}", self.id, self.booked);
        let visit = Visit { id, start, status: "booked", answer, created: house.now() };
        self.put(house, &visit);
        self.visits.push(visit);
    }

    fn set(&mut self, house: &House, index: Option<usize>, change: impl FnOnce(&mut Visit)) {
        if let Some(index) = index {
            change(&mut self.visits[index]);
            self.put(house, &self.visits[index]);
        }
    }

    async fn switch(&self, house: &House, state: EnrolmentState) {
        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        for rule in RULES {
            tx.set_enrolment(&house.ehr, &PatientId::new(self.id.as_str()), &RuleId::new(rule), state, &operator())
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }
}

/// Every text since `seen` was one that might go out, when it went out.
async fn check(house: &House, people: &mut BTreeMap<String, Person>, seen: &mut usize, ehr_was_down: bool) {
    let texts = house.texts();
    let new = texts.len() - *seen;
    *seen = texts.len();
    assert!(new == 0 || !ehr_was_down, "{new} texts went out though nothing could be looked up");
    let filter = MessageFilter { limit: new as u64, ..MessageFilter::default() };
    let mut lines = if new == 0 { vec![] } else { house.view().list_messages(&filter).await.unwrap() };
    lines.reverse();
    for delivery in house.view().deliveries(&lines.iter().map(|it| it.id).collect::<Vec<_>>()).await.unwrap() {
        let message = &delivery.message;
        let at = delivery.attempts[0].opened_at;
        let person = people.get_mut(message.subject.as_str()).unwrap();
        assert!(person.may_be_told(at), "{at}: {person:?}");
        let zones = [chrono_tz::America::Chicago, chrono_tz::Pacific::Honolulu];
        let zones = if person.state == "HI" { &zones[..] } else { &zones[..1] };
        for zone in zones {
            let hour = at.with_timezone(zone).format("%H:%M").to_string();
            assert!(("08:00".."21:00").contains(&hour.as_str()), "sent at {hour} in {zone}");
        }
        let MessageOrigin::Reminders(reminders) = &message.origin else { panic!("{message:?}") };
        let reminder = house.view().reminder(reminders[0]).await.unwrap().unwrap();
        let plan = &reminder.plan;
        assert!(plan.due_at <= at && at < plan.expires_at, "early or late: {reminder:?}");
        let visit =
            person.visits.iter().find(|it| it.id == plan.occasion.resource.id).expect("sent about what is gone");
        assert!((visit.start - plan.occasion.anchor).abs() <= TimeDelta::minutes(30), "sent about another time");
        if plan.rule.as_str() == "appointment-reminder" {
            assert_eq!((visit.status, visit.answer == "declined"), ("booked", false), "{visit:?}");
            assert!(at < visit.start, "sent after the start");
        } else {
            assert_eq!(visit.status, "noshow");
            let coming = |it: &&Visit| it.status == "booked" && it.start > at;
            assert_eq!(person.visits.iter().find(coming).map(|it| &it.id), None, "asked to book what is booked");
        }
        let is_notice = plan.occasion.replaces.is_some() && plan.occasion.anchor - at <= TimeDelta::hours(72);
        if !is_notice {
            for zone in zones {
                let day = |at: DateTime<Utc>| at.with_timezone(zone).date_naive();
                assert!(person.told.iter().all(|(told, _)| day(*told) != day(at)), "two in a day: {person:?}");
            }
            let week = person.told.iter().filter(|(told, _)| at - *told < TimeDelta::days(7)).count();
            assert!(week < 3, "four in a week: {person:?}");
        }
        person.told.push((at, is_notice));
    }
}

async fn live(house: &House, lives: Vec<Vec<(usize, Happening)>>, stretches: &[Stretch]) {
    house.hospital.put(patient("survivor", json!([]))).unwrap();
    let mut people: BTreeMap<String, Person> =
        (0..lives.len()).map(Person::new).map(|it| (it.id.clone(), it)).collect();
    for person in people.values() {
        house.hospital.put(person.resource()).unwrap();
    }
    let mut seen = 0;
    for (step, stretch) in stretches.iter().enumerate() {
        for (n, happenings) in lives.iter().enumerate() {
            let person = people.get_mut(&format!("p{n:03}")).unwrap();
            for (_, happening) in happenings.iter().filter(|(at, _)| *at == step) {
                person.happen(house, happening).await;
            }
        }
        if stretch.ehr_is_down {
            let down = FaultKind::ServerError { status: 503, retry_after: None };
            house.hospital.inject(Fault::new(down).on("/fhir").always());
        } else {
            house.sync().await;
        }
        house.live(TimeDelta::minutes(stretch.minutes)).await;
        check(house, &mut people, &mut seen, stretch.ehr_is_down).await;
        house.hospital.clear_faults();
        if stretch.back > 0 {
            house.t.clock.set(house.t.clock.now() - TimeDelta::seconds(stretch.back));
        }
    }
    for _ in 0..8 {
        house.sync().await;
        house.live(TimeDelta::days(1)).await;
        check(house, &mut people, &mut seen, false).await;
    }
    assert!(seen > lives.len() / 4, "only {seen} texts: the lives are too quiet to show anything");
    house.sync().await;
    let day = house.now().date_naive();
    for days in [0, 6, 9, 12] {
        let report = house.reconcile(&(day - TimeDelta::days(days)).to_string()).await;
        assert_eq!((report.outcome != Outcome::Incomplete, &report.unexplained), (true, &vec![]), "{:?}", report.stuck);
        // What the EHR does not take is another matter than what patients get.
        let stuck: Vec<_> = report.stuck.iter().filter(|it| it.what != "write_back").collect();
        assert!(stuck.is_empty(), "{stuck:?}");
    }
}

#[tokio::test]
async fn three_hundred_lives_on_each_database_get_what_they_should_and_are_accounted_for() {
    let read = |name: &str| std::env::var_os(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
    let seed = read("BECKON_SEED").unwrap_or_else(|| {
        let mut bytes = [0; 8];
        SystemEntropy.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    });
    let count = usize::try_from(read("BECKON_LIVES").unwrap_or(300)).unwrap();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let life = prop::collection::vec((0..STEPS, happening()), 2..12);
    let lives = prop::collection::vec(life, count).new_tree(&mut runner).unwrap().current();
    let stretches = prop::collection::vec(stretch(), STEPS).new_tree(&mut runner).unwrap().current();
    // Said before anything happens: a test that fails shows it, and the life can be lived again.
    eprintln!("BECKON_SEED={seed} BECKON_LIVES={count}");
    let setup = Setup {
        send: "flood_floor = 1000000".to_owned(),
        rules: RULES.to_vec(),
        hospital: |options| options.patients = 0,
        ..Setup::default()
    };
    each_database(async |t| {
        let house = House::open(t, &setup).await;
        live(&house, lives.clone(), &stretches).await;
        house.close().await;
    })
    .await;
}
