//! A folder of rules, on disk or embedded.

use std::collections::BTreeMap;
use std::path::Path;

use rust_embed::Embed;

use super::CompiledRule;
use super::format::{self, RULE_FILE};
use super::problem::{RuleProblem, Severity};

/// The rules that ship with Beckon.
#[derive(Embed)]
#[folder = "rules/"]
struct Starter;

/// Loads every rule of a folder. A broken rule is told and left out; it never stops the others.
pub fn load_folder(path: &Path) -> (Vec<CompiledRule>, Vec<RuleProblem>) {
    let mut files = BTreeMap::new();
    let mut problems = Vec::new();
    let mut read = |rule: &str, folder: &Path| -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && !name.starts_with('.') {
                match std::fs::read_to_string(entry.path()) {
                    Ok(text) => {
                        files.insert(format!("{rule}/{name}"), text);
                    }
                    Err(error) => {
                        problems.push(RuleProblem::error(rule, &name, None, format!("cannot be read: {error}")));
                    }
                }
            }
        }
        Ok(())
    };
    let folders = match folders(path) {
        Ok(folders) => folders,
        Err(error) => {
            let place = path.to_string_lossy();
            return (Vec::new(), vec![RuleProblem::error(&place, "", None, format!("cannot be read: {error}"))]);
        }
    };
    let mut unreadable = Vec::new();
    for rule in folders {
        if let Err(error) = read(&rule, &path.join(&rule)) {
            unreadable.push(RuleProblem::error(&rule, "", None, format!("cannot be read: {error}")));
        }
    }
    problems.extend(unreadable);
    let (rules, found) = load_files(&files);
    problems.extend(found);
    (rules, problems)
}

fn folders(path: &Path) -> std::io::Result<Vec<String>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && !name.starts_with('.') {
            folders.push(name);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Loads rules from texts by path, such as `appointment-reminder/rule.toml`.
pub fn load_files(files: &BTreeMap<String, String>) -> (Vec<CompiledRule>, Vec<RuleProblem>) {
    let mut folders: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for (path, text) in files {
        if let Some((rule, file)) = path.split_once('/')
            && !file.contains('/')
            && !has_extension(file, "md")
        {
            folders.entry(rule).or_default().insert(file.to_owned(), text.clone());
        }
    }
    let mut rules = Vec::new();
    let mut problems = Vec::new();
    for (id, files) in folders {
        match load_rule(id, files) {
            Ok(rule) => {
                problems.extend_from_slice(rule.warnings());
                rules.push(rule);
            }
            Err(found) => problems.extend(found),
        }
    }
    (rules, problems)
}

/// The rules that ship with Beckon.
pub fn starter_rules() -> (Vec<CompiledRule>, Vec<RuleProblem>) {
    let files = Starter::iter()
        .filter_map(|path| {
            let file = Starter::get(&path)?;
            Some((path.into_owned(), String::from_utf8(file.data.into_owned()).ok()?))
        })
        .collect();
    load_files(&files)
}

fn load_rule(id: &str, mut files: BTreeMap<String, String>) -> Result<CompiledRule, Vec<RuleProblem>> {
    let mut problems = Vec::new();
    if !is_name(id) {
        problems.push(
            RuleProblem::error(id, RULE_FILE, None, "the folder's name is not a rule id")
                .suggest(Some("use small letters, digits and hyphens")),
        );
    }
    let Some(source) = files.remove(RULE_FILE) else {
        let what = "the folder has no rule.toml";
        return Err(vec![RuleProblem::error(id, RULE_FILE, None, what)]);
    };
    let (rule, lines, of_file) = format::read(id, &source, files);
    problems.extend(of_file);
    let compiled = rule.map(|rule| CompiledRule::compile_from(rule, &lines));
    match compiled {
        Some(Ok(rule)) if problems.iter().all(|problem| problem.severity == Severity::Warning) => Ok(rule),
        Some(Err(found)) => {
            problems.extend(found);
            Err(problems)
        }
        Some(Ok(_)) | None => Err(problems),
    }
}

/// Whether a text can name a rule, a step or a variant.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 64 && text.chars().all(is_plain) && !text.starts_with('-')
}

fn has_extension(file: &str, extension: &str) -> bool {
    Path::new(file).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
