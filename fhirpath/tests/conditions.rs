//! What a rule author relies on: dates, unknowns, limits.

use fhirpath::{Environment, Expression, Truth};
use serde_json::{Value, json};

fn at<'a>(now: &str) -> Environment<'a> {
    Environment::new(chrono::DateTime::parse_from_rfc3339(now).unwrap())
}

fn truth(expression: &str, focus: &Value, now: &str) -> Truth {
    let environment = at(now);
    Expression::parse(expression).unwrap().matches(focus, &environment).unwrap()
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
