//! Who gets a reminder, when and how, and who does not.

use super::fixtures::*;
use beckon::domain::*;
use beckon::fhir::read::ConsentWord;
use beckon::rules::*;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// Wednesday 10:00 in Austin; the day-before step fell due on Tuesday at 10:00.
const START: &str = "2026-06-10T15:00:00Z";
const DUE: &str = "2026-06-09T15:00:00Z";

fn due_world() -> (World, CompiledRule) {
    let rule = starter("appointment-reminder");
    let booked = appointment("a", "booked", START, "2026-05-01T12:00:00Z", "needs-action");
    let mut world = World::new(ana(), vec![booked]);
    world.replan(std::slice::from_ref(&rule), at(DUE));
    (world, rule)
}

fn verdict(world: &World, rule: &CompiledRule, now: DateTime<Utc>) -> Verdict {
    world.decide(world.reminders.last().unwrap(), Some(rule), now).verdict
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Release(it) => format!("release {} {} {} {:?}", it.channel, it.template, it.language, it.detail),
        Verdict::Withhold(reason) => format!("withhold {}", reason.as_str()),
        Verdict::Wait { until, reason } => format!("wait {} {}", reason.as_str(), until.format("%m-%dT%H:%M")),
        Verdict::Expire(reason) => format!("expire {}", reason.as_str()),
        Verdict::Cancel(reason) => format!("cancel {}", reason.as_str()),
    }
}

#[test]
fn a_reminder_that_nothing_speaks_against_goes_out_with_every_check_recorded() {
    let (world, rule) = due_world();
    let decision = world.decide(world.reminders.last().unwrap(), Some(&rule), at(DUE));
    assert_eq!(words(&decision.verdict), "release sms unconfirmed en Limited");
    let Verdict::Release(release) = &decision.verdict else { panic!() };
    assert_eq!(release.address.expose(), "+15125550101");
    assert_eq!(release.basis, ConsentBasis::NumberProvided);
    assert_eq!(release.expires_at, at("2026-06-10T13:00:00Z"));
    let names: Vec<&str> = decision.checks.iter().map(|it| it.name.as_str()).collect();
    for name in [
        "rule_live",
        "step",
        "patient_read",
        "alive",
        "record_in_use",
        "resource_read",
        "coverage",
        "facility_zone",
        "condition",
        "unless",
        "declined",
        "moved",
        "purpose",
        "consent_read",
        "enrolment",
        "recipient",
        "variant",
        "contact_point",
        "opt_out",
        "consent",
        "detail",
        "language",
        "expiry",
        "due",
        "zone",
        "quiet_hours",
        "budget",
    ] {
        assert_eq!(names.iter().filter(|it| **it == name).count(), 1, "{name} in {names:?}");
    }
    assert!(decision.checks.iter().all(|it| it.result != CheckResult::Failed));
    assert!(decision.facts.iter().any(|it| it.name == "Appointment.status" && it.source.is_some()));
}

#[test]
fn every_check_is_recorded_also_after_one_has_failed() {
    let (mut world, rule) = due_world();
    let all = world.decide(world.reminders.last().unwrap(), Some(&rule), at(DUE)).checks.len();
    world.patient["deceasedBoolean"] = json!(true);
    world.resources.clear();
    let decision = world.decide(world.reminders.last().unwrap(), Some(&rule), at(DUE));
    assert_eq!(decision.checks.len(), all);
}

