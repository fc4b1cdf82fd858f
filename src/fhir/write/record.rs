//! The same record for an EHR that takes no Communication about outreach: a DocumentReference, or a Task that is done.
//! Both are written once, when nothing more is expected (R4 documentreference, task).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::fhir::json;

/// A document that says what a Communication says. With `xhtml` its text is strict XHTML, else plain.
pub fn as_document(communication: &Value, xhtml: bool) -> Value {
    let words = words(communication);
    let (content_type, text) = if xhtml {
        ("application/xhtml+xml; charset=utf-8", page(&words))
    } else {
        ("text/plain; charset=utf-8", words.join("\n"))
    };
    let mut document = json!({
        "resourceType": "DocumentReference",
        "identifier": communication["identifier"],
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34109-9", "display": "Note"}],
            "text": "Patient outreach"},
        "category": [{"coding": [{"system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
            "code": "clinical-note"}]}],
        "subject": communication["subject"],
        "description": format!("Patient outreach {}", outreach_id(communication)),
        "content": [{"attachment": {"contentType": content_type, "data": BASE64.encode(text),
            "title": "Patient outreach"}}],
    });
    if let Some(at) = moment(communication) {
        document["date"] = json!(at);
        document["content"][0]["attachment"]["creation"] = json!(at);
    }
    if let Some(about) = communication.get("about") {
        document["context"] = json!({ "related": about });
    }
    document
}

/// A Task that is done and says what a Communication says; it asks nobody to do anything.
pub fn as_task(communication: &Value) -> Value {
    let done = json::text(communication, "status") == Some("completed");
    let mut task = json!({
        "resourceType": "Task",
        "identifier": communication["identifier"],
        "status": if done { "completed" } else { "failed" },
        "intent": "order",
        "code": {"text": "Patient outreach"},
        "description": words(communication).join("; "),
        "for": communication["subject"],
    });
    if let Some(at) = moment(communication) {
        task["authoredOn"] = json!(at);
        task["lastModified"] = json!(at);
    }
    if let Some(about) = json::list(communication, "about").first() {
        task["focus"] = about.clone();
    }
    task
}

fn outreach_id(communication: &Value) -> &str {
    communication["identifier"][0]["value"].as_str().unwrap_or_default()
}

/// The last thing that is known to have happened.
fn moment(communication: &Value) -> Option<&str> {
    let noted = json::list(communication, "note").iter().filter_map(|note| json::text(note, "time"));
    let times = ["sent", "received"].into_iter().filter_map(|key| json::text(communication, key)).chain(noted);
    // All of one form, so that the texts order as the instants do.
    times.max()
}

/// What happened, one sentence a line.
fn words(communication: &Value) -> Vec<String> {
    let text = |value: &Value, key: &str| json::text(value, key).map(str::to_owned);
    let mut lines: Vec<String> =
        json::list(communication, "payload").iter().filter_map(|payload| text(payload, "contentString")).collect();
    lines.extend(text(communication, "status").map(|status| format!("Status: {status}")));
    lines.extend(
        communication["statusReason"]["coding"][0]["code"]
            .as_str()
            .or_else(|| communication["statusReason"]["text"].as_str())
            .map(|reason| format!("Reason: {reason}")),
    );
    lines.extend(text(communication, "sent").map(|at| format!("Sent: {at}")));
    lines.extend(text(communication, "received").map(|at| format!("Received: {at}")));
    lines.extend(json::list(communication, "note").iter().filter_map(|note| text(note, "text")));
    lines
}

fn page(lines: &[String]) -> String {
    let paragraphs: Vec<String> = lines.iter().map(|line| format!("<p>{}</p>", escape(line))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"><head><title>Patient \
         outreach</title></head><body>{}</body></html>",
        paragraphs.concat()
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn communication() -> Value {
        json!({"resourceType": "Communication", "identifier": [{"system": "https://g/fhir/sid/outreach-id", "value": "message-1"}],
            "status": "not-done", "statusReason": {"coding": [{"code": "invalid-phone-number"}]},
            "subject": {"reference": "Patient/p"}, "about": [{"reference": "Appointment/a"}],
            "sent": "2026-03-02T18:00:00Z", "payload": [{"contentString": "A <reminder> & more"}],
            "note": [{"time": "2026-03-02T19:00:00Z", "text": "Attempt 1 by twilio: failed, code 30005"}]})
    }

    fn decoded(document: &Value) -> String {
        let data = document["content"][0]["attachment"]["data"].as_str().unwrap();
        String::from_utf8(BASE64.decode(data).unwrap()).unwrap()
    }

    #[test]
    fn a_document_says_what_the_communication_says() {
        let plain = as_document(&communication(), false);
        assert_eq!(
            decoded(&plain),
            "A <reminder> & more\nStatus: not-done\nReason: invalid-phone-number\nSent: 2026-03-02T18:00:00Z\n\
             Attempt 1 by twilio: failed, code 30005"
        );
        assert_eq!(plain["date"], "2026-03-02T19:00:00Z");
        assert_eq!(plain["context"]["related"][0]["reference"], "Appointment/a");
        assert_eq!(plain["identifier"][0]["value"], "message-1");
        let page = decoded(&as_document(&communication(), true));
        assert!(page.contains("<p>A &lt;reminder&gt; &amp; more</p>"), "{page}");
    }

    #[test]
    fn a_task_is_over_when_it_is_written() {
        let task = as_task(&communication());
        assert_eq!((&task["status"], &task["for"]["reference"]), (&json!("failed"), &json!("Patient/p")));
        let mut done = communication();
        done["status"] = json!("completed");
        assert_eq!(as_task(&done)["status"], "completed");
    }
}
