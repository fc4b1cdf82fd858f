//! The tables as sea-orm entities, column for column as the migrations make them. Only the store sees these.
#![expect(clippy::disallowed_methods, reason = "sea-orm's macros name `begin` in code that nobody calls")]

mod accounts;
mod answers;
mod choices;
mod ehr_calls;
mod ehrs;
mod exports;
mod feed;
mod history;
mod messages;
mod mirrored;
mod reconciled;
mod reminders;
mod rules;
mod sending;
mod subscriptions;
mod tenants;

pub(in crate::store) use accounts::{staff, staff_session};
pub(in crate::store) use answers::{opt_out, receipt, reply};
pub(in crate::store) use choices::{clinic_default, patient_choice};
pub(in crate::store) use ehr_calls::{ehr_budget, ehr_request, ehr_slot, ehr_usage, ehr_watch, quarantine_retry};
pub(in crate::store) use ehrs::{ehr, ehr_key, pull_run, roster, watermark};
pub(in crate::store) use exports::{bulk_export, bulk_file};
pub(in crate::store) use feed::hl7_message;
pub(in crate::store) use history::{
    event, history_checkpoint, history_head, history_key, history_publication, history_tile, saved_question,
};
pub(in crate::store) use messages::{attempt, message, write_back};
pub(in crate::store) use mirrored::{blind_index, mirror, patient, patient_merge, quarantine, quarantine_patient};
pub(in crate::store) use reconciled::{cohort, reconciliation};
pub(in crate::store) use reminders::{decision, reminder};
pub(in crate::store) use rules::{enrolment, rule_change, rule_live, rule_version, staff_task, text_review};
pub(in crate::store) use sending::{alert, halt, leader, release_count, send_mode};
pub(in crate::store) use subscriptions::{notice, notice_event, subscription};
pub(in crate::store) use tenants::{data_key, tenant, tenant_key};
