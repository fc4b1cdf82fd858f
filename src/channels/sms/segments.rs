//! How many parts a text is carried in (3GPP TS 23.038): what it costs, and how fast a carrier lets it through.

/// The basic set of GSM 7-bit; one septet each.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
    abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table; an escape and a septet, which must stay together.
const EXTENDED: &str = "^{}\\[~]|€\u{c}";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Gsm7,
    Ucs2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    pub encoding: Encoding,
    /// Septets, or UTF-16 units.
    pub units: usize,
    /// Messages that are paid for; an empty text has none.
    pub parts: usize,
}

/// Counts a text as a carrier does: 160 or 153 septets a part, or 70 or 67 units where one character is not GSM.
pub fn segments(text: &str) -> Segments {
    let septets = |c: char| {
        if BASIC.contains(c) {
            Some(1)
        } else if EXTENDED.contains(c) {
            Some(2)
        } else {
            None
        }
    };
    match text.chars().map(septets).collect::<Option<Vec<usize>>>() {
        Some(costs) => count(Encoding::Gsm7, costs.into_iter(), 160, 153),
        None => count(Encoding::Ucs2, text.chars().map(char::len_utf16), 70, 67),
    }
}

/// A character of two units is never split between parts.
fn count(encoding: Encoding, costs: impl Iterator<Item = usize>, single: usize, each: usize) -> Segments {
    let (mut units, mut parts, mut room) = (0, 0, 0);
    for cost in costs {
        units += cost;
        if room < cost {
            parts += 1;
            room = each;
        }
        room -= cost;
    }
    Segments { encoding, units, parts: if units <= single { parts.min(1) } else { parts } }
}

/// Typographic characters that word processors put in, as the GSM characters that people take them for. One of them
/// would more than double the parts of a text.
pub fn plain_punctuation(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            match c {
                '‘' | '’' | '‚' | '′' => "'".chars(),
                '“' | '”' | '„' | '″' => "\"".chars(),
                '‐' | '‑' | '‒' | '–' | '—' | '−' => "-".chars(),
                '…' => "...".chars(),
                '\u{a0}' | '\u{2009}' | '\u{202f}' => " ".chars(),
                '\u{200b}' | '\u{feff}' => "".chars(),
                other => return Chars::One(Some(other)),
            }
            .into()
        })
        .collect()
}

/// One character or a replacement; saves an allocation for each character.
enum Chars {
    One(Option<char>),
    Many(std::str::Chars<'static>),
}

impl From<std::str::Chars<'static>> for Chars {
    fn from(chars: std::str::Chars<'static>) -> Self {
        Self::Many(chars)
    }
}

impl Iterator for Chars {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Self::One(one) => one.take(),
            Self::Many(many) => many.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_as_carriers_count_them() {
        use Encoding::{Gsm7, Ucs2};
        for (text, encoding, units, parts) in [
            (String::new(), Gsm7, 0, 0),
            ("a".repeat(160), Gsm7, 160, 1),
            ("a".repeat(161), Gsm7, 161, 2),
            ("a".repeat(306), Gsm7, 306, 2),
            ("a".repeat(307), Gsm7, 307, 3),
            ("€".repeat(80), Gsm7, 160, 1),
            ("€".repeat(81), Gsm7, 162, 2),
            // 152 septets, then a pair that does not fit into the last place of the part.
            (format!("{}€{}", "a".repeat(152), "a".repeat(152)), Gsm7, 306, 3),
            ("é".repeat(160), Gsm7, 160, 1),
            ("á".repeat(70), Ucs2, 70, 1),
            ("á".repeat(71), Ucs2, 71, 2),
            ("á".repeat(134), Ucs2, 134, 2),
            ("á".repeat(135), Ucs2, 135, 3),
            ("😀".repeat(35), Ucs2, 70, 1),
            ("😀".repeat(36), Ucs2, 72, 2),
            // 33 pairs fill 66 of 67 units; the next pair does not fit.
            ("😀".repeat(67), Ucs2, 134, 3),
            ("Su cita es mañana".to_owned(), Gsm7, 17, 1),
            ("Confirme aquí".to_owned(), Ucs2, 13, 1),
            ("[a]".to_owned(), Gsm7, 5, 1),
        ] {
            assert_eq!(segments(&text), Segments { encoding, units, parts }, "{text}");
        }
    }

    #[test]
    fn typographic_characters_become_plain_ones() {
        assert_eq!(plain_punctuation("“Dr.\u{a0}Lee’s” – 9–10…"), "\"Dr. Lee's\" - 9-10...");
        assert_eq!(segments(&plain_punctuation("It’s today")).encoding, Encoding::Gsm7);
    }
}
