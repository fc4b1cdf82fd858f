//! What people get wrong in a rule, and what they are told.

use std::collections::BTreeMap;

use beckon::rules::*;

const RULE: &str = r#"title = "Test"
purpose = "treatment"
resource = "Appointment"
condition = "status = 'booked'"
anchor = "start"
channels = [{ channel = "sms", detail = "limited" }]

[[step]]
id = "day-before"
at = "1 day before"
expires = "at the start"
template = "reminder"
"#;
const TEXT: &str = "{{ organisation_name }}: {{ date }} {{ time }}. Reply STOP to opt out.";
const PLAIN: &str = "{{ organisation_name }}: call {{ organisation_phone }}. Reply STOP to opt out.";

fn files(rule: &str, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let base = [("rule.toml", rule), ("en.sms.reminder.txt", TEXT), ("en.sms.neutral.txt", PLAIN)];
    base.iter().chain(more).map(|(file, text)| (format!("test/{file}"), (*text).to_owned())).collect()
}

fn told(files: &BTreeMap<String, String>) -> Vec<String> {
    load_files(files).1.iter().map(ToString::to_string).collect()
}

/// The problems of the plain rule with one piece replaced.
fn with(from: &str, to: &str) -> Vec<String> {
    assert!(RULE.contains(from), "{from}");
    told(&files(&RULE.replace(from, to), &[]))
}

#[test]
fn a_sound_rule_loads_without_a_word() {
    let (rules, problems) = load_files(&files(RULE, &[]));
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(rules[0].id().as_str(), "test");
    assert_eq!(rules[0].version().as_str().len(), 64);
}

#[test]
fn each_mistake_is_told_with_its_line_and_what_to_write() {
    for (from, to, expected) in [
        ("channels =", "chanels =", "test/rule.toml:6: unknown key \"chanels\"; did you mean \"channels\"?"),
        ("title = \"Test\"", "", "test/rule.toml:1: \"title\" is missing"),
        (
            "\"treatment\"",
            "\"marketing\"",
            "test/rule.toml:2: marketing needs an authorization of each patient and is refused; use \"treatment\" or \"operations\" if it is that",
        ),
        (
            "\"treatment\"",
            "\"treatmnt\"",
            "test/rule.toml:2: \"treatmnt\" is not a purpose; did you mean \"treatment\"?",
        ),
        (
            "\"Appointment\"",
            "\"Apointment\"",
            "test/rule.toml:3: \"Apointment\" is not a resource type that Beckon reads; did you mean \"Appointment\"?",
        ),
        ("\"sms\"", "\"text\"", "test/rule.toml:6: \"text\" is not a channel"),
        (
            "\"limited\"",
            "\"full\"",
            "test/rule.toml:6: a text message cannot carry full detail: it is not protected on its way; use \"limited\" or \"neutral\"",
        ),
        (
            "\"1 day before\"",
            "\"1 day befor\"",
            "test/rule.toml:10: \"1 day befor\" is not a moment: write such as \"3 days before\", \"1 day before at 10:00\", \"2 working days before at 10:00\", \"2 hours after\", \"same day at 18:00\", \"at the start\" or \"at once\"",
        ),
        (
            "\"at the start\"",
            "\"2 days before\"",
            "test/rule.toml:8: the step expires before it falls due; \"expires\" must come after \"at\"",
        ),
        ("template = \"reminder\"", "", "test/rule.toml:8: the step names no text; add template = \"reminder\""),
        ("\"start\"\n", "\"start\"\npriority = 0\n", "test/rule.toml:6: the priority 0 is not between 1 and 99"),
        (
            "\"start\"\n",
            "\"start\"\nmove_tolerance = \"soon\"\n",
            "test/rule.toml:6: move_tolerance: \"soon\" is not a duration: write such as \"30 minutes\", \"2 hours\" or \"1 day\"",
        ),
        (
            "\"start\"\n",
            "\"start\"\nstale_ok = \"yes\"\n",
            "test/rule.toml:6: \"stale_ok\" should be true or false, and is string",
        ),
    ] {
        let got = with(from, to);
        assert!(got.contains(&expected.to_owned()), "{to}: {got:#?}");
    }
}

