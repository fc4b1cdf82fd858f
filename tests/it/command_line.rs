//! The commands as an operator types them, on a real database.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use beckon::domain::{EnrolmentState, PatientId};
use chrono::{DateTime, Utc};

use crate::support::clinic::Clinic;
use crate::support::{ROOT_KEY, TestStore, each_database};

/// A machine with settings that lead to the clinic's database.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn of(t: &TestStore) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:8080\"\n[database]\nurl = \"{}\"\n\
             [seal]\nroot_key = \"{ROOT_KEY}\"\n[organisation]\nname = \"Test Clinic\"\nphone = \"+15125550199\"\n\
             zone = \"America/Chicago\"\n[rules]\nlive = [\"appointment-reminder\"]\n",
            t.url
        );
        std::fs::write(folder.path().join("beckon.toml"), settings).unwrap();
        Self { folder }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beckon"));
        command.args(words).arg("--config").arg(self.config()).env("USER", "olga").current_dir(self.folder.path());
        command
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("beckon.toml")
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What a command says that ends well, and says nothing but that.
    fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let (said, aside) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{words:?}: {aside}");
        assert_eq!(aside, "", "{words:?}");
        said
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_switched_for_a_patient_and_the_days_are_the_organisations() {
    each_database(async |t| {
        let clinic = Clinic::open(&t).await;
        let desk = Desk::of(&t);
        let rule = clinic.rule.as_str();
        let stands = async || {
            let enrolments =
                t.store.view(&t.tenant).enrolments_of(&clinic.ehr, &[PatientId::new("ada-1")]).await.unwrap();
            enrolments[0].state
        };
        let said = desk.says(&["enrol", "MRN-0042", rule, "pause-until", "2099-03-20"]);
        assert_eq!(said, format!("{rule} is paused until Fri 20 Mar 2099, 00:00 CDT for main/ada-1.\n"));
        let midnight: DateTime<Utc> = "2099-03-20T05:00:00Z".parse().unwrap();
        assert_eq!(stands().await, EnrolmentState::PausedUntil(midnight));
        assert_eq!(desk.says(&["enrol", "MRN-0042", rule, "off"]), format!("{rule} is off for main/ada-1.\n"));
        assert_eq!(stands().await, EnrolmentState::Off);
        for (wrong, code) in [
            (["enrol", "MRN-0042", rule, "pause-until", "2020-01-01"], 2),
            (["enrol", "MRN-0042", rule, "pause-until", "soon"], 2),
            (["enrol", "MRN-0042", "no-such-rule", "pause-until", "2099-01-01"], 1),
            (["enrol", "nobody", rule, "pause-until", "2099-01-01"], 1),
        ] {
            assert_eq!(desk.run(&wrong).status.code(), Some(code), "{wrong:?}");
        }
        assert_eq!(stands().await, EnrolmentState::Off, "what is refused changes nothing");
        let told = desk.says(&["history", "search", "--patient", "MRN-0042", "--kind", "enrolment.changed"]);
        assert_eq!(told.matches("cli:olga").count(), 2, "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_halted_is_said_in_words() {
    let t = TestStore::sqlite().await;
    Clinic::open(&t).await;
    let desk = Desk::of(&t);
    desk.says(&["halt", "--channel", "sms", "--reason", "wrong texts"]);
    let said = desk.says(&["send-mode"]);
    assert!(
        said.contains("Send mode: live") && said.contains("Halted: everything by text message, by cli:olga"),
        "{said}"
    );
    desk.says(&["resume", "--channel", "sms"]);
    assert_eq!(desk.run(&["resume", "--channel", "sms"]).status.code(), Some(1), "there is no such halt any more");
    assert!(!desk.says(&["send-mode"]).contains("Halted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let t = TestStore::sqlite().await;
    Clinic::open(&t).await;
    let desk = Desk::of(&t);
    let command = ["history", "search", "--json"];
    let mut child = desk.command(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let aside = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), aside.as_str()), (Some(0), ""));
}
