//! Zones of countries other than the United States, by what an address or a telephone number says. Only countries
//! whose people live in few zones; what is not here is held until somebody sets a zone.

use chrono_tz::Tz;

struct Country {
    code: &'static str,
    code3: &'static str,
    name: &'static str,
    calling: &'static str,
    zones: &'static [Tz],
}

const fn country(
    code: &'static str,
    code3: &'static str,
    name: &'static str,
    calling: &'static str,
    zones: &'static [Tz],
) -> Country {
    Country { code, code3, name, calling, zones }
}

const COUNTRIES: &[Country] = &[
    country("AT", "AUT", "Austria", "43", &[Tz::Europe__Vienna]),
    country("BE", "BEL", "Belgium", "32", &[Tz::Europe__Brussels]),
    country("CH", "CHE", "Switzerland", "41", &[Tz::Europe__Zurich]),
    country("CN", "CHN", "China", "86", &[Tz::Asia__Shanghai]),
    country("CO", "COL", "Colombia", "57", &[Tz::America__Bogota]),
    country("CR", "CRI", "Costa Rica", "506", &[Tz::America__Costa_Rica]),
    country("CU", "CUB", "Cuba", "53", &[Tz::America__Havana]),
    country("CZ", "CZE", "Czechia", "420", &[Tz::Europe__Prague]),
    country("DE", "DEU", "Germany", "49", &[Tz::Europe__Berlin]),
    country("DK", "DNK", "Denmark", "45", &[Tz::Europe__Copenhagen]),
    country("DO", "DOM", "Dominican Republic", "", &[Tz::America__Santo_Domingo]),
    country("EC", "ECU", "Ecuador", "593", &[Tz::America__Guayaquil, Tz::Pacific__Galapagos]),
    country("EG", "EGY", "Egypt", "20", &[Tz::Africa__Cairo]),
    country("ES", "ESP", "Spain", "34", &[Tz::Europe__Madrid, Tz::Atlantic__Canary]),
    country("ET", "ETH", "Ethiopia", "251", &[Tz::Africa__Addis_Ababa]),
    country("FI", "FIN", "Finland", "358", &[Tz::Europe__Helsinki]),
    country("FR", "FRA", "France", "33", &[Tz::Europe__Paris]),
    country("GB", "GBR", "United Kingdom", "44", &[Tz::Europe__London]),
    country("GR", "GRC", "Greece", "30", &[Tz::Europe__Athens]),
    country("GT", "GTM", "Guatemala", "502", &[Tz::America__Guatemala]),
    country("HK", "HKG", "Hong Kong", "852", &[Tz::Asia__Hong_Kong]),
    country("HN", "HND", "Honduras", "504", &[Tz::America__Tegucigalpa]),
    country("HT", "HTI", "Haiti", "509", &[Tz::America__PortauPrince]),
    country("IE", "IRL", "Ireland", "353", &[Tz::Europe__Dublin]),
    country("IL", "ISR", "Israel", "972", &[Tz::Asia__Jerusalem]),
    country("IN", "IND", "India", "91", &[Tz::Asia__Kolkata]),
    country("IT", "ITA", "Italy", "39", &[Tz::Europe__Rome]),
    country("JM", "JAM", "Jamaica", "", &[Tz::America__Jamaica]),
    country("JP", "JPN", "Japan", "81", &[Tz::Asia__Tokyo]),
    country("KR", "KOR", "South Korea", "82", &[Tz::Asia__Seoul]),
    country(
        "MX",
        "MEX",
        "Mexico",
        "52",
        &[Tz::America__Mexico_City, Tz::America__Cancun, Tz::America__Hermosillo, Tz::America__Tijuana],
    ),
    country("NG", "NGA", "Nigeria", "234", &[Tz::Africa__Lagos]),
    country("NI", "NIC", "Nicaragua", "505", &[Tz::America__Managua]),
    country("NL", "NLD", "Netherlands", "31", &[Tz::Europe__Amsterdam]),
    country("NO", "NOR", "Norway", "47", &[Tz::Europe__Oslo]),
    country("NZ", "NZL", "New Zealand", "64", &[Tz::Pacific__Auckland]),
    country("PA", "PAN", "Panama", "507", &[Tz::America__Panama]),
    country("PE", "PER", "Peru", "51", &[Tz::America__Lima]),
    country("PH", "PHL", "Philippines", "63", &[Tz::Asia__Manila]),
    country("PL", "POL", "Poland", "48", &[Tz::Europe__Warsaw]),
    country("PT", "PRT", "Portugal", "351", &[Tz::Europe__Lisbon, Tz::Atlantic__Azores]),
    country("SE", "SWE", "Sweden", "46", &[Tz::Europe__Stockholm]),
    country("SG", "SGP", "Singapore", "65", &[Tz::Asia__Singapore]),
    country("SV", "SLV", "El Salvador", "503", &[Tz::America__El_Salvador]),
    country("TH", "THA", "Thailand", "66", &[Tz::Asia__Bangkok]),
    country("TR", "TUR", "Turkey", "90", &[Tz::Europe__Istanbul]),
    country("TW", "TWN", "Taiwan", "886", &[Tz::Asia__Taipei]),
    country("VE", "VEN", "Venezuela", "58", &[Tz::America__Caracas]),
    country("VN", "VNM", "Vietnam", "84", &[Tz::Asia__Ho_Chi_Minh]),
    country("ZA", "ZAF", "South Africa", "27", &[Tz::Africa__Johannesburg]),
];

