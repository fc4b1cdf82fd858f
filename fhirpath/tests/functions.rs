//! Every function of the language, at its plain use and at its edge.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use fhirpath::{Environment, Expression, Item};
use serde_json::{Value, json};

fn patient() -> Value {
    json!({
        "resourceType": "Patient", "id": "p1", "active": true, "gender": "female", "birthDate": "1974-12-25",
        "name": [
            {"use": "official", "family": "Windsor", "given": ["Anna", "Maria"]},
            {"use": "nickname", "given": ["Ann"]}
        ],
        "telecom": [{"system": "phone", "value": "+1 555", "rank": 2}, {"system": "email", "value": "a@b.c", "rank": 1}],
        "multipleBirthInteger": 2,
        "contained": [{"resourceType": "Organization", "id": "o1", "name": "Ward"}],
        "managingOrganization": {"reference": "#o1"},
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">on call</div>"}
    })
}

/// The result as text, items joined by a semicolon; `error` for a failure.
fn result(text: &str) -> String {
    let focus = patient();
    let now = chrono::DateTime::parse_from_rfc3339("2024-08-31T22:30:15.250-05:00").unwrap();
    let environment = Environment::new(now);
    let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let Ok(items) = expression.evaluate(&focus, &environment) else {
        return "error".to_owned();
    };
    let written = |item: &Item<'_>| match item.system() {
        Some(Item::Boolean(value)) => value.to_string(),
        Some(Item::Integer(value)) => value.to_string(),
        Some(Item::Decimal(value)) => value.to_string(),
        Some(Item::String(value)) => value.as_str().to_owned(),
        Some(Item::Date(value)) => value.to_string(),
        Some(Item::DateTime(value)) => value.to_string(),
        Some(Item::Time(value)) => value.to_string(),
        Some(Item::Quantity(value)) => value.to_string(),
        _ => format!("<{}>", item.type_info().name()),
    };
    items.iter().map(written).collect::<Vec<_>>().join(";")
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(result(text), *expected, "{text}");
    }
}

#[test]
fn existence() {
    check(&[
        ("name.empty()", "false"),
        ("link.empty()", "true"),
        ("name.exists(use = 'official')", "true"),
        ("name.any(use = 'old')", "false"),
        ("name.all(given.exists())", "true"),
        ("name.all(family.exists())", "false"),
        ("name.select(family.exists()).allTrue()", "false"),
        ("name.select(family.exists()).anyTrue()", "true"),
        ("name.select(family.exists()).allFalse()", "false"),
        ("name.select(family.exists()).anyFalse()", "true"),
        ("{}.allTrue()", "true"),
        ("name.allTrue()", "error"),
        ("(1 | 2).subsetOf(1 | 2 | 3)", "true"),
        ("(1 | 2).supersetOf(1 | 2 | 3)", "false"),
        ("name.given.count()", "3"),
        ("(1).combine(1).distinct()", "1"),
        ("(1).combine(1).isDistinct()", "false"),
        ("active.not()", "false"),
        ("{}.not()", ""),
        ("(1 | 2).not()", "error"),
        ("birthDate.hasValue()", "true"),
        ("name.first().hasValue()", "false"),
    ]);
}

#[test]
fn filtering_and_projection() {
    check(&[
        ("name.where(use = 'nickname').given", "Ann"),
        ("name.where($index = 0).family", "Windsor"),
        ("name.select(given.first())", "Anna;Ann"),
        ("repeat(contained).name", "Ward"),
        ("(1).repeat(iif($this < 4, $this + 1, {}))", "2;3;4"),
        ("(1 | 2).repeatAll({})", ""),
        ("multipleBirth.ofType(integer)", "2"),
        ("multipleBirth.ofType(boolean)", ""),
        ("name.as(HumanName)", "error"),
        ("multipleBirth.is(integer) and gender is code and gender is string", "true"),
        ("telecom.sort(rank).value", "a@b.c;+1 555"),
        ("telecom.sort(-rank).value", "+1 555;a@b.c"),
        ("telecom.sort(rank desc, value asc).rank", "2;1"),
        ("(3 | 1 | 2).sort()", "1;2;3"),
        ("coalesce(link, name.family, 'none')", "Windsor"),
        ("(1 | 2 | 3).aggregate($this + $total, 0)", "6"),
        ("iif(active, 'yes', 1 / 'x')", "yes"),
        ("iif(active and false, 'yes')", ""),
        ("iif('text', 1, 2)", "error"),
        ("name.trace('n', given).count()", "2"),
        ("name.first().defineVariable('n').given.select($this & %n.family)", "AnnaWindsor;MariaWindsor"),
        ("defineVariable('a', 1).defineVariable('a', 2)", "error"),
    ]);
}

