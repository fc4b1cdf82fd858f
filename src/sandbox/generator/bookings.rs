//! A person's appointments around today, and what will happen to them in the coming days.

use chrono::{DateTime, Datelike, Days, Duration, NaiveDate, NaiveTime, SecondsFormat, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::dice::Dice;
use super::kinds::AwkwardKind as K;
use super::person::Person;
use super::script::{Action, ScriptEvent};
use super::{places, sites};

const SERVICES: [(&str, &str, i64); 6] = [
    ("Office visit", "ROUTINE", 30),
    ("Follow-up visit", "FOLLOWUP", 20),
    ("Annual physical", "CHECKUP", 45),
    ("Diabetes check-up", "CHECKUP", 30),
    ("Blood draw", "ROUTINE", 15),
    ("Cardiology consultation", "ROUTINE", 40),
];

pub struct Bookings {
    pub appointments: Vec<Value>,
    /// The appointment that shows the awkward case, as `Appointment/id`.
    pub shown: Option<String>,
    pub events: Vec<ScriptEvent>,
}

struct Slot {
    start: DateTime<Tz>,
    minutes: i64,
}

/// An instant with the clinic's offset, or in UTC.
fn instant(at: DateTime<Tz>, utc: bool) -> String {
    if utc {
        at.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Secs, true)
    } else {
        at.to_rfc3339_opts(SecondsFormat::Secs, false)
    }
}

/// A working-hours slot, `days` after today (before, when negative), moved off the weekend.
fn slot(dice: &mut Dice, zone: Tz, today: NaiveDate, days: i64, minutes: i64) -> Slot {
    let mut day = today + Duration::days(days);
    while matches!(day.weekday(), Weekday::Sat | Weekday::Sun) {
        day = if days < 0 { day - Days::new(1) } else { day + Days::new(1) };
    }
    let time = NaiveTime::from_num_seconds_from_midnight_opt(8 * 3600 + 900 * dice.below(35), 0).unwrap_or_default();
    let wall = day.and_time(time);
    // Between 8 and 17 o'clock no zone of ours changes its clocks.
    let start = zone.from_local_datetime(&wall).earliest().unwrap_or_else(|| zone.from_utc_datetime(&wall));
    Slot { start, minutes }
}

struct Desk<'a> {
    person: &'a Person,
    index: u32,
    today: NaiveDate,
    zone: Tz,
    location: &'static str,
    dice: Dice,
    count: u32,
}

impl Desk<'_> {
    fn book(&mut self, status: &str, days: i64) -> Value {
        self.count += 1;
        let id = format!("{}-a{}", self.person.id, self.count);
        self.write(&id, status, days)
    }

    fn write(&mut self, id: &str, status: &str, days: i64) -> Value {
        let (service, kind, minutes) = *self.dice.pick(&SERVICES);
        let slot = slot(&mut self.dice, self.zone, self.today, days, minutes);
        // One appointment in four comes in UTC: the offset does not tell the zone.
        let utc = self.dice.chance(25);
        let end = slot.start + Duration::minutes(slot.minutes);
        let mut appointment = json!({
            "resourceType": "Appointment", "id": id, "status": status,
            "serviceType": [{"text": service}],
            "appointmentType": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0276", "code": kind}]},
            "start": instant(slot.start, utc), "end": instant(end, utc), "minutesDuration": slot.minutes,
            "created": format!("{}T15:04:00Z", self.today - Days::new(20 + u64::from(self.dice.below(60)))),
            "participant": [
                {"actor": {"reference": format!("Patient/{}", self.person.id)}, "required": "required", "status": "accepted"},
                {"actor": {"reference": format!("Practitioner/{}", sites::practitioner(self.index))}, "required": "required", "status": "accepted"},
                {"actor": {"reference": format!("Location/{}", self.location)}, "required": "required", "status": "accepted"}
            ]
        });
        if utc && self.dice.chance(50) {
            appointment["_start"] = json!({"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/tz-code", "valueCode": self.zone.name()}]});
        }
        if status == "cancelled" {
            appointment["cancelationReason"] = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": "pat"}]});
        }
        appointment
    }

    fn event(&mut self, hours: (i64, i64), action: Action) -> ScriptEvent {
        let midnight = self.today.and_time(NaiveTime::MIN).and_utc();
        // Clerks work: between 14:00 and 22:00 UTC.
        let at = midnight
            + Duration::days(self.dice.between(hours.0, hours.1))
            + Duration::minutes(self.dice.between(14 * 60, 22 * 60));
        ScriptEvent { at, patient: self.person.id.clone(), action }
    }
}

fn id_of(appointment: &Value) -> String {
    appointment["id"].as_str().unwrap_or_default().to_owned()
}

fn span(appointment: &Value) -> (String, String) {
    let text = |field: &str| appointment[field].as_str().unwrap_or_default().to_owned();
    (text("start"), text("end"))
}

