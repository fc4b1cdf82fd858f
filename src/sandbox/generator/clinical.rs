//! What the chart says of the past: conditions, results, procedures, encounters, immunizations.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::dice::Dice;
use super::kinds::AwkwardKind as K;
use super::person::Person;
use super::places;

const SNOMED: &str = "http://snomed.info/sct";
const ICD10: &str = "http://hl7.org/fhir/sid/icd-10-cm";
const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
const CVX: &str = "http://hl7.org/fhir/sid/cvx";

struct Disease {
    snomed: &'static str,
    icd: &'static str,
    text: &'static str,
    /// Per cent of adults under 45, from 45 to 64, and older.
    share: [u32; 3],
}

const DIABETES: Disease =
    Disease { snomed: "44054006", icd: "E11.9", text: "Type 2 diabetes mellitus", share: [5, 16, 24] };
const OPIOID: Disease = Disease { snomed: "75544000", icd: "F11.20", text: "Opioid dependence", share: [1, 1, 0] };
const PRENATAL: Disease = Disease { snomed: "77386006", icd: "Z34.90", text: "Pregnancy", share: [0, 0, 0] };
const DISEASES: [&Disease; 7] = [
    &DIABETES,
    &Disease { snomed: "38341003", icd: "I10", text: "Hypertensive disorder", share: [8, 32, 55] },
    &Disease { snomed: "195967001", icd: "J45.909", text: "Asthma", share: [9, 7, 6] },
    &Disease { snomed: "13644009", icd: "E78.00", text: "Hypercholesterolemia", share: [4, 20, 34] },
    &Disease { snomed: "370143000", icd: "F32.9", text: "Major depressive disorder", share: [9, 8, 6] },
    &Disease { snomed: "709044004", icd: "N18.9", text: "Chronic kidney disease", share: [0, 3, 11] },
    &OPIOID,
];

fn concept(system: &str, code: &str, text: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": text}], "text": text})
}

fn status(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code}]})
}

fn reference(person: &Person) -> Value {
    json!({"reference": format!("Patient/{}", person.id)})
}

/// A decimal with the digits as a laboratory prints them; JSON numbers made from floats would lose them.
fn decimal(tenths: i64) -> Value {
    serde_json::from_str(&format!("{}.{}", tenths / 10, tenths % 10)).unwrap_or(Value::Null)
}

struct Past<'a> {
    person: &'a Person,
    today: NaiveDate,
    out: Vec<Value>,
    count: u32,
}

