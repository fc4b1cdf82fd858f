//! Beckon's schema: one definition for SQLite and PostgreSQL.
//!
//! Columns of type blob hold sealed values or digests; everything that stands in the clear is an opaque id, a code, a
//! state or an instant that identifies nobody alone. Every key begins with the tenant.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod columns;
mod m0001_tenants;
mod m0002_ehrs;
mod m0003_mirror;
mod m0004_rules;
mod m0005_reminders;
mod m0006_messages;
mod m0007_answers;
mod m0008_sending;
mod m0009_history;
mod m0010_staff;
mod m0012_roster;
mod m0013_appointments_only;
mod m0020_ehr_calls;
mod m0021_ehr_watch;
mod m0025_quarantine_patient;
mod m0026_patient_merge;
mod m0027_hl7;
mod m0030_exports;
mod m0031_subscriptions;
mod m0035_text_reviews;
mod m0036_staff_tasks;
mod m0040_reconciliations;
mod m0041_rule_changes;
mod m0042_choices;
mod m0045_history_tree;
mod m0046_saved_questions;

/// Applies all migrations in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_tenants::STEP),
            Box::new(m0002_ehrs::STEP),
            Box::new(m0003_mirror::STEP),
            Box::new(m0004_rules::STEP),
            Box::new(m0005_reminders::STEP),
            Box::new(m0006_messages::STEP),
            Box::new(m0007_answers::STEP),
            Box::new(m0008_sending::STEP),
            Box::new(m0009_history::STEP),
            Box::new(m0010_staff::STEP),
            Box::new(m0012_roster::STEP),
            Box::new(m0013_appointments_only::AppointmentsOnly),
            Box::new(m0020_ehr_calls::STEP),
            Box::new(m0035_text_reviews::STEP),
            Box::new(m0036_staff_tasks::STEP),
            Box::new(m0021_ehr_watch::STEP),
            Box::new(m0040_reconciliations::STEP),
            Box::new(m0025_quarantine_patient::STEP),
            Box::new(m0026_patient_merge::STEP),
            Box::new(m0027_hl7::STEP),
            Box::new(m0030_exports::STEP),
            Box::new(m0041_rule_changes::STEP),
            Box::new(m0042_choices::STEP),
            Box::new(m0045_history_tree::STEP),
            Box::new(m0046_saved_questions::STEP),
            Box::new(m0031_subscriptions::STEP),
        ]
    }
}

/// The names of all migrations, in order.
pub fn names() -> Vec<String> {
    Migrator::migrations().iter().map(|step| step.name().to_owned()).collect()
}

/// The schema's version: the name of its last migration.
pub fn schema_version() -> String {
    Migrator::migrations().last().map_or_else(String::new, |step| step.name().to_owned())
}
