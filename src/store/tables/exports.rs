//! Bulk exports and their files.

pub mod bulk_export {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "bulk_export")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub run: Uuid,
        pub target: String,
        pub types: String,
        pub state: String,
        pub since: Option<DateTimeUtc>,
        pub poll_url: Option<Vec<u8>>,
        pub next_url: Option<Vec<u8>>,
        pub transaction_time: Option<DateTimeUtc>,
        pub requires_token: i32,
        pub tries: i32,
        pub restarts: i32,
        pub progress: Option<String>,
        pub error: Option<String>,
        pub asked_at: DateTimeUtc,
        pub next_at: DateTimeUtc,
        pub ended_at: Option<DateTimeUtc>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod bulk_file {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "bulk_file")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub export: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        pub tenant: String,
        pub section: String,
        pub type_name: String,
        pub url: Vec<u8>,
        pub expected: Option<i64>,
        pub lines: i32,
        pub tries: i32,
        pub state: String,
        pub problem: Option<String>,
        pub note: Option<String>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
