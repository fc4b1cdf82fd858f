//! The pages as staff meet them.

use std::net::IpAddr;

use beckon::domain::{Actor, AlertKind, Event, EventKind, Role};
use beckon::sandbox::{Hospital, HospitalOptions};
use beckon::store::{EventFilter, SendMode};

use crate::support::clinic::{ADA_PHONE, Clinic};
use crate::support::gateway::{Browser, Gateway, Setup};
use crate::support::{TestStore, each_database};

async fn events(gateway: &Gateway, kind: EventKind) -> Vec<Event> {
    let filter = EventFilter { kinds: vec![kind], limit: 200, ..EventFilter::default() };
    gateway.t.store.view(&gateway.t.tenant).events(&filter).await.unwrap()
}

async fn open(t: TestStore) -> (Gateway, Clinic) {
    let clinic = Clinic::open(&t).await;
    (Gateway::start(t).await, clinic)
}

#[tokio::test]
async fn todays_numbers_lead_to_what_they_count() {
    each_database(async |t| {
        let (gateway, clinic) = open(t).await;
        let mut casey = gateway.signed_in(Role::Clinician).await;
        let today = casey.get("/").await;
        for (number, href) in [
            (4, "/reminders?day=2026-03-02"),
            (1, "/reminders?day=2026-03-02&#38;state=waiting"),
            (1, "/messages?day=2026-03-02&#38;state=sent"),
            (1, "/messages?day=2026-03-02&#38;state=arrived"),
            (1, "/replies?day=2026-03-02"),
            (1, "/reminders?day=2026-03-02&#38;state=withheld"),
        ] {
            let tile = format!("href=\"{href}\"><span class=\"tile-number\">{number}</span>");
            assert!(today.shows(&tile), "{tile} in {}", today.body);
            let list = casey.get(&href.replace("&#38;", "&")).await;
            assert_eq!(list.body.matches("<tr><td").count(), number, "{href}");
        }
        assert!(today.shows("The person asked not to be contacted this way."));

        gateway.t.clock.advance(chrono::TimeDelta::days(5));
        let mut casey = gateway.signed_in(Role::Clinician).await;
        assert!(casey.get("/").await.shows("Reminders appear here once the EHR was pulled"));
        clinic.plan_many(&gateway.t, gateway.t.store.clock().now() + chrono::TimeDelta::days(2), 1).await;
        let empty = casey.get("/").await;
        assert!(empty.shows("<a href=\"/reminders?day=2026-03-09\">Mon 9 Mar 2026, 13:00 CDT</a>"), "{}", empty.body);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_reminder_shows_each_check_and_the_versions_it_rested_on() {
    each_database(async |t| {
        let (gateway, clinic) = open(t).await;
        let mut casey = gateway.signed_in(Role::Clinician).await;
        let trace = casey.get(&format!("/reminders/{}", clinic.withheld)).await;
        for text in [
            "Withheld: The person asked not to be contacted this way.",
            "She wrote STOP to this number on 1 March.",
            "Stopped it",
            "Appointment/apt-2, version 7, of Sun 1 Mar 2026, 03:30 CST",
            "Ada Augusta Lovelace",
        ] {
            assert!(trace.shows(text), "{text}");
        }
        let released = casey.get(&format!("/reminders/{}", clinic.released)).await;
        assert!(released.shows(&format!("/messages/{}", clinic.message)) && released.shows("Released: Text message"));
        assert_eq!(casey.get("/reminders/0195f0a0-0000-7000-8000-000000000000").await.status, 404);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_is_shown_as_the_patient_saw_it_and_nothing_in_it_is_markup() {
    each_database(async |t| {
        let (gateway, clinic) = open(t).await;
        let mut casey = gateway.signed_in(Role::Clinician).await;
        let page = casey.get(&format!("/messages/{}", clinic.message)).await;
        assert!(page.shows("class=\"bubble from\"") && page.shows("&#60;b&#62;Reply C&#60;/b&#62; to confirm."));
        assert!(!page.shows("<b>Reply"));
        for text in ["C, see you Thursday", "Will come", ADA_PHONE, "encrypted, TLSv1.3", "To be written", "Delivered"]
        {
            assert!(page.shows(&text.replace('+', "&#43;")) || page.shows(text), "{text}");
        }
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_patient_is_found_by_name_number_and_contact_and_no_name_stands_in_an_address() {
    each_database(async |t| {
        let (gateway, clinic) = open(t).await;
        let mut casey = gateway.signed_in(Role::Clinician).await;
        for (typed, name) in [
            ("Lovelace", "Ada Augusta Lovelace"),
            ("love", "Ada Augusta Lovelace"),
            ("ada LOVE", "Ada Augusta Lovelace"),
            ("Lovelace, Ada", "Ada Augusta Lovelace"),
            ("mrn-0042", "Ada Augusta Lovelace"),
            ("512 555 0142", "Ada Augusta Lovelace"),
            ("ADA@example.org", "Ada Augusta Lovelace"),
            ("1980-12-10", "Ada Augusta Lovelace"),
            ("lopez", "Benjamín López-García"),
        ] {
            let found = casey.post("/patients", &[("who", typed)]).await;
            assert!(found.shows(name), "{typed}");
            assert_eq!(found.body.matches("<tr><td").count(), 1, "{typed}");
        }
        for typed in ["lovecraft", "ada byron", "x", "512 555 0199"] {
            assert!(casey.post("/patients", &[("who", typed)]).await.shows("Nobody found"), "{typed}");
        }
        assert!(casey.get("/patients?who=Lovelace").await.shows("Search for a patient"), "never by the address");
        let seen = events(&gateway, EventKind::PatientViewed).await;
        assert!(seen.iter().any(|event| event.patient.as_ref() == Some(&clinic.ada)), "and each one seen is recorded");
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn looking_at_a_patient_is_recorded_with_who_looked() {
    each_database(async |t| {
        let (gateway, clinic) = open(t).await;
        let mut casey = gateway.signed_in(Role::Clinician).await;
        assert!(events(&gateway, EventKind::PatientViewed).await.is_empty());
        let page = casey.get(&clinic.home()).await;
        for text in [
            "Ada Augusta Lovelace",
            "1980-12-10 (45 years)",
            "MRN-0042",
            "America/Chicago (from the address, from the area code, from the facility)",
        ] {
            assert!(page.shows(text), "{text}");
        }
        assert!(page.shows("Not current"), "the old number is marked");
        let seen = events(&gateway, EventKind::PatientViewed).await;
        assert_eq!(seen.len(), 1);
        assert!(matches!(&seen[0].actor, Actor::Staff(login) if login.starts_with("clinician-")));
        assert_eq!(seen[0].detail["page"], "/patients/{ehr}/{patient}");
        assert_eq!(casey.get("/patients/main/nobody").await.status, 404);
        assert_eq!(casey.get("/patients/other/ada-1").await.status, 404);

        let mut alex = gateway.signed_in(Role::Admin).await;
        let list = alex.get("/reminders?day=2026-03-02").await;
        assert_eq!(list.status, 200);
        assert!(!list.shows("Lovelace") && !list.shows("ada-1"), "an administrator's lists name nobody");
        assert!(!alex.get("/messages?day=2026-03-02").await.shows("Lovelace"));
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_clinician_switches_a_rule_and_records_an_opt_out() {
    each_database(async |t| {
        let (gateway, clinic) = open(t).await;
        let mut casey = gateway.signed_in(Role::Clinician).await;
        let rule = format!("{}/rules/{}", clinic.home(), clinic.rule);
        casey.get(&clinic.home()).await;

        assert_eq!(casey.post(&rule, &[("state", "pause"), ("until", "2026-03-20")]).await.status, 303);
        assert!(casey.get(&clinic.home()).await.shows("Until Fri 20 Mar 2026, 00:00 CDT."));
        assert_eq!(casey.post(&rule, &[("state", "off")]).await.leads_to(), clinic.home());
        let page = casey.get(&clinic.home()).await;
        assert!(page.shows("<span>Off</span>") && page.shows("The rule was switched."));
        assert!(!casey.get(&clinic.home()).await.shows("The rule was switched."), "said once, not on every reload");
        for (fields, status) in [
            (vec![("state", "pause"), ("until", "2026-03-02")], 422),
            (vec![("state", "pause"), ("until", "soon")], 422),
            (vec![("state", "louder")], 422),
        ] {
            assert_eq!(casey.post(&rule, &fields).await.status, status, "{fields:?}");
        }
        let unknown = format!("{}/rules/unknown", clinic.home());
        assert_eq!(casey.post(&unknown, &[("state", "off")]).await.status, 404);
        assert_eq!(events(&gateway, EventKind::EnrolmentChanged).await.len(), 2);

        let opt_outs = format!("{}/opt-outs", clinic.home());
        let told = [("scope", "channel:sms"), ("address", "0"), ("source", "phone call"), ("words", "no <more> texts")];
        assert_eq!(casey.post(&opt_outs, &told).await.status, 303);
        let page = casey.get(&clinic.home()).await;
        assert!(page.shows("no &#60;more&#62; texts") && page.shows("Opted out") && page.shows("phone call"));
        assert_eq!(casey.post(&opt_outs, &[("scope", "all"), ("source", "hearsay")]).await.status, 422);
        assert_eq!(
            casey.post(&opt_outs, &[("scope", "all"), ("source", "letter"), ("address", "9")]).await.status,
            422
        );
        let recorded = events(&gateway, EventKind::OptOutRecorded).await;
        assert_eq!(recorded.len(), 1);
        assert_eq!(recorded[0].patient.as_ref(), Some(&clinic.ada));
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_compliance_officer_searches_the_history_and_that_is_recorded_too() {
    each_database(async |t| {
        let (gateway, clinic) = open(t).await;
        let mut casey = gateway.signed_in(Role::Clinician).await;
        casey.get(&clinic.home()).await;
        let mut robin = gateway.signed_in(Role::Compliance).await;
        robin.get("/history").await;
        let days = [("from", "2026-03-01"), ("to", "2026-03-02")];
        let ask = |who: &'static str, kind: &'static str| [("who", who), ("kind", kind), days[0], days[1]];
        let found = robin.post("/history", &ask("lovelace", "access.patient")).await;
        assert!(found.shows("Ada Augusta Lovelace, born 1980-12-10, record number MRN-0042"));
        assert_eq!(found.body.matches("Patient&#39;s data viewed</strong>").count(), 1, "{}", found.body);
        assert!(robin.post("/history", &ask("nobody", "")).await.shows("No patient was found"));
        assert!(robin.post("/history", &ask("", "staff.signed_in")).await.shows("Signed in"));
        let earlier = robin.post("/history", &[("who", ""), ("from", "2026-02-01"), ("to", "2026-02-27")]).await;
        assert!(earlier.shows("Nothing happened that matches"));

        let searches = events(&gateway, EventKind::HistorySearched).await;
        assert_eq!(searches.len(), 4);
        let about_ada = searches.iter().filter(|event| event.patient.as_ref() == Some(&clinic.ada)).count();
        assert_eq!(about_ada, 1, "whose history it was");
        assert!(!format!("{searches:?}").contains("nobody"), "not what was typed");
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_administrator_stops_at_once_and_starts_after_a_second_look() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        let mut alex = gateway.signed_in(Role::Admin).await;
        let mode = async |gateway: &Gateway| gateway.t.store.view(&gateway.t.tenant).sending().await.unwrap().mode;
        assert!(alex.get("/").await.shows("Send mode: off."), "every page says that nothing goes out");

        let asked = alex.post("/sending/mode", &[("mode", "live")]).await;
        assert!(asked.shows("Send to real patients?"));
        assert_eq!(mode(&gateway).await, SendMode::Off, "asking changes nothing");
        alex.post("/sending/mode", &[("mode", "live"), ("confirmed", "yes")]).await;
        assert_eq!(mode(&gateway).await, SendMode::Live);
        assert!(!alex.get("/").await.shows("class=\"banner"), "and nothing is said when all is as usual");

        alex.post("/sending/halt", &[("scope", "channel:sms"), ("reason", "wrong texts")]).await;
        let mut casey = gateway.signed_in(Role::Clinician).await;
        assert!(
            casey.get("/").await.shows("Sending is halted: everything by text message (wrong texts)."),
            "everybody is told"
        );
        let asked = alex.post("/sending/resume", &[("scope", "channel:sms")]).await;
        assert!(asked.shows("Let sending go on: the channel Text message?"));
        alex.post("/sending/resume", &[("scope", "channel:sms"), ("confirmed", "yes")]).await;
        assert!(gateway.t.store.view(&gateway.t.tenant).sending().await.unwrap().halts.is_empty());

        let mut tx = gateway.t.store.write(&gateway.t.tenant).await.unwrap();
        tx.hold_flood("900 in an hour").await.unwrap();
        tx.commit().await.unwrap();
        assert!(casey.get("/").await.shows("they are held until an administrator looks"));
        alex.post("/sending/release", &[]).await;
        assert!(casey.get("/").await.shows("they are held"), "asking changes nothing");
        alex.post("/sending/release", &[("confirmed", "yes")]).await;
        assert!(!casey.get("/").await.shows("they are held"));

        alex.post("/sending/mode", &[("mode", "off")]).await;
        assert_eq!(mode(&gateway).await, SendMode::Off, "off needs no second look");
        for kind in [EventKind::Halted, EventKind::Resumed, EventKind::FloodReleased] {
            assert_eq!(events(&gateway, kind).await.len(), 1, "{kind:?}");
        }
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_alert_about_an_answer_leads_there_those_who_may_read_it() {
    each_database(async |t| {
        let (gateway, clinic) = open(t).await;
        let filter = beckon::store::ReplyFilter { limit: 1, ..Default::default() };
        let reply = gateway.t.store.view(&gateway.t.tenant).list_replies(&filter).await.unwrap().remove(0).reply.id;
        let mut tx = gateway.t.store.write(&gateway.t.tenant).await.unwrap();
        tx.raise_alert(AlertKind::ReplyNeedsPerson, &reply.to_string(), "a patient answered").await.unwrap();
        tx.raise_alert(AlertKind::OutcomeUnknown, &clinic.message.to_string(), "nobody knows").await.unwrap();
        tx.commit().await.unwrap();
        let message = format!("<a href=\"/messages/{}\">Read it</a>", clinic.message);
        let mut casey = gateway.signed_in(Role::Clinician).await;
        let list = casey.get("/worklist").await;
        assert_eq!(list.body.matches(&message).count(), 2, "{}", list.body);
        let mut alex = gateway.signed_in(Role::Admin).await;
        let list_of_admin = alex.get("/worklist").await;
        assert!(list_of_admin.shows("nobody knows") && !list_of_admin.shows("Read it"));
        for page in [list, list_of_admin] {
            assert!(!page.shows(&reply.to_string()), "the number of an answer says nothing to people");
        }
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_happened_is_told_to_those_who_care_for_the_patient_without_codes() {
    each_database(async |t| {
        let (gateway, clinic) = open(t).await;
        let mut casey = gateway.signed_in(Role::Clinician).await;
        casey
            .post(&format!("{}/rules/{}", clinic.home(), clinic.rule), &[("state", "pause"), ("until", "2026-03-20")])
            .await;
        let page = casey.get(&clinic.home()).await;
        let events = page.body.split("<h2>What happened</h2>").nth(1).unwrap();
        for told in ["Rule switched for the patient", "<dd>paused</dd>", "<dd>Fri 20 Mar 2026, 00:00 CDT</dd>"] {
            assert!(events.contains(told), "{told} in {events}");
        }
        assert!(!events.contains("enrolment.changed") && !events.contains("2026-03-20T"), "{events}");
        let mut robin = gateway.signed_in(Role::Compliance).await;
        robin.get("/history").await;
        let found = robin.post("/history", &[("who", "lovelace"), ("kind", "enrolment.changed")]).await;
        assert!(found.shows("(enrolment.changed)"), "compliance searches by it");
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_alert_is_open_once_until_somebody_saw_it() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        let raise = async |gateway: &Gateway| {
            let mut tx = gateway.t.store.write(&gateway.t.tenant).await.unwrap();
            let new = tx.raise_alert(AlertKind::ProviderDown, "twilio", "No answer for 5 minutes.").await.unwrap();
            tx.commit().await.unwrap();
            new
        };
        let first = raise(&gateway).await.expect("people are told once");
        assert_eq!((raise(&gateway).await, raise(&gateway).await), (None, None));
        let mut casey = gateway.signed_in(Role::Clinician).await;
        let list = casey.get("/worklist").await;
        assert!(list.shows("A provider does not work") && list.shows("3 times") && list.shows("Needs you"));
        assert!(list.shows("the text message company") && !list.shows("twilio"));
        assert!(list.shows("<span class=\"count\""), "the rail counts it");

        assert_eq!(casey.post(&format!("/worklist/{first}/acknowledge"), &[]).await.status, 303);
        let list = casey.get("/worklist").await;
        assert!(list.shows("Seen by clinician-") && !list.shows("I have seen it") && !list.shows("class=\"count\""));
        assert_eq!(raise(&gateway).await, None, "what somebody saw does not ring again");
        gateway.t.clock.advance(chrono::TimeDelta::hours(25));
        assert_eq!(raise(&gateway).await, Some(first), "unless it goes on for a day");

        let mut tx = gateway.t.store.write(&gateway.t.tenant).await.unwrap();
        assert!(tx.resolve_alert(AlertKind::ProviderDown, "twilio").await.unwrap());
        tx.commit().await.unwrap();
        assert_ne!(raise(&gateway).await.expect("a new one"), first);
        let view = gateway.t.store.view(&gateway.t.tenant);
        assert_eq!(view.alerts(false, None, 10).await.unwrap().len(), 2);
        assert_eq!(view.alerts_to_notify(10).await.unwrap().len(), 1);
        assert_eq!(events(&gateway, EventKind::AlertOpened).await.len(), 2);
        assert_eq!(events(&gateway, EventKind::AlertAcknowledged).await.len(), 1);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_clinician_sees_what_was_handed_to_people_and_says_that_it_is_done() {
    each_database(async |t| {
        let clinic = Clinic::open(&t).await;
        let gateway = Gateway::start(t).await;
        let view = gateway.t.store.view(&gateway.t.tenant);
        let one = std::slice::from_ref(&clinic.ada);
        let reminders = view.reminders_of_patients(&clinic.ehr, one).await.unwrap().remove(&clinic.ada).unwrap();
        let withheld = reminders.iter().find(|it| it.id == clinic.withheld).unwrap();
        let mut tx = gateway.t.store.write(&gateway.t.tenant).await.unwrap();
        let task = tx.open_staff_task(withheld, beckon::domain::Reason::NoLanguage).await.unwrap().unwrap();
        assert_eq!(tx.open_staff_task(withheld, beckon::domain::Reason::NoLanguage).await.unwrap(), None);
        tx.commit().await.unwrap();

        let mut casey = gateway.signed_in(Role::Clinician).await;
        let list = casey.get("/tasks").await;
        assert!(list.shows("Lovelace") && list.shows("There is no template in a language the patient reads."));
        let mut charlie = gateway.signed_in(Role::Compliance).await;
        assert!(!charlie.get("/tasks").await.shows("class=\"button\" type=\"submit\">Done"));
        assert_eq!(casey.post(&format!("/tasks/{task}/done"), &[]).await.status, 303);
        assert!(casey.get("/tasks").await.shows("No task waits for anybody."));
        assert!(casey.get("/tasks?all=yes").await.shows("Done by clinician-"));
        assert_eq!(events(&gateway, EventKind::TaskOpened).await.len(), 1);
        assert_eq!(events(&gateway, EventKind::TaskDone).await.len(), 1);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn long_lists_come_a_page_at_a_time_without_losing_or_repeating_a_row() {
    let t = TestStore::sqlite().await;
    let clinic = Clinic::open(&t).await;
    clinic.plan_many(&t, t.store.clock().now(), 120).await;
    let gateway = Gateway::start(t).await;
    let mut casey: Browser = gateway.signed_in(Role::Clinician).await;
    let (mut at, mut seen) = ("/reminders?day=2026-03-02&days=7&state=planned".to_owned(), Vec::new());
    for _ in 0..5 {
        let page = casey.get(&at).await;
        seen.extend(page.body.split("href=\"/reminders/").skip(1).map(|rest| rest[..36].to_owned()));
        let Some(next) = page.body.split("rel=\"next\" href=\"").nth(1) else { break };
        at = next.split('"').next().unwrap().replace("&#38;", "&");
        assert!(at.contains("state=planned") && at.contains("days=7"), "the filter stays: {at}");
    }
    assert_eq!(seen.len(), 121);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 121, "no row twice");
    gateway.stop().await;
}

#[tokio::test]
async fn the_demo_shows_the_phone_the_mailbox_and_the_ehr_and_answers_as_the_patient() {
    let t = TestStore::sqlite().await;
    let mut options = HospitalOptions::new(t.store.clock().clone());
    options.patients = 0;
    options.listen = IpAddr::from([127, 0, 0, 1]);
    let hospital = Hospital::start(options).await.unwrap();
    let communication = serde_json::json!({
        "resourceType": "Communication", "id": "c-1", "status": "completed",
        "subject": {"reference": "Patient/p-1"}, "payload": [{"contentString": "Your visit is <tomorrow>."}]
    });
    hospital.put(communication).unwrap();
    let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", hospital.phone_base(), hospital.account_sid());
    let texted = reqwest::Client::builder()
        .build()
        .unwrap()
        .post(url)
        .basic_auth(hospital.account_sid(), Some(hospital.auth_token()))
        .form(&[("To", ADA_PHONE), ("From", hospital.sender_number()), ("Body", "Reply C to confirm.")])
        .send()
        .await
        .unwrap();
    assert_eq!(texted.status(), 201);

    let gateway = Gateway::start_with(t, Setup { demo: Some(hospital.admin_url()), ..Setup::default() }).await;
    let mut casey = gateway.signed_in(Role::Clinician).await;
    let phones = casey.get("/demo/phone").await;
    assert!(
        phones.shows("Reply C to confirm.") && phones.shows(&ADA_PHONE.replace('+', "&#43;"))
            || phones.shows(ADA_PHONE)
    );
    let fields = [("from", ADA_PHONE), ("to", hospital.sender_number()), ("body", "C thank you")];
    assert_eq!(casey.post("/demo/phone/reply", &fields).await.status, 303);
    assert!(casey.get("/demo/phone").await.shows("C thank you"));
    assert!(casey.get("/demo/mail").await.shows("No mail yet"));
    let ehr = casey.get("/demo/ehr").await;
    assert!(ehr.shows("Communication/c-1") && ehr.shows("Your visit is &#60;tomorrow&#62;."));
    hospital.stop().await;
    assert_eq!(casey.get("/demo/mail").await.status, 502, "and says so when the hospital is gone");
    gateway.stop().await;
}