#[test]
fn expressions_are_checked_on_their_own_line() {
    for (condition, expected) in [
        ("\"status = 'booked' and\"", "test/rule.toml:4: not FHIRPath"),
        ("\"status.exsts()\"", "test/rule.toml:4: not FHIRPath"),
        (
            "\"\"\"\nstatus = 'booked'\nand %patent.active\n\"\"\"",
            "test/rule.toml:5: there is no variable %patent; did you mean \"patient\"?",
        ),
        ("\"\"\"\nstatus = 'booked'\nor )\n\"\"\"", "test/rule.toml:6: not FHIRPath"),
        (
            "\"%observations.exists()\"",
            "test/rule.toml:4: %observations is read, but \"reads\" does not list Observation; add \"Observation\" to reads, so that it is pulled completely first",
        ),
        ("\"comment.exists()\"", "test/rule.toml:4: the mirror does not keep \"comment\" of Appointment"),
        ("\"serviceType.memberOf('urn:x')\"", "test/rule.toml:4: there is no value set \"urn:x\" in this rule"),
    ] {
        let got = with("\"status = 'booked'\"", condition);
        assert!(got.iter().any(|it| it.starts_with(expected)), "{condition}: {got:#?}");
    }
}

#[test]
fn value_sets_name_code_systems_that_exist() {
    let rule =
        format!("{RULE}\n[value_sets.\"urn:x\"]\n\"http://snomed.info/sctt\" = [\"1\"]\n\"http://loinc.org\" = []\n");
    let got = told(&files(&rule, &[]));
    assert!(got.contains(&"test/rule.toml:15: \"http://snomed.info/sctt\" is not a code system that EHRs send; did you mean \"http://snomed.info/sct\"?".to_owned()), "{got:#?}");
    assert!(got.contains(&"test/rule.toml:16: \"http://loinc.org\" lists no codes".to_owned()), "{got:#?}");
}

#[test]
fn a_step_id_used_twice_is_told_at_the_second() {
    let rule = format!(
        "{RULE}\n[[step]]\nid = \"day-before\"\nat = \"2 hours before\"\nexpires = \"at the start\"\ntemplate = \"reminder\"\n"
    );
    let got = told(&files(&rule, &[]));
    assert_eq!(
        got,
        ["test/rule.toml:15: the step id \"day-before\" is used twice; a step is known by its id: give each its own"]
    );
}

#[test]
fn texts_show_no_more_than_their_detail_allows() {
    for (file, text, expected) in [
        (
            "en.sms.reminder.txt",
            "{{ organisation_name }} STOP\n{{ service }}",
            "test/en.sms.reminder.txt:2: the field \"service\" needs the detail full, and this text may carry limited; allowed here: organisation_name",
        ),
        (
            "en.sms.neutral.txt",
            "{{ organisation_name }} STOP {{ date }}",
            "test/en.sms.neutral.txt:1: the field \"date\" needs the detail limited, and this text may carry neutral",
        ),
        (
            "en.sms.reminder.txt",
            "{{ organisation_nam }} STOP",
            "test/en.sms.reminder.txt:1: there is no field \"organisation_nam\"; did you mean \"organisation_name\"?",
        ),
        (
            "en.sms.reminder.txt",
            "{{ organisation_name }} STOP {{ given_name }}",
            "test/en.sms.reminder.txt:1: the template fails on sample facts: a field that is empty here is printed; these fields can be empty and need {% if … %}: link, given_name, place, service",
        ),
        (
            "en.sms.reminder.txt",
            "{{ organisation_name }} STOP {% if date %}",
            "test/en.sms.reminder.txt:1: the template does not parse",
        ),
        (
            "en.sms.reminder.txt",
            "{{ organisation_name }} STOP {% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
            "test/en.sms.reminder.txt",
        ),
        ("en.sms.reminder.txt", "{{ organisation_name|safe }} STOP", "test/en.sms.reminder.txt"),
        ("en.sms.reminder.txt", "{{ debug() }} STOP", "test/en.sms.reminder.txt"),
        (
            "zz.sms.reminder.txt",
            TEXT,
            "test/zz.sms.reminder.txt: \"zz\" is not a language tag that templates are found by",
        ),
        (
            "es-MX.sms.reminder.txt",
            TEXT,
            "test/es-MX.sms.reminder.txt: \"es-MX\" is not a language tag that templates are found by; write the primary subtag: \"es\"",
        ),
        ("fr.sms.reminder.txt", TEXT, "test/fr.sms.reminder.txt:1: the field \"date\" cannot be spelled in \"fr\" yet"),
        ("es.sms.neutral.txt", PLAIN, "test/es.sms.reminder.txt: this text is missing; add the file"),
        ("en.email.reminder.txt", TEXT, "test/en.email.reminder.txt: the rule does not list the channel email"),
        (
            "en.sms.remindr.txt",
            TEXT,
            "test/en.sms.remindr.txt: no step uses the variant \"remindr\"; did you mean \"reminder\"?",
        ),
        ("notes.doc", "", "test/notes.doc: the file is neither rule.toml nor a template"),
    ] {
        let got = told(&files(RULE, &[(file, text)]));
        assert!(got.iter().any(|it| it.starts_with(expected)), "{file} {text}: {got:#?}");
    }
}