impl Past<'_> {
    fn day(&self, ago: i64) -> NaiveDate {
        self.today.checked_sub_days(Days::new(ago.unsigned_abs())).unwrap_or(self.today).max(self.person.born)
    }

    fn id(&mut self, short: &str) -> String {
        self.count += 1;
        format!("{}-{short}{}", self.person.id, self.count)
    }

    fn condition(&mut self, disease: &Disease, ago: i64) -> usize {
        let id = self.id("c");
        let day = self.day(ago);
        let mut codings = vec![json!({"system": SNOMED, "code": disease.snomed, "display": disease.text})];
        // Some sites know only one of the two systems, one sends ICD-10-CM as an OID.
        match ago % 5 {
            0 => {}
            1 => {
                codings = vec![
                    json!({"system": "urn:oid:2.16.840.1.113883.6.90", "code": disease.icd, "display": disease.text}),
                ];
            }
            _ => codings.push(json!({"system": ICD10, "code": disease.icd})),
        }
        self.out.push(json!({
            "resourceType": "Condition", "id": id,
            "clinicalStatus": status("condition-clinical", "active"),
            "verificationStatus": status("condition-ver-status", "confirmed"),
            "category": [status("condition-category", "problem-list-item")],
            "code": {"coding": codings, "text": disease.text},
            "subject": reference(self.person), "onsetDateTime": day.to_string(), "recordedDate": day.to_string()
        }));
        self.out.len() - 1
    }

    fn quantity(&mut self, code: &str, text: &str, category: &str, ago: i64, tenths: i64, unit: &str) {
        let id = self.id("o");
        self.out.push(json!({
            "resourceType": "Observation", "id": id, "status": "final", "category": [status("observation-category", category)],
            "code": concept(LOINC, code, text), "subject": reference(self.person), "effectiveDateTime": format!("{}T14:00:00Z", self.day(ago)),
            "valueQuantity": {"value": decimal(tenths), "unit": unit, "system": UCUM, "code": unit}
        }));
    }

    fn blood_pressure(&mut self, ago: i64, systolic: i64, diastolic: i64) {
        let id = self.id("o");
        let part = |code: &str, text: &str, value: i64| json!({"code": concept(LOINC, code, text), "valueQuantity": {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}});
        self.out.push(json!({
            "resourceType": "Observation", "id": id, "status": "final", "category": [status("observation-category", "vital-signs")],
            "code": concept(LOINC, "85354-9", "Blood pressure panel"), "subject": reference(self.person),
            "effectiveDateTime": format!("{}T15:30:00Z", self.day(ago)),
            "component": [part("8480-6", "Systolic blood pressure", systolic), part("8462-4", "Diastolic blood pressure", diastolic)]
        }));
    }

    fn encounter(&mut self, ago: i64, class: &str, text: &str, hours: i64, home: bool, location: &str) {
        let id = self.id("e");
        let start = self.day(ago).and_hms_opt(15, 0, 0).unwrap_or_default().and_utc();
        let end = start + chrono::Duration::hours(hours);
        let mut encounter = json!({
            "resourceType": "Encounter", "id": id, "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": class},
            "type": [{"text": text}], "subject": reference(self.person),
            "period": {"start": start.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), "end": end.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)},
            "location": [{"location": {"reference": format!("Location/{location}")}}],
            "serviceProvider": {"reference": "Organization/org-main"}
        });
        if class == "IMP" {
            let (code, display) = if home { ("home", "Home") } else { ("snf", "Skilled nursing facility") };
            encounter["hospitalization"] = json!({"dischargeDisposition": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": code, "display": display}]}});
        }
        self.out.push(encounter);
    }

    fn procedure(&mut self, snomed: &str, text: &str, ago: i64, as_period: bool) {
        let id = self.id("r");
        let day = self.day(ago);
        let mut procedure = json!({"resourceType": "Procedure", "id": id, "status": "completed", "code": concept(SNOMED, snomed, text), "subject": reference(self.person)});
        if as_period {
            procedure["performedPeriod"] =
                json!({"start": format!("{day}T13:00:00Z"), "end": format!("{day}T14:10:00Z")});
        } else {
            procedure["performedDateTime"] = json!(day.to_string());
        }
        self.out.push(procedure);
    }

    fn immunization(&mut self, cvx: &str, text: &str, ago: i64, done: bool) {
        let id = self.id("i");
        let mut shot = json!({"resourceType": "Immunization", "id": id, "status": if done { "completed" } else { "not-done" },
            "vaccineCode": concept(CVX, cvx, text), "patient": reference(self.person), "occurrenceDateTime": self.day(ago).to_string(), "primarySource": done});
        if !done {
            shot["statusReason"] = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "PATOBJ", "display": "patient objection"}]});
        }
        self.out.push(shot);
    }
}

