//! A small clinic in the store: two patients, the starter rules live, one reminder released into a text that was
//! delivered and answered, one withheld, one waiting. It is made through the store as pull and outbox would.

use beckon::domain::{
    Actor, Address, Attempt, AttemptId, AttemptState, Channel, Check, CheckResult, ConsentBasis, Decision, DecisionId,
    Detail, EhrId, Fact, Message, MessageBody, MessageId, MessageOrigin, Occasion, OccasionKey, PatientId, Phi,
    PhoneNumber, PlannedReminder, Purpose, Reason, Recipient, Release, ReminderId, Reply, ReplyId, ReplyMeaning,
    ResourceKey, ResourceType, ResourceVersion, RuleId, RuleVersionId, RunId, StepId, Verdict,
};
use beckon::fhir::{hash::content_hash, read};
use beckon::rules::starter_rules;
use beckon::store::{Decided, MirrorRow, SendMode, Settlement, WriteBackSubject};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde_json::{Value, json};

use super::TestStore;

/// What the tests refer to.
pub struct Clinic {
    pub ehr: EhrId,
    pub ada: PatientId,
    pub rule: RuleId,
    /// Released into `message`; withheld for an opt-out; waiting for the morning.
    pub released: ReminderId,
    pub withheld: ReminderId,
    pub message: MessageId,
}

pub const ADA_PHONE: &str = "+15125550142";

fn ada() -> Value {
    json!({
        "resourceType": "Patient", "id": "ada-1", "active": true, "meta": {"versionId": "3"},
        "identifier": [{"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
                        "system": "http://hospital.example/mrn", "value": "MRN-0042"}],
        "name": [{"use": "official", "family": "Lovelace", "given": ["Ada", "Augusta"]}],
        "telecom": [{"system": "phone", "value": "(512) 555-0142", "use": "mobile"},
                    {"system": "email", "value": "ada@example.org"},
                    {"system": "phone", "value": "(512) 555-0143", "use": "old"}],
        "gender": "female", "birthDate": "1980-12-10",
        "address": [{"use": "home", "state": "TX", "postalCode": "78701", "country": "US"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}, "preferred": true}]
    })
}

fn ben() -> Value {
    json!({
        "resourceType": "Patient", "id": "ben-2", "active": true,
        "name": [{"family": "López-García", "given": ["Benjamín"]}],
        "telecom": [{"system": "phone", "value": "(512) 555-0150"}], "birthDate": "1999-01-01"
    })
}

