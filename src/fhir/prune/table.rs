//! The allow-list itself. `element:Datatype` keeps the datatype's parts named below; `element:@element` says that the
//! element holds elements like itself.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::tree::Node;
use crate::domain::ResourceType;

/// What of each datatype is kept. References lose their display: it is a name.
pub(super) fn datatype(name: &str) -> &'static str {
    match name {
        "Coding" => "system version code display",
        "Concept" => "coding:Coding",
        // With its text, where the text is what patients and staff know it by.
        "Named" => "coding:Coding text",
        "Reference" => "reference type",
        "Period" => "start end",
        "Quantity" => "value comparator unit system code",
        "Range" => "low:Quantity high:Quantity",
        "Timing" => "event repeat.boundsPeriod:Period code:Concept",
        "Identifier" => "use type:Concept system value period:Period",
        "HumanName" => "use text family given prefix suffix period:Period",
        "ContactPoint" => "system value use rank period:Period",
        // City and street tell neither state nor zone better than the postal code does.
        "Address" => "use type state postalCode country period:Period",
        "Place" => "use type text line city district state postalCode country",
        "Language" => "language:Named preferred",
        _ => "",
    }
}

/// The elements that R4 writes with `[x]`, among those that are kept.
pub(super) const CHOICE_ELEMENTS: &[&str] = &[
    "abatement",
    "asNeeded",
    "deceased",
    "doseNumber",
    "effective",
    "medication",
    "occurrence",
    "onset",
    "performed",
    "reported",
    "scheduled",
    "seriesDoses",
    "value",
];

/// The type suffixes under which choice elements (`onset[x]`) appear in JSON.
pub(super) const CHOICE_TYPES: &[&str] = &[
    "Age",
    "Boolean",
    "CodeableConcept",
    "Date",
    "DateTime",
    "Duration",
    "Instant",
    "Integer",
    "Period",
    "PositiveInt",
    "Quantity",
    "Range",
    "Reference",
    "String",
    "Timing",
];

const EVERY: &str = "resourceType id implicitRules meta.versionId meta.lastUpdated meta.profile meta.security:Coding \
    meta.tag:Coding";

