//! Rules as data, and the two pure questions asked of them: *plan* (what falls due for this patient, and when) and
//! *decide* (may this reminder go out now, to whom, and how). A rule is a folder of TOML and templates; conditions are
//! FHIRPath. Everything here is a function of its arguments: this room knows no database, no clock, no network and no
//! provider, so that any answer can be replayed from the facts stored with it.

mod facts;
mod hours;
mod moment;
mod moment_text;
mod settings;
mod zones;

pub use facts::{
    ConsentDirective, DecideFacts, Facilities, Facility, Guardian, Mirror, Mirrored, PatientFacts, PatientRecord,
    Reading, ResourceRecord,
};
pub use hours::next_opening;
pub use settings::{AllowedHours, Budget, Settings};
pub use zones::{Zones, zone_candidates};
