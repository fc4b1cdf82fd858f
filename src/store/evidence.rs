//! Everything that is kept about one patient, for an evidence packet.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::events::{SealedDetail, canonical};
use super::listings::ReplyLine;
use super::tables::{event, opt_out, reply};
use super::{StoreError, View};
use crate::domain::{Address, EhrId, Event, MessageId, OptOut, PatientId};

/// One numbered event with what proves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    pub place: u64,
    pub event: Event,
    pub leaf: [u8; 32],
    /// Content and salt, byte for byte as the leaf covers them; `None` once a retention policy destroyed them.
    pub content: Option<(String, String)>,
}

impl View<'_> {
    /// Up to `limit` numbered events about a patient, after a place.
    pub async fn evidence_of(
        &self,
        ehr: &EhrId,
        patient: &PatientId,
        after: Option<u64>,
        limit: u64,
    ) -> Result<Vec<Evidence>, StoreError> {
        let rows = event::Entity::find()
            .filter(event::Column::Tenant.eq(self.tenant.as_str()))
            .filter(event::Column::Ehr.eq(ehr.as_str()))
            .filter(event::Column::Patient.eq(patient.as_str()))
            .filter(event::Column::Seq.gt(after.map_or(-1, |place| place as i64)))
            .order_by_asc(event::Column::Seq)
            .limit(limit)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().map(|row| row.detail.as_slice())).await?;
        let corrupt = |reason: &str| StoreError::Corrupt { what: "event", reason: reason.to_owned() };
        rows.into_iter()
            .map(|row| {
                let id = row.id.to_string();
                let place = row.seq.and_then(|seq| u64::try_from(seq).ok()).ok_or_else(|| corrupt("no place"))?;
                let leaf = row.leaf.as_slice().try_into().map_err(|_| corrupt("its leaf is no hash"))?;
                let opened: Result<SealedDetail, StoreError> =
                    keys.open_json("event", "event", "detail", &id, &row.detail);
                let sealed = match opened {
                    Ok(sealed) => Some(sealed),
                    Err(StoreError::Shredded) => None,
                    Err(error) => return Err(error),
                };
                let event = self.event_of(row, &keys)?;
                let content = sealed
                    .map(|sealed| String::from_utf8(canonical(&event)).map(|text| (text, sealed.salt)))
                    .transpose()
                    .map_err(|_| corrupt("its content is no text"))?;
                Ok(Evidence { place, event, leaf, content })
            })
            .collect()
    }

    /// Every opt-out of a patient and of any of these addresses, also those that were taken back, oldest first.
    pub async fn opt_outs_ever(
        &self,
        ehr: &EhrId,
        patient: &PatientId,
        addresses: &[Address],
    ) -> Result<Vec<OptOut>, StoreError> {
        let mut digests = Vec::with_capacity(addresses.len());
        for address in addresses {
            digests.push(self.blind(address.kind(), address.expose()).await?);
        }
        let theirs = Condition::all()
            .add(opt_out::Column::Ehr.eq(ehr.as_str()))
            .add(opt_out::Column::Patient.eq(patient.as_str()));
        let rows = opt_out::Entity::find()
            .filter(opt_out::Column::Tenant.eq(self.tenant.as_str()))
            .filter(Condition::any().add(theirs).add(opt_out::Column::AddressDigest.is_in(digests)))
            .order_by_asc(opt_out::Column::RecordedAt)
            .all(&self.conn)
            .await?;
        self.opt_outs_of(rows).await
    }

    /// Everything that a patient answered, oldest first.
    pub async fn replies_of_patient(&self, ehr: &EhrId, patient: &PatientId) -> Result<Vec<ReplyLine>, StoreError> {
        let rows = reply::Entity::find()
            .filter(reply::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reply::Column::Ehr.eq(ehr.as_str()))
            .filter(reply::Column::Patient.eq(patient.as_str()))
            .order_by_asc(reply::Column::Id)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().map(|row| row.body.as_slice())).await?;
        rows.into_iter()
            .map(|row| {
                let (meaning, message) = (row.meaning.clone(), row.message.map(MessageId));
                let reply = super::answers::reply_of(row, &keys)?;
                Ok(ReplyLine { reply, meaning, about: Some((ehr.clone(), patient.clone())), message })
            })
            .collect()
    }
}
