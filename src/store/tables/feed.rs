//! What the hospital's interface engine sent.

pub mod hl7_message {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "hl7_message")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub sender: String,
        pub control_id: String,
        pub kind: String,
        pub state: String,
        pub tries: i32,
        pub body: Option<Vec<u8>>,
        pub note: Option<String>,
        pub received_at: DateTimeUtc,
        pub next_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