/// The past of one person, and the condition that shows the awkward case, if the case is about one.
pub fn history(
    seed: u64,
    index: u32,
    today: NaiveDate,
    person: &Person,
    kind: Option<K>,
) -> (Vec<Value>, Option<String>) {
    let dice = &mut Dice::new(seed, u64::from(index), "clinical");
    let mut past = Past { person, today, out: Vec::with_capacity(16), count: 0 };
    let mut shown = None;
    let band = match person.age {
        ..45 => 0,
        45..65 => 1,
        _ => 2,
    };
    let about_condition = matches!(
        kind,
        Some(
            K::ConditionRefuted
                | K::ConditionResolved
                | K::ConditionEnteredInError
                | K::ConditionWithoutStatus
                | K::SensitiveCondition
        )
    );
    let mut diabetic = false;
    if about_condition {
        let sensitive = kind == Some(K::SensitiveCondition);
        let at = past.condition(if sensitive { &OPIOID } else { &DIABETES }, dice.between(200, 2000));
        let condition = &mut past.out[at];
        shown = condition["id"].as_str().map(|id| format!("Condition/{id}"));
        match kind {
            Some(K::ConditionRefuted) => condition["verificationStatus"] = status("condition-ver-status", "refuted"),
            Some(K::ConditionResolved) => {
                condition["clinicalStatus"] = status("condition-clinical", "resolved");
                condition["abatementDateTime"] =
                    json!(today.checked_sub_days(Days::new(90)).unwrap_or(today).to_string());
            }
            Some(K::ConditionEnteredInError | K::ConditionWithoutStatus) => {
                if let Some(fields) = condition.as_object_mut() {
                    fields.shift_remove("clinicalStatus");
                }
                if kind == Some(K::ConditionEnteredInError) {
                    condition["verificationStatus"] = status("condition-ver-status", "entered-in-error");
                }
            }
            _ => {}
        }
    } else if person.age >= 18 {
        for disease in DISEASES {
            if dice.chance(disease.share[band]) {
                past.condition(disease, dice.between(60, 5000));
                diabetic |= disease.icd == DIABETES.icd;
            }
        }
        if person.female && (20..42).contains(&person.age) && dice.chance(12) {
            past.condition(&PRENATAL, dice.between(20, 200));
        }
    } else if dice.chance(14) {
        past.condition(DISEASES[2], dice.between(60, 900));
    }

    if diabetic || dice.chance(12) {
        // A third of diabetics have had no HbA1c for over half a year.
        let last = if dice.chance(33) { dice.between(190, 700) } else { dice.between(5, 170) };
        for turn in 0..dice.between(1, 3) {
            past.quantity(
                "4548-4",
                "Hemoglobin A1c/Hemoglobin.total in Blood",
                "laboratory",
                last + turn * 182,
                dice.between(if diabetic { 62 } else { 48 }, if diabetic { 98 } else { 57 }),
                "%",
            );
        }
    }
    for turn in 0..dice.between(1, 3) {
        past.blood_pressure(dice.between(10, 200) + turn * 210, dice.between(104, 158), dice.between(62, 98));
    }
    if dice.chance(50) {
        past.quantity(
            "39156-5",
            "Body mass index (BMI) [Ratio]",
            "vital-signs",
            dice.between(10, 600),
            dice.between(180, 380),
            "kg/m2",
        );
    }
    if person.age >= 50 && dice.chance(40) {
        past.procedure("73761001", "Colonoscopy", dice.between(100, 4200), true);
    }
    if person.female && person.age >= 40 && dice.chance(55) {
        past.procedure("71651007", "Mammography", dice.between(60, 1100), false);
    }
    let home = places::of(index).id;
    for turn in 0..dice.between(1, 3) {
        past.encounter(dice.between(20, 300) + turn * 330, "AMB", "Office visit", 1, true, home);
    }
    if dice.chance(7) {
        past.encounter(dice.between(1, 90), "IMP", "Inpatient stay", dice.between(30, 200), dice.chance(75), home);
    }
    if dice.chance(55) {
        past.immunization(
            "150",
            "Influenza, injectable, quadrivalent, preservative free",
            dice.between(20, 700),
            !dice.chance(6),
        );
    }
    if person.age >= 65 && dice.chance(60) {
        past.immunization("216", "Pneumococcal conjugate PCV20", dice.between(60, 1500), true);
    }
    if person.age < 12 && dice.chance(85) {
        past.immunization("03", "MMR", dice.between(30, 700), true);
    }
    if dice.chance(40) {
        past.immunization("309", "COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose", dice.between(30, 500), true);
    }
    (past.out, shown)
}