#[test]
fn nobody_is_contacted_who_must_not_be() {
    type Change = fn(&mut World);
    let number = |text: &str| Address::Phone(PhoneNumber::parse(text, "US").unwrap());
    let opt_out = |scope: OptOutScope, address: Option<Address>, patient: Option<&str>| OptOut {
        id: OptOutId(uuid::Uuid::nil()),
        scope,
        address,
        patient: patient.map(PatientId::new),
        source: "sms reply".to_owned(),
        words: None,
        at: at("2026-06-01T00:00:00Z"),
        revoked_at: None,
    };
    let with = |opt_outs: Vec<OptOut>| {
        let (mut world, rule) = due_world();
        world.opt_outs = opt_outs;
        words(&verdict(&world, &rule, at(DUE)))
    };
    // The number is bound, whoever sent STOP from it; another address still serves.
    assert_eq!(
        with(vec![opt_out(OptOutScope::Channel(Channel::Sms), Some(number("+15125550101")), Some("other"))]),
        "release email unconfirmed en Limited"
    );
    assert_eq!(
        with(vec![opt_out(OptOutScope::All, Some(number("+15125550101")), None)]),
        "release email unconfirmed en Limited"
    );
    assert_eq!(with(vec![opt_out(OptOutScope::All, None, Some("ana"))]), "withhold opted_out");
    assert_eq!(
        with(vec![opt_out(OptOutScope::Rule(RuleId::new("appointment-reminder")), None, Some("ana"))]),
        "withhold opted_out"
    );
    assert_eq!(
        with(vec![opt_out(OptOutScope::Rule(RuleId::new("other")), None, Some("ana"))]),
        "release sms unconfirmed en Limited"
    );
    let revoked = OptOut { revoked_at: Some(at(DUE)), ..opt_out(OptOutScope::All, None, Some("ana")) };
    assert_eq!(with(vec![revoked]), "release sms unconfirmed en Limited");

    let cases: [(&str, Change, &str); 33] = [
        ("dead", |w| w.patient["deceasedBoolean"] = json!(true), "withhold patient_deceased"),
        ("alive, said twice", |w| w.patient["deceasedBoolean"] = json!(false), "release sms unconfirmed en Limited"),
        ("inactive", |w| w.patient["active"] = json!(false), "withhold patient_inactive"),
        (
            "merged",
            |w| w.patient["link"] = json!([{ "type": "replaced-by", "other": { "reference": "Patient/b" } }]),
            "withhold patient_replaced",
        ),
        ("cancelled", |w| w.resources[0]["status"] = json!("cancelled"), "cancel resource_cancelled"),
        ("arrived", |w| w.resources[0]["status"] = json!("arrived"), "cancel resource_cancelled"),
        ("deleted", |w| w.resources.clear(), "cancel resource_gone"),
        ("declined", |w| w.resources[0]["participant"][0]["status"] = json!("declined"), "cancel patient_declined"),
        ("moved", |w| w.resources[0]["start"] = json!("2026-06-10T16:00:00Z"), "cancel resource_moved"),
        (
            "moved a little",
            |w| w.resources[0]["start"] = json!("2026-06-10T15:10:00Z"),
            "release sms unconfirmed en Limited",
        ),
        (
            "confirmed",
            |w| w.resources[0]["participant"][0]["status"] = json!("accepted"),
            "release sms confirmed en Limited",
        ),
        ("child", |w| w.patient["birthDate"] = json!("2015-01-01"), "withhold minor_confidential"),
        ("eighteen tomorrow", |w| w.patient["birthDate"] = json!("2008-06-10"), "withhold minor_confidential"),
        ("eighteen today", |w| w.patient["birthDate"] = json!("2008-06-09"), "release sms unconfirmed en Limited"),
        ("eighteen or not", |w| w.patient["birthDate"] = json!("2008"), "withhold minor_confidential"),
        (
            "restricted record",
            |w| {
                w.patient["meta"]["security"] =
                    json!([{ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R" }]);
            },
            "release sms neutral en Neutral",
        ),
        (
            "restricted appointment",
            |w| {
                w.resources[0]["meta"]["security"] =
                    json!([{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY" }]);
            },
            "release sms neutral en Neutral",
        ),
        ("EHR down", |w| w.ehr_is_down = true, "wait ehr_unreadable 06-09T15:15"),
        ("no address", |w| w.patient["telecom"] = json!([]), "withhold no_contact_point"),
        (
            "landline and mail",
            |w| w.patient["telecom"][0]["use"] = json!("home"),
            "release email unconfirmed en Limited",
        ),
        ("other language", |w| w.patient["communication"] = language("zh"), "withhold no_language"),
        ("Spanish", |w| w.patient["communication"] = language("es-MX"), "release sms unconfirmed es Limited"),
        (
            "denied",
            |w| {
                w.consents = vec![directive(ConsentWord::Denies, Some(Channel::Sms), None)];
            },
            "release email unconfirmed en Limited",
        ),
        (
            "denied altogether",
            |w| {
                let permit = directive(ConsentWord::Permits, None, None);
                w.consents = vec![permit, directive(ConsentWord::Denies, None, None)];
            },
            "withhold consent_denied",
        ),
        (
            "denied for some hours",
            |w| w.consents = vec![directive(ConsentWord::Denies, None, Some("2026-06-09T18:00:00Z"))],
            "wait consent_denied 06-09T18:00",
        ),
        (
            "denied until it is too late",
            |w| w.consents = vec![directive(ConsentWord::Denies, None, Some("2026-06-11T18:00:00Z"))],
            "withhold consent_denied",
        ),
        (
            "unclear",
            |w| {
                let permit = directive(ConsentWord::Permits, None, None);
                w.consents = vec![permit, directive(ConsentWord::Unclear, None, None)];
            },
            "withhold consent_unclear",
        ),
        (
            "denied for another purpose",
            |w| {
                let denial = directive(ConsentWord::Denies, None, None);
                w.consents = vec![ConsentDirective { purpose: Some(Purpose::Marketing), ..denial }];
            },
            "release sms unconfirmed en Limited",
        ),
        ("consents unread", |w| w.consents_unread = Some("no answer"), "wait ehr_unreadable 06-09T15:15"),
        (
            "a number that was refused",
            |w| w.dead = vec![(phone("+15125550101"), Channel::Sms)],
            "release email unconfirmed en Limited",
        ),
        (
            "every address was refused",
            |w| {
                let mail = Address::Email(EmailAddress::parse("ana@example.org").unwrap());
                w.dead = vec![(phone("+15125550101"), Channel::Sms), (mail, Channel::Email)];
            },
            "withhold address_refused",
        ),
        (
            "refused on another channel",
            |w| w.dead = vec![(phone("+15125550101"), Channel::Voice)],
            "release sms unconfirmed en Limited",
        ),
        ("consent needed", |w| w.settings.allow_without_consent = false, "withhold consent_denied"),
    ];
    for (name, change, expected) in cases {
        let (mut world, rule) = due_world();
        change(&mut world);
        assert_eq!(words(&verdict(&world, &rule, at(DUE))), expected, "{name}");
    }
}

fn directive(word: ConsentWord, channel: Option<Channel>, until: Option<&str>) -> ConsentDirective {
    ConsentDirective { word, purpose: None, channel, source: None, until: until.map(at) }
}

fn phone(text: &str) -> Address {
    Address::Phone(PhoneNumber::parse(text, "US").unwrap())
}

fn language(code: &str) -> Value {
    json!([{ "language": { "coding": [{ "system": "urn:ietf:bcp:47", "code": code }] } }])
}

#[test]
fn a_minor_is_reached_through_a_cleared_guardian() {
    let (mut world, rule) = due_world();
    world.patient["birthDate"] = json!("2015-01-01");
    world.guardians = vec![Guardian {
        id: "mum".to_owned(),
        telecom: vec![ContactPoint {
            system: ContactSystem::Email,
            value: Phi::new("mum@example.org".to_owned()),
            use_: None,
            rank: None,
            start: None,
            end: None,
        }],
        languages: vec![Language { tag: "es".to_owned(), preferred: true }],
    }];
    let Verdict::Release(release) = verdict(&world, &rule, at(DUE)) else { panic!() };
    assert_eq!(release.recipient, Recipient::RelatedPerson("mum".to_owned()));
    assert_eq!((release.address.expose(), release.language.as_str()), ("mum@example.org", "es"));
}

#[test]
fn a_clinician_switches_a_rule_off_or_pauses_it() {
    for (state, expected) in [
        (EnrolmentState::On, "release sms unconfirmed en Limited"),
        (EnrolmentState::Off, "withhold rule_off"),
        (EnrolmentState::PausedUntil(at("2026-06-09T14:00:00Z")), "release sms unconfirmed en Limited"),
        (EnrolmentState::PausedUntil(at("2026-06-09T20:00:00Z")), "wait rule_paused 06-09T20:00"),
        (EnrolmentState::PausedUntil(at("2026-07-01T00:00:00Z")), "withhold rule_paused"),
    ] {
        let (mut world, rule) = due_world();
        world.enrolments = vec![Enrolment {
            patient: PatientId::new("ana"),
            rule: rule.id().clone(),
            state,
            by: "dr".to_owned(),
            at: at(DUE),
        }];
        assert_eq!(words(&verdict(&world, &rule, at(DUE))), expected, "{state:?}");
    }
}

#[test]
fn a_clinic_s_default_holds_unless_the_patient_s_own_switch_says_otherwise() {
    let default = |location: Option<&str>, on: bool| ClinicDefault {
        location: location.map(str::to_owned),
        rule: RuleId::new("appointment-reminder"),
        on,
        by: "staff:head".to_owned(),
        at: at(DUE),
    };
    let sent = "release sms unconfirmed en Limited";
    for (defaults, own, expected) in [
        (vec![default(None, false)], None, "withhold rule_off"),
        (vec![default(None, false)], Some(EnrolmentState::On), sent),
        (vec![default(None, false), default(Some("main"), true)], None, sent),
        (vec![default(None, true), default(Some("main"), false)], None, "withhold rule_off"),
        (vec![default(Some("elsewhere"), false)], None, sent),
        (vec![default(Some("main"), true)], Some(EnrolmentState::Off), "withhold rule_off"),
    ] {
        let (mut world, rule) = due_world();
        world.clinic_defaults = defaults.clone();
        world.enrolments = own
            .map(|state| Enrolment {
                patient: PatientId::new("ana"),
                rule: rule.id().clone(),
                state,
                by: "dr".to_owned(),
                at: at(DUE),
            })
            .into_iter()
            .collect();
        assert_eq!(words(&verdict(&world, &rule, at(DUE))), expected, "{defaults:?} {own:?}");
        let plans = world.plan(std::slice::from_ref(&rule), at("2026-06-01T00:00:00Z"));
        assert_eq!(plans.reminders.is_empty(), expected != sent, "planning says the same: {defaults:?} {own:?}");
    }
}

#[test]
fn who_confirmed_and_asked_for_no_more_hears_no_more_of_this_visit_at_this_time() {
    let (mut world, rule) = due_world();
    let occasion = world.reminders.last().unwrap().plan.occasion.key.clone();
    let choice = |occasion: OccasionKey| PatientChoice {
        patient: PatientId::new("ana"),
        occasion,
        source: "sms reply".to_owned(),
        reply: None,
        by: "patient".to_owned(),
        at: at(DUE),
    };
    world.choices = vec![choice(OccasionKey::new("Appointment/other@2026-06-10T15:00:00Z"))];
    assert_eq!(words(&verdict(&world, &rule, at(DUE))), "release sms unconfirmed en Limited");
    world.choices = vec![choice(occasion)];
    assert_eq!(words(&verdict(&world, &rule, at(DUE))), "withhold already_confirmed");
}

#[test]
fn nothing_goes_out_late_or_at_night() {
    // Austin keeps UTC-5 in June; allowed are 13:00Z to 02:00Z.
    for (now, expected) in [
        ("2026-06-09T14:59:00Z", "wait not_due 06-09T15:00"),
        ("2026-06-10T01:59:00Z", "release sms unconfirmed en Limited"),
        // It expires two hours before the start, which is when the morning begins.
        ("2026-06-10T02:00:00Z", "expire quiet_hours"),
        ("2026-06-10T12:59:59Z", "expire quiet_hours"),
        ("2026-06-10T13:00:00Z", "expire expired"),
        ("2026-06-11T15:00:00Z", "expire expired"),
    ] {
        let (world, rule) = due_world();
        assert_eq!(words(&verdict(&world, &rule, at(now))), expected, "{now}");
    }
    let (mut world, rule) = due_world();
    world.set_zone = Some(chrono_tz::Asia::Tokyo);
    assert_eq!(words(&verdict(&world, &rule, at(DUE))), "wait quiet_hours 06-09T23:00");
    world.set_zone = None;
    world.patient["address"][0]["country"] = json!("Kazakhstan");
    assert_eq!(words(&verdict(&world, &rule, at(DUE))), "wait zone_unresolved 06-09T15:15");
}

#[test]
fn an_appointment_that_was_moved_forward_a_little_expires_earlier() {
    let (mut world, rule) = due_world();
    world.resources[0]["start"] = json!("2026-06-10T14:35:00Z");
    let Verdict::Release(release) = verdict(&world, &rule, at(DUE)) else { panic!() };
    assert_eq!(release.expires_at, at("2026-06-10T12:35:00Z"));
}

#[test]
fn one_a_day_and_three_a_week_and_a_move_at_short_notice_beside_it() {
    for (contacts, expected) in [
        (&["2026-06-09T13:30:00Z"][..], "expire budget_spent"),
        // Yesterday evening in Austin was already today in Greenwich.
        (&["2026-06-09T01:30:00Z"], "release sms unconfirmed en Limited"),
        (&["2026-06-03T15:00:01Z", "2026-06-05T15:00:00Z", "2026-06-08T15:00:00Z"], "expire budget_spent"),
        (
            &["2026-06-02T15:00:00Z", "2026-06-05T15:00:00Z", "2026-06-08T15:00:00Z"],
            "release sms unconfirmed en Limited",
        ),
    ] {
        let (mut world, rule) = due_world();
        world.contacts = contacts.iter().map(|it| at(it)).collect();
        assert_eq!(words(&verdict(&world, &rule, at(DUE))), expected, "{contacts:?}");
        world.reminders.last_mut().unwrap().plan.occasion.replaces = Some(OccasionKey::new("before"));
        assert_eq!(words(&verdict(&world, &rule, at(DUE))), "release sms unconfirmed en Limited", "{contacts:?}");
    }
    // Where there is time left, it waits for the next morning.
    let (mut world, rule) = due_world();
    world.contacts = vec![at("2026-06-09T13:30:00Z")];
    world.reminders.last_mut().unwrap().plan.expires_at = at("2026-06-12T00:00:00Z");
    world.resources[0]["start"] = json!("2026-06-10T15:25:00Z");
    assert_eq!(words(&verdict(&world, &rule, at(DUE))), "wait budget_spent 06-10T13:00");
}

#[test]
fn a_rule_or_step_that_is_gone_cancels_what_was_planned() {
    let (world, rule) = due_world();
    let reminder = world.reminders.last().unwrap();
    assert_eq!(words(&world.decide(reminder, None, at(DUE)).verdict), "cancel rule_retired");
    let mut changed = rule.rule().clone();
    changed.steps.truncate(1);
    let changed = CompiledRule::compile(changed).unwrap();
    assert_eq!(words(&world.decide(reminder, Some(&changed), at(DUE)).verdict), "cancel rule_changed");
}

#[test]
fn a_rule_may_say_that_the_mirror_will_do_and_the_decision_records_it() {
    let (mut world, rule) = due_world();
    world.ehr_is_down = true;
    let mut stale = rule.rule().clone();
    stale.stale_ok = true;
    let stale = CompiledRule::compile(stale).unwrap();
    let decision = world.decide(world.reminders.last().unwrap(), Some(&stale), at(DUE));
    assert_eq!(words(&decision.verdict), "release sms unconfirmed en Limited");
    assert!(decision.checks.iter().any(|it| it.words.contains("stale_ok")));

    // The mirrored consents too, but only where all of them were pulled within the rule's freshness.
    world.consents_unread = Some("no answer");
    let decide = |world: &World| words(&world.decide(world.reminders.last().unwrap(), Some(&stale), at(DUE)).verdict);
    assert_eq!(decide(&world), "wait ehr_unreadable 06-09T15:15");
    world.covered = Some(at("2026-06-08T14:59:00Z"));
    assert_eq!(decide(&world), "wait ehr_unreadable 06-09T15:15");
    world.covered = Some(at("2026-06-08T15:01:00Z"));
    assert_eq!(decide(&world), "release sms unconfirmed en Limited");
    world.consents = vec![directive(ConsentWord::Denies, None, None)];
    assert_eq!(decide(&world), "withhold consent_denied");
}

#[test]
fn what_must_be_missing_is_proven_missing_or_the_reminder_waits() {
    let rule = starter("no-show-follow-up");
    let missed = appointment("n", "noshow", "2026-06-08T20:00:00Z", "2026-05-01T12:00:00Z", "accepted");
    let mut world = World::new(ana(), vec![missed]);
    world.replan(std::slice::from_ref(&rule), at(DUE));
    assert_eq!(words(&verdict(&world, &rule, at(DUE))), "wait not_known 06-09T15:15");
    world.covered = Some(at("2026-06-08T14:59:00Z"));
    assert_eq!(words(&verdict(&world, &rule, at(DUE))), "wait not_known 06-09T15:15");
    world.covered = Some(at("2026-06-08T15:01:00Z"));
    assert_eq!(words(&verdict(&world, &rule, at(DUE))), "release sms missed en Limited");
    world.resources.push(appointment("b", "booked", "2026-06-20T15:00:00Z", DUE, "accepted"));
    assert_eq!(words(&verdict(&world, &rule, at(DUE))), "cancel condition_not_met");
}

#[test]
fn texts_speak_the_reader_s_language_and_the_facility_s_clock() {
    let (mut world, rule) = due_world();
    // The patient is in Seattle; the appointment is in Austin at ten.
    world.set_zone = Some(chrono_tz::America::Los_Angeles);
    let now = at("2026-06-09T16:00:00Z");
    let Verdict::Release(release) = verdict(&world, &rule, now) else { panic!() };
    assert_eq!(
        world.render(&rule, &release, "a", now).text.expose(),
        "Example Clinic: Appointment for Ana on Wednesday, June 10 at 10:00 AM CT, Main Street Clinic. Reply C to confirm, R if you cannot come. Reply STOP to opt out."
    );
    world.patient["communication"] = language("es");
    let Verdict::Release(release) = verdict(&world, &rule, now) else { panic!() };
    assert_eq!(
        world.render(&rule, &release, "a", now).text.expose(),
        "Example Clinic: Cita de Ana el 10 de junio a las 10:00 a. m. CT, Main Street Clinic. Responda C para confirmar, R si no puede venir. Responda STOP para no recibir mensajes."
    );
    let email = Release { channel: Channel::Email, ..release.clone() };
    let body = world.render(&rule, &email, "a", now);
    assert_eq!(body.subject.unwrap().expose(), "Un mensaje de Example Clinic");
    assert!(
        body.text.expose().contains("miércoles, 10 de junio, a las 10:00 a. m. (hora del centro), Main Street Clinic")
    );
    // Neutral detail tells nothing, whatever the record holds.
    let neutral = Release { template: "neutral".to_owned(), detail: Detail::Neutral, ..release };
    let text = world.render(&rule, &neutral, "a", now).text;
    assert!(!text.expose().contains("Ana") && !text.expose().contains("junio"));
}

#[test]
fn a_name_cannot_break_out_of_its_place() {
    let (mut world, rule) = due_world();
    world.patient["name"] = json!([{ "given": ["<b>{{ service }}</b>\r\nBcc: x"], "family": "L" }]);
    let Verdict::Release(release) = verdict(&world, &rule, at(DUE)) else { panic!() };
    let email = world.render(&rule, &Release { channel: Channel::Email, ..release }, "a", at(DUE));
    let html = email.html.unwrap();
    assert!(html.expose().contains("&lt;b&gt;") && !html.expose().contains("<b>"));
    assert!(!email.text.expose().contains('\r'));
    assert!(!email.subject.unwrap().expose().contains("Bcc"));
}

#[test]
fn the_same_facts_give_the_same_decision() {
    let (world, rule) = due_world();
    let reminder = world.reminders.last().unwrap();
    assert_eq!(world.decide(reminder, Some(&rule), at(DUE)), world.decide(reminder, Some(&rule), at(DUE)));
}

#[test]
fn the_contact_point_that_the_person_ranks_first_is_used_first() {
    let rule = starter("appointment-reminder");
    for (phone, email, expected) in
        [(Some(1), Some(2), "sms"), (Some(2), Some(1), "email"), (None, Some(1), "email"), (None, None, "sms")]
    {
        let mut patient = ana();
        patient["telecom"][0]["rank"] = json!(phone);
        patient["telecom"][1]["rank"] = json!(email);
        let booked = appointment("a", "booked", START, "2026-05-01T12:00:00Z", "needs-action");
        let mut world = World::new(patient, vec![booked]);
        world.replan(std::slice::from_ref(&rule), at(DUE));
        let Verdict::Release(release) = verdict(&world, &rule, at(DUE)) else { panic!("{phone:?} {email:?}") };
        assert_eq!(release.channel.as_str(), expected, "phone {phone:?}, email {email:?}");
    }
}
