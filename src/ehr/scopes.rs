//! SMART scopes: the grammar of versions 1 and 2, one normal form, and what was asked but not granted
//! (SMART App Launch 2.2, "Scopes for requesting FHIR Resources").

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What an operation needs, in the order in which version 2 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    Create,
    Read,
    Update,
    Delete,
    Search,
}

impl Access {
    const ALL: [(Self, char); 5] =
        [(Self::Create, 'c'), (Self::Read, 'r'), (Self::Update, 'u'), (Self::Delete, 'd'), (Self::Search, 's')];
}

/// Who the data belongs to: backend services use `system` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    System,
    User,
    Patient,
}

impl Context {
    const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Patient => "patient",
        }
    }
}

/// One resource scope in normal form: version 1 words are turned into letters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    pub context: Context,
    /// A resource type, or `*`. Types that Beckon does not use are kept: a server may grant them.
    pub resource_type: String,
    pub access: BTreeSet<Access>,
    /// Search constraints as they stand, percent-encoded, sorted.
    pub query: BTreeSet<String>,
}

/// Why a text is not a scope that may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error("scope {0:?} is not of the form system/Type.letters; write for example system/Appointment.rs")]
    Form(String),
    #[error("scope {0:?} names no access that SMART knows; write letters out of c, r, u, d, s, in this order")]
    Access(String),
    #[error("scope {0:?} is not a system scope; a backend service asks for system/ scopes only")]
    NotSystem(String),
}

impl Scope {
    /// Reads one scope of either version.
    ///
    /// # Errors
    /// Not a resource scope, or an access that is undefined (out of order letters such as `.sr`).
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let form = || ScopeError::Form(text.to_owned());
        let (head, query) = text.split_once('?').unwrap_or((text, ""));
        let (context, rest) = head.split_once('/').ok_or_else(form)?;
        let context = [Context::System, Context::User, Context::Patient]
            .into_iter()
            .find(|known| known.as_str() == context)
            .ok_or_else(form)?;
        let (resource_type, access) = rest.split_once('.').ok_or_else(form)?;
        let named = resource_type.starts_with(|first: char| first.is_ascii_uppercase())
            && resource_type.chars().all(|letter| letter.is_ascii_alphabetic());
        if !named && resource_type != "*" {
            return Err(form());
        }
        let access = parse_access(access).ok_or_else(|| ScopeError::Access(text.to_owned()))?;
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
        Ok(Self { context, resource_type: resource_type.to_owned(), access, query })
    }

    /// Whether this scope, once granted, allows what `asked` allows for one letter.
    fn allows(&self, asked: &Self, access: Access) -> bool {
        self.context == asked.context
            && (self.resource_type == "*" || self.resource_type == asked.resource_type)
            && self.access.contains(&access)
            && (self.query.is_empty() || self.query == asked.query)
    }

    /// Version 1 knows neither single letters nor constraints, so this may ask for more than version 2 would.
    fn as_v1(&self) -> Vec<String> {
        let word = |word: &str, letters: [Access; 3]| {
            letters
                .iter()
                .any(|letter| self.access.contains(letter))
                .then(|| format!("{}/{}.{word}", self.context.as_str(), self.resource_type))
        };
        let read = word("read", [Access::Read, Access::Search, Access::Read]);
        let write = word("write", [Access::Create, Access::Update, Access::Delete]);
        read.into_iter().chain(write).collect()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.", self.context.as_str(), self.resource_type)?;
        for (access, letter) in Access::ALL {
            if self.access.contains(&access) {
                write!(f, "{letter}")?;
            }
        }
        let query: Vec<&str> = self.query.iter().map(String::as_str).collect();
        if query.is_empty() { Ok(()) } else { write!(f, "?{}", query.join("&")) }
    }
}

fn parse_access(text: &str) -> Option<BTreeSet<Access>> {
    let letters = match text {
        "read" => "rs",
        "write" => "cud",
        "*" => "cruds",
        letters => letters,
    };
    let mut found = BTreeSet::new();
    for letter in letters.chars() {
        let access = Access::ALL.into_iter().find(|(_, known)| *known == letter)?.0;
        // A set keeps no order, so an out of order or repeated letter must be seen while reading.
        if found.last().is_some_and(|last| *last >= access) {
            return None;
        }
        found.insert(access);
    }
    (!found.is_empty()).then_some(found)
}

