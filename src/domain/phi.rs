//! Protected health information that must not reach a log, an error text or a panic.

use serde::{Deserialize, Serialize};

/// A value that identifies or describes a patient. It has no `Display`, and its `Debug` shows nothing, so that it can
/// stand in any struct that is logged. It serialises transparently, because what is sealed is serialised first.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Whoever calls this decides that the place it goes to may hold PHI.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    pub fn into_inner(self) -> T {
        self.0
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Phi<U> {
        Phi(f(self.0))
    }
}

impl<T> std::fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[phi]")
    }
}

impl<T> From<T> for Phi<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::Phi;

    #[test]
    fn debug_output_never_shows_the_value() {
        assert_eq!(format!("{:?}", Some(Phi::new("Ada"))), "Some([phi])");
    }
}
