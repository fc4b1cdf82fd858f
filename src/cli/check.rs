//! `beckon check`

use super::Failure;
use super::open::At;

pub(super) fn run(at: &At) -> Result<(), Failure> {
    let settings = at.settings()?;
    let (_, problems) = crate::app::load_rules(&settings);
    let errors: Vec<String> =
        problems.iter().filter(|it| it.severity == crate::rules::Severity::Error).map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(Failure::Problem(format!("the settings are fine; the rules are not:\n{}", errors.join("\n"))));
    }
    println!("The settings are fine.");
    Ok(())
}
