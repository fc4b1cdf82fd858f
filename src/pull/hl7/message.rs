//! One message, read as far as it is a hint: who sent it, what happened, and by which numbers the hospital knows whom it
//! happened to. The structure is taken apart by a parser crate; what the parts mean is here (HL7 v2.3 to v2.8: MSH, PID,
//! MRG, SCH).

use hl7_parser::Message;
use hl7_parser::message::{Component, Field, Repeat, Segment, Separators};
use serde::{Deserialize, Serialize};

use super::super::numbers::Number;
use crate::domain::Phi;

/// What happened, of the events that say whom to look at anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    /// Admitted, discharged, registered, or the record changed: A01, A03, A04, A08, A31.
    Person,
    /// Two records became one: A34, A40.
    Merged,
    /// An appointment was made, moved, changed or called off, or the patient did not come: S12, S13, S14, S15, S26.
    Appointment,
}

/// Two records that became one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    pub survivor: Vec<Number>,
    pub replaced: Vec<Number>,
}

/// All that is kept of a message until it was followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    pub happened: Happened,
    /// For each person the numbers of the record.
    pub people: Vec<Vec<Number>>,
    pub merges: Vec<Merged>,
    /// SCH-1 and SCH-2: the appointment's numbers at the placer and at the filler.
    pub placer: Option<String>,
    pub filler: Option<String>,
}

/// How a message is answered and told from others. No PHI.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// MSH-3 and MSH-4.
    pub application: String,
    pub facility: String,
    /// MSH-9, such as `ADT^A08`.
    pub kind: String,
    /// MSH-10.
    pub control_id: String,
    /// MSH-11 and MSH-12.
    pub processing: String,
    pub version: String,
}

impl Envelope {
    /// Who sent it, as repetitions are told apart.
    pub fn sender(&self) -> String {
        format!("{}|{}", self.application, self.facility)
    }
}

/// A message that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub envelope: Envelope,
    /// `None` for an event that says nothing about whom to remind.
    pub hint: Option<Hint>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub envelope: Envelope,
    /// Reject (AR) what should not have been sent here; else it is an error (AE) in what was.
    pub is_rejection: bool,
    /// Of HL7 table 0357.
    pub code: u16,
    /// Where in the message, such as `MSH-10`.
    pub path: &'static str,
    /// In words, without any value.
    pub reason: &'static str,
}

