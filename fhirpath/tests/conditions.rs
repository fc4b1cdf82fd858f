//! What a rule author relies on: dates of any precision, zones, unknowns, variables.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use chrono_tz::Tz;
use fhirpath::{Date, Environment, Expression, Item, Truth};
use serde_json::{Value, json};

fn at<'a>(now: &str) -> Environment<'a> {
    Environment::new(chrono::DateTime::parse_from_rfc3339(now).unwrap())
}

fn truth(expression: &str, focus: &Value, now: &str) -> Truth {
    let environment = at(now);
    Expression::parse(expression).unwrap().matches(focus, &environment).unwrap()
}

/// The texts of a result.
fn texts(expression: &str, focus: &Value) -> Vec<String> {
    let environment = at("2024-08-31T22:30:00-05:00");
    let text = Expression::parse(&format!("({expression}).select(toString())")).unwrap();
    let items = text.evaluate(focus, &environment).unwrap();
    items.iter().filter_map(Item::as_str).map(str::to_owned).collect()
}

#[test]
fn an_onset_of_any_precision_is_compared_with_a_day_in_the_past() {
    let cases = [
        ("2020", Truth::True),
        ("2024", Truth::Unknown),
        ("2025", Truth::False),
        ("2024-01", Truth::True),
        ("2024-02", Truth::Unknown),
        ("2024-02-28", Truth::True),
        ("2024-02-29", Truth::False),
        ("2024-02-28T23:59:59-05:00", Truth::True),
        ("2024-02-29T04:59:59Z", Truth::True),
        ("2024-02-29T05:00:00Z", Truth::Unknown),
        ("2024-03-01T05:00:00Z", Truth::False),
        ("not a date", Truth::Unknown),
    ];
    for (onset, expected) in cases {
        let condition = json!({"resourceType": "Condition", "onsetDateTime": onset});
        // Six months before August 31st is the last of February, in a leap year the 29th.
        let found = truth("onset < today() - 6 months", &condition, "2024-08-31T22:30:00-05:00");
        assert_eq!(found, expected, "{onset}");
    }
}

#[test]
fn an_age_is_reached_on_the_birthday_and_on_no_earlier_day() {
    let cases = [
        ("1959-08-31", Truth::True),
        ("1959-09-01", Truth::False),
        ("1959", Truth::Unknown),
        ("1958", Truth::True),
        ("1959-08", Truth::Unknown),
        ("1959-09", Truth::False),
    ];
    for (born, expected) in cases {
        let patient = json!({"resourceType": "Patient", "birthDate": born});
        // In UTC it is the first of September already.
        let found = truth("Patient.birthDate <= today() - 65 years", &patient, "2024-08-31T22:30:00-05:00");
        assert_eq!(found, expected, "{born}");
    }
    let leapling = json!({"resourceType": "Patient", "birthDate": "2004-02-29"});
    assert_eq!(truth("birthDate <= today() - 18 years", &leapling, "2022-02-28T12:00:00Z"), Truth::False);
    assert_eq!(truth("birthDate <= today() - 18 years", &leapling, "2022-03-01T12:00:00Z"), Truth::True);
}

#[test]
fn today_is_the_day_of_the_injected_zone_also_across_daylight_saving() {
    let zone: Tz = "America/Los_Angeles".parse().unwrap();
    let now = chrono::DateTime::parse_from_rfc3339("2024-01-10T07:30:00Z").unwrap().with_timezone(&zone);
    let appointment = json!({"resourceType": "Appointment", "start": "2024-07-01T06:30:00Z"});
    let environment = Environment::new(now);
    let is = |expression: &str| {
        Expression::parse(expression).unwrap().matches(&appointment, &environment).unwrap() == Truth::True
    };
    assert!(is("today() = @2024-01-09"));
    assert!(is("now() = @2024-01-10T07:30:00Z"));
    // At 06:30 UTC it is 23:30 of the day before in summer; the winter offset would say 22:30.
    assert!(is("start.toDate() = @2024-06-30"));
    assert!(is("start < @2024-07-01"));
    assert!(is("start - today() = 173 days"));
}

#[test]
fn spans_between_dates_are_days_and_between_instants_seconds() {
    let appointment = json!({"resourceType": "Appointment", "start": "2024-09-03T09:00:00-05:00"});
    let now = "2024-08-31T22:30:00-05:00";
    for (expression, expected) in [
        ("start - today() = 3 days", Truth::True),
        ("start - today() <= 72 hours", Truth::True),
        ("start - now() < 60 hours", Truth::True),
        ("start - now() < 58 hours", Truth::False),
        ("start - 48 hours < now()", Truth::False),
        ("start.toDate() - 3 days = today()", Truth::True),
        ("@2024 - today() < 1 day", Truth::Unknown),
    ] {
        assert_eq!(truth(expression, &appointment, now), expected, "{expression}");
    }
}