/// Resource scopes in normal form, and other scopes (`openid`, `launch/patient`) as they stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct ScopeSet {
    resources: BTreeSet<Scope>,
    others: BTreeSet<String>,
}

/// In which version's words scopes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeStyle {
    V1,
    V2,
}

impl ScopeSet {
    /// Reads the `scope` of a token reply. Never fails: what is not a resource scope is kept as it stands.
    pub fn granted(text: &str) -> Self {
        let mut set = Self::default();
        for word in text.split_whitespace() {
            match Scope::parse(word) {
                Ok(scope) => set.resources.insert(scope),
                Err(_) => set.others.insert(word.to_owned()),
            };
        }
        set
    }

    /// Reads the scopes that a backend connection is to ask for.
    ///
    /// # Errors
    /// The first scope that is malformed or not a `system` scope.
    pub fn for_backend(text: &str) -> Result<Self, ScopeError> {
        let mut resources = BTreeSet::new();
        for word in text.split_whitespace() {
            let scope = Scope::parse(word)?;
            if scope.context != Context::System {
                return Err(ScopeError::NotSystem(word.to_owned()));
            }
            resources.insert(scope);
        }
        Ok(Self { resources, others: BTreeSet::new() })
    }

    /// What `self` asked for and `granted` does not allow, letter by letter.
    pub fn missing_from(&self, granted: &Self) -> Vec<Scope> {
        let mut missing = Vec::new();
        for asked in &self.resources {
            let access: BTreeSet<Access> = asked
                .access
                .iter()
                .copied()
                .filter(|access| !granted.resources.iter().any(|scope| scope.allows(asked, *access)))
                .collect();
            if !access.is_empty() {
                missing.push(Scope { access, ..asked.clone() });
            }
        }
        missing
    }

    /// The resource scopes, sorted.
    pub fn resources(&self) -> impl Iterator<Item = &Scope> {
        self.resources.iter()
    }

    /// These scopes and what of `more` they do not allow yet.
    #[must_use]
    pub fn with(mut self, more: &Self) -> Self {
        let missing = more.missing_from(&self);
        self.resources.extend(missing);
        self
    }

    /// These without those; a scope that has no letter left goes.
    pub fn minus(&self, less: &Self) -> Self {
        let mut set = Self { others: self.others.difference(&less.others).cloned().collect(), ..Self::default() };
        for scope in &self.resources {
            let mut left = scope.clone();
            for gone in &less.resources {
                let same = gone.context == scope.context && gone.resource_type == scope.resource_type;
                if same && gone.query == scope.query {
                    left.access.retain(|access| !gone.access.contains(access));
                }
            }
            if !left.access.is_empty() {
                set.resources.insert(left);
            }
        }
        set
    }

    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.others.is_empty()
    }

    /// Whether every letter of `needed` may be done to a whole type (a constrained grant does not count).
    pub fn allows(&self, resource_type: &str, needed: &[Access]) -> bool {
        let asked = Scope {
            context: Context::System,
            resource_type: resource_type.to_owned(),
            access: BTreeSet::new(),
            query: BTreeSet::new(),
        };
        needed.iter().all(|access| self.resources.iter().any(|scope| scope.allows(&asked, *access)))
    }

    /// The value of a `scope` parameter.
    pub fn as_parameter(&self, style: ScopeStyle) -> String {
        let resources: Vec<String> = match style {
            ScopeStyle::V1 => {
                let words: BTreeSet<String> = self.resources.iter().flat_map(Scope::as_v1).collect();
                words.into_iter().collect()
            }
            ScopeStyle::V2 => self.resources.iter().map(ToString::to_string).collect(),
        };
        resources.into_iter().chain(self.others.iter().cloned()).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_parameter(ScopeStyle::V2))
    }
}

impl From<ScopeSet> for String {
    fn from(set: ScopeSet) -> Self {
        set.to_string()
    }
}

