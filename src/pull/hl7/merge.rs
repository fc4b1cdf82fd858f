//! Two records that the interface engine says became one. The EHR has the last word: only what it does not show in use
//! any more is merged.

use crate::config::Hl7;
use crate::domain::{PatientId, PatientStatus, ResourceKey, ResourceType};
use crate::ehr::read::Read;
use crate::fhir::read;
use crate::store::MergeSource;

use super::super::listing::Stop;
use super::super::numbers::Whose;
use super::super::page::Run;
use super::super::report::TypeReport;
use super::follow::Followed;
use super::message::Merged;

impl Run<'_> {
    pub(super) async fn follow_merge(&self, merged: &Merged, settings: &Hl7) -> Result<Followed, Stop> {
        let survivor = match self.whose(&merged.survivor, &settings.systems).await? {
            Whose::One(survivor) => survivor,
            Whose::Nobody => return Ok(Followed::NotYet("PID-3", "the EHR does not find the record that survived")),
            Whose::Several => return Ok(Followed::Never("PID-3", "names more than one patient of the EHR")),
        };
        self.look_at(&survivor).await?;
        for number in &merged.replaced {
            match self.whose(std::slice::from_ref(number), &settings.systems).await? {
                // Never seen here, or the survivor has the number by now.
                Whose::Nobody => {}
                Whose::One(replaced) if replaced == survivor => {}
                Whose::One(replaced) => {
                    if !self.is_replaced(&replaced, &survivor).await? {
                        return Ok(Followed::NotYet("MRG-1", "the EHR still shows the merged record in use"));
                    }
                }
                Whose::Several => return Ok(Followed::Never("MRG-1", "names more than one patient of the EHR")),
            }
        }
        Ok(Followed::Done)
    }

    /// Reads the record that is said to be replaced, and merges it unless the EHR shows it in use.
    async fn is_replaced(&self, replaced: &PatientId, survivor: &PatientId) -> Result<bool, Stop> {
        let key = ResourceKey::new(ResourceType::Patient, replaced.as_str());
        match self.client.read(&key, None).await? {
            Read::Moved(to) => self.merged(&key, &to).await?,
            Read::Gone { .. } => self.merge_into(replaced, survivor, MergeSource::Message).await?,
            Read::NotModified => return Ok(false),
            Read::Found(found) => {
                let facts = read::patient(&found.resource, self.store.clock().now()).value;
                self.destination()
                    .keep(ResourceType::Patient, vec![found.resource], &mut TypeReport::default())
                    .await?;
                match facts.map(|facts| facts.status) {
                    Some(PatientStatus::ReplacedBy(_)) => {}
                    Some(PatientStatus::Inactive) => {
                        self.merge_into(replaced, survivor, MergeSource::Message).await?;
                    }
                    Some(PatientStatus::Active) | None => return Ok(false),
                }
            }
        }
        Ok(true)
    }
}