#[test]
fn date_arithmetic_keeps_to_the_calendar() {
    for (expression, expected) in [
        ("@2024-01-31 + 1 month", "2024-02-29"),
        ("@2023-01-31 + 1 month", "2023-02-28"),
        ("@2024-03-31 - 1 month", "2024-02-29"),
        ("@2024-02-29 + 1 year", "2025-02-28"),
        ("@2024-02-29 - 4 years", "2020-02-29"),
        ("@2024-12-31 + 1 day", "2025-01-01"),
        ("@2024-02 + 1 month", "2024-03"),
        ("@2024-02 + 40 days", "2024-03"),
        ("@2024 + 25 months", "2026"),
        ("@2024 - 11 months", "2024"),
        ("@2024-01-01 + 36 hours", "2024-01-02"),
        ("@2024-01-01 - 2 weeks", "2023-12-18"),
        ("@2024-01-01T23:30:00Z + 45 minutes", "2024-01-02T00:15:00Z"),
        ("@2024-01-01T10:00:00.000Z + 1.5 seconds", "2024-01-01T10:00:01.500Z"),
        ("@T23:30 + 1 hour", "00:30"),
        ("@T00:30 - 45 minutes", "23:45"),
    ] {
        assert_eq!(texts(expression, &json!({})), [expected], "{expression}");
    }
    assert!(texts("@9999-12-31 + 1 day", &json!({})).is_empty());
    assert!(texts("@2024-01-01 + 99999999999999 years", &json!({})).is_empty());
}

#[test]
fn order_is_told_only_as_far_as_both_sides_are_known() {
    for (expression, expected) in [
        ("@2018-03 < @2018-04-01", Truth::True),
        ("@2018-03 < @2018-03-31", Truth::Unknown),
        ("@2018 = @2018", Truth::True),
        ("@2018 = @2018-01", Truth::Unknown),
        ("@2018 = @2019-01", Truth::False),
        ("@2018-03-01T10:30Z < @2018-03-01T10:30:30Z", Truth::Unknown),
        ("@2018-03-01T10:30:00 = @2018-03-01T10:30:00.000", Truth::True),
        ("@2018-03-01T10:00:00+02:00 = @2018-03-01T08:00:00Z", Truth::True),
        // The zone of one side is not known: fourteen hours east to twelve hours west.
        ("@2018-03-01T10:00:00 < @2018-03-01T12:00:00Z", Truth::Unknown),
        ("@2018-03-01T10:00:00 < @2018-03-03T12:00:00Z", Truth::True),
        ("@T10:30 < @T10:31:00", Truth::True),
        ("@T10:30 < @T10:30:30", Truth::Unknown),
        ("@2018 ~ @2018-01", Truth::False),
    ] {
        assert_eq!(truth(expression, &json!({}), "2024-08-31T22:30:00Z"), expected, "{expression}");
    }
}

#[test]
fn an_instant_leaves_the_language_as_it_came() {
    let at = fhirpath::DateTime::parse("2024-08-31T22:30:15.250-05:00").unwrap();
    assert_eq!(at.instant().unwrap().to_rfc3339(), "2024-08-31T22:30:15.250-05:00");
    assert_eq!(fhirpath::DateTime::parse("2024-08-31").unwrap().instant(), None);
    assert_eq!(fhirpath::DateTime::parse("2024-08-31T22:30:15").unwrap().instant(), None);
}

#[test]
fn logic_has_three_values() {
    let words = [("true", Some(true)), ("false", Some(false)), ("{}", None)];
    for (a, left) in words {
        for (b, right) in words {
            let and = if left == Some(false) || right == Some(false) { Some(false) } else { left.and(right) };
            let or =
                if left == Some(true) || right == Some(true) { Some(true) } else { left.zip(right).map(|_| false) };
            let xor = left.zip(right).map(|(a, b)| a != b);
            let implies = match (left, right) {
                (Some(false), _) | (_, Some(true)) => Some(true),
                (Some(true), right) => right,
                (None, _) => None,
            };
            for (word, expected) in [("and", and), ("or", or), ("xor", xor), ("implies", implies)] {
                let found = truth(&format!("{a} {word} {b}"), &json!({}), "2024-01-01T00:00:00Z");
                assert_eq!(found.known(), expected, "{a} {word} {b}");
            }
        }
    }
}

