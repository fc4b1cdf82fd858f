//! Where settings come from: the file, then the environment over it (`BECKON__SECTION__KEY`).

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use figment::value::Dict;

use super::reader::{Problem, Reader};
use super::{Settings, sections};

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("there is no settings file at {0}. Copy beckon.example.toml there, or name another with --config")]
    NoFile(PathBuf),
    #[error("the settings cannot be read: {0}")]
    Unreadable(String),
    #[error("{} of the settings must be put right:\n{}", count(.0.len()), lines(.0))]
    Problems(Vec<Problem>),
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 line".to_owned() } else { format!("{problems} lines") }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// Reads the file at `path` and the environment.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    if !path.exists() {
        return Err(ConfigError::NoFile(path.to_owned()));
    }
    from(Figment::new().merge(Toml::file_exact(path)).merge(Env::prefixed("BECKON__").split("__")))
}

/// Reads settings from a text, without the environment: the demo and tests.
pub fn load_text(text: &str) -> Result<Settings, ConfigError> {
    from(Figment::new().merge(Toml::string(text)))
}

fn from(figment: Figment) -> Result<Settings, ConfigError> {
    let root: Dict = figment.extract().map_err(|error| ConfigError::Unreadable(error.to_string()))?;
    let mut reader = Reader::new(root);
    let settings = sections::read(&mut reader);
    let problems = reader.finish();
    if problems.is_empty() { Ok(settings) } else { Err(ConfigError::Problems(problems)) }
}

/// The operating-system user of this process: who acted at the command line.
#[expect(clippy::disallowed_methods, reason = "this room reads the environment for all others")]
pub fn operating_user() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}
