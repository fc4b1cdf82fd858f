//! The verdict on a reminder at one instant, with everything it rested on.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Address, Channel, ConsentBasis, DecisionId, Detail, Recipient, ReminderId, ReminderState, ResourceVersion,
    RuleVersionId,
};

/// A verdict with each check and the facts used. Stored whole and sealed: its words may hold PHI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub id: DecisionId,
    pub reminder: ReminderId,
    pub rule_version: RuleVersionId,
    pub at: DateTime<Utc>,
    pub verdict: Verdict,
    pub checks: Vec<Check>,
    pub facts: Vec<Fact>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Send it now, this way.
    Release(Release),
    /// Never send it.
    Withhold(Reason),
    /// Look again at `until`.
    Wait { until: DateTime<Utc>, reason: Reason },
    /// Its time is over.
    Expire(Reason),
    /// What it was about is gone.
    Cancel(Reason),
}

/// How a released reminder is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub recipient: Recipient,
    pub channel: Channel,
    pub address: Address,
    /// Template variant name, such as `reminder` or `confirmed`.
    pub template: String,
    /// Primary language subtag of the template, such as `es`.
    pub language: String,
    pub detail: Detail,
    pub basis: ConsentBasis,
    /// After this instant it must not be handed to a provider (I3). Never later than the reminder's own expiry; earlier
    /// where the freshly read resource was moved forward.
    pub expires_at: DateTime<Utc>,
}

/// One check of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable code, such as `alive` or `quiet_hours`.
    pub name: String,
    pub result: CheckResult,
    /// In words, for a clinician. May hold PHI.
    pub words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    Passed,
    Failed,
    /// What it needs is not known; the reminder waits or is withheld, never sent.
    Unknown,
    NotApplicable,
}

/// Something the decision rested on, with the version of the resource it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Such as `Appointment.status`.
    pub name: String,
    pub value: String,
    pub source: Option<ResourceVersion>,
}

impl Reason {
    /// What an open reminder becomes that ends for this reason before it falls due.
    pub const fn ends_as(self) -> ReminderState {
        match self {
            Self::Expired | Self::Superseded | Self::BookedLate => ReminderState::Expired,
            // What it is about stands; a person keeps it back.
            _ if self.is_a_persons_switch() => ReminderState::Withheld,
            _ => ReminderState::Cancelled,
        }
    }

    /// A clinician keeps it back. Nothing was sent, so that it may go out when the clinician thinks better of it.
    pub const fn is_a_persons_switch(self) -> bool {
        matches!(self, Self::RuleOff | Self::RulePaused)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $code:literal, $words:literal;)+) => {
        /// Why a reminder is not simply on its way. The code is stable and holds no PHI: it stands in the clear in the
        /// database, in metrics and in exports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* #[serde(rename = $code)] $name),+ }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// One sentence for people.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words),+ }
            }

            pub fn parse(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == code)
            }
        }
    };
}

reasons! {
    PatientDeceased => "patient_deceased", "The patient has died.";
    PatientInactive => "patient_inactive", "The patient record is inactive.";
    PatientReplaced => "patient_replaced", "The record was merged into another one.";
    PatientGone => "patient_gone", "The EHR no longer has this patient record.";
    OptedOut => "opted_out", "The person asked not to be contacted this way.";
    ConsentDenied => "consent_denied", "A consent record denies this contact.";
    ConsentUnclear => "consent_unclear", "A consent record may deny this contact and cannot be understood; a person must look.";
    RuleOff => "rule_off", "A clinician switched this rule off for the patient.";
    RulePaused => "rule_paused", "A clinician paused this rule for the patient.";
    RuleRetired => "rule_retired", "The rule is no longer live.";
    RuleChanged => "rule_changed", "A new version of the rule no longer has this step.";
    ConditionNotMet => "condition_not_met", "The resource no longer meets the rule's condition.";
    ConditionFailed => "condition_failed", "The rule's condition could not be evaluated on this patient.";
    ResourceCancelled => "resource_cancelled", "The appointment was cancelled or is in another state by now.";
    ResourceMoved => "resource_moved", "The appointment was moved; a new occasion took its place.";
    ResourceGone => "resource_gone", "The EHR no longer has the resource.";
    PatientDeclined => "patient_declined", "The patient told the clinic that they will not come.";
    AlreadyConfirmed => "already_confirmed", "The patient confirmed and asked for no more.";
    NoContactPoint => "no_contact_point", "There is no usable address on an allowed channel.";
    AddressRefused => "address_refused", "A provider refused this address for good, and the EHR has no other.";
    NoLanguage => "no_language", "There is no template in a language the patient reads.";
    ZoneUnresolved => "zone_unresolved", "The patient's time zone cannot be told.";
    FacilityZoneUnresolved => "facility_zone_unresolved", "The facility's time zone cannot be told.";
    QuietHours => "quiet_hours", "It is outside the hours in which the person may be contacted.";
    BudgetSpent => "budget_spent", "The person has had as many messages as the limit allows.";
    Expired => "expired", "Its time was over before it could be sent.";
    SensitiveContent => "sensitive_content", "The content is too sensitive for the allowed channels.";
    MinorConfidential => "minor_confidential", "The patient is a minor and no recipient is cleared.";
    MarketingDisabled => "marketing_disabled", "Marketing messages are disabled.";
    EhrUnreadable => "ehr_unreadable", "The EHR could not be read to check that this still holds.";
    NotKnown => "not_known", "A fact that must be absent is not proven absent.";
    SendingOff => "sending_off", "Sending is switched off.";
    Halted => "halted", "Sending was halted by a person.";
    HeldForPerson => "held_for_person", "Unusually many messages: held until a person looks.";
    NotSafeAddress => "not_safe_address", "Test mode: the address is not on the list of safe addresses.";
    TemplateFailed => "template_failed", "The template could not be rendered.";
    Superseded => "superseded", "Another reminder of the same occasion took its place.";
    AlreadySent => "already_sent", "It was sent before the database was restored.";
    MayBeSent => "may_be_sent", "It may have been sent before the database was restored, and nothing can tell.";
    ProviderRefused => "provider_refused", "The provider refused the message.";
    NotApplicable => "not_applicable", "The rule does not apply.";
    NotDue => "not_due", "It is not due yet.";
    AnchorMissing => "anchor_missing", "The resource has no date and time to count from.";
    NotMeant => "not_meant", "The patient is not among those whom the rule is for.";
    NotEnrolled => "not_enrolled", "The rule is only for patients for whom it was switched on.";
    Stopped => "stopped", "What the rule asks for has happened.";
    ControlArm => "control_arm", "The patient is in the group that gets no message, so that the effect can be measured.";
    Merged => "merged", "Another reminder of the same day names this one too.";
    NothingChanged => "nothing_changed", "Nothing that was planned for has changed.";
    TranslationUnreviewed => "translation_unreviewed", "No qualified person has read over the texts in the patient's language.";
    RuleBroken => "rule_broken", "The rule cannot be used as it stands; a person must put it right.";
    BookedLate => "booked_late", "The appointment was booked too close to its start for this step.";
}
