//! Clinics' defaults and patients' choices.

pub mod clinic_default {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "clinic_default")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub location: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub rule: String,
        pub state: String,
        pub changed_by: String,
        pub changed_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod patient_choice {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "patient_choice")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ehr: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub patient: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub occasion: String,
        pub choice: String,
        pub source: String,
        pub reply: Option<Uuid>,
        pub note: Option<String>,
        pub made_by: String,
        pub made_at: DateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
