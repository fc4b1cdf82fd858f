//! What no message could do is handed to people, where the rule asks for it.

use beckon::domain::{Reason, ReminderState};
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::house::{ADA, Setup, each_house_with, mobile, operator, patient};

/// The appointment reminder with one line more.
fn folder_with(line: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("appointment-reminder");
    std::fs::create_dir(&to).unwrap();
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/appointment-reminder");
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|it| it.path().is_file()) {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let text = if entry.file_name() == "rule.toml" { format!("{line}\n{text}") } else { text };
        std::fs::write(to.join(entry.file_name()), text).unwrap();
    }
    folder
}

#[tokio::test]
async fn who_reads_no_language_of_ours_is_handed_to_staff_once() {
    let folder = folder_with("escalate = [\"no_language\"]");
    let setup = Setup { rules_folder: Some(folder.path().to_owned()), ..Setup::default() };
    each_house_with(setup, async |house| {
        let mut reads_thai = patient(ADA, mobile("+15125550142"));
        reads_thai["communication"][0]["language"]["coding"][0]["code"] = json!("th");
        house.hospital.put(reads_thai).unwrap();
        let start = house.now() + TimeDelta::days(3) + TimeDelta::hours(1);
        house.book("visit", ADA, start);
        house.sync().await;
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        assert_eq!(house.stands(ADA).await, (ReminderState::Withheld, Some(Reason::NoLanguage)));
        let tasks = house.view().staff_tasks(true, None, 10).await.unwrap();
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        assert_eq!((tasks[0].reason, tasks[0].patient.as_str()), (Reason::NoLanguage, ADA));

        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        assert!(tx.finish_staff_task(tasks[0].id, &operator()).await.unwrap());
        assert!(!tx.finish_staff_task(tasks[0].id, &operator()).await.unwrap(), "it is done once");
        tx.commit().await.unwrap();
        assert!(house.view().staff_tasks(true, None, 10).await.unwrap().is_empty());
        // The second step is another reminder, and another task.
        house.live_until(start).await;
        assert_eq!(house.view().staff_tasks(false, None, 10).await.unwrap().len(), 2);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_a_fact_is_handed_to_staff_while_it_waits() {
    let folder = folder_with("escalate = [\"ehr_unreadable\"]");
    let setup = Setup { rules_folder: Some(folder.path().to_owned()), ..Setup::default() };
    each_house_with(setup, async |house| {
        house.ada_is_due_in_an_hour().await;
        let down = FaultKind::ServerError { status: 503, retry_after: None };
        house.hospital.inject(Fault::new(down).on("/fhir").always());
        house.later(TimeDelta::hours(2));
        house.turn().await;
        house.turn().await;
        house.later(TimeDelta::hours(1));
        house.turn().await;
        let tasks = house.view().staff_tasks(true, None, 10).await.unwrap();
        assert_eq!(tasks.iter().map(|it| it.reason).collect::<Vec<_>>(), [Reason::EhrUnreadable]);
        house.close().await;
    })
    .await;
}