impl Clinic {
    pub async fn open(t: &TestStore) -> Self {
        let (ehr, ada_id, ben_id) = (EhrId::new("main"), PatientId::new("ada-1"), PatientId::new("ben-2"));
        let now = t.store.clock().now();
        let by = Actor::system("test");
        let rules: Vec<_> = starter_rules().0.iter().map(|rule| rule.rule().clone()).collect();
        let rule = rules.iter().find(|rule| rule.id.as_str() == "appointment-reminder").unwrap().clone();

        let mut tx = t.store.write(&t.tenant).await.unwrap();
        let bodies = [(&ada_id, ada()), (&ben_id, ben())];
        let rows = bodies.iter().map(|(id, body)| mirrored(id, body.clone())).collect();
        tx.upsert_mirror(&ehr, RunId(t.store.new_id()), rows).await.unwrap();
        let patients: Vec<_> = bodies.iter().map(|(_, body)| read::patient(body, now).value.unwrap()).collect();
        tx.upsert_patients(&ehr, &patients.iter().collect::<Vec<_>>(), "US").await.unwrap();
        for rule in &rules {
            tx.add_rule_version(rule, &by).await.unwrap();
        }
        let live: Vec<_> = rules.iter().map(|rule| (rule.id.clone(), rule.version.clone())).collect();
        tx.set_live_rules(&live, &by).await.unwrap();
        tx.set_send_mode(SendMode::Live, &by).await.unwrap();

        let plan = |key: &str, due_in: i64| PlannedReminder {
            rule: rule.id.clone(),
            rule_version: rule.version.clone(),
            step: StepId::new("three-days"),
            occasion: Occasion {
                key: OccasionKey::new(key),
                resource: ResourceKey::new(ResourceType::Appointment, key),
                anchor: now + TimeDelta::days(3),
                replaces: None,
            },
            due_at: now + TimeDelta::minutes(due_in),
            expires_at: now + TimeDelta::days(2),
            priority: 5,
        };
        let planned = tx
            .insert_reminders(&ehr, &ada_id, vec![plan("apt-1", -60), plan("apt-2", -50), plan("apt-3", -40)])
            .await
            .unwrap();
        let bens = tx.insert_reminders(&ehr, &ben_id, vec![plan("apt-9", 90)]).await.unwrap();
        assert_eq!(bens.len(), 1);

        let message = MessageId(t.store.new_id());
        let phone = Address::Phone(PhoneNumber::parse(ADA_PHONE, "US").unwrap());
        let release = Release {
            recipient: Recipient::Patient(ada_id.clone()),
            channel: Channel::Sms,
            address: phone.clone(),
            template: "reminder".to_owned(),
            language: "en".to_owned(),
            detail: Detail::Limited,
            basis: ConsentBasis::NumberProvided,
            expires_at: now + TimeDelta::days(2),
        };
        let verdicts = [
            (Verdict::Release(release), Some(message)),
            (Verdict::Withhold(Reason::OptedOut), None),
            (Verdict::Wait { until: now + TimeDelta::hours(14), reason: Reason::QuietHours }, None),
        ];
        let decided: Vec<Decided> = planned
            .iter()
            .zip(verdicts)
            .map(|(reminder, (verdict, message))| Decided {
                decision: Decision {
                    id: DecisionId(t.store.new_id()),
                    reminder: reminder.id,
                    rule_version: rule.version.clone(),
                    at: now,
                    checks: checks(&verdict),
                    verdict,
                    facts: vec![Fact {
                        name: "Appointment.status".to_owned(),
                        value: "booked".to_owned(),
                        source: Some(ResourceVersion {
                            key: reminder.plan.occasion.resource.clone(),
                            version_id: Some("7".to_owned()),
                            last_updated: Some(chrono::Utc.with_ymd_and_hms(2026, 3, 1, 9, 30, 0).unwrap()),
                        }),
                    }],
                },
                reminder: reminder.clone(),
                message,
            })
            .collect();
        tx.settle_reminders(&decided).await.unwrap();

        let holder = t.store.new_id();
        let sent = Message {
            id: message,
            ehr: ehr.clone(),
            subject: ada_id.clone(),
            recipient: Recipient::Patient(ada_id.clone()),
            origin: MessageOrigin::Reminders(vec![planned[0].id]),
            rule: Some(rule.id.clone()),
            rule_version: Some(rule.version.clone()),
            purpose: Purpose::Treatment,
            channel: Channel::Sms,
            address: phone.clone(),
            language: "en".to_owned(),
            template: "reminder".to_owned(),
            detail: Detail::Limited,
            basis: ConsentBasis::NumberProvided,
            created_at: now,
            expires_at: now + TimeDelta::days(2),
            body: Some(MessageBody {
                subject: None,
                text: Phi::new("Test Clinic: your visit is Thu 5 Mar, 12:00 PM. <b>Reply C</b> to confirm.".to_owned()),
                html: None,
            }),
        };
        tx.insert_messages(&[sent], holder, TimeDelta::minutes(1)).await.unwrap();
        let attempt = AttemptId(t.store.new_id());
        tx.open_attempts(&[Attempt {
            id: attempt,
            message,
            number: 1,
            channel: Channel::Sms,
            provider: "twilio".to_owned(),
            state: AttemptState::Opened,
            provider_ref: None,
            code: None,
            protection: None,
            opened_at: now,
            settled_at: None,
        }])
        .await
        .unwrap();
        tx.settle_attempts(&[Settlement {
            attempt,
            message,
            state: AttemptState::Delivered,
            provider_ref: Some("SM00000000000000000000000000000001".to_owned()),
            code: None,
            protection: Some("TLSv1.3".to_owned()),
            next_attempt_at: None,
            closed: None,
        }])
        .await
        .unwrap();
        let reply = Reply {
            id: ReplyId(t.store.new_id()),
            channel: Channel::Sms,
            provider: "twilio".to_owned(),
            provider_ref: "SM00000000000000000000000000000002".to_owned(),
            from: phone,
            to: "+15125550199".to_owned(),
            text: Phi::new("C, see you Thursday".to_owned()),
            handled: None,
            received_at: now,
        };
        tx.add_reply(&reply).await.unwrap();
        tx.reply_processed(reply.id, ReplyMeaning::Confirm, Some((&ehr, &ada_id, message))).await.unwrap();
        tx.queue_write_backs(&[(ehr.clone(), ada_id.clone(), WriteBackSubject::Message(message))]).await.unwrap();
        tx.commit().await.unwrap();
        Self { ehr, ada: ada_id, rule: rule.id, released: planned[0].id, withheld: planned[1].id, message }
    }

    /// Plans this many further reminders for Ada from `start` on, some at the same instant.
    pub async fn plan_many(&self, t: &TestStore, start: DateTime<Utc>, count: i64) {
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        let plans = (0..count)
            .map(|n| PlannedReminder {
                rule: self.rule.clone(),
                rule_version: RuleVersionId::new("v"),
                step: StepId::new("three-days"),
                occasion: Occasion {
                    key: OccasionKey::new(format!("many-{n}")),
                    resource: ResourceKey::new(ResourceType::Appointment, format!("many-{n}")),
                    anchor: start,
                    replaces: None,
                },
                due_at: start + TimeDelta::minutes(n / 7),
                expires_at: start + TimeDelta::days(2),
                priority: 5,
            })
            .collect();
        tx.insert_reminders(&self.ehr, &self.ada, plans).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub fn home(&self) -> String {
        format!("/patients/{}/{}", self.ehr, self.ada)
    }
}

fn mirrored(id: &PatientId, body: Value) -> MirrorRow {
    MirrorRow {
        version: read::version_of(&body).unwrap(),
        patient: Some(id.clone()),
        hash: content_hash(&body),
        body,
        status: None,
        starts_at: None,
    }
}

fn checks(verdict: &Verdict) -> Vec<Check> {
    let check = |name: &str, result, words: &str| Check { name: name.to_owned(), result, words: words.to_owned() };
    let mut checks = vec![check("alive", CheckResult::Passed, "The record does not say that the patient has died.")];
    match verdict {
        Verdict::Withhold(_) => {
            checks.push(check("opt_out", CheckResult::Failed, "She wrote STOP to this number on 1 March."));
        }
        Verdict::Wait { .. } => {
            checks.push(check("quiet_hours", CheckResult::Failed, "It is 22:10 where the patient may be."));
        }
        _ => checks.push(check("consent", CheckResult::NotApplicable, "No consent record speaks of this.")),
    }
    checks
}