#[test]
fn absence_is_unknown_unless_it_is_asked_for() {
    let patient = json!({"resourceType": "Patient"});
    for (expression, expected) in [
        ("deceased", Truth::Unknown),
        ("deceased = true", Truth::Unknown),
        ("deceased.exists()", Truth::False),
        ("deceased.empty()", Truth::True),
        ("(deceased = true).not()", Truth::Unknown),
        ("name.where(use = 'official').exists()", Truth::False),
        ("name.all(given.exists())", Truth::True),
    ] {
        assert_eq!(truth(expression, &patient, "2024-01-01T00:00:00Z"), expected, "{expression}");
    }
}

#[test]
fn choices_are_found_under_their_plain_name() {
    let observation = json!({
        "resourceType": "Observation", "status": "final",
        "effectiveDateTime": "2024-05-01T10:00:00Z",
        "valueQuantity": {"value": 7.50, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    });
    let now = "2024-08-31T22:30:00Z";
    for expression in [
        "value > 7 '%'",
        "value = 7.5 '%'",
        "value.ofType(Quantity).value = 7.5",
        "value is Quantity",
        "effective > today() - 6 months",
        "effective.ofType(dateTime).exists() and effective.ofType(Period).empty()",
        "status = 'final' and status is code",
        "Observation.value.unit = '%'",
    ] {
        assert_eq!(truth(expression, &observation, now), Truth::True, "{expression}");
    }
    let error = Expression::parse("valueQuantity.value > 7").unwrap().matches(&observation, &at(now)).unwrap_err();
    assert!(error.to_string().contains("write value or value.ofType(Quantity)"), "{error}");
    // A comparator makes the number a bound, about which nothing is claimed.
    let bound = json!({"resourceType": "Observation",
        "valueQuantity": {"value": 7, "comparator": "<", "system": "http://unitsofmeasure.org", "code": "%"}});
    assert_eq!(truth("value < 9 '%'", &bound, now), Truth::Unknown);
}

#[test]
fn a_choice_of_another_type_is_unknown_while_a_mistake_of_the_author_is_an_error() {
    let now = "2024-08-31T22:30:00Z";
    let conditions = [
        json!({"resourceType": "Condition", "onsetString": "as a child"}),
        json!({"resourceType": "Condition", "onsetPeriod": {"start": "2020"}}),
        json!({"resourceType": "Condition", "onsetAge": {"value": 40, "unit": "a"}}),
    ];
    for condition in &conditions {
        assert_eq!(truth("onset < today() - 6 months", condition, now), Truth::Unknown);
        let all = at(now).with_resources("conditions", &conditions);
        let any = Expression::parse("%conditions.where(onset < today() - 6 months).exists()").unwrap();
        assert_eq!(any.matches(condition, &all).unwrap(), Truth::False);
    }
    let text = &conditions[0];
    assert_eq!(truth("onset + 6 months < today()", text, now), Truth::Unknown);
    assert_eq!(truth("onset.abs() > 5", text, now), Truth::Unknown);
    assert_eq!(truth("onset.startsWith('as')", text, now), Truth::True);
    assert_eq!(truth("onset.startsWith('as')", &conditions[1], now), Truth::Unknown);
    for mistake in ["recordedDate < 5", "id + 5", "recordedDate.abs()", "5 < 'a'"] {
        let condition = json!({"resourceType": "Condition", "id": "c", "recordedDate": "2020"});
        assert!(Expression::parse(mistake).unwrap().matches(&condition, &at(now)).is_err(), "{mistake}");
    }
}

#[test]
fn quantities_convert_between_units_of_one_kind() {
    for (expression, expected) in [
        ("1 'g/dL' = 10 'g/L'", Truth::True),
        ("180 '[lb_av]' > 80 'kg'", Truth::True),
        ("37 'Cel' < 100 '[degF]'", Truth::True),
        ("5 'mg' < 5 'mL'", Truth::Unknown),
        ("5 'mg' = 5 'mL'", Truth::Unknown),
        ("1 year = 12 months", Truth::True),
        ("1 month < 32 days", Truth::Unknown),
        ("1 year ~ 1 'a'", Truth::True),
        ("10 'mm' + 1 'cm' = 2 'cm'", Truth::True),
        ("100 'km' / 2 'h' = 50 'km/h'", Truth::True),
        ("3 * 2 'mg' = 6 'mg'", Truth::True),
    ] {
        assert_eq!(truth(expression, &json!({}), "2024-01-01T00:00:00Z"), expected, "{expression}");
    }
}

#[test]
fn variables_and_callbacks_come_from_the_environment() {
    let patient = json!({"resourceType": "Patient", "id": "p1", "birthDate": "1950-01-01"});
    let conditions = [
        json!({"resourceType": "Condition", "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]}}),
        json!({"resourceType": "Condition", "code": {"coding": [{"system": "http://snomed.info/sct", "code": "38341003"}]}}),
    ];
    let appointment = json!({"resourceType": "Appointment", "start": "2024-09-03T09:00:00Z",
        "participant": [{"actor": {"reference": "Patient/p1"}}, {"actor": {"reference": "Location/l1"}}]});
    let day = chrono::NaiveDate::from_ymd_opt(2024, 9, 1).unwrap();
    let environment = at("2024-08-31T22:30:00Z")
        .with_resource("patient", &patient)
        .with_resources("conditions", &conditions)
        .with_resources("observations", [])
        .with_value("today", Date::from(day))
        .with_resolve(|reference| (reference == "Patient/p1").then_some(&patient))
        .with_member_of(|url, system, code| match url {
            "http://example.org/diabetes" => Some(system == Some("http://snomed.info/sct") && code == "44054006"),
            _ => None,
        });
    for (expression, expected) in [
        ("%conditions.where(code.memberOf('http://example.org/diabetes')).count() = 1", Truth::True),
        ("%conditions.first().code.memberOf('http://example.org/unheard-of')", Truth::Unknown),
        ("%observations.empty()", Truth::True),
        ("start - %today = 2 days", Truth::True),
        ("participant.actor.resolve().ofType(Patient).birthDate = %patient.birthDate", Truth::True),
        ("%resource.start = %context.start", Truth::True),
        ("%`vs-administrative-gender` = 'http://hl7.org/fhir/ValueSet/administrative-gender'", Truth::True),
    ] {
        let found = Expression::parse(expression).unwrap().matches(&appointment, &environment).unwrap();
        assert_eq!(found, expected, "{expression}");
    }
    let unknown = Expression::parse("%nobody.exists()").unwrap().matches(&appointment, &environment).unwrap_err();
    assert_eq!(unknown.kind, fhirpath::ErrorKind::UnknownVariable);
    assert_eq!(unknown.position.offset, 0);
}

#[test]
fn extensions_of_primitives_are_seen() {
    let patient = json!({"resourceType": "Patient",
        "birthDate": "1950-01-01",
        "_birthDate": {"extension": [{"url": "http://example.org/time", "valueTime": "10:00"}]},
        "name": [{"given": [null, "Ann"], "_given": [{"extension": [{"url": "http://example.org/absent", "valueCode": "masked"}]}]}]});
    let now = "2024-01-01T00:00:00Z";
    for expression in [
        "birthDate.extension('http://example.org/time').value = @T10:00",
        "name.given.count() = 2 and name.given.where(hasValue()).count() = 1",
        "name.given.extension('http://example.org/absent').value = 'masked'",
        "name.given.first().hasValue().not()",
        "descendants().where($this is time).count() = 1",
    ] {
        assert_eq!(truth(expression, &patient, now), Truth::True, "{expression}");
    }
}

#[test]
fn defined_variables_live_as_long_as_their_path() {
    let now = "2024-01-01T00:00:00Z";
    let name = json!({"resourceType": "Patient", "name": [{"family": "A", "given": ["B", "C"]}]});
    let is = "name.defineVariable('n').given.select(%n.family & '-' & $this).join(' ') = 'A-B A-C'";
    assert_eq!(truth(is, &name, now), Truth::True);
    let outside = Expression::parse("name.defineVariable('n').exists() and %n.exists()").unwrap();
    assert!(outside.matches(&name, &at(now)).is_err());
    let totals = "(1 | 2 | 3).aggregate(iif($total.empty(), $this, (4 | 5).where($this > $total).count() + $total), 3)";
    assert_eq!(truth(&format!("{totals} = 5"), &json!({}), now), Truth::True);
}

#[test]
fn a_condition_of_several_items_is_an_error_that_says_what_to_write() {
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Secret"}, {"family": "Hidden"}]});
    let error = Expression::parse("name.family").unwrap().matches(&patient, &at("2024-01-01T00:00:00Z")).unwrap_err();
    assert_eq!(error.kind, fhirpath::ErrorKind::Cardinality);
    assert!(error.to_string().contains(".exists()"));
}
