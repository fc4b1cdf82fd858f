//! The pages, one file each: read, put into words, draw. What a page changes, it changes through the store.

pub mod today;
