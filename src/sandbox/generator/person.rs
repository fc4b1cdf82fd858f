//! One Patient resource, with what is awkward about the person.

use chrono::{Datelike, Days, NaiveDate};
use serde_json::{Value, json};

use super::dice::Dice;
use super::kinds::{AwkwardKind as K, kind_of};
use super::{names, places};

pub const MRN_SYSTEM: &str = "http://hospital.example/mrn";

/// What the rest of the chart needs to know of the person.
pub struct Person {
    pub id: String,
    pub resource: Value,
    pub family: String,
    pub female: bool,
    pub born: NaiveDate,
    pub age: i32,
    /// The number that texts may reach, when there is one.
    pub mobile: Option<String>,
}

pub fn id(index: u32) -> String {
    format!("p{:07}", index + 1)
}

/// Whether the next patient is her child, with her mobile.
fn is_mother(index: u32) -> bool {
    kind_of(index + 1) == Some(K::SharedMobile)
}

fn born(dice: &mut Dice, index: u32, today: NaiveDate, kind: Option<K>) -> NaiveDate {
    let years = match kind {
        Some(K::Minor | K::SharedMobile) => dice.between(2, 11),
        Some(K::Adolescent) => dice.between(14, 16),
        Some(K::ConditionWithoutStatus | K::ConditionResolved | K::ConditionRefuted) => dice.between(40, 75),
        None if is_mother(index) => dice.between(27, 41),
        // Children come in through their own kinds alone, so that each has a guardian on record.
        _ => match dice.below(100) {
            0..20 => dice.between(19, 34),
            20..55 => dice.between(35, 59),
            55..92 => dice.between(60, 84),
            _ => dice.between(85, 99),
        },
    };
    let days = years * 365 + years / 4 + dice.between(5, 350);
    today.checked_sub_days(Days::new(days.unsigned_abs())).unwrap_or(today)
}