#[test]
fn a_text_that_works_but_could_be_better_is_a_warning_and_loads() {
    let long = format!("{TEXT} {}", "x".repeat(400));
    for (text, expected) in [
        (long.as_str(), "the text takes 4 SMS parts, more than 2"),
        ("{{ organisation_name }}: {{ date }}", "the text does not say how to opt out"),
        ("{{ date }} STOP", "the text does not say who writes"),
        (
            "{{ organisation_name }} Reply YES or STOP",
            "carriers read the reply \"YES\" as opting in or out; ask for C or R",
        ),
    ] {
        let (rules, problems) = load_files(&files(RULE, &[("en.sms.reminder.txt", text)]));
        assert_eq!(rules.len(), 1);
        let got: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(problems.iter().all(|it| it.severity == Severity::Warning));
        assert!(got.iter().any(|it| it.contains(expected)), "{text}: {got:#?}");
    }
    let mut without = files(RULE, &[]);
    without.remove("test/en.sms.neutral.txt");
    let (rules, problems) = load_files(&without);
    assert_eq!((rules.len(), problems.len()), (1, 1));
}

#[test]
fn all_mistakes_are_told_at_once_and_a_broken_rule_stops_no_other() {
    let mut files = files(&RULE.replace("\"sms\"", "\"smss\"").replace("status =", "status = ="), &[]);
    files.insert("good/rule.toml".to_owned(), RULE.to_owned());
    files.insert("good/en.sms.reminder.txt".to_owned(), TEXT.to_owned());
    files.insert("good/en.sms.neutral.txt".to_owned(), PLAIN.to_owned());
    files.insert("empty/en.sms.reminder.txt".to_owned(), TEXT.to_owned());
    files.insert("torn/rule.toml".to_owned(), "title = \"a\npurpose = ".to_owned());
    let (rules, problems) = load_files(&files);
    assert_eq!(rules.iter().map(|it| it.id().as_str()).collect::<Vec<_>>(), ["good"]);
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for expected in [
        "test/rule.toml:4: not FHIRPath",
        "test/rule.toml:6: \"smss\"",
        "empty/rule.toml: the folder has no rule.toml",
        "torn/rule.toml:1: not TOML",
    ] {
        assert!(told.iter().any(|it| it.starts_with(expected)), "{expected}: {told:#?}");
    }
}

#[test]
fn the_version_is_the_content_and_not_its_layout() {
    let version =
        |rule: &str, text: &str| load_files(&files(rule, &[("en.sms.reminder.txt", text)])).0[0].version().clone();
    let plain = version(RULE, TEXT);
    assert_eq!(plain, version(&format!("# A comment.\n\n{RULE}"), TEXT));
    assert_ne!(plain, version(&RULE.replace("1 day", "2 days"), TEXT));
    assert_ne!(plain, version(RULE, &format!("{TEXT} ")));
}

#[test]
fn a_stored_rule_compiles_to_the_same_version() {
    for rule in starter_rules().0 {
        let stored = serde_json::to_string(rule.rule()).unwrap();
        let again = CompiledRule::compile(serde_json::from_str(&stored).unwrap()).unwrap();
        assert_eq!(again.version(), rule.version());
    }
}

