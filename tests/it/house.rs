//! The house: which room may import which. Every path in every file is parsed, so that neither a `use`, nor an inline
//! path, nor a `super::super` climbs where it may not. ARCHITECTURE.md shows the same table to people.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// Room, and what it may import. `telemetry` may be imported by all.
pub(crate) const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("seal", &["domain", "config", "clock"]),
    ("fhir", &["domain"]),
    ("rules", &["domain", "fhir"]),
    ("channels", &["domain", "config"]),
    ("store", &["domain", "config", "seal", "clock"]),
    ("ehr", &["fhir", "store", "seal", "domain", "config", "clock"]),
    ("pull", &["ehr", "fhir", "rules", "store", "domain", "config", "clock"]),
    ("outbox", &["store", "channels", "ehr", "fhir", "rules", "domain", "config", "clock"]),
    ("history", &["store", "fhir", "domain", "config", "clock"]),
    (
        "web",
        &[
            "store", "rules", "outbox", "pull", "history", "ehr", "channels", "fhir", "seal", "domain", "config",
            "clock",
        ],
    ),
    ("scheduler", &["pull", "outbox", "history", "ehr", "store", "domain", "config", "clock"]),
    ("sandbox", &["config", "clock"]),
];

/// Rooms that may import every other one: the wiring and the command line.
const TOP: &[&str] = &["app", "cli"];

#[test]
fn no_room_imports_what_it_must_not_know() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut faults = Vec::new();
    for file in rust_files(Path::new("src")) {
        let module = module_of(&file);
        let Some(room) = module.first().cloned() else { continue };
        if TOP.contains(&room.as_str()) {
            continue;
        }
        let Some(may) = allowed.get(room.as_str()) else {
            faults.push(format!("{}: the room {room:?} is not in the table", file.display()));
            continue;
        };
        for (target, line) in imports(&file, &module) {
            let is_room = allowed.contains_key(target.as_str()) || TOP.contains(&target.as_str());
            if is_room && target != room && target != "telemetry" && !may.contains(&target.as_str()) {
                faults.push(format!("{}:{line}: {room} imports {target}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "arrows that are not in the table:\n{}", faults.join("\n"));
}

#[test]
fn no_file_outgrows_the_house() {
    let long: Vec<String> = rust_files(Path::new("src"))
        .into_iter()
        .filter_map(|file| {
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            (lines > 600).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "split these files:\n{}", long.join("\n"));
}

#[test]
fn the_table_finds_a_climbing_path() {
    let found = paths_in("use super::super::web::Page; fn f() { crate::outbox::go(); }", &["store".into(), "x".into()]);
    let rooms: Vec<&str> = found.iter().map(|(room, _)| room.as_str()).collect();
    assert_eq!(rooms, ["web", "outbox"]);
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// `src/a/b.rs` is module a::b; `src/a/mod.rs` is a; `lib.rs` and `main.rs` belong to no room.
fn module_of(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix("src").unwrap().with_extension("");
    let mut parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

fn imports(file: &Path, module: &[String]) -> Vec<(String, usize)> {
    paths_in(&std::fs::read_to_string(file).unwrap(), module)
}

fn paths_in(text: &str, module: &[String]) -> Vec<(String, usize)> {
    let mut visitor = Paths { module: module.to_vec(), found: Vec::new() };
    visitor.visit_file(&syn::parse_file(text).unwrap());
    visitor.found
}

struct Paths {
    module: Vec<String>,
    found: Vec<(String, usize)>,
}

impl Paths {
    fn note(&mut self, segments: &[String], line: usize) {
        let mut at = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self") => self.module.clone(),
            Some("super") => self.module[..self.module.len().saturating_sub(1)].to_vec(),
            _ => return,
        };
        for segment in &segments[1..] {
            if segment == "super" {
                at.pop();
            } else {
                at.push(segment.clone());
            }
        }
        if let Some(room) = at.first() {
            self.found.push((room.clone(), line));
        }
    }

    fn walk(&mut self, tree: &syn::UseTree, mut before: Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.walk(&path.tree, before);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.walk(tree, before.clone());
                }
            }
            syn::UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.note(&before, name.ident.span().start().line);
            }
            syn::UseTree::Rename(rename) => {
                before.push(rename.ident.to_string());
                self.note(&before, rename.ident.span().start().line);
            }
            syn::UseTree::Glob(glob) => {
                before.push("*".to_owned());
                self.note(&before, glob.star_token.spans[0].start().line);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.walk(&item.tree, Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
        self.note(&segments, line);
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
    }
}
