//! The mirror, its index and its quarantine.

pub mod mirror {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "mirror")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub resource_type: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub patient: Option<String>,
        pub version_id: Option<String>,
        pub last_updated: Option<DateTimeUtc>,
        pub hash: Vec<u8>,
        pub body: Vec<u8>,
        pub status: Option<String>,
        pub starts_at: Option<DateTimeUtc>,
        pub seen_run: Option<Uuid>,
        pub updated_at: DateTimeUtc,
        pub deleted_at: Option<DateTimeUtc>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod patient {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "patient")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub state: String,
        pub replaced_by: Option<String>,
        pub replan_at: Option<DateTimeUtc>,
        pub planned_at: Option<DateTimeUtc>,
        pub updated_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod blind_index {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "blind_index")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub digest: Vec<u8>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub patient: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod quarantine {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "quarantine")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: String,
        pub ehr: String,
        pub resource_type: String,
        pub resource_id: String,
        pub path: String,
        pub reason: String,
        pub body: Option<Vec<u8>>,
        pub first_seen_at: DateTimeUtc,
        pub last_seen_at: DateTimeUtc,
        pub resolved_at: Option<DateTimeUtc>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod quarantine_patient {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "quarantine_patient")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub patient: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub resource_type: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub resource_id: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod patient_merge {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "patient_merge")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub replaced: String,
        pub survivor: String,
        pub source: String,
        pub noted_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
