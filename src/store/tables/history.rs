//! Events.

pub mod event {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "event")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub seq: Option<i64>,
        pub at: DateTimeUtc,
        pub actor: String,
        pub kind: String,
        pub outcome: String,
        pub ehr: Option<String>,
        pub patient: Option<String>,
        pub rule: Option<String>,
        pub reminder: Option<Uuid>,
        pub message: Option<Uuid>,
        pub detail: Vec<u8>,
        pub leaf: Vec<u8>,
        pub mac: Vec<u8>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
