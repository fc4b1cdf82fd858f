//! What an expression reads, told without running it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use fhirpath::Expression;

fn paths(text: &str) -> Vec<String> {
    Expression::parse(text).unwrap().references().paths.iter().map(ToString::to_string).collect()
}

#[test]
fn every_path_is_told_to_its_last_element() {
    for (text, expected) in [
        ("Condition.onset < today() - 6 months", vec!["Condition.onset"]),
        (
            "Condition.where(clinicalStatus.coding.code = 'active').code.coding.exists(code = 'x')",
            vec!["Condition.clinicalStatus.coding.code", "Condition.code.coding", "Condition.code.coding.code"],
        ),
        ("%patient.birthDate <= today() - 65 years", vec!["%patient.birthDate"]),
        ("name.select(given | family).count() > 1", vec!["name.family", "name.given"]),
        ("(value as Quantity).value > 5", vec!["value.value"]),
        ("item.repeat(item).code", vec!["item.item.**", "item.item.code"]),
        ("descendants().exists()", vec!["**"]),
        ("iif(active, name, %other.name).family.exists()", vec!["active", "name.family", "%other.name.family"]),
        ("name.defineVariable('n', family).exists(%n = given)", vec!["name", "name.family", "name.given"]),
        ("true", vec![]),
        ("subject.resolve().exists()", vec!["subject.reference"]),
        ("%conditions.exists()", vec!["%conditions"]),
        ("birthDate.extension('x').value", vec!["birthDate.extension.value"]),
    ] {
        assert_eq!(paths(text), expected, "{text}");
    }
}

#[test]
fn variables_types_functions_and_the_clock_are_told() {
    let text = "%conditions.where(code.memberOf(%vs)).exists() and subject.resolve().ofType(Patient).birthDate < today() \
                and Observation.value > 5 and %sct.exists() and %resource.id.exists()";
    let expression = Expression::parse(text).unwrap();
    let read = expression.references();
    assert_eq!(read.variables.iter().map(String::as_str).collect::<Vec<_>>(), ["conditions", "vs"]);
    assert_eq!(read.resource_types.iter().copied().collect::<Vec<_>>(), ["Observation", "Patient"]);
    assert!(read.reads_clock && read.functions.contains("memberOf") && read.functions.contains("resolve"));
    assert!(!Expression::parse("birthDate < @2024").unwrap().references().reads_clock);
}

#[test]
fn what_is_surely_wrong_is_found_without_data() {
    let variables = [("patient", Some("Patient")), ("today", None), ("conditions", Some("Condition"))];
    let found = |text: &str| -> Vec<String> {
        let findings = Expression::parse(text).unwrap().check(Some("Observation"), &variables);
        findings.into_iter().map(|finding| finding.message).collect()
    };
    for good in [
        "Observation.value > 5 'mg'",
        "value.ofType(Quantity).unit = 'x' and (value as Period).start < %today",
        "%patient.name.where(use = 'official').given.first() = 'A'",
        "%conditions.where(code.coding.exists(system = 'x' and code = 'y')).onset < %today",
        "subject.resolve().birthDate < %today",
        "contained.code.exists() and contained.ofType(Patient).birthDate.exists()",
        "component.select(code | value).exists()",
        "value.coding.code = 'x' or value.unit = 'y'",
        "status.value = 'final' and status.extension('x').value.exists()",
        "%resource.id.exists() and %sct.exists() and descendants().anything.exists()",
        "component.defineVariable('c').code.where(coding = %c.code.coding).exists()",
        "iif(status = 'final', value, component.value).ofType(Quantity).value > 5",
        "Resource.id.exists() and DomainResource.text.exists()",
        "effective.is(dateTime) and text.div.exists()",
    ] {
        assert!(found(good).is_empty(), "{good}: {:?}", found(good));
    }
    for (bad, message) in [
        ("statsu = 'final'", "Observation has no element statsu"),
        ("valueQuantity > 5 'mg'", "valueQuantity is a JSON name; write value or value.ofType(Quantity)"),
        ("value.ofType(Quantity).units", "Quantity has no element units"),
        ("(value as Period).unit.exists()", "Period has no element unit"),
        ("Patient.birthDate < %today", "Observation has no element Patient"),
        ("%patient.name.exists(usage = 'x')", "HumanName has no element usage"),
        ("%nobody.exists()", "there is no variable %nobody; known are: patient, today, conditions"),
        ("component.select(valu).exists()", "Observation.component has no element valu"),
        ("%conditions.code.coding.where(cod = 'x')", "Coding has no element cod"),
        ("value.nothing", "has no element nothing"),
    ] {
        let messages = found(bad);
        assert_eq!(messages.len(), 1, "{bad}: {messages:?}");
        assert!(messages[0].contains(message), "{bad}: {messages:?}");
    }
    let tree = Expression::parse("Questionnaire.repeat(item).linkid = '1'").unwrap();
    assert_eq!(tree.check(Some("Questionnaire"), &[])[0].position.column, 28);
    assert!(Expression::parse("anything.goes").unwrap().check(None, &[]).is_empty());
    assert_eq!(Expression::parse("Condition.onst < @2024").unwrap().check(None, &[]).len(), 1);
}

#[test]
fn hostile_expressions_are_read_quickly() {
    let nested = format!("{}a{}", "repeat(".repeat(40), ")".repeat(40));
    assert!(Expression::parse(&nested).unwrap().check(Some("Questionnaire"), &[]).len() < 100);
    let wide = vec!["a.b"; 500].join(" | ");
    let crossed = format!("({wide}).select({wide}).select({wide})");
    let started = std::time::Instant::now();
    assert!(!Expression::parse(&crossed).unwrap().check(Some("Patient"), &[]).is_empty());
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
    // What is too much to follow counts as everything.
    let many: Vec<String> = (0..100).map(|n| format!("a{n}")).collect();
    assert_eq!(paths(&format!("({})", many.join(" | "))), ["**"]);
}
