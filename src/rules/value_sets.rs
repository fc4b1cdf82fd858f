//! Membership in the value sets that a rule carries.

use crate::domain::Rule;
use crate::fhir::codes;

/// Whether a code is a member; `None` where the rule does not have the value set.
///
/// A code of ICD-10 stands for its subdivisions too: `E11` has `E11.9` and `E119`, but not `E110` of another category.
pub(super) fn contains(rule: &Rule, url: &str, system: Option<&str>, code: &str) -> Option<bool> {
    let members = rule.value_sets.get(url)?;
    let system = system.map(codes::canonical_system);
    Some(members.iter().any(|(member_system, member)| {
        system.is_none_or(|system| system == member_system)
            && (member == code || is_icd10(member_system) && covers(member, code))
    }))
}

fn is_icd10(system: &str) -> bool {
    system == codes::ICD10_CM || system == codes::ICD10
}

/// Three-character categories take in everything below; longer codes what continues them.
fn covers(member: &str, code: &str) -> bool {
    let plain = |text: &str| text.replace('.', "").to_ascii_uppercase();
    plain(code).starts_with(&plain(member))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_category_has_its_subdivisions() {
        for (member, code, expected) in [
            ("E11", "E11.9", true),
            ("E11", "E119", true),
            ("E11", "e11", true),
            ("E11", "E10.9", false),
            ("E11.6", "E11.65", true),
            ("E11.65", "E11.6", false),
        ] {
            assert_eq!(covers(member, code), expected, "{member} {code}");
        }
    }
}
