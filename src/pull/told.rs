//! What a run has told so far, for those who watch it through the database.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::domain::ResourceType;

use super::report::{Progress, TypeReport};

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ended: Vec<(ResourceType, TypeReport)>,
    now: Value,
    changed: bool,
}

impl Told {
    pub fn hear(&self, progress: &Progress) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.changed = true;
        match progress {
            Progress::Began { kind, how } => inner.now = json!({"kind": kind, "how": how, "read": 0}),
            Progress::Page { kind, read, total } => {
                let how = inner.now["how"].clone();
                inner.now = json!({"kind": kind, "how": how, "read": read, "total": total});
            }
            Progress::Ended { kind, report } => {
                inner.ended.push((*kind, report.clone()));
                inner.now = Value::Null;
            }
            Progress::Exporting { words, .. } => inner.now = json!({"exporting": words}),
            Progress::Planned { patients } => inner.now = json!({"planned": patients}),
        }
    }

    /// The counts so far, where they changed since they were last taken.
    pub fn take(&self) -> Option<Value> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut inner.changed).then(|| json!({"types": inner.ended, "now": inner.now}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_adds_up_and_is_taken_once() {
        let told = Told::default();
        assert_eq!(told.take(), None);
        told.hear(&Progress::Began { kind: ResourceType::Patient, how: "everything" });
        told.hear(&Progress::Page { kind: ResourceType::Patient, read: 50, total: Some(120) });
        let now = told.take().unwrap();
        assert_eq!(now["now"], json!({"kind": "Patient", "how": "everything", "read": 50, "total": 120}));
        assert_eq!(told.take(), None);
        let report = TypeReport { read: 120, ..TypeReport::default() };
        told.hear(&Progress::Ended { kind: ResourceType::Patient, report });
        told.hear(&Progress::Planned { patients: 7 });
        let now = told.take().unwrap();
        assert_eq!((now["types"][0][0].as_str(), now["types"][0][1]["read"].as_u64()), (Some("Patient"), Some(120)));
        assert_eq!(now["now"]["planned"], 7);
    }
}
