//! The hospital itself: organization, locations, practitioners.

use serde_json::{Value, json};

use super::places::{MOBILE_UNIT, PLACES, Place};

const DOCTORS: [(&str, &str); 6] = [
    ("Amara", "Okafor"),
    ("Daniel", "Weiss"),
    ("Inés", "Villanueva"),
    ("Hùng", "Lê"),
    ("Margaret", "O'Donnell"),
    ("Wei", "Zhao"),
];

/// The practitioner whom a patient sees.
pub fn practitioner(index: u32) -> String {
    format!("dr{}", 1 + index as usize % DOCTORS.len())
}

fn location(place: &Place) -> Value {
    let mut location = json!({
        "resourceType": "Location", "id": place.id, "status": "active", "name": place.clinic, "mode": "instance",
        "telecom": [{"system": "phone", "value": format!("+1{}5550169", place.area_codes[0]), "use": "work"}],
        "address": {"line": [place.street], "city": place.city, "state": place.state, "postalCode": format!("{}01", place.zip), "country": "US"},
        "managingOrganization": {"reference": "Organization/org-main"}
    });
    if place.zone_stated {
        location["extension"] =
            json!([{"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": place.zone.name()}]);
    }
    location
}

/// Everything that patients' charts refer to.
pub fn sites() -> Vec<Value> {
    let mut out = vec![json!({
        "resourceType": "Organization", "id": "org-main", "active": true, "name": "Example Health",
        "telecom": [{"system": "phone", "value": "+18005550101", "use": "work"}]
    })];
    out.extend(PLACES.iter().map(location));
    out.push(json!({"resourceType": "Location", "id": MOBILE_UNIT, "status": "active", "name": "Mobile Screening Unit", "mode": "instance",
                    "managingOrganization": {"reference": "Organization/org-main"}}));
    for (number, (given, family)) in DOCTORS.iter().enumerate() {
        out.push(json!({
            "resourceType": "Practitioner", "id": format!("dr{}", number + 1), "active": true,
            "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": format!("19999999{number:02}")}],
            "name": [{"use": "official", "family": family, "given": [given], "prefix": ["Dr."], "text": format!("Dr. {given} {family}")}]
        }));
    }
    out
}
