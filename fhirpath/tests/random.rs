//! No text and no data makes the parser or the evaluation panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use fhirpath::{Budget, Environment, Expression};
use proptest::prelude::*;
use serde_json::{Value, json};

fn fragment() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "name",
        "given",
        "value",
        "Patient",
        "birthDate",
        "$this",
        "$index",
        "$total",
        "%resource",
        "%x",
        "{}",
        "(",
        ")",
        "[",
        "]",
        ".",
        ",",
        "|",
        "&",
        "+",
        "-",
        "*",
        "/",
        " div ",
        " mod ",
        " and ",
        " or ",
        " xor ",
        " implies ",
        " in ",
        " contains ",
        " is ",
        " as ",
        "=",
        "!=",
        "~",
        "!~",
        "<",
        "<=",
        ">",
        ">=",
        "1",
        "0",
        "2147483648",
        "1.50",
        "-0.001",
        "79228162514264337593543950335",
        "'a'",
        "'ä\u{1f600}'",
        "''",
        "'2024-02-29'",
        "5 'mg'",
        "3 days",
        "1 'mo'",
        "@2024",
        "@2024-02-29",
        "@2024-02-29T10:00:00.5+14:00",
        "@T10:30",
        "@9999-12-31",
        "@0001-01-01",
        "where(",
        "select(",
        "exists(",
        "all(",
        "repeat(",
        "iif(",
        "aggregate(",
        "sort(",
        "substring(",
        "indexOf(",
        "replace(",
        "replaceMatches(",
        "matches(",
        "split(",
        "join(",
        "round(",
        "power(",
        "log(",
        "skip(",
        "take(",
        "combine(",
        "intersect(",
        "toQuantity()",
        "toDate()",
        "toDateTime()",
        "toString()",
        "toChars()",
        "lowBoundary(",
        "highBoundary(",
        "precision()",
        "children()",
        "descendants()",
        "type()",
        "first()",
        "last()",
        "today()",
        "now()",
        "yearOf()",
        "encode('hex')",
        "decode('base64')",
        "escape('json')",
        "unescape('json')",
        "extension('u')",
        "resolve()",
        "memberOf('v')",
        "hasValue()",
        "getValue()",
        "not()",
        "abs()",
        "sqrt()",
        "exp()",
        "ln()",
        "ofType(string)",
        "is(Quantity)",
        "defineVariable('v')",
        "%v",
        "distinct()",
        "comparable(",
        "htmlChecks()",
    ])
    .prop_map(str::to_owned)
}

