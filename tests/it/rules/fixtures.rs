//! People, appointments and what is known of them, built as an EHR would send them and read by the front door.

use beckon::domain::*;
use beckon::fhir;
use beckon::rules::*;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The rules that ship with Beckon, compiled once for all tests.
pub fn starters() -> &'static [CompiledRule] {
    static RULES: std::sync::LazyLock<Vec<CompiledRule>> = std::sync::LazyLock::new(|| starter_rules().0);
    &RULES
}

/// One of the rules that ship with Beckon.
pub fn starter(id: &str) -> CompiledRule {
    starters().iter().find(|rule| rule.id().as_str() == id).unwrap().clone()
}

/// Somebody read every translation of the starter rules over.
pub fn read_over() -> Vec<TextReview> {
    let review = |rule: &CompiledRule, language: &str| TextReview {
        rule: rule.id().clone(),
        language: language.to_owned(),
        texts: rule.text_version(language).unwrap().to_owned(),
        reviewer: "Test Reader".to_owned(),
        qualification: "reads it".to_owned(),
        by: "cli:test".to_owned(),
        at: at("2026-01-01T00:00:00Z"),
    };
    starters().iter().map(|rule| review(rule, "es")).collect()
}

/// A rule with one text for everything, from the lines that a test is about.
pub fn written(toml: &str) -> CompiledRule {
    let defaults = [
        ("title", "\"Test\""),
        ("purpose", "\"treatment\""),
        ("resource", "\"Appointment\""),
        ("condition", "\"status = 'booked'\""),
    ];
    let mut lines = String::new();
    for (key, value) in defaults {
        if !toml.lines().any(|line| line.starts_with(&format!("{key} "))) {
            lines += &format!("{key} = {value}\n");
        }
    }
    if !toml.contains("\nanchor ") && !toml.contains("\nschedule ") && !toml.starts_with("schedule ") {
        lines += "anchor = \"start\"\n";
    }
    if !toml.contains("channels") {
        lines += "channels = [{ channel = \"sms\", detail = \"neutral\" }]\n";
    }
    let mut source = lines + toml;
    if !source.contains("[[step]]") {
        source += "\n[[step]]\nid = \"day-before\"\nat = \"1 day before\"\nexpires = \"1 hour before\"\ntemplate = \"text\"\n";
    }
    let text = "{{ organisation_name }}: please call {{ organisation_phone }}. Reply STOP to opt out.".to_owned();
    let mut files: std::collections::BTreeMap<String, String> = [("test/rule.toml".to_owned(), source)].into();
    for language in ["en", "es"] {
        for variant in ["text", "neutral"] {
            files.insert(format!("test/{language}.sms.{variant}.txt"), text.clone());
        }
    }
    let (mut rules, problems) = load_files(&files);
    let errors: Vec<String> =
        problems.iter().filter(|it| it.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    rules.remove(0)
}

/// A grown-up in Austin, Texas, with a mobile telephone and a mailbox.
pub fn ana() -> Value {
    json!({
        "resourceType": "Patient", "id": "ana", "active": true,
        "meta": { "versionId": "7" },
        "name": [{ "use": "official", "family": "Lopez", "given": ["Ana"] }],
        "birthDate": "1980-04-02",
        "telecom": [
            { "system": "phone", "use": "mobile", "value": "+15125550101", "rank": 1 },
            { "system": "email", "value": "ana@example.org" }
        ],
        "address": [{ "use": "home", "state": "TX", "postalCode": "78701", "country": "US" }],
        "communication": [{ "language": { "coding": [{ "system": "urn:ietf:bcp:47", "code": "en-US" }] }, "preferred": true }]
    })
}

pub fn appointment(id: &str, status: &str, start: &str, created: &str, answer: &str) -> Value {
    json!({
        "resourceType": "Appointment", "id": id, "status": status,
        "meta": { "versionId": "1" },
        "serviceType": [{ "text": "Check-up" }],
        "start": start, "end": (at(start) + TimeDelta::minutes(30)).to_rfc3339(),
        "created": created,
        "participant": [
            { "actor": { "reference": "Patient/ana" }, "status": answer },
            { "actor": { "reference": "Practitioner/dr" }, "status": "accepted" },
            { "actor": { "reference": "Location/main" }, "status": "accepted" }
        ]
    })
}

/// A clinic in Austin.
pub fn facilities() -> Facilities {
    let zone = Some(chrono_tz::America::Chicago);
    Facilities {
        by_location: [("main".to_owned(), Facility { name: Some("Main Street Clinic".to_owned()), zone })].into(),
        default: Facility { name: Some("Example Clinic".to_owned()), zone },
    }
}

/// Everything that planning and deciding look at, owned.
#[derive(Clone)]
pub struct World {
    pub patient: Value,
    pub resources: Vec<Value>,
    pub covered: Option<DateTime<Utc>>,
    pub facilities: Facilities,
    pub reminders: Vec<Reminder>,
    pub enrolments: Vec<Enrolment>,
    pub clinic_defaults: Vec<ClinicDefault>,
    pub choices: Vec<PatientChoice>,
    pub opt_outs: Vec<OptOut>,
    pub consents: Vec<ConsentDirective>,
    /// Why they cannot be read, where they cannot.
    pub consents_unread: Option<&'static str>,
    pub guardians: Vec<Guardian>,
    pub dead: Vec<(Address, Channel)>,
    pub contacts: Vec<DateTime<Utc>>,
    pub reviews: Vec<TextReview>,
    pub set_zone: Option<chrono_tz::Tz>,
    pub settings: Settings,
    pub ehr_is_down: bool,
}

impl World {
    pub fn new(patient: Value, resources: Vec<Value>) -> Self {
        Self {
            patient,
            resources,
            covered: None,
            facilities: facilities(),
            reminders: vec![],
            enrolments: vec![],
            clinic_defaults: vec![],
            choices: vec![],
            opt_outs: vec![],
            consents: vec![],
            consents_unread: None,
            guardians: vec![],
            dead: vec![],
            contacts: vec![],
            reviews: read_over(),
            set_zone: None,
            settings: Settings::default(),
            ehr_is_down: false,
        }
    }

    fn with_facts<T>(&self, now: DateTime<Utc>, ask: impl FnOnce(&Patient, &Mirror<'_>, &[Appointment]) -> T) -> T {
        let patient = fhir::read::patient(&self.patient, now).value.unwrap();
        let versions: Vec<ResourceVersion> =
            self.resources.iter().map(|it| fhir::read::version_of(it).unwrap()).collect();
        let mut mirror = Mirror::default();
        for (version, value) in versions.iter().zip(&self.resources) {
            mirror.add(version, value);
        }
        let own = fhir::read::version_of(&self.patient).unwrap();
        mirror.add(&own, &self.patient);
        if let Some(at) = self.covered {
            for kind in ResourceType::ALL {
                mirror.cover(*kind, at);
            }
        }
        let is_appointment = |it: &&Value| it["resourceType"] == "Appointment";
        let appointments: Vec<Appointment> =
            self.resources.iter().filter(is_appointment).filter_map(|it| fhir::read::appointment(it).value).collect();
        ask(&patient, &mirror, &appointments)
    }

    pub fn plan(&self, rules: &[CompiledRule], now: DateTime<Utc>) -> Plan {
        self.with_facts(now, |patient, mirror, appointments| {
            plan(
                &PatientFacts {
                    patient,
                    patient_value: &self.patient,
                    mirror,
                    appointments,
                    facilities: &self.facilities,
                    existing: &self.reminders,
                    enrolments: &self.enrolments,
                    clinic_defaults: &self.clinic_defaults,
                },
                rules,
                now,
            )
        })
    }

    /// Everything that planning says does not apply, explained.
    pub fn explain(&self, rule: &CompiledRule, now: DateTime<Utc>) -> Vec<(NotApplicable, Explanation)> {
        self.with_facts(now, |patient, mirror, appointments| {
            let facts = PatientFacts {
                patient,
                patient_value: &self.patient,
                mirror,
                appointments,
                facilities: &self.facilities,
                existing: &self.reminders,
                enrolments: &self.enrolments,
                clinic_defaults: &self.clinic_defaults,
            };
            let plan = plan(&facts, std::slice::from_ref(rule), now);
            plan.not_applicable
                .into_iter()
                .map(|absent| {
                    let explanation = explain(&facts, rule, &absent, now);
                    (absent, explanation)
                })
                .collect()
        })
    }

    /// Plans and applies the changes, as the store would.
    pub fn replan(&mut self, rules: &[CompiledRule], now: DateTime<Utc>) -> (Plan, Changes) {
        let plan = self.plan(rules, now);
        let changes = reconcile(&self.reminders, &plan);
        self.apply(&changes, now);
        (plan, changes)
    }

    pub fn apply(&mut self, changes: &Changes, now: DateTime<Utc>) {
        for (id, reason) in &changes.cancel {
            let reminder = self.reminder(*id);
            (reminder.state, reminder.reason, reminder.updated_at) = (reason.ends_as(), Some(*reason), now);
        }
        for update in &changes.update {
            let reminder = self.reminder(update.id);
            reminder.plan = update.plan.clone();
            reminder.next_at = update.next_at;
            reminder.updated_at = now;
            if update.reopen {
                (reminder.state, reminder.reason) = (ReminderState::Planned, None);
            }
        }
        for planned in &changes.insert {
            let id = ReminderId(uuid::Uuid::from_u128(self.reminders.len() as u128 + 1));
            self.reminders.push(Reminder {
                id,
                ehr: EhrId::new("main"),
                patient: PatientId::new("ana"),
                plan: planned.clone(),
                state: ReminderState::Planned,
                reason: None,
                next_at: planned.due_at,
                updated_at: now,
            });
        }
    }

    pub fn reminder(&mut self, id: ReminderId) -> &mut Reminder {
        self.reminders.iter_mut().find(|it| it.id == id).unwrap()
    }

    pub fn decide(&self, reminder: &Reminder, rule: Option<&CompiledRule>, now: DateTime<Utc>) -> Decision {
        self.with_facts(now, |patient, mirror, appointments| {
            let patient_version = fhir::read::version_of(&self.patient).unwrap();
            let key = &reminder.plan.occasion.resource;
            let known = || self.resources.iter().chain([&self.patient]);
            let found = known().find(|it| fhir::read::version_of(it).unwrap().key == *key);
            let version = found.map(|it| fhir::read::version_of(it).unwrap());
            let record = found.zip(version.as_ref()).map(|(value, version)| ResourceRecord {
                version,
                value,
                appointment: appointments.iter().find(|it| it.version.key == *key),
            });
            let patient = PatientRecord { version: &patient_version, patient, value: &self.patient };
            let facts = DecideFacts {
                patient: if self.ehr_is_down {
                    Reading::Unreadable { mirrored: Some(patient) }
                } else {
                    Reading::Fresh(patient)
                },
                resource: match record {
                    Some(record) if self.ehr_is_down => Reading::Unreadable { mirrored: Some(record) },
                    Some(record) => Reading::Fresh(record),
                    None => Reading::Gone,
                },
                mirror,
                facilities: &self.facilities,
                set_zone: self.set_zone,
                enrolment: self.enrolments.iter().find(|it| it.rule == reminder.plan.rule),
                clinic_defaults: &self.clinic_defaults,
                choices: &self.choices,
                opt_outs: &self.opt_outs,
                consents: match self.consents_unread {
                    Some(why) => Consents::Unreadable { why, mirrored: &self.consents },
                    None => Consents::Fresh(&self.consents),
                },
                guardians: &self.guardians,
                dead_addresses: &self.dead,
                contacts: &self.contacts,
                reviews: &self.reviews,
                settings: &self.settings,
            };
            decide(DecisionId(uuid::Uuid::nil()), reminder, rule, &facts, now)
        })
    }

    pub fn render(&self, rule: &CompiledRule, release: &Release, resource: &str, now: DateTime<Utc>) -> MessageBody {
        self.with_facts(now, |patient, _, appointments| {
            let appointment = appointments.iter().find(|it| it.version.key.id == resource);
            let organisation = Organisation { name: "Example Clinic".to_owned(), phone: "512-555-0199".to_owned() };
            let facility = self.facilities.of(appointment);
            let facts = RenderFacts {
                organisation: &organisation,
                patient,
                appointment,
                facility: &facility,
                others: &[],
                link: None,
                now,
            };
            render(rule, release, &facts).unwrap()
        })
    }
}

/// `step due_at` of what was planned, in order.
pub fn steps(plan: &Plan) -> Vec<String> {
    plan.reminders.iter().map(|it| format!("{} {}", it.step, it.due_at.format("%m-%dT%H:%M"))).collect()
}

/// `step: reason` of what was not.
pub fn reasons(plan: &Plan) -> Vec<String> {
    let step = |it: &NotApplicable| it.step.as_ref().map_or("all".to_owned(), ToString::to_string);
    plan.not_applicable.iter().map(|it| format!("{}: {}", step(it), it.reason.as_str())).collect()
}
