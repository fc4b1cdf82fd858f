//! A question to the history as a condition on events.

use sea_orm::sea_query::SelectStatement;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect, QueryTrait as _};
use uuid::Uuid;

use super::codes::code;
use super::events::{AboutFilter, EventFilter};
use super::tables::{attempt, event, message, reminder, write_back};
use super::{StoreError, View};

impl View<'_> {
    pub(super) async fn asked(&self, filter: &EventFilter) -> Result<Condition, StoreError> {
        use event::Column as C;
        let before = filter.before.map(|it| {
            let earlier = Condition::any().add(C::At.lt(it.at)).add(C::Id.lt(it.id.0));
            Condition::all().add(C::At.lte(it.at)).add(earlier)
        });
        let kinds = (!filter.kinds.is_empty()).then(|| C::Kind.is_in(filter.kinds.iter().map(|kind| kind.as_str())));
        let mut all = Condition::all()
            .add(C::Tenant.eq(self.tenant.as_str()))
            .add_option(filter.ehr.as_ref().map(|it| C::Ehr.eq(it.as_str())))
            .add_option(filter.patient.as_ref().map(|it| C::Patient.eq(it.as_str())))
            .add_option(kinds)
            .add_option(filter.actor.as_ref().map(|it| C::Actor.eq(it.as_text())))
            .add_option(filter.outcome.map(|it| C::Outcome.eq(it.as_str())))
            .add_option(filter.rule.as_ref().map(|it| C::Rule.eq(it.as_str())))
            .add_option(filter.from.map(|it| C::At.gte(it)))
            .add_option(filter.until.map(|it| C::At.lt(it)))
            .add_option(before);
        let about = &filter.about;
        if let Some(messages) = self.messages_asked(about).await? {
            let by_message = C::Message.in_subquery(messages);
            all = match self.reminders_asked(about) {
                Some(reminders) => all.add(Condition::any().add(by_message).add(C::Reminder.in_subquery(reminders))),
                None => all.add(by_message),
            };
        }
        Ok(all.add_option(about.reference.as_deref().map(|it| self.reference(it))))
    }

    /// Messages of the asked kind; `None` where nothing is asked of them.
    async fn messages_asked(&self, about: &AboutFilter) -> Result<Option<SelectStatement>, StoreError> {
        use message::Column as C;
        let AboutFilter { address, version, channel, purpose, state, reason, protection, reference: _ } = about;
        let digest = match address {
            Some(address) => Some(self.blind(address.kind(), address.expose()).await?),
            None => None,
        };
        let protected = protection.as_ref().map(|it| {
            let attempts = attempt::Entity::find()
                .select_only()
                .column(attempt::Column::Message)
                .filter(attempt::Column::Tenant.eq(self.tenant.as_str()))
                .filter(attempt::Column::Protection.eq(it.as_str()));
            C::Id.in_subquery(attempts.into_query())
        });
        let asked = Condition::all()
            .add_option(digest.map(|it| C::AddressDigest.eq(it)))
            .add_option(version.as_ref().map(|it| C::RuleVersion.eq(it.as_str())))
            .add_option(channel.map(|it| C::Channel.eq(it.as_str())))
            .add_option(purpose.map(|it| C::Purpose.eq(code(&it))))
            .add_option(state.as_ref().map(|it| C::State.eq(it.as_str())))
            .add_option(reason.map(|it| C::Reason.eq(it.as_str())))
            .add_option(protected);
        if asked.is_empty() {
            return Ok(None);
        }
        let query = message::Entity::find().select_only().column(C::Id).filter(C::Tenant.eq(self.tenant.as_str()));
        Ok(Some(query.filter(asked).into_query()))
    }

    /// Reminders of the asked kind: those that were never sent have no message. `None` where what is asked is of
    /// messages alone.
    fn reminders_asked(&self, about: &AboutFilter) -> Option<SelectStatement> {
        use reminder::Column as C;
        let AboutFilter { address, version, channel, purpose, state, reason, protection, reference: _ } = about;
        if address.is_some() || channel.is_some() || purpose.is_some() || protection.is_some() {
            return None;
        }
        let asked = Condition::all()
            .add_option(version.as_ref().map(|it| C::RuleVersion.eq(it.as_str())))
            .add_option(state.as_ref().map(|it| C::State.eq(it.as_str())))
            .add_option(reason.map(|it| C::Reason.eq(it.as_str())));
        let query = reminder::Entity::find().select_only().column(C::Id).filter(C::Tenant.eq(self.tenant.as_str()));
        Some(query.filter(asked).into_query())
    }

    /// Whatever a person holds in hand: an id of ours, a provider's, or one of the EHR.
    fn reference(&self, text: &str) -> Condition {
        use event::Column as C;
        let attempts = attempt::Entity::find()
            .select_only()
            .column(attempt::Column::Message)
            .filter(attempt::Column::Tenant.eq(self.tenant.as_str()))
            .filter(attempt::Column::ProviderRef.eq(text));
        let written = write_back::Entity::find()
            .select_only()
            .column(write_back::Column::SubjectId)
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(write_back::Column::RemoteId.eq(text));
        let ours = text
            .parse::<Uuid>()
            .ok()
            .map(|id| Condition::any().add(C::Id.eq(id)).add(C::Message.eq(id)).add(C::Reminder.eq(id)));
        Condition::any()
            .add(C::Message.in_subquery(attempts.into_query()))
            .add(C::Message.in_subquery(written.into_query()))
            .add_option(ours)
    }
}
