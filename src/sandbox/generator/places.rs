//! Where the hospital's clinics stand and where its patients live: real cities and ZIP codes, fictional telephone numbers.

use chrono_tz::Tz;

/// A clinic's city. Patients of the clinic live here and have telephone numbers from its area codes.
pub struct Place {
    pub id: &'static str,
    pub clinic: &'static str,
    pub street: &'static str,
    pub city: &'static str,
    pub state: &'static str,
    /// The first three digits of its ZIP codes.
    pub zip: &'static str,
    pub zone: Tz,
    /// Whether the EHR tells the zone in an extension or leaves it to the address.
    pub zone_stated: bool,
    pub area_codes: &'static [&'static str],
}

pub const PLACES: [Place; 8] = [
    Place {
        id: "loc-boston",
        clinic: "Harbor Street Clinic",
        street: "12 Harbor Street",
        city: "Boston",
        state: "MA",
        zip: "021",
        zone: Tz::America__New_York,
        zone_stated: true,
        area_codes: &["617", "857", "781", "339", "508", "774", "978", "351", "413"],
    },
    Place {
        id: "loc-chicago",
        clinic: "Lakeside Family Medicine",
        street: "480 West Lake Avenue",
        city: "Chicago",
        state: "IL",
        zip: "606",
        zone: Tz::America__Chicago,
        zone_stated: true,
        area_codes: &["312", "773", "872", "708", "847", "224", "630", "331"],
    },
    Place {
        id: "loc-denver",
        clinic: "Front Range Health Center",
        street: "77 Larimer Way",
        city: "Denver",
        state: "CO",
        zip: "802",
        zone: Tz::America__Denver,
        zone_stated: false,
        area_codes: &["303", "720", "983", "719", "970"],
    },
    Place {
        id: "loc-phoenix",
        clinic: "Desert Willow Clinic",
        street: "9 Camelback Court",
        city: "Phoenix",
        state: "AZ",
        zip: "850",
        zone: Tz::America__Phoenix,
        zone_stated: true,
        area_codes: &["602", "480", "623", "520", "928"],
    },
    Place {
        id: "loc-losangeles",
        clinic: "Mar Vista Medical Group",
        street: "3300 Venice Boulevard",
        city: "Los Angeles",
        state: "CA",
        zip: "900",
        zone: Tz::America__Los_Angeles,
        zone_stated: true,
        area_codes: &["213", "323", "310", "424", "818", "747", "626", "562"],
    },
    Place {
        id: "loc-newyork",
        clinic: "Morningside Women's Health",
        street: "610 Amsterdam Avenue",
        city: "New York",
        state: "NY",
        zip: "100",
        zone: Tz::America__New_York,
        zone_stated: false,
        area_codes: &["212", "646", "332", "917", "718", "347", "929"],
    },
    Place {
        id: "loc-houston",
        clinic: "Bayou Heart and Lung",
        street: "1500 Montrose Boulevard",
        city: "Houston",
        state: "TX",
        zip: "770",
        zone: Tz::America__Chicago,
        zone_stated: true,
        area_codes: &["713", "281", "832", "346"],
    },
    Place {
        id: "loc-anchorage",
        clinic: "Ship Creek Clinic",
        street: "2 Ship Creek Road",
        city: "Anchorage",
        state: "AK",
        zip: "995",
        zone: Tz::America__Anchorage,
        zone_stated: true,
        area_codes: &["907"],
    },
];

/// The clinic without address and without zone.
pub const MOBILE_UNIT: &str = "loc-mobile-unit";

const STREETS: [&str; 10] = [
    "Maple Street",
    "Cedar Lane",
    "2nd Avenue",
    "Martin Luther King Jr Blvd",
    "Elm Court",
    "Sunset Drive",
    "Rio Grande Way",
    "Peachtree Road",
    "Calle Ocho",
    "County Road 12",
];

/// Which place a patient belongs to. Anchorage has few patients.
pub fn of(index: u32) -> &'static Place {
    const ROUND: [usize; 15] = [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 7];
    &PLACES[ROUND[(index % 15) as usize]]
}

pub fn street(number: u32) -> String {
    format!("{} {}", 1 + number % 9800, STREETS[(number % 10) as usize])
}

/// The last two digits that the simulated phone delivers to; 60 to 69 are kept for numbers that fail.
fn reachable(ordinal: u32) -> u32 {
    let spread = (ordinal * 37) % 90;
    if spread < 60 { spread } else { spread + 10 }
}

/// A fictional number (555-0100 to 555-0199). Different for each patient until the area codes of a place are used up
/// (Anchorage: after 675 patients of the whole hospital, Boston: after 6,000); after that numbers repeat.
pub fn mobile(index: u32) -> String {
    let place = of(index);
    let ordinal = index / 15 * 2 + u32::from(index % 15 >= 7);
    let codes = place.area_codes;
    format!("+1{}55501{:02}", codes[(ordinal / 90) as usize % codes.len()], reachable(ordinal))
}

/// A number of the patient's city with the given last two digits.
pub fn with_ending(index: u32, ending: u32) -> String {
    let codes = of(index).area_codes;
    format!("+1{}55501{:02}", codes[index as usize / 15 % codes.len()], ending % 100)
}
