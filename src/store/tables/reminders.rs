//! Reminders and decisions.

pub mod reminder {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "reminder")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub rule: String,
        pub rule_version: String,
        pub patient: String,
        pub occasion: String,
        pub replaces: Option<String>,
        pub resource_type: String,
        pub resource_id: String,
        pub step: String,
        pub anchor_at: DateTimeUtc,
        pub due_at: DateTimeUtc,
        pub expires_at: DateTimeUtc,
        pub priority: i32,
        pub state: String,
        pub reason: Option<String>,
        pub next_at: DateTimeUtc,
        pub decision: Option<Uuid>,
        pub message: Option<Uuid>,
        pub leased_by: Option<Uuid>,
        pub leased_until: Option<DateTimeUtc>,
        pub created_at: DateTimeUtc,
        pub updated_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod decision {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "decision")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub patient: String,
        pub reminder: Uuid,
        pub rule_version: String,
        pub verdict: String,
        pub reason: Option<String>,
        pub body: Vec<u8>,
        pub decided_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
