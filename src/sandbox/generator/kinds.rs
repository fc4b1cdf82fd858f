//! The awkward cases of real life, by name, so that a test can ask for the patient that shows one.

use serde::Serialize;

/// What is awkward about a patient or one of its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AwkwardKind {
    /// `deceasedBoolean: true`.
    DeceasedBoolean,
    /// `deceasedDateTime` in the past.
    DeceasedDateTime,
    /// `deceasedBoolean: false`: alive.
    DeceasedFalse,
    /// `link` of type `replaced-by`: another record survives. `resource` names the survivor.
    Merged,
    /// `active: false`.
    Inactive,
    /// No `telecom` at all.
    NoTelecom,
    /// A home telephone (a landline) is the only contact.
    HomePhoneOnly,
    /// A child with its mother's mobile. `resource` names the mother.
    SharedMobile,
    /// The only mobile's `period` ended last year.
    ExpiredTelecom,
    /// The only mobile is of `use` old.
    OldTelecom,
    /// The mobile's value is no telephone number.
    InvalidPhone,
    /// A mobile whose handset never answers (30003).
    UnreachableMobile,
    /// A mail address that bounces (550 5.1.1).
    BouncingEmail,
    /// No `communication`.
    NoLanguage,
    /// Two languages, the second preferred.
    TwoLanguages,
    /// No address, no area code, an appointment at a location without address or zone.
    UnusableZone,
    /// Under 13, with a RelatedPerson guardian. `resource` names the RelatedPerson.
    Minor,
    /// Between 13 and 17, own mobile, guardian known.
    Adolescent,
    /// `birthDate` is a year, or a year and a month.
    PartialBirthDate,
    /// No `birthDate`.
    NoBirthDate,
    /// `_birthDate` carries the time of birth as an extension.
    BirthDateExtension,
    /// An extension nobody knows, and an unknown element.
    UnknownExtension,
    /// `telecom` is an object where an array is due.
    WrongTypeField,
    /// A Consent that denies text messages. `resource` names it.
    ConsentDeniesSms,
    /// A Consent that denies all outreach. `resource` names it.
    ConsentDeniesAll,
    /// A Consent that denied all outreach until last month. `resource` names it.
    ConsentDenialOver,
    /// A denial of all outreach that was taken back: `inactive`. `resource` names it.
    ConsentDenialWithdrawn,
    /// A denial about research, not about care. `resource` names it.
    ConsentForResearch,
    /// An active denial whose channel is told in words alone. `resource` names it.
    ConsentUnclear,
    /// A Consent whose status no code system knows. `resource` names it.
    ConsentUnreadable,
    /// A participant without a patient: who is meant is unknown.
    AppointmentWithoutPatient,
    /// No participant at all.
    AppointmentWithoutParticipant,
    AppointmentEndBeforeStart,
    /// `start` without offset: not an instant.
    AppointmentStartWithoutOffset,
    AppointmentCancelled,
    /// Booked, but the patient's participation is `declined`.
    AppointmentDeclined,
    AppointmentEnteredInError,
    /// Booked now, cancelled and booked anew under another id while the days pass.
    CancelledAndRebooked,
    /// Booked now, moved under the same id while the days pass.
    Rescheduled,
    /// Booked now, cancelled while the days pass.
    CancelledLater,
    ConditionRefuted,
    ConditionResolved,
    ConditionEnteredInError,
    /// A condition with a diabetes code whose `clinicalStatus` is missing.
    ConditionWithoutStatus,
    /// Substance use disorder: sensitive under 42 CFR Part 2.
    SensitiveCondition,
}

/// One awkward case and where it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Awkward {
    pub kind: AwkwardKind,
    /// The logical id of the patient in whose chart it is found.
    pub patient: String,
    /// The other resource that shows it, as `Type/id`.
    pub resource: Option<String>,
}

use AwkwardKind as K;

/// Every kind, in the order in which patients receive them.
pub const KINDS: [AwkwardKind; 45] = [
    K::DeceasedBoolean,
    K::DeceasedDateTime,
    K::DeceasedFalse,
    K::Merged,
    K::Inactive,
    K::NoTelecom,
    K::HomePhoneOnly,
    K::SharedMobile,
    K::ExpiredTelecom,
    K::OldTelecom,
    K::InvalidPhone,
    K::UnreachableMobile,
    K::BouncingEmail,
    K::NoLanguage,
    K::TwoLanguages,
    K::UnusableZone,
    K::Minor,
    K::Adolescent,
    K::PartialBirthDate,
    K::NoBirthDate,
    K::BirthDateExtension,
    K::UnknownExtension,
    K::WrongTypeField,
    K::ConsentDeniesSms,
    K::ConsentDeniesAll,
    K::AppointmentWithoutPatient,
    K::AppointmentWithoutParticipant,
    K::AppointmentEndBeforeStart,
    K::AppointmentStartWithoutOffset,
    K::AppointmentCancelled,
    K::AppointmentDeclined,
    K::AppointmentEnteredInError,
    K::CancelledAndRebooked,
    K::Rescheduled,
    K::CancelledLater,
    K::ConditionRefuted,
    K::ConditionResolved,
    K::ConditionEnteredInError,
    K::ConditionWithoutStatus,
    K::SensitiveCondition,
    K::ConsentDenialOver,
    K::ConsentDenialWithdrawn,
    K::ConsentForResearch,
    K::ConsentUnclear,
    K::ConsentUnreadable,
];

/// Every 500 patients show each kind once: patients 1, 3, 5 … of the 500; the even ones between are plain.
pub fn kind_of(index: u32) -> Option<AwkwardKind> {
    let place = index % 500;
    if place.is_multiple_of(2) {
        return None;
    }
    KINDS.get((place / 2) as usize).copied()
}