/// Reads the bytes of one message.
///
/// # Errors
/// Why it is not taken, with as much of its envelope as could be read.
pub fn read(bytes: &[u8]) -> Result<Received, Box<Refusal>> {
    let text = lines_of(&text_of(bytes));
    let refuse = |envelope: &Envelope, is_rejection, code, path, reason| {
        Box::new(Refusal { envelope: envelope.clone(), is_rejection, code, path, reason })
    };
    let nothing = Envelope::default();
    if !is_sound(&text) {
        return Err(refuse(&nothing, true, 100, "MSH", "is not the head of an HL7 v2 message"));
    }
    let message = Message::parse(&text).map_err(|_| refuse(&nothing, true, 100, "MSH", "cannot be taken apart"))?;
    let Some(head) = message.segment("MSH") else {
        return Err(refuse(&nothing, true, 100, "MSH", "is missing"));
    };
    let part = |number: usize| head.field(number).map(|field| plain(first_of(field))).unwrap_or_default();
    let whole = |number: usize| head.field(number).map(|field| plain(field.raw_value())).unwrap_or_default();
    let envelope = Envelope {
        application: part(3),
        facility: part(4),
        kind: whole(9).split('^').take(2).collect::<Vec<_>>().join("^"),
        control_id: whole(10),
        processing: part(11),
        version: part(12),
    };
    if message.raw_value().len() != text.len() {
        return Err(refuse(&envelope, true, 100, "message", "has a line that is no segment"));
    }
    if envelope.control_id.is_empty() {
        return Err(refuse(
            &envelope,
            true,
            101,
            "MSH-10",
            "is missing, so that the message cannot be told from others",
        ));
    }
    if !envelope.version.is_empty() && !envelope.version.starts_with('2') {
        return Err(refuse(&envelope, true, 203, "MSH-12", "is not a version 2"));
    }
    let (message_type, event) = envelope.kind.split_once('^').unwrap_or((&envelope.kind, ""));
    let happened = match (message_type, event) {
        ("ADT", "A01" | "A03" | "A04" | "A08" | "A31") => Happened::Person,
        ("ADT", "A34" | "A40") => Happened::Merged,
        ("SIU", "S12" | "S13" | "S14" | "S15" | "S26") => Happened::Appointment,
        ("ADT" | "SIU", event) if !event.is_empty() => return Ok(Received { envelope, hint: None }),
        ("ADT" | "SIU", _) => return Err(refuse(&envelope, true, 201, "MSH-9", "names no event")),
        _ => return Err(refuse(&envelope, true, 200, "MSH-9", "is neither ADT nor SIU")),
    };
    let hint = hint_of(&message, happened);
    let nobody = hint.people.iter().all(Vec::is_empty);
    match happened {
        Happened::Merged if hint.merges.is_empty() => {
            Err(refuse(&envelope, false, 101, "MRG-1", "names no record that was merged"))
        }
        Happened::Merged if hint.merges.iter().any(|it| it.survivor.is_empty() || it.replaced.is_empty()) => {
            Err(refuse(&envelope, false, 101, "PID-3", "does not name both records of a merge"))
        }
        Happened::Person if nobody => Err(refuse(&envelope, false, 101, "PID-3", "names no record of a patient")),
        Happened::Appointment if nobody && hint.filler.is_none() && hint.placer.is_none() => {
            Err(refuse(&envelope, false, 101, "SCH-2", "names neither an appointment nor a patient"))
        }
        _ => Ok(Received { envelope, hint: Some(hint) }),
    }
}

/// UTF-8, or what older engines send: one byte a letter.
fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// One segment a line, whatever ends lines, and none that is empty. A segment that is its name alone has no fields, which
/// the parser wants to be told.
fn lines_of(text: &str) -> String {
    let lines = text.trim_start_matches('\u{feff}').split(['\r', '\n']).filter(|line| !line.trim().is_empty());
    let lines = lines.map(|line| {
        let bare = line.len() == 3 && line.chars().all(|sign| sign.is_ascii_alphanumeric()) && line != "MSH";
        if bare { format!("{line}|") } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\r")
}

/// Begins with a head whose separators are five different signs of ASCII punctuation. The parser takes more, and what it
/// makes of it is nobody's intent.
fn is_sound(text: &str) -> bool {
    let mut signs = text.bytes();
    if [signs.next(), signs.next(), signs.next()] != [Some(b'M'), Some(b'S'), Some(b'H')] {
        return false;
    }
    let separators: Vec<u8> = signs.take(5).collect();
    separators.len() == 5
        && separators.iter().all(u8::is_ascii_punctuation)
        && separators.iter().enumerate().all(|(at, sign)| !separators[..at].contains(sign))
}

fn hint_of(message: &Message<'_>, happened: Happened) -> Hint {
    let separators = &message.separators;
    let mut hint = Hint { happened, people: Vec::new(), merges: Vec::new(), placer: None, filler: None };
    for segment in message.segments() {
        match segment.name {
            "PID" => hint.people.push(numbers(segment, 3, separators)),
            "MRG" => {
                let survivor = hint.people.last().cloned().unwrap_or_default();
                hint.merges.push(Merged { survivor, replaced: numbers(segment, 1, separators) });
            }
            "SCH" => {
                let id = |number: usize| {
                    let id = segment.field(number).and_then(|field| field.component(1))?;
                    Some(decoded(id.raw_value(), separators)).filter(|id| !id.is_empty())
                };
                (hint.placer, hint.filler) = (id(1), id(2));
            }
            _ => {}
        }
    }
    hint
}

/// The record numbers of a field of CX, without those that are of something else: insurances, licences, accounts.
fn numbers(segment: &Segment<'_>, field: usize, separators: &Separators) -> Vec<Number> {
    let Some(field) = segment.field(field) else { return Vec::new() };
    field.repeats().filter_map(|repeat| number(repeat, separators)).collect()
}

fn number(repeat: &Repeat<'_>, separators: &Separators) -> Option<Number> {
    let component = |at: usize| repeat.component(at).map(|it| decoded(it.raw_value(), separators));
    let value = component(1).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty() && it != "\"\"")?;
    let of_a_record = ["", "MR", "PI", "PT", "MRN", "U"];
    if component(5).is_some_and(|kind| !of_a_record.contains(&kind.to_ascii_uppercase().as_str())) {
        return None;
    }
    let authority = repeat.component(4);
    let sub = |at: usize| part(authority?, at, separators);
    Some(Number { value: Phi::new(value), authority: sub(1), system: system(sub(2), sub(3)) })
}

fn part(component: &Component<'_>, at: usize, separators: &Separators) -> Option<String> {
    let text = component.subcomponent(at).map(|it| decoded(it.raw_value(), separators))?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A universal id as FHIR writes it.
fn system(id: Option<String>, kind: Option<String>) -> Option<String> {
    let id = id?;
    match kind.unwrap_or_default().to_ascii_uppercase().as_str() {
        "ISO" => Some(format!("urn:oid:{id}")),
        "UUID" | "GUID" => Some(format!("urn:uuid:{}", id.to_ascii_lowercase())),
        "URI" | "URL" => Some(id),
        _ => None,
    }
}

fn decoded(raw: &str, separators: &Separators) -> String {
    separators.decode(raw).to_string()
}

fn first_of<'m>(field: &Field<'m>) -> &'m str {
    field.component(1).map_or("", |component| component.raw_value())
}

