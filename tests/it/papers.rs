//! What the papers say is so: links lead somewhere, tests that are named exist, examples work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use beckon::config::load_text;
use beckon::rules::load_files;

use crate::house::ROOMS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(paper: &str) -> String {
    std::fs::read_to_string(root().join(paper)).unwrap()
}

fn papers() -> Vec<PathBuf> {
    let mut papers = Vec::new();
    for folder in [".", "docs", "fhir-profiles"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                papers.push(path);
            }
        }
    }
    papers
}

fn files_below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
}

/// The blocks of a paper that are fenced as `language`.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_link_in_the_papers_leads_somewhere() {
    let mut broken = Vec::new();
    let mut links = 0;
    for paper in papers() {
        let text = std::fs::read_to_string(&paper).unwrap();
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            if !paper.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {target}", paper.display()));
            }
        }
    }
    assert!(links > 10, "only {links} links were found");
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_test_that_the_security_paper_names_exists() {
    let mut sources = Vec::new();
    for folder in ["src", "tests", "fhirpath"] {
        files_below(&root().join(folder), "rs", &mut sources);
    }
    let mut tests = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(source).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let name = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            let marked =
                lines[at.saturating_sub(4)..at].iter().any(|line| line.starts_with("#[") && line.contains("test"));
            if let Some(name) = name.filter(|_| marked) {
                tests.insert(name.to_owned());
            }
        }
    }
    let security = read("SECURITY.md");
    let table: Vec<&str> = security.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(table.len() > 15, "the table of threats was not found");
    for row in table {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test covers: {row}");
        for name in named {
            assert!(tests.contains(name), "SECURITY.md names a test that does not exist: {name}");
        }
    }
}

#[test]
fn the_architecture_shows_the_table_of_rooms_that_is_enforced() {
    let paper = read("ARCHITECTURE.md");
    let mut shown = BTreeMap::new();
    for row in paper.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let imports: BTreeSet<&str> = cells[2].split(", ").filter(|name| *name != "–").collect();
        shown.insert(cells[0].trim_matches('`'), imports);
    }
    for (room, imports) in ROOMS {
        let enforced: BTreeSet<&str> = imports.iter().copied().collect();
        assert_eq!(shown.get(room), Some(&enforced), "the row of {room} in ARCHITECTURE.md");
    }
}

#[test]
fn the_rule_that_the_guide_builds_is_sound() {
    let guide = read("docs/write-a-rule.md");
    let rule = blocks(&guide, "toml").remove(0);
    let text = blocks(&guide, "").into_iter().find(|block| block.starts_with("{{")).unwrap();
    let files = BTreeMap::from([
        ("blood-pressure-visit/rule.toml", rule),
        ("blood-pressure-visit/en.sms.visit.txt", text.clone()),
        ("blood-pressure-visit/en.email.visit.txt", text),
        ("blood-pressure-visit/en.email.visit.subject.txt", "A message from {{ organisation_name }}".to_owned()),
    ]);
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text)).collect();
    let (rules, problems) = load_files(&files);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(rules.len(), 1);
}

#[test]
fn the_settings_in_the_readme_and_of_the_compose_file_are_sound() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&key, crate::support::ROOT_KEY).unwrap();
    let url = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&url, "postgres://beckon:secret@database/beckon").unwrap();
    let with_files = |text: &str| {
        text.replace("secrets/root-key", &key.path().to_string_lossy())
            .replace("/run/secrets/root-key", &key.path().to_string_lossy())
            .replace("/run/secrets/database-url", &url.path().to_string_lossy())
    };
    let readme = read("README.md");
    let settings = readme.split("<<'END'\n").nth(1).unwrap().split("\nEND\n").next().unwrap();
    load_text(&with_files(settings)).unwrap();
    let compose = read("packaging/compose.toml").replace("/run/secrets/root-key", "secrets/root-key");
    load_text(&with_files(&compose)).unwrap();
}
