//! What others know of messages: the EHR's Communications, and the SMS provider's log; and which reminder they fit.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

use crate::channels::sms::SmsRecord;
use crate::domain::{
    Address, AttemptState, Channel, MessageId, PatientId, Phi, PhoneNumber, Reminder, ResourceKey, ResourceType, RuleId,
};
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::search::Search;

/// A text and a Communication within this time of each other are the same message.
const SAME: TimeDelta = TimeDelta::minutes(10);

/// A Communication that this gateway wrote of a message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Its id at the EHR.
    pub(super) id: String,
    pub(super) message: MessageId,
    pub(super) rule: Option<RuleId>,
    pub(super) about: Vec<ResourceKey>,
    pub(super) channel: Channel,
    pub(super) sent: DateTime<Utc>,
}

/// The Communications of a patient that we wrote under `system` and that say when a message was sent, oldest first.
pub(super) async fn communications(
    client: &FhirClient,
    patient: &PatientId,
    since: DateTime<Utc>,
    system: &str,
) -> Result<Vec<Written>, EhrError> {
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    let search = Search::new(ResourceType::Communication)
        .with("patient", patient.as_str())
        .with("sent", format!("ge{since}"))
        .by_post();
    let mut written: Vec<Written> =
        client.find(search).await?.iter().filter_map(|resource| read(resource, system)).collect();
    written.sort_by_key(|it| it.sent);
    Ok(written)
}

fn read(resource: &Value, system: &str) -> Option<Written> {
    let list = |name: &str| resource[name].as_array().cloned().unwrap_or_default();
    let ours = list("identifier").into_iter().find(|it| it["system"] == system)?;
    let message = ours["value"].as_str()?.strip_prefix("message-")?.parse().ok()?;
    let sent = DateTime::parse_from_rfc3339(resource["sent"].as_str()?).ok()?.to_utc();
    let rule = list("instantiatesUri").iter().find_map(|uri| {
        let (_, rule) = uri.as_str()?.rsplit_once("/PlanDefinition/")?;
        Some(RuleId::new(rule.split('|').next()?))
    });
    let about = ["about", "reasonReference"].iter().flat_map(|name| list(name)).filter_map(|it| {
        let (kind, id) = it["reference"].as_str()?.rsplit_once('/')?;
        Some(ResourceKey::new(ResourceType::parse(kind.rsplit('/').next()?)?, id))
    });
    let by_mail = list("medium").iter().any(|it| it["coding"][0]["code"] == "EMAILWRIT");
    Some(Written {
        id: resource["id"].as_str()?.to_owned(),
        message,
        rule,
        about: about.collect(),
        channel: if by_mail { Channel::Email } else { Channel::Sms },
        sent,
    })
}

/// The reminder that a message sent by `at` was made of: of those due by then, the one that fell due last. What is known
/// of the message must fit.
pub(super) fn fitting(reminders: &[Reminder], at: DateTime<Utc>, written: Option<&Written>) -> Option<usize> {
    let fits = |it: &Reminder| {
        let known = written.is_none_or(|written| {
            let rule = written.rule.as_ref().is_none_or(|rule| *rule == it.plan.rule);
            rule && (written.about.is_empty() || written.about.contains(&it.plan.occasion.resource))
        });
        known && it.plan.due_at <= at
    };
    let fitting = reminders.iter().enumerate().filter(|(_, it)| fits(it));
    fitting.max_by_key(|(_, it)| it.plan.due_at).map(|(at, _)| at)
}

/// A text that the ledger does not know.
#[derive(Debug, Clone)]
pub(super) struct UnknownText {
    pub(super) to: Address,
    pub(super) sid: String,
    pub(super) state: AttemptState,
    pub(super) body: Phi<String>,
    pub(super) created: DateTime<Utc>,
}

/// Texts that the ledger does not know, by number, oldest first. Each explains one message, so it is taken out.
#[derive(Debug, Default)]
pub(super) struct TextLog(BTreeMap<Address, Vec<UnknownText>>);

impl TextLog {
    pub(super) fn has(&self, number: &PhoneNumber) -> bool {
        self.0.contains_key(&Address::Phone(number.clone()))
    }

    /// Notes texts to `number`. What was refused or never left reached nobody.
    pub(super) fn keep(&mut self, number: &PhoneNumber, records: Vec<SmsRecord>) {
        let to = Address::Phone(number.clone());
        let mut texts: Vec<UnknownText> = records
            .into_iter()
            .filter(|record| record.state != AttemptState::Rejected)
            .map(|record| UnknownText {
                to: to.clone(),
                sid: record.sid,
                state: record.state,
                body: record.body,
                created: record.created,
            })
            .collect();
        texts.sort_by_key(|text| text.created);
        self.0.insert(to, texts);
    }

    pub(super) fn first(&self, address: &Address) -> Option<UnknownText> {
        self.0.get(address)?.first().cloned()
    }

    /// The text to one of these addresses that was sent at about `at`.
    pub(super) fn take_near(&mut self, addresses: &[Address], at: DateTime<Utc>) -> Option<UnknownText> {
        let distance = |text: &UnknownText| (text.created - at).abs();
        let (address, index, _) = addresses
            .iter()
            .filter_map(|address| Some((address, self.0.get(address)?)))
            .flat_map(|(address, texts)| texts.iter().enumerate().map(move |(index, text)| (address, index, text)))
            .filter(|(_, _, text)| distance(text) <= SAME)
            .min_by_key(|(_, _, text)| distance(text))?;
        let address = address.clone();
        Some(self.0.get_mut(&address)?.remove(index))
    }

    /// A text to this address since `since`: the one of this wording, else the first.
    pub(super) fn take_for(
        &mut self,
        address: &Address,
        since: DateTime<Utc>,
        body: Option<&str>,
    ) -> Option<UnknownText> {
        let texts = self.0.get_mut(address)?;
        let same = |text: &UnknownText| body.is_some_and(|body| text.body.expose() == body);
        let index = texts
            .iter()
            .position(|text| text.created >= since && same(text))
            .or_else(|| texts.iter().position(|text| text.created >= since))?;
        Some(texts.remove(index))
    }
}