#[test]
fn subsetting_and_combining() {
    check(&[
        ("name.given.first()", "Anna"),
        ("name.given.last()", "Ann"),
        ("name.given.tail()", "Maria;Ann"),
        ("name.given.skip(1).take(1)", "Maria"),
        ("name.given.skip(-1).count()", "3"),
        ("name.given.take(0)", ""),
        ("name.given[2]", "Ann"),
        ("name.given[3]", ""),
        ("name.given[-1]", ""),
        ("name.given.single()", "error"),
        ("(1 | 2 | 3).intersect(2 | 4)", "2"),
        ("(1 | 2 | 3).exclude(2)", "1;3"),
        ("(1 | 2).union(2 | 3)", "1;2;3"),
        ("(1 | 2).combine(2)", "1;2;2"),
        ("1 in (1 | 2)", "true"),
        ("(1 | 2) contains 3", "false"),
        ("{} in (1 | 2)", ""),
        ("1 in {}", "false"),
    ]);
}

#[test]
fn texts() {
    check(&[
        ("'abcab'.indexOf('b')", "1"),
        ("'abcab'.lastIndexOf('b')", "4"),
        ("'abc'.indexOf('x')", "-1"),
        ("'äöü'.indexOf('ü')", "2"),
        ("'äöü'.substring(1, 1)", "ö"),
        ("'abc'.substring(3)", ""),
        ("'abc'.substring(1, -1).length()", "0"),
        ("'abc'.startsWith('ab') and 'abc'.endsWith('bc') and 'abc'.contains('')", "true"),
        ("'Ab'.upper() + 'Ab'.lower()", "ABab"),
        ("'a.b.c'.replace('.', '-')", "a-b-c"),
        ("'abc'.replace('', '-')", "-a-b-c-"),
        ("'abc 123'.matches('[0-9]+')", "true"),
        ("'abc 123'.matchesFull('[0-9]+')", "false"),
        ("'ABC'.matches('b', 'i')", "true"),
        ("'2024-08'.replaceMatches('([0-9]+)-([0-9]+)', '$2/$1')", "08/2024"),
        ("'a1b22'.replaceMatches('[0-9]+', '#')", "a#b#"),
        ("'price'.replaceMatches('price', '$5x')", "x"),
        ("'äb'.length()", "2"),
        ("'ab'.toChars()", "a;b"),
        ("'a,,b'.split(',').count()", "3"),
        ("name.given.join('-')", "Anna-Maria-Ann"),
        ("{}.join(',')", ""),
        ("' a b '.trim() & '.'", "a b."),
        ("'test'.encode('hex')", "74657374"),
        ("'74657374'.decode('hex')", "test"),
        ("'7'.decode('hex')", ""),
        ("'a?>'.encode('base64') & ' ' & 'a?>'.encode('urlbase64')", "YT8+ YT8-"),
        ("'YT8-'.decode('urlbase64')", "a?>"),
        ("'!'.decode('base64')", ""),
        ("'<\"&>'.escape('html').unescape('html')", "<\"&>"),
        ("'\"x\"'.escape('json')", "\\\"x\\\""),
        ("'a' & {} & 'b'", "ab"),
        ("('a' + {}).empty()", "true"),
        ("1.length()", "error"),
        ("name.given.upper()", "error"),
    ]);
}

#[test]
fn numbers() {
    check(&[
        ("1 + 2 * 3 - 4", "3"),
        ("7 div 2", "3"),
        ("-7 div 2", "-3"),
        ("7 mod 3", "1"),
        ("7 / 2", "3.5"),
        ("0.1 + 0.2 = 0.3", "true"),
        ("1.0 ~ 1", "true"),
        ("(-5).abs()", "5"),
        ("1.1.ceiling()", "2"),
        ("(-1.1).floor()", "-2"),
        ("(-1.9).truncate()", "-1"),
        ("2.5.round()", "3"),
        ("3.14159.round(2)", "3.14"),
        ("1.round(-1)", "error"),
        ("81.sqrt()", "9"),
        ("100.log(10)", "2"),
        ("1.ln()", "0"),
        ("0.exp()", "1"),
        ("2.power(10)", "1024"),
        ("2.power(-1)", "0.5"),
        ("(-1).power(0.5)", ""),
        ("'a'.abs()", "error"),
        ("'a' - 'b'", "error"),
    ]);
}

