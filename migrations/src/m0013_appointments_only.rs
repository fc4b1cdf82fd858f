//! The index of starts holds Appointments alone: of all other types it only cost time.

use sea_orm_migration::prelude::*;

pub struct AppointmentsOnly;

impl MigrationName for AppointmentsOnly {
    fn name(&self) -> &'static str {
        "m0013_appointments_only"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for AppointmentsOnly {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared("DROP INDEX mirror_starts").await?;
        db.execute_unprepared(
            "CREATE INDEX mirror_starts ON mirror (tenant, ehr, resource_type, starts_at) WHERE starts_at IS NOT NULL",
        )
        .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared("DROP INDEX mirror_starts").await?;
        db.execute_unprepared("CREATE INDEX mirror_starts ON mirror (tenant, ehr, resource_type, starts_at)").await?;
        Ok(())
    }
}
