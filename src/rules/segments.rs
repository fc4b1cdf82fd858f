//! How many parts an SMS is cut into (3GPP TS 23.038, 23.040): 160 or 153 septets in the basic alphabet, 70 or 67
//! UTF-16 units once a single character is outside it.

/// How a text is encoded on the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Gsm7,
    Ucs2,
}

/// What a text costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    pub encoding: Encoding,
    pub segments: usize,
    /// Characters that force UCS-2, in the order of their first use.
    pub outside: Vec<char>,
}

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// Counts the parts of `text` as it stands.
pub fn sms_segments(text: &str) -> Segments {
    let mut outside: Vec<char> = Vec::new();
    for c in text.chars() {
        if !BASIC.contains(c) && !EXTENSION.contains(c) && !outside.contains(&c) {
            outside.push(c);
        }
    }
    if outside.is_empty() {
        let widths = text.chars().map(|c| if EXTENSION.contains(c) { 2 } else { 1 });
        Segments { encoding: Encoding::Gsm7, segments: parts(widths, 160, 153), outside }
    } else {
        Segments { encoding: Encoding::Ucs2, segments: parts(text.chars().map(char::len_utf16), 70, 67), outside }
    }
}

/// A character of two units never straddles two parts.
fn parts(widths: impl Iterator<Item = usize> + Clone, single: usize, multi: usize) -> usize {
    if widths.clone().sum::<usize>() <= single {
        return 1;
    }
    let (mut count, mut used) = (1, 0);
    for width in widths {
        if used + width > multi {
            count += 1;
            used = 0;
        }
        used += width;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_as_the_network_cuts_them() {
        for (text, encoding, segments) in [
            (String::new(), Encoding::Gsm7, 1),
            ("a".repeat(160), Encoding::Gsm7, 1),
            ("a".repeat(161), Encoding::Gsm7, 2),
            ("a".repeat(306), Encoding::Gsm7, 2),
            ("a".repeat(307), Encoding::Gsm7, 3),
            ("€".repeat(80), Encoding::Gsm7, 1),
            ("€".repeat(81), Encoding::Gsm7, 2),
            // 152 septets, then one of two: it moves to the next part whole.
            (format!("{}€{}", "a".repeat(152), "a".repeat(152)), Encoding::Gsm7, 3),
            ("ñéü".repeat(50), Encoding::Gsm7, 1),
            ("á".repeat(70), Encoding::Ucs2, 1),
            ("á".repeat(71), Encoding::Ucs2, 2),
            ("😀".repeat(35), Encoding::Ucs2, 1),
            ("😀".repeat(67), Encoding::Ucs2, 3),
        ] {
            let got = sms_segments(&text);
            assert_eq!((got.encoding, got.segments), (encoding, segments), "{} chars", text.chars().count());
        }
        assert_eq!(sms_segments("sábado, así").outside, ['á', 'í']);
    }
}
