//! The pages in a real browser.

mod chrome;
mod days;