fn languages(dice: &mut Dice, spoken: &str, kind: Option<K>) -> Option<Value> {
    let one = |code: &str, display: &str, preferred: Option<bool>| {
        let mut entry = json!({"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code, "display": display}], "text": display}});
        if let Some(preferred) = preferred {
            entry["preferred"] = Value::Bool(preferred);
        }
        entry
    };
    let display = |code: &str| match code {
        "es" => "Spanish",
        "zh" => "Chinese",
        "vi" => "Vietnamese",
        "ru" => "Russian",
        _ => "English",
    };
    match kind {
        Some(K::NoLanguage) => None,
        Some(K::TwoLanguages) => Some(json!([one("en", "English", Some(false)), one("es", "Spanish", Some(true))])),
        _ => {
            // Most who could be spoken to in another language wish so; the rest are at home in English.
            let code = if spoken != "en" && dice.chance(70) { spoken } else { "en" };
            let code = if code == "en" && dice.chance(10) { "en-US" } else { code };
            Some(json!([one(code, display(code), dice.chance(60).then_some(true))]))
        }
    }
}

fn telecom(
    dice: &mut Dice,
    index: u32,
    given: &str,
    family: &str,
    kind: Option<K>,
    today: NaiveDate,
) -> (Value, Option<String>) {
    let own = places::mobile(index);
    let mobile = match kind {
        // The mother is the patient before.
        Some(K::SharedMobile) => places::mobile(index - 1),
        Some(K::UnreachableMobile) => places::with_ending(index, 66),
        Some(K::InvalidPhone) => "617-CALL-ME".to_owned(),
        _ => own,
    };
    let local = format!("{}.{}.{}", names::ascii(given), names::ascii(family), index + 1);
    let mail = match kind {
        Some(K::BouncingEmail) => format!("bounce.{local}@example.org"),
        _ => format!("{local}@{}", dice.pick(&["example.org", "example.com", "example.net"])),
    };
    let home = json!({"system": "phone", "value": places::with_ending(index, 60 + index % 5), "use": "home"});
    let mut phone = json!({"system": "phone", "value": mobile, "use": "mobile"});
    let written = dice.below(10);
    if written < 2 && kind.is_none() {
        // The same number as people write it.
        phone["value"] = Value::String(format!("({}) {}-{}", &mobile[2..5], &mobile[5..8], &mobile[8..12]));
    }
    match kind {
        Some(K::NoTelecom | K::Minor) => (Value::Null, None),
        Some(K::HomePhoneOnly) => (json!([home]), None),
        Some(K::UnusableZone) => (json!([{"system": "email", "value": mail, "use": "home"}]), None),
        Some(K::ExpiredTelecom) => {
            let ended = today.checked_sub_days(Days::new(400)).unwrap_or(today);
            phone["period"] = json!({"start": "2015-01-01", "end": ended.to_string()});
            (json!([phone]), None)
        }
        Some(K::OldTelecom) => {
            phone["use"] = json!("old");
            (json!([phone]), None)
        }
        Some(K::InvalidPhone) => (json!([phone]), None),
        Some(K::BouncingEmail) => (json!([{"system": "email", "value": mail, "use": "home"}]), None),
        Some(K::UnreachableMobile | K::SharedMobile) => (json!([phone]), Some(mobile)),
        _ => {
            let mut points = Vec::new();
            let has_mobile = dice.chance(88) || kind.is_some() || is_mother(index);
            if has_mobile {
                if dice.chance(40) {
                    phone["rank"] = json!(1);
                }
                points.push(phone);
            }
            if !has_mobile || dice.chance(70) {
                points.push(json!({"system": "email", "value": mail, "use": "home", "rank": 2}));
            }
            if dice.chance(35) {
                points.push(home);
            }
            if dice.chance(8) {
                points.push(json!({"system": "phone", "value": places::with_ending(index, 64), "use": "work", "period": {"start": "2011-05-01", "end": "2016"}}));
            }
            (Value::Array(points), has_mobile.then_some(mobile))
        }
    }
}

fn without(resource: &mut Value, field: &str) {
    if let Some(fields) = resource.as_object_mut() {
        fields.shift_remove(field);
    }
}

/// The person of the given number.
pub fn person(seed: u64, index: u32, today: NaiveDate, kind: Option<K>) -> Person {
    let dice = &mut Dice::new(seed, u64::from(index), "person");
    let place = places::of(index);
    let culture = names::culture(dice);
    let female = dice.chance(53) || is_mother(index);
    let given = (*dice.pick(if female { culture.female } else { culture.male })).to_owned();
    // A child of the patient before bears her name.
    let family = match kind {
        Some(K::SharedMobile) if index > 0 => person(seed, index - 1, today, None).family,
        _ => (*dice.pick(culture.family)).to_owned(),
    };
    let born = born(dice, index, today, kind);
    let mut age = today.year() - born.year();
    if (today.month(), today.day()) < (born.month(), born.day()) {
        age -= 1;
    }
    let (telecom, mobile) = telecom(dice, index, &given, &family, kind, today);

    let mut name = vec![
        json!({"use": "official", "family": family, "given": given.split(' ').collect::<Vec<_>>(), "text": format!("{given} {family}")}),
    ];
    if dice.chance(8) {
        name.push(json!({"use": "usual", "text": given, "given": [given]}));
    }
    if female && dice.chance(12) {
        name.push(json!({"use": "maiden", "family": dice.pick(culture.family), "given": [given]}));
    }
    let mut resource = json!({
        "resourceType": "Patient",
        "id": id(index),
        "identifier": [{
            "use": "usual",
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR", "display": "Medical record number"}]},
            "system": MRN_SYSTEM,
            "value": format!("MRN{:08}", u64::from(index) * 7 + 10_000_019)
        }],
        "active": kind != Some(K::Inactive),
        "name": name,
        "telecom": telecom,
        "gender": if dice.chance(1) { "other" } else if female { "female" } else { "male" },
        "birthDate": born.to_string(),
        "address": [{"use": "home", "line": [places::street(dice.below(9000))], "city": place.city, "state": place.state,
                     "postalCode": format!("{}{:02}", place.zip, 1 + dice.below(90)), "country": "US"}],
        "managingOrganization": {"reference": "Organization/org-main"}
    });
    let spoken = languages(dice, culture.language, kind);
    if let Some(spoken) = spoken {
        resource["communication"] = spoken;
    }
    if resource["telecom"].is_null() {
        without(&mut resource, "telecom");
    }
    match kind {
        Some(K::DeceasedBoolean) => resource["deceasedBoolean"] = json!(true),
        Some(K::DeceasedDateTime) => {
            let day = today.checked_sub_days(Days::new(40)).unwrap_or(today);
            resource["deceasedDateTime"] = json!(format!("{day}T04:10:00-05:00"));
        }
        Some(K::DeceasedFalse) => resource["deceasedBoolean"] = json!(false),
        Some(K::Merged) => {
            resource["link"] =
                json!([{"other": {"reference": format!("Patient/{}", id(index - 1))}, "type": "replaced-by"}]);
        }
        Some(K::UnusableZone) => without(&mut resource, "address"),
        Some(K::PartialBirthDate) => {
            let text = born.to_string();
            resource["birthDate"] = json!(if index % 1000 < 500 { &text[..4] } else { &text[..7] });
        }
        Some(K::NoBirthDate) => without(&mut resource, "birthDate"),
        Some(K::BirthDateExtension) => {
            resource["_birthDate"] = json!({"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                                                           "valueDateTime": format!("{born}T14:35:45-05:00")}]});
        }
        Some(K::UnknownExtension) => {
            resource["extension"] = json!([{"url": "http://nobody.example/fhir/StructureDefinition/favourite-season", "valueString": "spring"}]);
            resource["shoeSize"] = json!(43);
        }
        Some(K::WrongTypeField) => resource["telecom"] = resource["telecom"][0].clone(),
        _ => {}
    }
    Person { id: id(index), resource, family, female, born, age, mobile }
}