const fn elements(kind: ResourceType) -> &'static str {
    use ResourceType as R;
    match kind {
        R::Appointment => {
            "identifier:Identifier status cancelationReason:Concept cancellationReason:Concept serviceCategory:Named \
             serviceType:Named serviceType.concept:Named specialty:Named appointmentType:Named reasonCode:Concept \
             reasonReference:Reference priority start end minutesDuration created basedOn:Reference slot:Reference \
             participant.type:Concept participant.actor:Reference participant.required participant.status \
             participant.period:Period requestedPeriod:Period"
        }
        R::CarePlan => {
            "status intent category:Concept subject:Reference encounter:Reference period:Period created \
             addresses:Reference instantiatesCanonical instantiatesUri basedOn:Reference replaces:Reference \
             partOf:Reference activity.reference:Reference activity.detail.kind activity.detail.code:Concept \
             activity.detail.status activity.detail.doNotPerform activity.detail.scheduledPeriod:Period \
             activity.detail.scheduledTiming:Timing"
        }
        R::Communication => {
            "identifier:Identifier instantiatesCanonical instantiatesUri basedOn:Reference partOf:Reference \
             inResponseTo:Reference status statusReason:Concept category:Concept priority medium:Named \
             subject:Reference topic:Concept about:Reference encounter:Reference sent received recipient:Reference \
             sender:Reference"
        }
        // The text of an abatement is kept, because only its presence says that the condition is over.
        R::Condition => {
            "clinicalStatus:Concept verificationStatus:Concept category:Concept severity:Concept code:Concept \
             bodySite:Concept subject:Reference encounter:Reference onsetDateTime onsetAge:Quantity \
             onsetPeriod:Period onsetRange:Range abatementDateTime abatementAge:Quantity abatementPeriod:Period \
             abatementRange:Range abatementBoolean abatementString recordedDate stage.summary:Concept"
        }
        R::Consent => {
            "status scope:Concept category:Concept patient:Reference dateTime policyRule:Concept \
             organization:Reference provision:@provision provision.type provision.period:Period \
             provision.actor.role:Concept provision.actor.reference:Reference provision.action:Concept \
             provision.securityLabel:Coding provision.purpose:Coding provision.class:Coding provision.code:Concept \
             provision.dataPeriod:Period provision.data.meaning provision.data.reference:Reference"
        }
        R::Encounter => {
            "identifier:Identifier status class:Coding type:Concept serviceType:Concept priority:Concept \
             subject:Reference basedOn:Reference participant.type:Concept participant.period:Period \
             participant.individual:Reference appointment:Reference period:Period reasonCode:Concept \
             reasonReference:Reference diagnosis.condition:Reference diagnosis.use:Concept \
             hospitalization.dischargeDisposition:Concept hospitalization.admitSource:Concept \
             location.location:Reference location.status location.period:Period serviceProvider:Reference \
             partOf:Reference"
        }
        R::Flag => "status category:Concept code:Concept subject:Reference period:Period encounter:Reference",
        R::Group => {
            "active type actual code:Named quantity managingEntity:Reference member.entity:Reference \
             member.period:Period member.inactive"
        }
        R::Immunization => {
            "status statusReason:Concept vaccineCode:Concept patient:Reference encounter:Reference \
             occurrenceDateTime recorded primarySource reportOrigin:Concept isSubpotent \
             protocolApplied.targetDisease:Concept protocolApplied.doseNumberPositiveInt \
             protocolApplied.doseNumberString protocolApplied.seriesDosesPositiveInt"
        }
        R::Location => {
            "identifier:Identifier status name alias mode type:Named telecom:ContactPoint address:Place \
             physicalType:Concept managingOrganization:Reference partOf:Reference"
        }
        R::MedicationRequest => {
            "status statusReason:Concept intent category:Concept priority doNotPerform reportedBoolean \
             medicationCodeableConcept:Concept medicationReference:Reference subject:Reference encounter:Reference \
             authoredOn requester:Reference reasonCode:Concept reasonReference:Reference basedOn:Reference \
             courseOfTherapyType:Concept dispenseRequest.validityPeriod:Period \
             dispenseRequest.numberOfRepeatsAllowed dispenseRequest.quantity:Quantity \
             dispenseRequest.expectedSupplyDuration:Quantity priorPrescription:Reference"
        }
        R::Observation => {
            "basedOn:Reference partOf:Reference status category:Concept code:Concept subject:Reference \
             encounter:Reference effectiveDateTime effectivePeriod:Period effectiveInstant issued \
             valueQuantity:Quantity valueCodeableConcept:Concept valueBoolean valueInteger valueRange:Range \
             valueDateTime valuePeriod:Period dataAbsentReason:Concept interpretation:Concept \
             hasMember:Reference component.code:Concept component.valueQuantity:Quantity \
             component.valueCodeableConcept:Concept component.valueBoolean component.valueInteger \
             component.valueRange:Range component.valueDateTime component.dataAbsentReason:Concept \
             component.interpretation:Concept"
        }
        R::Organization => {
            "identifier:Identifier active type:Named name alias telecom:ContactPoint address:Place partOf:Reference"
        }
        R::Patient => {
            "identifier:Identifier active name:HumanName telecom:ContactPoint gender birthDate deceasedBoolean \
             deceasedDateTime address:Address communication:Language generalPractitioner:Reference \
             managingOrganization:Reference link.other:Reference link.type"
        }
        R::Practitioner => "identifier:Identifier active name:HumanName",
        R::Procedure => {
            "basedOn:Reference partOf:Reference status statusReason:Concept category:Concept code:Concept \
             subject:Reference encounter:Reference performedDateTime performedPeriod:Period performedAge:Quantity \
             performedRange:Range outcome:Concept followUp:Concept"
        }
        R::RelatedPerson => {
            "active patient:Reference relationship:Concept name:HumanName telecom:ContactPoint gender birthDate \
             period:Period communication:Language"
        }
        R::ServiceRequest => {
            "identifier:Identifier basedOn:Reference replaces:Reference status intent category:Concept priority \
             doNotPerform code:Concept subject:Reference encounter:Reference occurrenceDateTime \
             occurrencePeriod:Period occurrenceTiming:Timing asNeededBoolean authoredOn requester:Reference \
             performer:Reference performerType:Concept reasonCode:Concept reasonReference:Reference"
        }
        R::Task => {
            "identifier:Identifier basedOn:Reference partOf:Reference status statusReason:Concept \
             businessStatus:Concept intent priority code:Concept focus:Reference for:Reference encounter:Reference \
             executionPeriod:Period authoredOn lastModified requester:Reference owner:Reference \
             reasonCode:Concept restriction.period:Period"
        }
    }
}

/// The allowed elements of a type.
pub(super) fn of(kind: ResourceType) -> &'static Node {
    static TREES: OnceLock<BTreeMap<ResourceType, Node>> = OnceLock::new();
    static EMPTY: OnceLock<Node> = OnceLock::new();
    let trees = TREES.get_or_init(|| {
        ResourceType::ALL
            .iter()
            .map(|kind| {
                let mut node = Node::parse(EVERY);
                node.join(Node::parse(elements(*kind)));
                (*kind, node)
            })
            .collect()
    });
    trees.get(&kind).unwrap_or_else(|| EMPTY.get_or_init(Node::default))
}
