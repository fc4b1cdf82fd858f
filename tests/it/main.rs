//! All integration tests in one binary: they link once, and share the servers that they start.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should stop where it stands")]
#![allow(clippy::print_stderr, reason = "a test that a machine cannot run says so")]
#![allow(clippy::large_futures, clippy::type_complexity, reason = "a test's future lives once, and its types are near")]

mod alerting;
mod backup;
mod browser;
mod channel_email;
mod channel_sandbox;
mod channel_sms;
mod channel_sms_sdk;
mod command_line;
mod config;
mod connections;
mod crash;
mod crash_ehr;
mod ehr;
mod fhir_consent;
mod fhir_prune;
mod fhir_read;
mod fhir_write;
mod history;
mod house;
mod lives;
mod outbox;
mod papers;
mod peers;
mod personalities;
mod pull;
mod reconcile;
mod rule_changes;
mod rules;
mod sandbox;
mod simulate;
mod store;
mod stored_bytes;
mod supply;
mod support;
mod web_hooks;
mod web_pages;
mod web_routes;
mod web_sign_in;
