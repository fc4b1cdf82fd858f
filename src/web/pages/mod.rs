//! The pages, one file each: read, put into words, draw. What a page changes, it changes through the store.

pub mod accounts;
pub mod demo;
mod event_words;
pub mod evidence;
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
pub mod rules;
pub mod sending;
mod span;
pub mod switches;
pub mod tasks;
mod titles;
pub mod today;
pub mod worklist;
