//! What an EHR may be asked, what it was asked, and what is wished of it.

pub mod ehr_budget {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ehr_budget")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        pub day: String,
        pub day_calls: i64,
        pub next_at: Option<DateTimeUtc>,
        pub next_background_at: Option<DateTimeUtc>,
        pub paused_until: Option<DateTimeUtc>,
        pub pause_reason: Option<String>,
        pub circuit_level: i32,
        pub circuit_since: Option<DateTimeUtc>,
        pub updated_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod ehr_slot {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ehr_slot")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub holder: Uuid,
        pub slots: i32,
        pub wants: i32,
        pub until: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod ehr_request {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ehr_request")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub at: DateTimeUtc,
        pub method: String,
        pub route: String,
        pub status: Option<i32>,
        pub outcome: String,
        pub millis: i32,
        pub bytes: i64,
        pub token: String,
        pub repeats: i32,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod ehr_usage {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ehr_usage")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub hour: DateTimeUtc,
        pub requests: i64,
        pub retries: i64,
        pub throttled: i64,
        pub failed: i64,
        pub bytes: i64,
        pub millis: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod ehr_watch {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ehr_watch")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        pub jwks_fetched_at: Option<DateTimeUtc>,
        pub signers: String,
        pub refused_key: Option<String>,
        pub pull_wanted_at: Option<DateTimeUtc>,
        pub pull_wanted_by: Option<String>,
        pub pull_wanted_full: i32,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod quarantine_retry {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "quarantine_retry")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub resource_type: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub resource_id: String,
        pub by: String,
        pub at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
