//! Messages, attempts, write-backs.

pub mod message {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "message")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub patient: String,
        pub recipient: String,
        pub origin: String,
        pub rule: Option<String>,
        pub rule_version: Option<String>,
        pub purpose: String,
        pub channel: String,
        pub address_digest: Vec<u8>,
        pub address: Vec<u8>,
        pub language: String,
        pub template: String,
        pub detail: String,
        pub basis: String,
        pub body: Option<Vec<u8>>,
        pub state: String,
        pub closed: Option<String>,
        pub reason: Option<String>,
        pub attempts: i32,
        pub created_at: DateTimeUtc,
        pub expires_at: DateTimeUtc,
        pub next_attempt_at: Option<DateTimeUtc>,
        pub leased_by: Option<Uuid>,
        pub leased_until: Option<DateTimeUtc>,
        pub updated_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod attempt {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "attempt")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub message: Uuid,
        pub number: i32,
        pub channel: String,
        pub provider: String,
        pub state: String,
        pub provider_ref: Option<String>,
        pub code: Option<String>,
        pub protection: Option<String>,
        pub opened_at: DateTimeUtc,
        pub settled_at: Option<DateTimeUtc>,
        pub updated_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod write_back {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "write_back")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub patient: String,
        pub subject_kind: String,
        pub subject_id: Uuid,
        pub state: String,
        pub remote_type: Option<String>,
        pub remote_id: Option<String>,
        pub etag: Option<String>,
        pub written_status: Option<String>,
        pub tries: i32,
        pub last_error: Option<String>,
        pub next_at: Option<DateTimeUtc>,
        pub leased_by: Option<Uuid>,
        pub leased_until: Option<DateTimeUtc>,
        pub created_at: DateTimeUtc,
        pub updated_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