impl From<String> for ScopeSet {
    fn from(text: String) -> Self {
        Self::granted(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(asked: &str, granted: &str) -> String {
        let asked = ScopeSet::for_backend(asked).unwrap();
        let missing = asked.missing_from(&ScopeSet::granted(granted));
        missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn version_1_words_mean_version_2_letters() {
        for (v1, v2) in [("read", "rs"), ("write", "cud"), ("*", "cruds")] {
            let (v1, v2) = (format!("system/Patient.{v1}"), format!("system/Patient.{v2}"));
            assert_eq!(Scope::parse(&v1).unwrap(), Scope::parse(&v2).unwrap(), "{v1}");
        }
    }

    #[test]
    fn a_malformed_scope_is_refused() {
        for bad in [
            "system/Patient.sr",
            "system/Patient.rr",
            "system/Patient.",
            "system/Patient",
            "Patient.rs",
            "tenant/Patient.rs",
            "system/patient.rs",
            "system/.rs",
            "system/Patient.read.write",
            "offline_access",
        ] {
            assert!(ScopeSet::for_backend(bad).is_err(), "{bad} was accepted");
        }
        assert_eq!(ScopeSet::for_backend("user/Patient.rs"), Err(ScopeError::NotSystem("user/Patient.rs".into())),);
    }

    #[test]
    fn the_difference_of_asked_and_granted_is_told_by_letter() {
        let cases = [
            ("system/Patient.rs system/Appointment.rs", "system/Patient.rs", "system/Appointment.rs"),
            ("system/Patient.rs", "system/Patient.read", ""),
            ("system/Patient.rs", "system/*.read", ""),
            ("system/Patient.rs", "system/Patient.r system/*.s", ""),
            ("system/Communication.crus", "system/Communication.read", "system/Communication.cu"),
            ("system/*.rs", "system/Patient.rs", "system/*.rs"),
            ("system/Patient.rs", "patient/Patient.rs openid launch", "system/Patient.rs"),
            // A grant narrowed to a category does not cover the whole type.
            ("system/Observation.rs", "system/Observation.rs?category=lab", "system/Observation.rs"),
            ("system/Observation.rs?category=lab", "system/Observation.rs", ""),
            ("system/Observation.rs?a=1&b=2", "system/Observation.rs?b=2&a=1", ""),
        ];
        for (asked, granted, expected) in cases {
            assert_eq!(missing(asked, granted), expected, "asked {asked}, granted {granted}");
        }
    }

    #[test]
    fn scopes_are_added_and_taken_away_letter_by_letter() {
        let set = |text: &str| ScopeSet::for_backend(text).unwrap();
        let asked = set("system/Communication.crus system/Patient.rs");
        let cases = [
            (
                asked.clone().with(&set("system/Consent.rs")),
                "system/Communication.crus system/Consent.rs system/Patient.rs",
            ),
            (
                asked.clone().with(&set("system/Patient.crs")),
                "system/Communication.crus system/Patient.c system/Patient.rs",
            ),
            (asked.clone().with(&asked), "system/Communication.crus system/Patient.rs"),
            (asked.minus(&set("system/Communication.cu")), "system/Communication.rs system/Patient.rs"),
            (asked.minus(&set("system/Patient.*")), "system/Communication.crus"),
            (asked.minus(&set("system/Patient.rs?x=1")), "system/Communication.crus system/Patient.rs"),
            (asked.minus(&asked), ""),
        ];
        for (set, expected) in cases {
            assert_eq!(set.to_string(), expected);
        }
    }

    #[test]
    fn scopes_can_be_asked_in_either_version() {
        let set = ScopeSet::for_backend("system/Communication.crus system/Patient.rs").unwrap();
        assert_eq!(set.as_parameter(ScopeStyle::V2), "system/Communication.crus system/Patient.rs");
        assert_eq!(
            set.as_parameter(ScopeStyle::V1),
            "system/Communication.read system/Communication.write system/Patient.read",
        );
    }

    #[test]
    fn a_narrowed_grant_does_not_allow_the_whole_type() {
        let granted = ScopeSet::granted("system/Patient.rs system/Observation.rs?category=lab openid");
        assert!(granted.allows("Patient", &[Access::Read, Access::Search]));
        assert!(!granted.allows("Patient", &[Access::Update]));
        assert!(!granted.allows("Observation", &[Access::Search]));
    }
}