#[test]
fn conversions() {
    check(&[
        ("'yes'.toBoolean()", "true"),
        ("2.toBoolean()", ""),
        ("'12'.toInteger() + '-2'.toInteger()", "10"),
        ("'1.5'.toInteger()", ""),
        ("'3000000000'.toInteger().empty() and '3000000000'.toLong() = 3000000000", "true"),
        ("'1.50'.toDecimal()", "1.50"),
        ("true.toDecimal()", "1"),
        ("1.50.toString()", "1.50"),
        ("birthDate.toString()", "1974-12-25"),
        ("'2024-08'.toDate()", "2024-08"),
        ("'2024-08-31T10:00:00Z'.toDateTime()", "2024-08-31T10:00:00Z"),
        ("'25:00'.toTime()", ""),
        ("'4 days'.toQuantity()", "4 days"),
        ("'5 \\'mg\\''.toQuantity()", "5 'mg'"),
        ("'5 mg'.convertsToQuantity()", "false"),
        ("2 weeks.toQuantity('d')", "14 'd'"),
        ("1 'mg'.toQuantity('L')", ""),
        ("name.first().convertsToString()", "false"),
        ("{}.convertsToInteger()", ""),
        ("'2024-13'.convertsToDate()", "false"),
    ]);
}

#[test]
fn dates_and_boundaries() {
    check(&[
        ("today()", "2024-08-31"),
        ("now()", "2024-08-31T22:30:15.250-05:00"),
        ("timeOfDay()", "22:30:15.250"),
        ("birthDate.yearOf() & ''", "error"),
        ("birthDate.yearOf() + birthDate.monthOf() + birthDate.dayOf()", "2011"),
        ("@2024-08.dayOf()", ""),
        ("now().hourOf() * 10000 + now().minuteOf() * 100 + now().secondOf()", "223015"),
        ("now().millisecondOf()", "250"),
        ("now().timezoneOffsetOf()", "-5"),
        ("now().dateOf()", "2024-08-31"),
        ("now().timeOf()", "22:30:15.250"),
        ("1.yearOf()", "error"),
        ("@2024.lowBoundary(8)", "2024-01-01"),
        ("@2024-02.highBoundary(8)", "2024-02-29"),
        ("@2024-02-29T10:30.highBoundary(17)", "2024-02-29T10:30:59.999-12:00"),
        ("@2024-02-29.lowBoundary().precision()", "8"),
        ("@T10.highBoundary()", "10:59:59.999"),
        ("1.5.lowBoundary(2)", "1.45"),
        ("1.5.highBoundary(2)", "1.55"),
        ("1.50.precision()", "2"),
        ("1 'cm'.comparable(1 'kg')", "false"),
    ]);
}

#[test]
fn structure_and_types() {
    check(&[
        ("children().count() > 10", "true"),
        ("contained.children()", "o1;Ward"),
        ("descendants().where($this is HumanName).count()", "2"),
        ("managingOrganization.resolve().name", "Ward"),
        ("managingOrganization.resolve().type().name", "Organization"),
        ("birthDate.getValue()", "1974-12-25"),
        ("type().namespace & '.' & type().name", "FHIR.Patient"),
        ("1.type().namespace & '.' & 1.type().name", "System.Integer"),
        ("name.first().given.first().type().name", "string"),
        ("conformsTo('http://hl7.org/fhir/StructureDefinition/DomainResource')", "true"),
        ("conformsTo('http://hl7.org/fhir/StructureDefinition/Person')", "false"),
        ("conformsTo('http://example.org/own')", "error"),
        ("text.div.htmlChecks()", "true"),
        ("'<div onclick=\"x()\">a</div>'.htmlChecks()", "false"),
        ("gender.memberOf('http://example.org/vs')", ""),
        ("birthDate.extension('http://example.org/none').exists()", "false"),
        ("Patient.name.family", "Windsor"),
        ("Encounter.name.family", ""),
        ("name.`family`", "Windsor"),
        ("Resource.id", "p1"),
    ]);
}

#[test]
fn every_function_is_tried_above() {
    let tried =
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions.rs")).unwrap();
    let table =
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/function.rs")).unwrap();
    let names = table.lines().filter_map(|line| line.trim().strip_suffix(','));
    let names: Vec<&str> = names.filter_map(|line| line.split('"').nth(1)).collect();
    assert!(names.len() > 100);
    let converts = |name: &str| name.starts_with("convertsTo");
    let missing: Vec<&&str> =
        names.iter().filter(|name| !converts(name) && !tried.contains(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
