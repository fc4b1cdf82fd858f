//! The pages, one file each: read, put into words, draw. What a page changes, it changes through the store.

pub mod accounts;
pub mod connection;
pub mod connection_acts;
pub mod connection_requests;
mod connection_state;
pub mod connections;
pub mod demo;
mod event_words;
mod find;
pub mod history;
pub mod message;
pub mod messages;
mod names;
pub mod patient;
pub mod patients;
pub mod quarantine;
pub mod reminder;
pub mod reminders;
pub mod replies;
pub mod sending;
mod span;
pub mod switches;
mod titles;
pub mod today;
pub mod worklist;
