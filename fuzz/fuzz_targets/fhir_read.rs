//! Whatever an EHR answers: nothing panics, and pruning is stable (what was pruned once is not pruned again).
#![no_main]

use beckon::fhir::{bundle, capability, hash, operation_outcome, prune, read, reference};
use chrono::{DateTime, Utc};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return };
    let now = DateTime::<Utc>::from_timestamp(1_772_474_400, 0).unwrap();
    reference::localize(&mut value, "https://ehr.example/fhir/R4");
    let _ = read::patient(&value, now);
    let _ = read::appointment(&value);
    let _ = read::condition(&value);
    let _ = read::consent(&value);
    let _ = read::location(&value, now);
    let _ = read::related_person(&value, now);
    let _ = read::group_members(&value);
    let _ = read::is_restricted(&value);
    let _ = capability::Capability::read(&value);
    let _ = operation_outcome::OperationOutcome::read(&value);
    let _ = hash::content_hash(&value);
    let once = prune::prune(&value);
    assert_eq!(prune::prune(&once), once);
    let _ = bundle::batch_response(value.clone());
    let _ = bundle::SearchPage::read(value);
});
