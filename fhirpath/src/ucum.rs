//! The part of UCUM that clinical quantities use: prefixes, products, quotients, exponents,
//! annotations, and the atoms listed here. A unit outside of it compares only with itself.

use rust_decimal::Decimal;
use std::fmt::Write;

/// Exponents of the base units m, s, g, K, mol, A, and of arbitrary units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dimension([i8; 7]);

/// How a unit maps to the base units: `(value + offset) * factor`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub factor: Decimal,
    offset: Decimal,
    pub dimension: Dimension,
}

const BASE: [&str; 7] = ["m", "s", "g", "K", "mol", "A", "[iU]"];

impl Dimension {
    pub fn combine(self, other: Self, sign: i8) -> Option<Self> {
        let mut sum = self;
        for (mine, theirs) in sum.0.iter_mut().zip(other.0) {
            *mine = mine.checked_add(theirs.checked_mul(sign)?)?;
        }
        Some(sum)
    }

    /// The unit in base units: `g.m-1.s-2`; `1` where there is none.
    pub fn code(self) -> String {
        let mut code = String::new();
        for (name, exponent) in BASE.iter().zip(self.0) {
            if exponent == 0 {
                continue;
            }
            if !code.is_empty() {
                code.push('.');
            }
            code.push_str(name);
            if exponent != 1 {
                let _ = write!(code, "{exponent}");
            }
        }
        if code.is_empty() { "1".to_owned() } else { code }
    }
}

impl Scale {
    fn plain(factor: Decimal, exponents: [i8; 7]) -> Self {
        Self { factor, offset: Decimal::ZERO, dimension: Dimension(exponents) }
    }

    pub fn to_base(self, value: Decimal) -> Option<Decimal> {
        value.checked_add(self.offset)?.checked_mul(self.factor).map(|value| value.normalize())
    }

    pub fn of_base(self, value: Decimal) -> Option<Decimal> {
        value.checked_div(self.factor)?.checked_sub(self.offset).map(|value| value.normalize())
    }

    fn power(self, exponent: i8) -> Option<Self> {
        let mut result = Self::plain(Decimal::ONE, [0; 7]);
        for _ in 0..exponent.unsigned_abs() {
            result = result.times(self, exponent.signum())?;
        }
        Some(result)
    }

    fn times(self, other: Self, sign: i8) -> Option<Self> {
        let factor =
            if sign < 0 { self.factor.checked_div(other.factor)? } else { self.factor.checked_mul(other.factor)? };
        let dimension = self.dimension.combine(other.dimension, sign)?;
        Some(Self { factor, offset: Decimal::ZERO, dimension })
    }
}

/// The meaning of a unit expression such as `mg/dL` or `kg.m-2`.
pub(crate) fn scale(code: &str) -> Option<Scale> {
    if code.len() > 64 {
        return None;
    }
    // An offset makes sense for a lone temperature only.
    if let Some(temperature) = temperature(code) {
        return Some(temperature);
    }
    let mut result = Scale::plain(Decimal::ONE, [0; 7]);
    let mut rest = code;
    let mut sign = 1;
    if let Some(tail) = rest.strip_prefix('/') {
        rest = tail;
        sign = -1;
    }
    loop {
        let end = split_point(rest);
        result = result.times(component(&rest[..end])?, sign)?;
        let Some(separator) = rest[end..].chars().next() else {
            return Some(result);
        };
        sign = if separator == '/' { -1 } else { 1 };
        rest = &rest[end + 1..];
    }
}

