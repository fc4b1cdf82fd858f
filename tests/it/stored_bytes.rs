//! What lies on the disk: the SQLite file with its log, and a dump of PostgreSQL, hold no name, number, address, birth
//! date, record number or word of a message in the clear (I7).

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use beckon::domain::{
    Actor, Address, EmailAddress, EnrolmentState, OptOut, OptOutId, OptOutScope, PatientId, Phi, Role, RuleId,
};
use beckon::store::EventFilter;
use serde_json::{Value, json};

use crate::support::gateway::PASSWORD;
use crate::support::live::Live;
use crate::support::{TestStore, each_database};

const REPLY: &str = "My neighbour Zerelda Quackenbush will drive me to the visit";
const WORDS: &str = "please write to my daughter Philomena instead";

/// Bytes of everything that the database keeps.
fn stored(t: &TestStore) -> Vec<u8> {
    if let Some(path) = t.url.strip_prefix("sqlite://") {
        let mut bytes = std::fs::read(path).unwrap();
        // The log holds what is not in the file yet.
        bytes.extend(std::fs::read(format!("{path}-wal")).unwrap_or_default());
        return bytes;
    }
    let dump = std::process::Command::new("pg_dump").arg(&t.url).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    dump.stdout
}

/// What must not be found, in the forms in which it might lie there.
struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Shorter ones would be found by chance in sealed bytes.
    const SHORTEST: usize = 5;

    fn add(&mut self, text: &str) {
        let text = text.trim();
        if text.chars().count() < Self::SHORTEST {
            return;
        }
        self.0.extend([text.to_owned(), text.to_lowercase(), text.to_uppercase()]);
        let json = json!(text).to_string();
        self.0.insert(json.trim_matches('"').to_owned());
    }

    fn add_phone(&mut self, text: &str) {
        self.add(text);
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if digits.len() < 10 {
            return;
        }
        let national = &digits[digits.len() - 10..];
        let (area, exchange, line) = (&national[..3], &national[3..6], &national[6..]);
        for form in [
            national.to_owned(),
            format!("+1{national}"),
            format!("({area}) {exchange}-{line}"),
            format!("{area}-{exchange}-{line}"),
            format!("{area}.{exchange}.{line}"),
            format!("{exchange}-{line}"),
        ] {
            self.add(&form);
        }
    }

    fn add_patient(&mut self, patient: &Value) {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)).collect()
        };
        for name in patient["name"].as_array().into_iter().flatten() {
            for text in [&name["family"], &name["text"]].into_iter().filter_map(Value::as_str) {
                self.add(text);
            }
            for given in &texts(&name["given"]) {
                self.add(given);
            }
        }
        let telecom = match &patient["telecom"] {
            Value::Array(points) => points.clone(),
            one => vec![one.clone()],
        };
        for point in &telecom {
            let Some(value) = point["value"].as_str() else { continue };
            if point["system"] == "email" { self.add(value) } else { self.add_phone(value) }
        }
        for address in patient["address"].as_array().into_iter().flatten() {
            for line in &texts(&address["line"]) {
                self.add(line);
            }
        }
        for identifier in patient["identifier"].as_array().into_iter().flatten() {
            self.add(identifier["value"].as_str().unwrap_or_default());
        }
        // Newborns' birth dates are dates on which much else happens.
        if let Some(born) = patient["birthDate"].as_str().filter(|born| *born < "2025") {
            self.add(born);
        }
    }

    /// The lines of a text that say more than its template does.
    fn add_message(&mut self, text: &str, templates: &str) {
        let lines = text.lines().map(str::trim).filter(|line| line.chars().count() >= 15);
        for line in lines.filter(|line| !templates.contains(line)) {
            self.add(line);
            // Its middle, should its ends be cut or wrapped.
            let middle: String = line.chars().skip(line.chars().count() / 3).take(24).collect();
            if !templates.contains(middle.trim()) {
                self.add(&middle);
            }
        }
    }

    fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        let plain: Vec<&String> = self.0.iter().collect();
        // A dump shows bytes as hexadecimal digits.
        let hex = plain.iter().map(|text| beckon::clock::hexadecimal(text.as_bytes()));
        let patterns: Vec<String> = plain.iter().map(|text| (*text).clone()).chain(hex).collect();
        let found: BTreeSet<usize> = AhoCorasick::new(&patterns)
            .unwrap()
            .find_overlapping_iter(bytes)
            .map(|hit| hit.pattern().as_usize())
            .collect();
        found.into_iter().map(|at| plain[at % plain.len()].clone()).collect()
    }
}

