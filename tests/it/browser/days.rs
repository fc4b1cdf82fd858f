//! A day of those who use the pages: a nurse, a nurse without a mouse, a compliance officer.

use beckon::domain::{AlertKind, Role};
use chrono::TimeDelta;

use super::chrome::{ENTER, TAB, with_chrome};
use crate::support::TestStore;
use crate::support::gateway::{PASSWORD, add_staff};
use crate::support::house::{ADA, House, Setup};

const PATIENT: &str = "ada Lovelace";
const RULE: &str = "Appointment reminder";

async fn house() -> House {
    let house = House::open(TestStore::sqlite().await, &Setup::default()).await;
    house.ada_is_due_in_an_hour().await;
    add_staff(&house.t, "casey", &[Role::Clinician]).await;
    add_staff(&house.t, "robin", &[Role::Compliance]).await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nurse_sees_what_is_planned_stops_it_lets_it_go_and_reads_what_was_sent() {
    let house = house().await;
    let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
    tx.raise_alert(AlertKind::ProviderDown, "twilio", "No answer for 5 minutes.").await.unwrap();
    tx.commit().await.unwrap();
    with_chrome("nurse", &house.url, async |chrome| {
        chrome.go("/patients").await;
        assert_eq!(chrome.path().await, "/sign-in");
        chrome.fits_a_phone().await;
        chrome.fill("Login", "casey").await;
        chrome.fill("Password", "wrong horse").await;
        chrome.press("Sign in").await;
        let refused = chrome.sees("That did not work").await;
        assert!(!refused.contains("Sign out"));
        chrome.fill("Login", "casey").await;
        chrome.fill("Password", PASSWORD).await;
        chrome.press("Sign in").await;
        chrome.sees("Sign out").await;
        assert_eq!(chrome.path().await, "/patients", "where she wanted to go");

        chrome.follow("Today").await;
        chrome.sees("Monday").await;
        chrome.picture("today").await;
        chrome.fits_a_phone().await;
        chrome
            .on_a_phone(async || {
                assert!(!chrome.words().await.contains("Quarantine"), "the list of pages is folded away");
                chrome.press_label("Menu").await;
                chrome.picture("menu").await;
                chrome.follow("Quarantine").await;
                chrome.sees("Nothing").await;
            })
            .await;

        chrome.follow("Worklist").await;
        chrome.sees("A provider does not work").await;
        chrome.picture("open").await;
        chrome.fits_a_phone().await;
        chrome.press("I have seen it").await;
        chrome.sees("Seen by casey").await;

        chrome.follow("Patients").await;
        chrome.fill("Name, record number", "lovelace").await;
        chrome.press("Search").await;
        chrome.sees("1980-02-03").await;
        chrome.picture("found").await;
        chrome.follow(PATIENT).await;
        let page = chrome.sees("What happened").await;
        assert!(page.contains("+13125550123") && page.contains("Planned"), "{page}");
        assert!(page.contains("three days before") && page.contains("English"), "{page}");
        chrome.picture("planned").await;
        chrome.fits_a_phone().await;

        chrome.press("Switch off").await;
        chrome.sees("Switch on").await;
        house.settle().await;
        chrome.reload().await;
        chrome.sees("Withheld").await;
        chrome.picture("off").await;
        chrome.press("Switch on").await;
        chrome.sees("Switch off").await;
        house.settle().await;
        chrome.reload().await;
        chrome.sees("Planned").await;

        // She is away for an hour, which ends her session.
        house.live(TimeDelta::minutes(70)).await;
        chrome.reload().await;
        chrome.fill("Login", "casey").await;
        chrome.fill("Password", PASSWORD).await;
        chrome.press("Sign in").await;
        chrome.sees("Delivered").await;
        chrome.picture("sent").await;
        chrome.follow_below("Messages", "2 Mar 2026").await;
        let page = chrome.sees(&house.texts()[0].body).await;
        assert!(page.contains("the text message company"), "{page}");
        chrome.picture("message").await;
        chrome.fits_a_phone().await;
        chrome.follow("Show the decision").await;
        let page = chrome.sees("It rested on").await;
        assert!(page.contains("three days before") && page.contains("text message to +13125550123"), "{page}");
        for code in ["three-days-before", "08:00:00", "T19:00"] {
            assert!(!page.contains(code), "{code} in {page}");
        }
        chrome.picture("reminder").await;
        chrome.fits_a_phone().await;
    })
    .await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nurse_without_a_mouse_finds_a_patient_and_switches_a_rule() {
    let house = house().await;
    with_chrome("keyboard", &house.url, async |chrome| {
        chrome.go("/").await;
        chrome.sees("Password").await;
        // The first field has the focus by itself.
        chrome.types(&format!("casey{TAB}")).await;
        chrome.types(&format!("{PASSWORD}{ENTER}")).await;
        chrome.sees("Sign out").await;
        chrome.tabs_to("Skip to content").await;
        chrome.tabs_to("Patients").await;
        chrome.types(ENTER).await;
        chrome.sees("Name, record number").await;
        chrome.types(&format!("lovelace{ENTER}")).await;
        chrome.sees("1980-02-03").await;
        chrome.tabs_to(PATIENT).await;
        chrome.types(ENTER).await;
        chrome.sees("What happened").await;
        chrome.tabs_to("Switch off").await;
        chrome.types(ENTER).await;
        chrome.sees("Switch on").await;
        chrome.tabs_to("Sign out").await;
        chrome.types(ENTER).await;
        chrome.sees("Password").await;
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty(), "nothing goes out");
    })
    .await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compliance_officer_searches_the_history_and_leaves_nothing_behind() {
    let house = house().await;
    with_chrome("compliance", &house.url, async |chrome| {
        for (login, to) in [("casey", format!("/patients/{}/{ADA}", house.ehr)), ("robin", "/history".to_owned())] {
            chrome.go(&to).await;
            chrome.fill("Login", login).await;
            chrome.fill("Password", PASSWORD).await;
            chrome.press("Sign in").await;
            chrome.sees("Sign out").await;
            assert_eq!(chrome.path().await, to);
            if login == "casey" {
                chrome.press("Switch off").await;
                chrome.sees("Switch on").await;
                chrome.press("Sign out").await;
                chrome.sees("Password").await;
            }
        }
        chrome.fill("Patient: name", "lovelace").await;
        chrome.choose("What happened", "Rule switched for the patient").await;
        chrome.press("Search").await;
        let found = chrome.sees("born 1980-02-03, record number none").await;
        assert_eq!(found.matches("casey").count(), 1, "{found}");
        assert!(found.contains(RULE), "{found}");
        chrome.picture("found").await;
        chrome.fits_a_phone().await;

        chrome.press("Sign out").await;
        chrome.sees("Password").await;
        chrome.back().await;
        let words = chrome.words().await;
        assert!(!words.contains("1980-02-03") && !words.contains("casey"), "the next one here sees nothing: {words}");
        chrome.go("/history").await;
        chrome.sees("Password").await;
    })
    .await;
    house.close().await;
}
