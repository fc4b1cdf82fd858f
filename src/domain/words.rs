//! Codes as people read them.

/// A stable code as words: `quiet_hours` is `Quiet hours`, and the step `three-days-before` is `Three days before`.
pub fn in_words(code: &str) -> String {
    let mut words = code.replace(['_', '-', '.'], " ");
    if let Some(first) = words.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    words
}