fn templates() -> String {
    let mut all = String::new();
    for rule in std::fs::read_dir("rules").unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(rule).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            all.push_str(&std::fs::read_to_string(file).unwrap());
        }
    }
    all
}

/// Staff act on patients, and patients answer.
async fn live_a_little(live: &Live) -> String {
    live.book();
    live.pass(8).await;
    let texts = live.hospital.texts();
    let to = texts.iter().find(|text| text.direction == "outbound-api").unwrap().to.clone();
    assert_eq!(live.hospital.reply_as(&to, live.hospital.sender_number(), REPLY).await.unwrap() / 100, 2);
    let patient = PatientId::new(live.hospital.resources("Patient")[3]["id"].as_str().unwrap());
    let by = Actor::Staff("ada".to_owned());
    let entropy = live.t.store.entropy().clone();
    let account =
        beckon::web::auth::new_account("ada", "Ada, front desk", &[Role::Clinician], PASSWORD.into(), &entropy);
    let account = account.await.unwrap();
    let mut tx = live.t.store.write(&live.t.tenant).await.unwrap();
    tx.add_staff(Actor::Cli("test".to_owned()), account).await.unwrap();
    let opt_out = OptOut {
        id: OptOutId(live.t.store.new_id()),
        scope: OptOutScope::All,
        address: Some(Address::Email(EmailAddress::parse("philomena@family.example").unwrap())),
        patient: Some(patient.clone()),
        source: "staff".to_owned(),
        words: Some(Phi::new(WORDS.to_owned())),
        at: tx.now(),
        revoked_at: None,
    };
    tx.add_opt_out(Some(&live.ehr), &opt_out, &by).await.unwrap();
    let rule = RuleId::new("diabetes-check-up");
    tx.set_enrolment(&live.ehr, &patient, &rule, EnrolmentState::Off, &by).await.unwrap();
    tx.commit().await.unwrap();
    live.pass(4).await;
    to
}

#[tokio::test]
async fn nothing_of_a_patient_lies_in_the_stored_bytes() {
    each_database(async |t| {
        let live = Live::open(t, 40, "").await;
        let answered = live_a_little(&live).await;
        let (texts, mails) = (live.hospital.texts(), live.hospital.mails());
        let ours = texts.iter().filter(|text| text.direction == "outbound-api").count();
        assert!(ours > 5 && mails.len() > 5, "{ours} texts and {} mails prove little", mails.len());

        let mut secrets = Secrets(BTreeSet::new());
        let patients = live.hospital.resources("Patient");
        for patient in &patients {
            secrets.add_patient(patient);
        }
        secrets.add_phone(&answered);
        let templates = templates();
        for text in texts.iter().filter(|text| text.direction != "outbound-reply") {
            secrets.add_message(&text.body, &templates);
        }
        for mail in &mails {
            secrets.add_message(mail.text.as_deref().unwrap_or_default(), &templates);
            secrets.add_message(mail.html.as_deref().unwrap_or_default(), &templates);
        }
        for words in [REPLY, WORDS, "Zerelda", "philomena@family.example"] {
            secrets.add(words);
        }
        assert!(secrets.0.len() > 1000, "only {} forms are looked for", secrets.0.len());
        let hex = beckon::clock::hexadecimal(REPLY.as_bytes());
        for shown in [format!("… {REPLY} …"), format!("\\x00{hex}00")] {
            assert!(!secrets.found_in(shown.as_bytes()).is_empty(), "the search itself works");
        }
        assert_eq!(secrets.found_in(&stored(&live.t)), Vec::<String>::new());

        // The same bytes do hold all of it, sealed: the reply can be read with the key.
        let filter = EventFilter { limit: 10_000, ..EventFilter::default() };
        let events = live.t.store.view(&live.t.tenant).events(&filter).await.unwrap();
        assert!(events.len() > 200);
        live.stop().await;
    })
    .await;
}
