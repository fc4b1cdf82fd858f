//! What becomes of a text, decided by the last two digits of the number it goes to.

/// The end of a text's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    /// Ends `undelivered` with this error code.
    Undelivered(u32),
    /// Refused when it is sent, with this error code.
    Refused(u32),
}

/// 60 to 64: a landline (30006). 65: an unknown number (30005). 66: unreachable (30003). 67: filtered (30007). 68: refused at
/// once as not mobile (21614). 69: an unknown error of the carrier (30008). Every other number is delivered.
pub fn of(number: &str) -> Fate {
    match number.get(number.len().saturating_sub(2)..).unwrap_or_default() {
        "60" | "61" | "62" | "63" | "64" => Fate::Undelivered(30006),
        "65" => Fate::Undelivered(30005),
        "66" => Fate::Undelivered(30003),
        "67" => Fate::Undelivered(30007),
        "68" => Fate::Refused(21614),
        "69" => Fate::Undelivered(30008),
        _ => Fate::Delivered,
    }
}

/// E.164: a plus sign and up to 15 digits, the first not 0; for North America exactly ten after +1.
pub fn is_e164(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else { return false };
    let plain =
        (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    let national = digits.strip_prefix('1');
    plain
        && national.is_none_or(|national| {
            national.len() == 10 && national.as_bytes()[0] >= b'2' && national.as_bytes()[3] >= b'2'
        })
}

/// How many parts a text is sent in: 160 or 153 septets of GSM 7-bit, else 70 or 67 UTF-16 units.
pub fn segments(body: &str) -> usize {
    const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    const EXTENDED: &str = "^{}\\[]~|€\u{c}";
    let septets = body.chars().try_fold(0, |sum, letter| {
        if BASIC.contains(letter) {
            Some(sum + 1)
        } else if EXTENDED.contains(letter) {
            Some(sum + 2)
        } else {
            None
        }
    });
    let (units, one, part) = match septets {
        Some(septets) => (septets, 160, 153),
        None => (body.encode_utf16().count(), 70, 67),
    };
    if units <= one { 1 } else { units.div_ceil(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_judged() {
        for (number, good) in [
            ("+16175550123", true),
            ("6175550123", false),
            ("+1617555012", false),
            ("+10175550123", false),
            ("+4915123456789", true),
            ("+1617CALLME", false),
        ] {
            assert_eq!(is_e164(number), good, "{number}");
        }
        assert_eq!(segments(&"a".repeat(160)), 1);
        assert_eq!(segments(&"a".repeat(161)), 2);
        assert_eq!(segments(&"á".repeat(70)), 1);
        assert_eq!(segments(&"á".repeat(71)), 2);
        assert_eq!(segments(&"€".repeat(81)), 2);
    }
}
