//! Zones of the states and territories of the United States. Where a state has two, the first three digits of the ZIP
//! code narrow it down as far as they are known to; else both count. Counties that keep the time of their neighbours
//! are named by the ZIP areas that they lie in.

use chrono_tz::Tz;

const EASTERN: Tz = Tz::America__New_York;
const CENTRAL: Tz = Tz::America__Chicago;
const MOUNTAIN: Tz = Tz::America__Denver;
const PACIFIC: Tz = Tz::America__Los_Angeles;
const ARIZONA: Tz = Tz::America__Phoenix;

struct State {
    code: &'static str,
    name: &'static str,
    zones: &'static [Tz],
}

const fn state(code: &'static str, name: &'static str, zones: &'static [Tz]) -> State {
    State { code, name, zones }
}

const STATES: &[State] = &[
    state("AL", "Alabama", &[CENTRAL]),
    state("AK", "Alaska", &[Tz::America__Anchorage, Tz::America__Adak]),
    state("AZ", "Arizona", &[ARIZONA, MOUNTAIN]),
    state("AR", "Arkansas", &[CENTRAL]),
    state("CA", "California", &[PACIFIC]),
    state("CO", "Colorado", &[MOUNTAIN]),
    state("CT", "Connecticut", &[EASTERN]),
    state("DE", "Delaware", &[EASTERN]),
    state("DC", "District of Columbia", &[EASTERN]),
    state("FL", "Florida", &[EASTERN, CENTRAL]),
    state("GA", "Georgia", &[EASTERN]),
    state("HI", "Hawaii", &[Tz::Pacific__Honolulu]),
    state("ID", "Idaho", &[MOUNTAIN, PACIFIC]),
    state("IL", "Illinois", &[CENTRAL]),
    state("IN", "Indiana", &[EASTERN, CENTRAL]),
    state("IA", "Iowa", &[CENTRAL]),
    state("KS", "Kansas", &[CENTRAL, MOUNTAIN]),
    state("KY", "Kentucky", &[EASTERN, CENTRAL]),
    state("LA", "Louisiana", &[CENTRAL]),
    state("ME", "Maine", &[EASTERN]),
    state("MD", "Maryland", &[EASTERN]),
    state("MA", "Massachusetts", &[EASTERN]),
    state("MI", "Michigan", &[EASTERN, CENTRAL]),
    state("MN", "Minnesota", &[CENTRAL]),
    state("MS", "Mississippi", &[CENTRAL]),
    state("MO", "Missouri", &[CENTRAL]),
    state("MT", "Montana", &[MOUNTAIN]),
    state("NE", "Nebraska", &[CENTRAL, MOUNTAIN]),
    state("NV", "Nevada", &[PACIFIC, MOUNTAIN]),
    state("NH", "New Hampshire", &[EASTERN]),
    state("NJ", "New Jersey", &[EASTERN]),
    state("NM", "New Mexico", &[MOUNTAIN]),
    state("NY", "New York", &[EASTERN]),
    state("NC", "North Carolina", &[EASTERN]),
    state("ND", "North Dakota", &[CENTRAL, MOUNTAIN]),
    state("OH", "Ohio", &[EASTERN]),
    state("OK", "Oklahoma", &[CENTRAL]),
    state("OR", "Oregon", &[PACIFIC, MOUNTAIN]),
    state("PA", "Pennsylvania", &[EASTERN]),
    state("RI", "Rhode Island", &[EASTERN]),
    state("SC", "South Carolina", &[EASTERN]),
    state("SD", "South Dakota", &[CENTRAL, MOUNTAIN]),
    state("TN", "Tennessee", &[CENTRAL, EASTERN]),
    state("TX", "Texas", &[CENTRAL, MOUNTAIN]),
    state("UT", "Utah", &[MOUNTAIN]),
    state("VT", "Vermont", &[EASTERN]),
    state("VA", "Virginia", &[EASTERN]),
    state("WA", "Washington", &[PACIFIC]),
    state("WV", "West Virginia", &[EASTERN]),
    state("WI", "Wisconsin", &[CENTRAL]),
    state("WY", "Wyoming", &[MOUNTAIN]),
    state("PR", "Puerto Rico", &[Tz::America__Puerto_Rico]),
    state("VI", "Virgin Islands", &[Tz::America__Puerto_Rico]),
    state("GU", "Guam", &[Tz::Pacific__Guam]),
    state("MP", "Northern Mariana Islands", &[Tz::Pacific__Guam]),
    state("AS", "American Samoa", &[Tz::Pacific__Pago_Pago]),
];

/// ZIP areas (first three digits) of states with two zones whose every place lies in one. What stands neither here nor
/// under `MIXED` of its state lies in the state's first zone.
const SECOND_ZONE: &[(&str, &[u16])] = &[
    ("FL", &[325]),
    ("ID", &[838]),
    ("IN", &[463, 464, 476, 477]),
    ("KY", &[420, 421, 422, 423, 424]),
    ("NE", &[693]),
    ("SD", &[577]),
    ("TN", &[374, 376, 379]),
    ("TX", &[799, 885]),
];

/// ZIP areas with places on both sides of the line.
const MIXED: &[(&str, &[u16])] = &[
    ("AK", &[995, 996]),
    ("AZ", &[860, 865]),
    ("FL", &[323, 324]),
    ("ID", &[835]),
    ("IN", &[465, 469, 475, 478, 479]),
    ("KS", &[677, 678]),
    ("KY", &[401, 425, 426, 427]),
    ("MI", &[498, 499]),
    ("ND", &[585, 586, 588]),
    ("NE", &[690, 691, 692]),
    ("NV", &[898]),
    ("OR", &[979]),
    ("SD", &[575, 576]),
    ("TN", &[373, 377, 378, 385]),
    ("TX", &[798]),
];

/// Zones of a state given by code or name; `None` where the text names none.
pub(super) fn zones_of(text: &str, zip: Option<&str>) -> Option<Vec<Tz>> {
    let state = find(text)?;
    let area: Option<u16> = zip.and_then(|zip| zip.get(..3)).and_then(|digits| digits.parse().ok());
    let Some(area) = area.filter(|_| state.zones.len() > 1) else {
        return Some(state.zones.to_vec());
    };
    let listed =
        |table: &[(&str, &[u16])]| table.iter().any(|(code, areas)| *code == state.code && areas.contains(&area));
    Some(if listed(MIXED) {
        state.zones.to_vec()
    } else if listed(SECOND_ZONE) {
        state.zones[1..].to_vec()
    } else {
        state.zones[..1].to_vec()
    })
}

/// Zones of a territory that an address may name as its country.
pub(super) fn of_territory(text: &str) -> Option<&'static [Tz]> {
    find(text).filter(|state| matches!(state.code, "PR" | "VI" | "GU" | "MP" | "AS")).map(|state| state.zones)
}

fn find(text: &str) -> Option<&'static State> {
    STATES.iter().find(|state| state.code.eq_ignore_ascii_case(text) || state.name.eq_ignore_ascii_case(text))
}
