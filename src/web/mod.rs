//! Pages, forms and machine endpoints; the only room that knows HTTP status codes. Every address stands in one table
//! (`routes`), each with who may use it, and nothing outside the table answers: default deny is how the room is built.
//! It must not know SQL, FHIR's JSON, or how a message is sent; it asks the rooms that do.

mod access;
mod answer;
mod assets;
pub mod auth;
mod call;
mod error;
mod forms;
mod guard;
mod health;
mod machines;
mod pages;
mod routes;
mod server;
mod shell;
mod state;
mod words;

pub use guard::{Access, RouteInfo};
pub use routes::declared;
pub use server::serve;
pub use state::{Demo, WebState};
