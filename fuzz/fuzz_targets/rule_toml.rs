//! Whatever lies in a rule's folder: it loads, or each mistake is told with its file.
#![no_main]

use std::collections::BTreeMap;

use beckon::rules::{Severity, load_files};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&str, &str)| {
    let (rule, template) = parts;
    let files = BTreeMap::from([
        ("fuzzed/rule.toml".to_owned(), rule.to_owned()),
        ("fuzzed/en.sms.neutral.txt".to_owned(), template.to_owned()),
    ]);
    let (rules, problems) = load_files(&files);
    let errors = problems.iter().filter(|it| it.severity == Severity::Error).count();
    assert!(!rules.is_empty() || errors > 0, "a rule vanished without a word");
});
