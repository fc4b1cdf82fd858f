//! What patients answer. STOP binds the number at once, whoever shares it; the rest is tied to the message that it
//! answers and told to the EHR.

use chrono::TimeDelta;
use serde_json::json;

use super::{BATCH, Outbox, OutboxError};
use crate::channels::meaning_of_reply;
use crate::domain::{Actor, AlertKind, EventKind, MessageOrigin, OptOut, OptOutId, OptOutScope, Reply, ReplyMeaning};
use crate::store::{Delivery, Tx, WriteBackSubject};

/// A reply answers a message of the last days, not of last year.
const ANSWERS_WITHIN: TimeDelta = TimeDelta::days(14);

impl Outbox {
    pub(super) async fn process_replies(&self) -> Result<usize, OutboxError> {
        let due = self.store.view(&self.tenant).replies_due(BATCH).await?;
        for reply in &due {
            let mut tx = self.store.write(&self.tenant).await?;
            self.process_reply(&mut tx, reply).await?;
            tx.commit().await?;
        }
        Ok(due.len())
    }

    async fn process_reply(&self, tx: &mut Tx<'_>, reply: &Reply) -> Result<(), OutboxError> {
        let meaning = reply.handled.unwrap_or_else(|| meaning_of_reply(reply.text.expose()));
        let since = reply.received_at - ANSWERS_WITHIN;
        let recent = tx.view().messages_to(&reply.from, since, 20).await?;
        let answered = the_one_answered(&recent);
        match meaning {
            ReplyMeaning::Stop => {
                let opt_out = OptOut {
                    id: OptOutId(self.store.new_id()),
                    scope: OptOutScope::Channel(reply.channel),
                    address: Some(reply.from.clone()),
                    // The number is bound, not one patient: a phone may be shared.
                    patient: None,
                    source: format!("{} reply", reply.channel),
                    words: Some(reply.text.clone()),
                    at: reply.received_at,
                    revoked_at: None,
                };
                let ehr = answered.map(|it| it.message.ehr.clone());
                tx.add_opt_out(ehr.as_ref(), &opt_out, &Actor::Patient).await?;
            }
            ReplyMeaning::Start => {
                tx.revoke_opt_outs(&reply.from, reply.channel, &Actor::Patient).await?;
            }
            ReplyMeaning::ConfirmNoMore => {
                // With a shared phone nobody can tell whose visit is meant: a person is asked, below.
                if let Some(it) = answered {
                    enough_of(tx, it, reply).await?;
                }
            }
            ReplyMeaning::Help | ReplyMeaning::Confirm | ReplyMeaning::CannotCome | ReplyMeaning::FreeText => {}
        }
        let about = answered.map(|it| (&it.message.ehr, &it.message.subject, it.message.id));
        tx.reply_processed(reply.id, meaning, about).await?;
        let mut event = tx
            .event(Actor::system("outbox"), EventKind::ReplyUnderstood)
            .with_detail(json!({ "reply": reply.id, "meaning": meaning, "ambiguous": answered.is_none() }));
        if let Some((ehr, patient, message)) = about {
            event = event.about_patient(ehr, patient).about_message(message);
        }
        tx.append(event).await?;
        if let Some((ehr, patient, _)) = about {
            tx.queue_write_backs(&[(ehr.clone(), patient.clone(), WriteBackSubject::Reply(reply.id))]).await?;
        }
        if answered.is_none()
            || matches!(meaning, ReplyMeaning::CannotCome | ReplyMeaning::FreeText | ReplyMeaning::Help)
        {
            let words =
                format!("a patient answered ({}) and a person should read it", meaning.as_str().replace('_', " "));
            tx.raise_alert(AlertKind::ReplyNeedsPerson, &reply.id.to_string(), &words).await?;
        }
        Ok(())
    }
}

/// The visits that a message was about are heard of no more, at the time that they have now.
async fn enough_of(tx: &mut Tx<'_>, answered: &Delivery, reply: &Reply) -> Result<(), OutboxError> {
    let message = &answered.message;
    let MessageOrigin::Reminders(reminders) = &message.origin else { return Ok(()) };
    let source = format!("{} reply", reply.channel);
    for id in reminders {
        let Some(reminder) = tx.view().reminder(*id).await? else { continue };
        let occasion = &reminder.plan.occasion.key;
        tx.enough_of(&message.ehr, &message.subject, occasion, &source, Some(reply.id), &Actor::Patient).await?;
    }
    Ok(())
}

/// The newest message to that address, if all recent ones are about one patient: with a shared phone nobody can tell
/// whose answer it is.
fn the_one_answered(recent: &[Delivery]) -> Option<&Delivery> {
    let newest = recent.first()?;
    let same = |it: &&Delivery| it.message.subject == newest.message.subject && it.message.ehr == newest.message.ehr;
    recent.iter().all(|it| same(&it)).then_some(newest)
}
