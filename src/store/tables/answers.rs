//! Receipts, replies, opt-outs.

pub mod receipt {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "receipt")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub provider: String,
        pub provider_ref: String,
        pub state: String,
        pub code: Option<String>,
        pub received_at: DateTimeUtc,
        pub processed_at: Option<DateTimeUtc>,
        pub attempt: Option<Uuid>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod reply {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "reply")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub channel: String,
        pub provider: String,
        pub provider_ref: String,
        pub from_digest: Vec<u8>,
        pub body: Vec<u8>,
        pub meaning: Option<String>,
        pub ehr: Option<String>,
        pub patient: Option<String>,
        pub message: Option<Uuid>,
        pub received_at: DateTimeUtc,
        pub processed_at: Option<DateTimeUtc>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod opt_out {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "opt_out")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub scope: String,
        pub channel: Option<String>,
        pub rule: Option<String>,
        pub address_digest: Option<Vec<u8>>,
        pub ehr: Option<String>,
        pub patient: Option<String>,
        pub source: String,
        pub body: Vec<u8>,
        pub recorded_by: String,
        pub recorded_at: DateTimeUtc,
        pub revoked_at: Option<DateTimeUtc>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
