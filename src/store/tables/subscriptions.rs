//! Subscriptions and notices.

pub mod subscription {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "subscription")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub dialect: String,
        pub name: String,
        pub digest: Vec<u8>,
        pub secrets: Vec<u8>,
        pub remote_id: Option<String>,
        pub state: String,
        pub error: Option<String>,
        pub heartbeat_seconds: i32,
        pub last_event: Option<i64>,
        pub gap_from: Option<i64>,
        pub gap_since: Option<DateTimeUtc>,
        pub poll_wanted_at: Option<DateTimeUtc>,
        pub polled_at: Option<DateTimeUtc>,
        pub heard_at: Option<DateTimeUtc>,
        pub tries: i32,
        pub next_at: DateTimeUtc,
        pub created_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod notice {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "notice")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub subscription: Uuid,
        pub about: Option<String>,
        pub body: Option<Vec<u8>>,
        pub received_at: DateTimeUtc,
        pub tries: i32,
        pub next_at: DateTimeUtc,
        pub done_at: Option<DateTimeUtc>,
        pub problem: Option<String>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod notice_event {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "notice_event")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub subscription: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub event: String,
        pub tenant: String,
        pub seen_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
