//! Reconciliations of days, and cohorts that are being planned anew.

pub mod reconciliation {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "reconciliation")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub day: String,
        pub outcome: String,
        pub unexplained: i32,
        pub stuck: i32,
        pub report: String,
        pub made_by: String,
        pub made_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod cohort {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "cohort")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub resource_types: String,
        pub why: String,
        pub after: String,
        pub opened_at: DateTimeUtc,
        pub finished_at: Option<DateTimeUtc>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
