//! Scope grammar: `system/Type.cruds`, and version 1's `.read`, `.write`, `.*`.

use std::collections::BTreeSet;

/// A system scope: a type (or `*`) and the interactions c, r, u, d, s.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    pub kind: String,
    pub letters: BTreeSet<char>,
}

const ORDER: &str = "cruds";

impl Scope {
    /// Reads one scope; nothing for what is not a system scope of the grammar.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, access) = text.strip_prefix("system/")?.split_once('.')?;
        let named = kind == "*"
            || kind.starts_with(|first: char| first.is_ascii_uppercase())
                && kind.chars().all(|c| c.is_ascii_alphabetic());
        let letters = match access {
            "read" => "rs",
            "write" => "cud",
            "*" => ORDER,
            letters => letters,
        };
        // In order, no letter twice, at least one.
        let mut places = letters.chars().map(|letter| ORDER.find(letter));
        let mut last = None;
        let ordered = places.all(|place| {
            let rises = place.is_some() && place > last;
            last = place;
            rises
        });
        (named && ordered && !letters.is_empty())
            .then(|| Self { kind: kind.to_owned(), letters: letters.chars().collect() })
    }

    /// Whether it allows an interaction on a type.
    pub fn allows(&self, kind: &str, letter: char) -> bool {
        (self.kind == "*" || self.kind == kind) && self.letters.contains(&letter)
    }

    /// What both this and `other` allow.
    fn common(&self, other: &Self) -> Option<Self> {
        let kind = match (self.kind.as_str(), other.kind.as_str()) {
            ("*", kind) | (kind, "*") => kind.to_owned(),
            (one, two) if one == two => one.to_owned(),
            _ => return None,
        };
        let letters: BTreeSet<char> = self.letters.intersection(&other.letters).copied().collect();
        (!letters.is_empty()).then_some(Self { kind, letters })
    }

    fn name(&self) -> String {
        let letters: String = ORDER.chars().filter(|letter| self.letters.contains(letter)).collect();
        format!("system/{}.{letters}", self.kind)
    }
}

/// The part of what is asked that is registered.
pub fn granted(asked: &[Scope], registered: &[Scope]) -> Vec<Scope> {
    let mut out: BTreeSet<Scope> = BTreeSet::new();
    for asked in asked {
        out.extend(registered.iter().filter_map(|registered| asked.common(registered)));
    }
    out.into_iter().collect()
}

/// Scopes as the token reply spells them.
pub fn granted_names(scopes: &[Scope]) -> String {
    scopes.iter().map(Scope::name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_kept() {
        for good in
            ["system/Patient.rs", "system/*.cruds", "system/Appointment.read", "system/Communication.c", "system/*.*"]
        {
            assert!(Scope::parse(good).is_some(), "{good}");
        }
        for bad in [
            "system/Patient.sr",
            "system/Patient.",
            "system/Patient",
            "patient/Patient.rs",
            "system/Patient.rr",
            "system/patient.r",
            "system/Patient.x",
            "openid",
        ] {
            assert!(Scope::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_registered_is_granted() {
        let parse = |text: &str| text.split(' ').filter_map(Scope::parse).collect::<Vec<_>>();
        let granted =
            granted(&parse("system/Patient.rs system/Communication.cru"), &parse("system/*.r system/Communication.c"));
        assert_eq!(granted_names(&granted), "system/Communication.c system/Communication.r system/Patient.r");
    }
}
