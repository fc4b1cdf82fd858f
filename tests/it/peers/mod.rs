//! The gateway beside programs that others wrote: a FHIR server, mail relays. What the simulated hospital cannot show is
//! whether we and it share a mistake.

mod bulk;
mod ehr;
mod fhir_server;
mod mail;
mod relays;
