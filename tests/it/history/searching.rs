//! Every field of a question finds what it names, page by page, and each question is itself part of the history.

use beckon::domain::{Event, EventKind, Role};
use beckon::history::question::{Question, about_patient};
use beckon::store::{EventCursor, EventFilter};
use chrono::TimeDelta;
use serde_json::Value;

use super::happen;
use crate::support::each_database;
use crate::support::gateway::{Gateway, Page};
use crate::support::house::{ADA, House, each_house};

async fn found(house: &House, question: Question) -> Vec<Event> {
    let filter = question.filter(chrono_tz::America::Chicago, "US").unwrap();
    house.view().events(&EventFilter { limit: 1000, ..filter }).await.unwrap()
}

#[tokio::test]
async fn each_field_finds_what_it_names_and_leaves_out_the_rest() {
    each_house(async |house| {
        // Ada gets a text; Bea has no phone.
        house.patient("bea", serde_json::json!([]));
        let start = house.now() + TimeDelta::days(3) + TimeDelta::hours(1);
        house.book("visit-2", "bea", start);
        house.ada_is_due_in_an_hour().await;
        house.live(TimeDelta::hours(2)).await;
        let all = found(&house, Question::default()).await;
        let message = house.messages().await.remove(0);
        let text = |it: &str| it.to_owned();
        let version = message.message.rule_version.clone().unwrap().to_string();
        let sid = message.attempts[0].provider_ref.clone().unwrap();
        let protection = message.attempts[0].protection.clone();

        let of_the_message = |events: &[Event]| {
            assert!(!events.is_empty() && events.len() < all.len());
            for it in events {
                assert_eq!(it.message, Some(message.message.id), "{it:?}");
            }
        };
        of_the_message(&found(&house, Question { address: text("(312) 555-0123"), ..Question::default() }).await);
        of_the_message(&found(&house, Question { channel: text("sms"), ..Question::default() }).await);
        of_the_message(&found(&house, Question { purpose: text("treatment"), ..Question::default() }).await);
        of_the_message(&found(&house, Question { state: text("delivered"), ..Question::default() }).await);
        of_the_message(&found(&house, Question { reference: sid, ..Question::default() }).await);
        if let Some(protection) = protection {
            of_the_message(&found(&house, Question { protection, ..Question::default() }).await);
        }
        let by_id = Question { reference: message.message.id.to_string(), ..Question::default() };
        of_the_message(&found(&house, by_id).await);
        for none in [
            Question { address: text("+13125550199"), ..Question::default() },
            Question { channel: text("email"), ..Question::default() },
            Question { purpose: text("operations"), ..Question::default() },
            Question { protection: text("ROT13"), ..Question::default() },
            Question { reference: text("SM-unknown"), ..Question::default() },
            Question { rule: text("another-rule"), ..Question::default() },
            Question { ehr: text("another-ehr"), ..Question::default() },
            Question { staff: text("nobody"), ..Question::default() },
        ] {
            assert!(found(&house, none.clone()).await.is_empty(), "{none:?}");
        }
        let unsent = found(&house, Question { reason: text("no_contact_point"), ..Question::default() }).await;
        assert!(!unsent.is_empty() && unsent.iter().all(|it| it.patient.as_ref().unwrap().as_str() == "bea"));
        let of_version = found(&house, Question { version, ..Question::default() }).await;
        assert!(of_version.iter().any(|it| it.message.is_some()) && of_version.iter().any(|it| it.message.is_none()));
        let kinds = Question { kind: text("attempt.opened attempt.settled"), ..Question::default() };
        assert_eq!(found(&house, kinds).await.len(), 2);
        let mut of_ada = Question::default().filter(chrono_tz::UTC, "US").unwrap();
        about_patient(&mut of_ada, &house.ehr, &beckon::domain::PatientId::new(ADA));
        of_ada.limit = 1000;
        let of_ada = house.view().events(&of_ada).await.unwrap();
        assert!(of_ada.len() > 5 && of_ada.iter().all(|it| it.patient.as_ref().unwrap().as_str() == ADA));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn pages_by_cursor_show_each_event_once_though_more_come_in() {
    each_database(async |t| {
        happen(&t, 130).await;
        let view = t.store.view(&t.tenant);
        let (mut seen, mut before): (Vec<Event>, Option<EventCursor>) = (Vec::new(), None);
        loop {
            let page = view.events(&EventFilter { before, limit: 20, ..EventFilter::default() }).await.unwrap();
            let Some(last) = page.last() else { break };
            let cursor = EventCursor::of(last);
            before = Some(cursor.to_string().parse().unwrap());
            assert_eq!(before, Some(cursor));
            seen.extend(page);
            happen(&t, 3).await;
        }
        assert_eq!(seen.len(), 130);
        assert!(seen.is_sorted_by(|one, two| one.at > two.at), "newest first");
    })
    .await;
}

fn hidden(page: &Page, name: &str) -> String {
    let at = format!("name=\"{name}\" value=\"");
    page.body.split(&at).nth(1).unwrap_or_default().split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_a_search_finds_is_taken_out_as_csv_ndjson_or_pdf_and_that_is_recorded() {
    each_database(async |t| {
        happen(&t, 1200).await;
        let gateway = Gateway::start(t).await;
        let mut robin = gateway.signed_in(Role::Compliance).await;
        let page = robin.get("/history").await;
        assert!(page.shows("More fields") && page.shows("Keep this question as"));
        let ask = [("who", ""), ("kind", "reply.received"), ("from", ""), ("to", "")];
        let first = robin.post("/history", &ask).await;
        assert!(first.shows("NDJSON"));
        let cursor = first.body.split("name=\"before\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let second = robin.post("/history", &[&ask[..], &[("before", cursor)]].concat()).await;
        assert!(second.status == 200 && second.shows("Earlier") && hidden(&second, "kind") == "reply.received");

        let get = async |robin: &mut crate::support::gateway::Browser, format| {
            robin.post("/history/export", &[&ask[..], &[("format", format)]].concat()).await
        };
        let csv = get(&mut robin, "csv").await;
        assert!(csv.header("content-type").starts_with("text/csv"));
        assert!(csv.header("content-disposition").contains(".csv"));
        assert_eq!(csv.body.lines().count(), 1201, "a head and every event");
        let ndjson = get(&mut robin, "ndjson").await;
        let lines: Vec<Value> = ndjson.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1200);
        assert!(lines.iter().all(|it| it["kind"] == "reply.received"));
        assert!(get(&mut robin, "pdf").await.body.starts_with("%PDF-"));
        assert_eq!(get(&mut robin, "docx").await.status, 422);

        let view = gateway.t.store.view(&gateway.t.tenant);
        let filter = EventFilter { kinds: vec![EventKind::HistoryExported], limit: 10, ..EventFilter::default() };
        let exports = view.events(&filter).await.unwrap();
        assert_eq!(exports.len(), 3);
        assert_eq!(exports[0].detail["asked"]["kind"], "reply.received");
        let wrong = robin.post("/history", &[("who", ""), ("address", "not a number"), ("from", "")]).await;
        assert!(wrong.shows("neither a phone number nor an email address"), "{}", wrong.body);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_kept_question_comes_back_for_a_colleague_and_lies_sealed() {
    each_database(async |t| {
        let gateway = Gateway::start(t).await;
        let mut robin = gateway.signed_in(Role::Compliance).await;
        robin.get("/history").await;
        let ask = [("name", "Texts to the wrong number"), ("address", "+1 312 555 0123"), ("channel", "sms")];
        let kept = robin.post("/history/questions", &ask).await;
        assert_eq!(kept.status, 303, "{}", kept.body);
        let mut kim = gateway.signed_in(Role::Compliance).await;
        assert!(kim.get("/history").await.shows("Texts to the wrong number"));
        let filled = kim.get(kept.leads_to()).await;
        assert!(filled.shows("+1 312 555 0123") && filled.shows("<details open>"), "{}", filled.body);
        let id = kept.leads_to().split('=').nth(1).unwrap().to_owned();
        assert_eq!(kim.post(&format!("/history/questions/{id}/remove"), &[]).await.status, 303);
        assert!(!kim.get("/history").await.shows("Texts to the wrong number"));
        assert_eq!(kim.get(kept.leads_to()).await.status, 404);
        let nameless = robin.post("/history/questions", &[("name", " ")]).await;
        assert_eq!(nameless.status, 422);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_compliance_officer_downloads_a_packet_and_reads_the_checkpoints() {
    each_database(async |t| {
        let clinic = crate::support::clinic::Clinic::open(&t).await;
        let gateway = Gateway::start(t).await;
        let mut robin = gateway.signed_in(Role::Compliance).await;
        assert!(robin.get("/history/checkpoints").await.shows("Nobody but this gateway"));
        assert!(robin.get(&clinic.home()).await.shows("Make and download"));
        let packet = robin.post(&format!("{}/packet", clinic.home()), &[("reason", "a request")]).await;
        assert_eq!((packet.status, packet.header("content-type")), (200, "application/zip"));
        let page = robin.get("/history/checkpoints").await;
        assert!(page.shows("Public key of this log") && page.shows("/history/checkpoints/"), "{}", page.body);
        let link = page.body.split("href=\"/history/checkpoints/").nth(1).unwrap().split('"').next().unwrap();
        let note = robin.get(&format!("/history/checkpoints/{link}")).await;
        assert!(note.body.contains(&format!("/history/main\n{link}\n")), "{}", note.body);
        let mut casey = gateway.signed_in(Role::Clinician).await;
        assert!(!casey.get(&clinic.home()).await.shows("Make and download"));
        assert_eq!(casey.post(&format!("{}/packet", clinic.home()), &[]).await.status, 403);
        gateway.stop().await;
    })
    .await;
}