/// An expression that keeps to the grammar. `#` in a call stands for an argument.
fn expression() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "name",
        "name.given",
        "value",
        "Patient",
        "birthDate",
        "$this",
        "$index",
        "%resource",
        "%x",
        "%x.name.given",
        "{}",
        "true",
        "false",
        "1",
        "0",
        "-7",
        "2147483648",
        "9223372036854775807",
        "1.50",
        "-0.001",
        "''",
        "'a'",
        "'ä\u{1f600}'",
        "'2024-02-29'",
        "'10:30'",
        "'5.0 \\'mg\\''",
        "5 'mg'",
        "0 'km/h'",
        "3 days",
        "1 'mo'",
        "99999999999 years",
        "@2024",
        "@2024-02-29",
        "@2024-02-29T10:00:00.5+14:00",
        "@2024-02-29T10",
        "@T10:30",
        "@9999-12-31",
        "@0001-01-01",
        "today()",
        "now()",
        "timeOfDay()",
        "(1 | 2 | 3)",
        "('a' | 'b')",
        "children()",
        "descendants()",
        "extension",
        "code.coding",
    ])
    .prop_map(str::to_owned);
    let operators = vec![
        "+", "-", "*", "/", "div", "mod", "&", "|", "and", "or", "xor", "implies", "in", "contains", "=", "!=", "~",
        "!~", "<", "<=", ">", ">=",
    ];
    let calls = vec![
        "empty()",
        "exists(#)",
        "all(#)",
        "allTrue()",
        "anyFalse()",
        "subsetOf(#)",
        "supersetOf(#)",
        "count()",
        "distinct()",
        "isDistinct()",
        "where(#)",
        "select(#)",
        "repeat(#)",
        "repeatAll(#)",
        "ofType(string)",
        "is(Quantity)",
        "as(date)",
        "sort()",
        "sort(-#)",
        "coalesce(#)",
        "single()",
        "first()",
        "last()",
        "tail()",
        "skip(#)",
        "take(#)",
        "intersect(#)",
        "exclude(#)",
        "union(#)",
        "combine(#)",
        "iif(#,#,#)",
        "aggregate(#,#)",
        "defineVariable('v',#)",
        "trace('t',#)",
        "not()",
        "indexOf(#)",
        "lastIndexOf(#)",
        "substring(#,#)",
        "startsWith(#)",
        "endsWith(#)",
        "contains(#)",
        "upper()",
        "lower()",
        "replace(#,#)",
        "matches(#)",
        "matchesFull(#)",
        "replaceMatches(#,#)",
        "length()",
        "toChars()",
        "split(#)",
        "join(#)",
        "trim()",
        "encode('hex')",
        "decode('base64')",
        "decode('hex')",
        "escape('json')",
        "unescape('json')",
        "escape('html')",
        "abs()",
        "ceiling()",
        "exp()",
        "floor()",
        "ln()",
        "log(#)",
        "power(#)",
        "round(#)",
        "sqrt()",
        "truncate()",
        "toBoolean()",
        "toInteger()",
        "toDecimal()",
        "toString()",
        "toDate()",
        "toDateTime()",
        "toTime()",
        "toQuantity()",
        "toQuantity(#)",
        "convertsToQuantity()",
        "yearOf()",
        "dayOf()",
        "secondOf()",
        "timezoneOffsetOf()",
        "lowBoundary()",
        "lowBoundary(#)",
        "highBoundary()",
        "highBoundary(#)",
        "precision()",
        "comparable(#)",
        "extension(#)",
        "hasValue()",
        "getValue()",
        "resolve()",
        "memberOf(#)",
        "htmlChecks()",
        "type().name",
        "value",
        "given",
        "[#]",
    ];
    leaf.prop_recursive(5, 24, 3, move |inner| {
        let arguments = proptest::collection::vec(inner.clone(), 3);
        prop_oneof![
            (inner.clone(), proptest::sample::select(operators.clone()), inner.clone())
                .prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
            inner.clone().prop_map(|operand| format!("-({operand})")),
            inner.clone().prop_map(|operand| format!("(({operand}) is Quantity)")),
            (inner, proptest::sample::select(calls.clone()), arguments).prop_map(|(head, call, arguments)| {
                let mut text = format!("({head}){}{call}", if call.starts_with('[') { "" } else { "." });
                for argument in arguments {
                    text = text.replacen('#', &argument, 1);
                }
                text
            }),
        ]
    })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(serde_json::from_str("1e999").unwrap_or(Value::Null)),
        Just(serde_json::from_str("123456789012345678901234567890.5").unwrap_or(Value::Null)),
        "[0-9T:.Z+-]{0,24}".prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let key = proptest::sample::select(vec![
        "name",
        "given",
        "_given",
        "value",
        "valueQuantity",
        "_birthDate",
        "birthDate",
        "url",
        "extension",
        "coding",
        "code",
        "resourceType",
        "contained",
        "id",
        "start",
        "unit",
        "system",
        "_value",
        "",
    ]);
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn run(text: &str, focus: &Value) {
    let Ok(expression) = Expression::parse(text) else {
        return;
    };
    let other = json!({"resourceType": "Patient", "name": [{"given": ["a"]}]});
    let now = chrono::DateTime::parse_from_rfc3339("2024-02-29T23:59:59.999+14:00").unwrap();
    let environment = Environment::new(now).with_resource("x", &other).with_budget(Budget {
        steps: 20_000,
        items: 2_000,
        text: 20_000,
    });
    let _ = expression.matches(focus, &environment);
    if let Ok(items) = expression.evaluate(focus, &environment) {
        let _ = format!("{items:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_parses_or_is_refused(text in any::<String>()) {
        let _ = Expression::parse(&text);
    }

    #[test]
    fn any_near_expression_parses_or_is_refused(text in "[-a-z0-9@T:.'`%$()\\[\\]{}|&+*/<>=~! \\\\u]{0,40}") {
        if let Err(error) = Expression::parse(&text) {
            prop_assert!(error.position.offset <= text.len());
        }
    }

    #[test]
    fn any_words_of_the_language_run_or_fail(parts in proptest::collection::vec(fragment(), 1..14), focus in json_value()) {
        run(&parts.concat(), &focus);
    }

    #[test]
    fn any_grammatical_expression_runs_or_fails(text in expression(), focus in json_value()) {
        run(&text, &focus);
    }
}