fn split_point(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            '.' | '/' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// An atom with prefix, exponent and annotation.
fn component(text: &str) -> Option<Scale> {
    let text = match text.find('{') {
        Some(0) => return text.ends_with('}').then(|| Scale::plain(Decimal::ONE, [0; 7])),
        Some(at) => text.ends_with('}').then(|| &text[..at])?,
        None => text,
    };
    if let Some(exponent) = text.strip_prefix("10*").or_else(|| text.strip_prefix("10^")) {
        let ten = Scale::plain(Decimal::TEN, [0; 7]);
        return ten.power(exponent.parse().ok()?);
    }
    if let Some(symbol) = symbol(text) {
        return Some(symbol);
    }
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let mut cut = text.len() - digits;
    if cut > 0 && digits > 0 && matches!(text.as_bytes()[cut - 1], b'-' | b'+') {
        cut -= 1;
    }
    if cut == 0 {
        return text.parse().ok().filter(|number| *number > Decimal::ZERO).map(|n| Scale::plain(n, [0; 7]));
    }
    if digits == 0 {
        return None;
    }
    let exponent: i8 = text[cut..].parse().ok()?;
    symbol(&text[..cut])?.power(exponent)
}

/// An atom, with a metric prefix where it takes one.
fn symbol(text: &str) -> Option<Scale> {
    if let Some((scale, _)) = atom(text) {
        return Some(scale);
    }
    let (power, rest) = ["da", "Y", "T", "G", "M", "k", "h", "d", "c", "m", "u", "n", "p", "f"]
        .iter()
        .zip([1, 24, 12, 9, 6, 3, 2, -1, -2, -3, -6, -9, -12, -15])
        .find_map(|(prefix, power)| text.strip_prefix(prefix).map(|rest| (power, rest)))?;
    let (scale, metric) = atom(rest)?;
    metric.then_some(())?;
    let ten = Scale::plain(Decimal::TEN, [0; 7]).power(power)?;
    scale.times(ten, 1)
}

/// An atom, and whether it takes prefixes.
fn atom(text: &str) -> Option<(Scale, bool)> {
    let of = |mantissa: i64, scale: u32, exponents: [i8; 7], metric: bool| {
        Some((Scale::plain(Decimal::new(mantissa, scale), exponents), metric))
    };
    const NONE: [i8; 7] = [0; 7];
    const LENGTH: [i8; 7] = [1, 0, 0, 0, 0, 0, 0];
    const TIME: [i8; 7] = [0, 1, 0, 0, 0, 0, 0];
    const MASS: [i8; 7] = [0, 0, 1, 0, 0, 0, 0];
    const AMOUNT: [i8; 7] = [0, 0, 0, 0, 1, 0, 0];
    const VOLUME: [i8; 7] = [3, 0, 0, 0, 0, 0, 0];
    const PRESSURE: [i8; 7] = [-1, -2, 1, 0, 0, 0, 0];
    const ENERGY: [i8; 7] = [2, -2, 1, 0, 0, 0, 0];
    match text {
        "1" => of(1, 0, NONE, false),
        "%" => of(1, 2, NONE, false),
        "[ppth]" => of(1, 3, NONE, false),
        "[ppm]" => of(1, 6, NONE, false),
        "m" => of(1, 0, LENGTH, true),
        "[in_i]" => of(254, 4, LENGTH, false),
        "[ft_i]" => of(3048, 4, LENGTH, false),
        "[yd_i]" => of(9144, 4, LENGTH, false),
        "[mi_i]" => of(1_609_344, 3, LENGTH, false),
        "s" => of(1, 0, TIME, true),
        "min" => of(60, 0, TIME, false),
        "h" => of(3600, 0, TIME, false),
        "d" => of(86_400, 0, TIME, false),
        "wk" => of(604_800, 0, TIME, false),
        "mo" => of(2_629_800, 0, TIME, false),
        "a" => of(31_557_600, 0, TIME, false),
        "Hz" => of(1, 0, [0, -1, 0, 0, 0, 0, 0], true),
        "g" => of(1, 0, MASS, true),
        "t" => of(1_000_000, 0, MASS, true),
        "[lb_av]" => of(45_359_237, 5, MASS, false),
        "[oz_av]" => of(28_349_523_125, 9, MASS, false),
        "[gr]" => of(6_479_891, 8, MASS, false),
        "[stone_av]" => of(635_029_318, 5, MASS, false),
        "K" => of(1, 0, [0, 0, 0, 1, 0, 0, 0], true),
        "mol" | "eq" | "osm" => of(1, 0, AMOUNT, true),
        "kat" => of(1, 0, [0, -1, 0, 0, 1, 0, 0], true),
        "U" => Some((Scale::plain(Decimal::new(1, 6) / Decimal::from(60), [0, -1, 0, 0, 1, 0, 0]), true)),
        "A" => of(1, 0, [0, 0, 0, 0, 0, 1, 0], true),
        "[iU]" | "[IU]" => of(1, 0, [0, 0, 0, 0, 0, 0, 1], true),
        "L" | "l" => of(1, 3, VOLUME, true),
        "[foz_us]" => of(295_735_295_625, 16, VOLUME, false),
        "[tsp_us]" => of(492_892_159_375, 17, VOLUME, false),
        "[tbs_us]" => of(1_478_676_478_125, 17, VOLUME, false),
        "N" => of(1000, 0, [1, -2, 1, 0, 0, 0, 0], true),
        "Pa" => of(1000, 0, PRESSURE, true),
        "bar" => of(100_000_000, 0, PRESSURE, true),
        "m[Hg]" => of(133_322_000, 0, PRESSURE, true),
        "m[H2O]" => of(9_806_650, 0, PRESSURE, true),
        "J" => of(1000, 0, ENERGY, true),
        "cal" => of(4184, 0, ENERGY, true),
        "W" => of(1000, 0, [2, -3, 1, 0, 0, 0, 0], true),
        _ => None,
    }
}

fn temperature(code: &str) -> Option<Scale> {
    let dimension = Dimension([0, 0, 0, 1, 0, 0, 0]);
    match code {
        "Cel" => Some(Scale { factor: Decimal::ONE, offset: Decimal::new(27315, 2), dimension }),
        "[degF]" => {
            Some(Scale { factor: Decimal::from(5) / Decimal::from(9), offset: Decimal::new(45967, 2), dimension })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clinical_units_convert() {
        let base = |value: i64, code: &str| scale(code).unwrap().to_base(Decimal::from(value)).unwrap();
        assert_eq!(base(1, "g/dL"), base(10, "g/L"));
        assert_eq!(base(1, "mmol/L"), base(1000, "umol/L"));
        assert_eq!(base(1, "kg.m-2"), base(1000, "g/m2"));
        assert_eq!(base(1, "/min"), base(1, "min-1"));
        assert_eq!(base(1, "10*3/uL"), base(1, "10*9/L"));
        assert_eq!(base(1, "mg{total}"), base(1, "mg"));
        assert_eq!(base(0, "Cel"), Decimal::new(27315, 2));
        assert!(scale("mm[Hg]").is_some());
        assert!(scale("lbs").is_none());
        assert!(scale("").is_none());
        assert!(scale("mg/").is_none());
    }
}