/// What may stand in a column, a page and an answer: letters, digits and a few signs, not too many.
fn plain(text: &str) -> String {
    let fits =
        |sign: &char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.' | '^' | ':' | '/' | '+' | '=');
    text.chars().filter(fits).take(120).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn adt(event: &str, lines: &str) -> String {
        format!("MSH|^~\\&|EPIC|NORTH|BECKON|B|20260302120000||ADT^{event}^ADT_{event}|77|P|2.5.1\r{lines}")
    }

    #[test]
    fn a_person_is_known_by_the_numbers_of_the_record() {
        let text = adt(
            "A08",
            "EVN||20260302\rPID|1||4711^^^NORTH&2.16.840.1&ISO^MR~123-45-6789^^^SSA^SS~99^^^CLINIC^PI||Lovelace^Ada\rPV1|1|O",
        );
        let received = read(text.as_bytes()).unwrap();
        assert_eq!(received.envelope.sender(), "EPIC|NORTH");
        assert_eq!((received.envelope.control_id.as_str(), received.envelope.kind.as_str()), ("77", "ADT^A08"));
        let hint = received.hint.unwrap();
        assert_eq!(hint.happened, Happened::Person);
        let numbers: Vec<_> = hint.people[0]
            .iter()
            .map(|it| (it.value.expose().as_str(), it.authority.as_deref(), it.system.as_deref()))
            .collect();
        assert_eq!(numbers, [("4711", Some("NORTH"), Some("urn:oid:2.16.840.1")), ("99", Some("CLINIC"), None)]);
        assert!(!format!("{hint:?}").contains("4711"), "numbers of people never print");
    }

    #[test]
    fn a_merge_names_who_stays_and_who_goes() {
        for event in ["A40", "A34"] {
            let text = adt(event, "EVN|\rPID|||1^^^N^MR\rMRG|2^^^N^MR\rPID|||3^^^N^MR\rMRG|4^^^N^MR~5^^^N^MR");
            let merges = read(text.as_bytes()).unwrap().hint.unwrap().merges;
            let told: Vec<(String, usize)> =
                merges.iter().map(|it| (it.survivor[0].value.expose().clone(), it.replaced.len())).collect();
            assert_eq!(told, [("1".to_owned(), 1), ("3".to_owned(), 2)]);
        }
    }

    #[test]
    fn an_appointment_is_known_by_its_numbers_and_its_patient() {
        let text = "MSH|^~\\&|SCHED|N|||20260302||SIU^S13|9|P|2.3\nSCH|77^SCHED|A\\S\\8^FILLER\nPID|||4711\n";
        let hint = read(text.as_bytes()).unwrap().hint.unwrap();
        assert_eq!((hint.placer.as_deref(), hint.filler.as_deref()), (Some("77"), Some("A^8")));
        assert_eq!(hint.people[0][0].value.expose(), "4711");
    }

    #[test]
    fn every_event_of_the_contract_is_taken_and_others_say_nothing() {
        for event in ["A01", "A03", "A04", "A08", "A31"] {
            assert!(read(adt(event, "PID|||1").as_bytes()).unwrap().hint.is_some(), "{event}");
        }
        for event in ["S12", "S13", "S14", "S15", "S26"] {
            let text = format!("MSH|^~\\&|S|N|||20260302||SIU^{event}|9|P|2.3\rSCH||1\rPID|||1");
            assert_eq!(read(text.as_bytes()).unwrap().hint.unwrap().happened, Happened::Appointment, "{event}");
        }
        assert_eq!(read(adt("A02", "PID|||1").as_bytes()).unwrap().hint, None);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_place() {
        let cases: [(&[u8], bool, u16, &str); 11] = [
            (b"", true, 100, "MSH"),
            (b"hello", true, 100, "MSH"),
            (b"MSH", true, 100, "MSH"),
            (b"MSH|||||", true, 100, "MSH"),
            (b"MSH|^~\\&|A|B||||X|ADT^A08||P|2.5\rPID|||1", true, 101, "MSH-10"),
            (b"MSH|^~\\&|A|B||||X|ORU^R01|1|P|2.5\rPID|||1", true, 200, "MSH-9"),
            (b"MSH|^~\\&|A|B||||X|ADT|1|P|2.5\rPID|||1", true, 201, "MSH-9"),
            (b"MSH|^~\\&|A|B||||X|ADT^A08|1|P|3.0\rPID|||1", true, 203, "MSH-12"),
            (b"MSH|^~\\&|A|B||||X|ADT^A08|1|P|2.5\rPID|||^^^N^MR", false, 101, "PID-3"),
            (b"MSH|^~\\&|A|B||||X|ADT^A40|1|P|2.5\rPID|||1", false, 101, "MRG-1"),
            (b"MSH|^~\\&|A|B||||X|SIU^S12|1|P|2.5\rSCH|", false, 101, "SCH-2"),
        ];
        for (bytes, is_rejection, code, path) in cases {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let refusal = read(bytes).unwrap_err();
            assert_eq!((refusal.is_rejection, refusal.code, refusal.path), (is_rejection, code, path), "{text}");
        }
        let odd = read(b"MSH|^~\\&|A|B||||X|ADT^A08|12|P|2.5\rPID|||1\r\x01\x02garbage").unwrap_err();
        assert_eq!(
            (odd.path, odd.envelope.control_id.as_str()),
            ("message", "12"),
            "a cut message is not half believed"
        );
    }

    #[test]
    fn empty_lines_and_bare_segments_cost_nothing() {
        let text = adt("A08", "EVN\r\r\nPID|||4711\nPV1\n");
        assert_eq!(read(text.as_bytes()).unwrap().hint.unwrap().people.len(), 1);
    }

    #[test]
    fn letters_of_older_engines_are_read() {
        let mut bytes = adt("A08", "PID|||4711||M").into_bytes();
        bytes.push(0xFC);
        assert!(read(&bytes).unwrap().hint.is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_stumble(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _whatever = read(&bytes);
            let framed = [b"MSH|^~\\&|".as_slice(), &bytes].concat();
            let _whatever = read(&framed);
        }

        #[test]
        fn no_text_of_its_own_signs_makes_it_stumble(text in "(MSH[|^~\\\\&A-Z0-9\r]{0,80})") {
            let _whatever = read(text.as_bytes());
        }
    }
}
