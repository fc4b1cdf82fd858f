//! What is planned and ordered: care plans, medication requests, service requests, and who stands beside the old.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::dice::Dice;
use super::person::Person;
use super::sites;

const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
const SNOMED: &str = "http://snomed.info/sct";
const LOINC: &str = "http://loinc.org";

struct Orders<'a> {
    person: &'a Person,
    today: NaiveDate,
    doctor: String,
    out: Vec<Value>,
}

fn concept(system: &str, code: &str, text: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": text}], "text": text})
}

impl Orders<'_> {
    fn id(&self, short: &str) -> String {
        format!("{}-{short}{}", self.person.id, self.out.len() + 1)
    }

    fn patient(&self) -> Value {
        json!({"reference": format!("Patient/{}", self.person.id)})
    }

    fn ago(&self, days: i64) -> NaiveDate {
        self.today.checked_sub_days(Days::new(days.unsigned_abs())).unwrap_or(self.today)
    }

    fn care_plan(&mut self, about: &Value, dice: &mut Dice) {
        let mut plan = json!({
            "resourceType": "CarePlan", "id": self.id("cp"), "status": "active", "intent": "plan",
            "category": [concept(SNOMED, "698360004", "Diabetes self management plan")],
            "subject": self.patient(), "period": {"start": self.ago(dice.between(30, 500)).to_string()},
            "addresses": [{"reference": format!("Condition/{}", about["id"].as_str().unwrap_or_default())}],
            "activity": [{"detail": {"kind": "ServiceRequest", "code": concept(LOINC, "4548-4", "HbA1c"), "status": "scheduled",
                                     "doNotPerform": false}}]
        });
        if dice.chance(15) {
            plan["status"] = json!("completed");
        }
        self.out.push(plan);
    }

    fn medication(&mut self, code: &str, text: &str, dice: &mut Dice) {
        let days = if dice.chance(60) { 90 } else { 30 };
        // Some ran out, as they do.
        let authored = self.ago(dice.between(1, days + 25));
        let end = authored + Days::new(days.unsigned_abs());
        self.out.push(json!({
            "resourceType": "MedicationRequest", "id": self.id("m"), "status": if dice.chance(8) { "stopped" } else { "active" },
            "intent": "order", "medicationCodeableConcept": concept(RXNORM, code, text), "subject": self.patient(),
            "authoredOn": authored.to_string(), "requester": {"reference": format!("Practitioner/{}", self.doctor)},
            "dispenseRequest": {"numberOfRepeatsAllowed": dice.below(4),
                "validityPeriod": {"start": authored.to_string(), "end": end.to_string()},
                "expectedSupplyDuration": {"value": days, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}}
        }));
    }

    fn service(&mut self, system: &str, code: &str, text: &str, dice: &mut Dice) {
        let authored = self.ago(dice.between(2, 150));
        let mut order = json!({
            "resourceType": "ServiceRequest", "id": self.id("s"), "status": "active", "intent": "order",
            "code": concept(system, code, text), "subject": self.patient(), "authoredOn": authored.to_string(),
            "occurrencePeriod": {"start": authored.to_string(), "end": (authored + Days::new(60)).to_string()},
            "requester": {"reference": format!("Practitioner/{}", self.doctor)}
        });
        match dice.below(12) {
            0 => order["status"] = json!("revoked"),
            1 => order["status"] = json!("completed"),
            // An order not to do it: never to be reminded of.
            2 => order["doNotPerform"] = json!(true),
            _ => {}
        }
        self.out.push(order);
    }

    fn relative(&mut self, dice: &mut Dice) {
        let (code, display) = *dice.pick(&[("SPS", "spouse"), ("CHILD", "child"), ("NBOR", "neighbor")]);
        self.out.push(json!({
            "resourceType": "RelatedPerson", "id": self.id("g"), "active": true, "patient": self.patient(),
            "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": code, "display": display}]}],
            "name": [{"use": "official", "family": self.person.family, "given": ["Robin"]}]
        }));
    }
}

/// The orders of one person, given what the chart says of the past.
pub fn orders(seed: u64, index: u32, today: NaiveDate, person: &Person, past: &[Value]) -> Vec<Value> {
    let dice = &mut Dice::new(seed, u64::from(index), "orders");
    let mut orders = Orders { person, today, doctor: sites::practitioner(index), out: Vec::new() };
    let with = |codes: &[&str]| {
        past.iter().find(|it| {
            let written = it["code"].to_string();
            it["resourceType"] == "Condition" && codes.iter().any(|code| written.contains(&format!("\"{code}\"")))
        })
    };
    if let Some(diabetes) = with(&["44054006", "E11.9"]) {
        orders.care_plan(diabetes, dice);
        orders.medication("860975", "Metformin hydrochloride 500 MG Extended Release Oral Tablet", dice);
        if dice.chance(40) {
            orders.service(LOINC, "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", dice);
        }
    }
    if with(&["38341003", "I10"]).is_some() {
        orders.medication("314076", "Lisinopril 10 MG Oral Tablet", dice);
    }
    if with(&["13644009", "E78.00"]).is_some() && dice.chance(80) {
        orders.medication("617312", "Atorvastatin 20 MG Oral Tablet", dice);
    }
    if person.age >= 50 && dice.chance(12) {
        orders.service(SNOMED, "73761001", "Colonoscopy", dice);
    }
    if person.female && person.age >= 40 && dice.chance(12) {
        orders.service(SNOMED, "71651007", "Mammography", dice);
    }
    if person.age >= 75 && dice.chance(30) {
        orders.relative(dice);
    }
    orders.out
}