const PROVINCES: &[(&str, &str, &[Tz])] = &[
    ("AB", "Alberta", &[Tz::America__Edmonton]),
    ("BC", "British Columbia", &[Tz::America__Vancouver, Tz::America__Edmonton]),
    ("MB", "Manitoba", &[Tz::America__Winnipeg]),
    ("NB", "New Brunswick", &[Tz::America__Halifax]),
    ("NL", "Newfoundland and Labrador", &[Tz::America__St_Johns, Tz::America__Halifax]),
    ("NS", "Nova Scotia", &[Tz::America__Halifax]),
    ("NT", "Northwest Territories", &[Tz::America__Edmonton]),
    ("NU", "Nunavut", &[Tz::America__Iqaluit, Tz::America__Winnipeg, Tz::America__Edmonton]),
    ("ON", "Ontario", &[Tz::America__Toronto, Tz::America__Winnipeg]),
    ("PE", "Prince Edward Island", &[Tz::America__Halifax]),
    ("QC", "Quebec", &[Tz::America__Toronto]),
    ("SK", "Saskatchewan", &[Tz::America__Regina, Tz::America__Edmonton]),
    ("YT", "Yukon", &[Tz::America__Whitehorse]),
];

pub(super) fn is_united_states(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| c.is_ascii_alphabetic()).collect::<String>().to_ascii_lowercase();
    matches!(plain.as_str(), "us" | "usa" | "unitedstates" | "unitedstatesofamerica")
}

pub(super) fn is_canada(text: &str) -> bool {
    ["CA", "CAN", "Canada"].iter().any(|name| name.eq_ignore_ascii_case(text))
}

pub(super) fn of_province(text: &str) -> Option<&'static [Tz]> {
    PROVINCES
        .iter()
        .find(|(code, name, _)| code.eq_ignore_ascii_case(text) || name.eq_ignore_ascii_case(text))
        .map(|(_, _, zones)| *zones)
}

pub(super) fn by_name(text: &str) -> Option<&'static [Tz]> {
    COUNTRIES
        .iter()
        .find(|it| [it.code, it.code3, it.name].iter().any(|name| name.eq_ignore_ascii_case(text)))
        .map(|it| it.zones)
}

/// By a number in E.164 form that is not of the North American plan.
pub(super) fn by_calling_code(e164: &str) -> Option<&'static [Tz]> {
    let digits = e164.strip_prefix('+')?;
    COUNTRIES.iter().find(|it| !it.calling.is_empty() && digits.starts_with(it.calling)).map(|it| it.zones)
}
