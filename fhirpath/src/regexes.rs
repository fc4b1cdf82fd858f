//! Patterns, compiled within a bound. The engine runs in time linear in the text.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled pattern may take.
const SIZE_LIMIT: usize = 1 << 18;
/// Bytes of a pattern.
const LENGTH_LIMIT: usize = 4096;

/// `None` where the pattern or a flag is not understood, or the pattern is too large.
pub(crate) fn compile(pattern: &str, whole: bool, flags: &str) -> Option<Regex> {
    let wrapped;
    let pattern = if whole {
        wrapped = format!("^(?:{pattern})$");
        &wrapped
    } else {
        pattern
    };
    if pattern.len() > LENGTH_LIMIT || !flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's')) {
        return None;
    }
    RegexBuilder::new(pattern)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(SIZE_LIMIT)
        .nest_limit(64)
        .dot_matches_new_line(true)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .build()
        .ok()
}

/// `$1x` of other engines means group 1 followed by x; here that is written `${1}x`.
pub(crate) fn replacement(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => result.push_str("$$"),
                Some(other) => result.push(other),
                None => result.push('\\'),
            },
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => {
                result.push_str("${");
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    result.push(digit);
                }
                result.push('}');
            }
            '$' if chars.peek() == Some(&'{') => result.push('$'),
            '$' => result.push_str("$$"),
            other => result.push(other),
        }
    }
    result
}