#[test]
fn a_folder_on_disk_reads_as_the_embedded_one() {
    let (mut from_disk, problems) = load_folder(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules"));
    assert!(problems.is_empty(), "{problems:?}");
    from_disk.sort_by(|a, b| a.id().cmp(b.id()));
    let versions = |rules: &[CompiledRule]| rules.iter().map(|it| it.version().clone()).collect::<Vec<_>>();
    assert_eq!(versions(&from_disk), versions(&starter_rules().0));
    let (rules, problems) = load_folder(std::path::Path::new("no/such/folder"));
    assert!(rules.is_empty());
    assert!(problems[0].to_string().contains("no/such/folder"));
}

#[test]
fn what_a_rule_can_say_more_is_checked_as_strictly() {
    for (from, to, expected) in [
        (
            "\"start\"\n",
            "\"start\"\nescalate = [\"no_languge\"]\n",
            "test/rule.toml:6: \"no_languge\" is not a reason to ask a person; did you mean \"no_language\"?",
        ),
        (
            "\"start\"\n",
            "\"start\"\nschedule = \"0 10 * * MON\"\n",
            "test/rule.toml:6: a rule goes either by an anchor or by a schedule; remove \"anchor\" or \"schedule\"",
        ),
        ("anchor = \"start\"", "schedule = \"0 10 * * 1\"", "test/rule.toml:5: the day of the week \"1\" is a number"),
        (
            "\"start\"\n",
            "\"start\"\non_change = \"move\"\n",
            "test/rule.toml:6: \"move\" is not a change; did you mean \"moved\"?",
        ),
        (
            "\"start\"\n",
            "\"start\"\ncontrol_arm = 60\n",
            "test/rule.toml:6: a control arm of 60 % is not between 1 and 50 %",
        ),
        (
            "\"start\"\n",
            "\"start\"\nholidays = [\"25-12\"]\n",
            "test/rule.toml:6: \"25-12\" is not a day; write a date",
        ),
        (
            "\"start\"\n",
            "\"start\"\nsensitive = true\n",
            "test/rule.toml:7: a sensitive rule carries neutral detail only",
        ),
        (
            "[[step]]",
            "[who]\nage_from = \"45\"\n[[step]]",
            "test/rule.toml:9: \"45\" is not an age: write such as \"45 years\"",
        ),
        (
            "[[step]]",
            "[who]\nage_from = \"45 years\"\nage_below = \"40 years\"\n[[step]]",
            "test/rule.toml:10: nobody is of such an age",
        ),
        (
            "[[step]]",
            "[who]\npayers = [\"x\"]\n[[step]]",
            "test/rule.toml:9: who pays for a patient is not known to Beckon; remove it",
        ),
        (
            "[[step]]",
            "[who]\nlanguages = [\"en-US\"]\n[[step]]",
            "test/rule.toml:9: \"en-US\" is not a language's primary subtag",
        ),
        ("[[step]]", "[language.fr]\nreview = \"none\"\n[[step]]", "test/rule.toml:8: no text is in \"fr\""),
        ("[[step]]", "[language.en]\nreview = \"nobody\"\n[[step]]", "test/rule.toml:9: \"nobody\" is not a review"),
        (
            "[[step]]",
            "[cadence]\nevery = \"1 month\"\ntimes = 0\n[[step]]",
            "test/rule.toml:10: 0 times is not between 1 and 1000",
        ),
        (
            "[[step]]",
            "[cadence]\nevery = \"1 month\"\nuntil = \"status =\"\n[[step]]",
            "test/rule.toml:10: not FHIRPath",
        ),
        ("expires = \"at the start\"", "expires = \"at once\"", "test/rule.toml:8: a step cannot expire at once"),
        (
            "expires = \"at the start\"",
            "expires = \"at the start\"\nunless = \"%modalty = 'x'\"",
            "test/rule.toml:12: there is no variable %modalty; did you mean \"modality\"?",
        ),
    ] {
        let got = with(from, to);
        assert!(got.iter().any(|it| it.starts_with(expected)), "{to}: {got:#?}");
    }
}

#[test]
fn a_text_that_is_hard_to_read_is_told() {
    let hard = "{{ organisation_name }}: Subsequent administration necessitates comprehensive documentation of \
                contraindications and individualized recommendations. Reply STOP to opt out.";
    let got = told(&files(RULE, &[("en.sms.reminder.txt", hard)]));
    assert!(got.iter().any(|it| it.contains("warning: the text is hard to read: grade")), "{got:#?}");
}

#[test]
fn a_text_that_names_one_visit_of_many_is_refused() {
    let rule = RULE.replace("anchor =", "per = \"day\"\nanchor =");
    let got = told(&files(&rule, &[]));
    assert_eq!(
        got,
        [
            "test/en.sms.reminder.txt: the rule speaks of all visits of a day at once, and the text names one; write {{ visits }} in place of {{ time }} and {{ place }}"
        ]
    );
    let text = "{{ organisation_name }}: {{ date }}: {{ visits }}. Reply STOP to opt out.";
    assert!(told(&files(&rule, &[("en.sms.reminder.txt", text)])).is_empty());
}