/// All appointments of a person.
pub fn bookings(seed: u64, index: u32, today: NaiveDate, person: &Person, kind: Option<K>) -> Bookings {
    let place = places::of(index);
    let location = if kind == Some(K::UnusableZone) { places::MOBILE_UNIT } else { place.id };
    let dice = Dice::new(seed, u64::from(index), "bookings");
    let mut desk = Desk { person, index, today, zone: place.zone, location, dice, count: 0 };
    let mut out = Bookings { appointments: Vec::new(), shown: None, events: Vec::new() };

    for _ in 0..desk.dice.below(3) {
        let days = -desk.dice.between(2, 300);
        let status = match desk.dice.below(100) {
            0..75 => "fulfilled",
            75..90 => "noshow",
            _ => "cancelled",
        };
        out.appointments.push(desk.book(status, days));
    }
    // No-shows of the last days: a follow-up is due.
    if desk.dice.chance(6) {
        out.appointments.push(desk.book("noshow", -1));
    }
    if kind.is_some() || index.is_multiple_of(3) || desk.dice.chance(30) {
        let days = if kind.is_some() { desk.dice.between(4, 12) } else { desk.dice.between(0, 28) };
        let status = if kind.is_none() && desk.dice.chance(4) { "pending" } else { "booked" };
        let mut next = desk.book(status, days);
        let id = id_of(&next);
        if spoil(&mut next, kind) {
            out.shown = Some(format!("Appointment/{id}"));
        }
        match kind {
            Some(K::Rescheduled) => {
                let (start, end) = span(&desk.write(&id, "booked", days + 5));
                out.events.push(desk.event((0, 0), Action::Reschedule { appointment: id.clone(), start, end }));
            }
            Some(K::CancelledAndRebooked) => {
                let rebooked = desk.book("booked", days + 3);
                out.events.push(desk.event((0, 0), Action::CancelAndRebook { appointment: id.clone(), rebooked }));
            }
            Some(K::CancelledLater) => out.events.push(desk.event((0, 1), Action::Cancel { appointment: id.clone() })),
            None if days >= 3 => match desk.dice.below(100) {
                0..5 => {
                    let (start, end) = span(&desk.write(&id, "booked", days + 2));
                    out.events
                        .push(desk.event((0, days - 2), Action::Reschedule { appointment: id.clone(), start, end }));
                }
                5..9 => out.events.push(desk.event((0, days - 2), Action::Cancel { appointment: id.clone() })),
                9..12 => {
                    let rebooked = desk.book("booked", days + 4);
                    out.events
                        .push(desk.event((0, days - 2), Action::CancelAndRebook { appointment: id.clone(), rebooked }));
                }
                _ => {}
            },
            _ => {}
        }
        if matches!(kind, Some(K::Rescheduled | K::CancelledAndRebooked | K::CancelledLater)) {
            out.shown = Some(format!("Appointment/{id}"));
        }
        out.appointments.push(next);
    } else if desk.dice.chance(12) {
        let on = desk.dice.between(0, 5);
        let days = on + desk.dice.between(3, 20);
        let appointment = desk.book("booked", days);
        out.events.push(desk.event((on, on), Action::Book { appointment }));
    }
    if kind.is_none() && desk.dice.chance(15) {
        let days = desk.dice.between(14, 29);
        out.appointments.push(desk.book("booked", days));
    }
    if let (Some(number), true) = (&person.mobile, desk.dice.chance(45)) {
        let (body, wait) = match desk.dice.below(100) {
            0..70 => ("C", desk.dice.between(1, 240)),
            70..75 => ("STOP", desk.dice.between(1, 30)),
            75..82 => ("R", desk.dice.between(5, 400)),
            82..92 => ("Can I come half an hour later? The bus is slow", desk.dice.between(5, 300)),
            _ => ("Sí, gracias", desk.dice.between(5, 300)),
        };
        let action =
            Action::AnswerText { number: number.clone(), body: body.to_owned(), after: Duration::minutes(wait) };
        out.events.push(ScriptEvent {
            at: today.and_time(NaiveTime::MIN).and_utc(),
            patient: person.id.clone(),
            action,
        });
    }
    out
}

/// Makes the appointment show its awkward case; true when the case is one of an appointment as it stands.
fn spoil(appointment: &mut Value, kind: Option<K>) -> bool {
    match kind {
        Some(K::AppointmentWithoutPatient) => {
            if let Some(participants) = appointment["participant"].as_array_mut() {
                participants.remove(0);
            }
        }
        Some(K::AppointmentWithoutParticipant) => {
            if let Some(fields) = appointment.as_object_mut() {
                fields.shift_remove("participant");
            }
        }
        Some(K::AppointmentEndBeforeStart) => {
            let (start, end) = span(appointment);
            appointment["start"] = Value::String(end);
            appointment["end"] = Value::String(start);
        }
        Some(K::AppointmentStartWithoutOffset) => {
            let (start, _) = span(appointment);
            appointment["start"] = Value::String(start.chars().take(19).collect());
        }
        Some(K::AppointmentCancelled) => {
            appointment["status"] = json!("cancelled");
            appointment["cancelationReason"] = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": "prov"}]});
        }
        Some(K::AppointmentDeclined) => appointment["participant"][0]["status"] = json!("declined"),
        Some(K::AppointmentEnteredInError) => appointment["status"] = json!("entered-in-error"),
        _ => return false,
    }
    true
}
