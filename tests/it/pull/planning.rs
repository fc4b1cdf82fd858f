//! What a change at the EHR makes of the reminders.

use beckon::domain::{EventKind, PatientId, ReminderState};
use beckon::store::EventFilter;
use chrono::TimeDelta;
use serde_json::json;

use super::bench::{Bench, each_hospital};

async fn events(b: &Bench, kind: EventKind) -> usize {
    let filter = EventFilter {
        ehr: Some(b.ehr.clone()),
        patient: Some(PatientId::new("ada")),
        kinds: vec![kind],
        limit: 100,
        ..EventFilter::default()
    };
    b.t.store.view(&b.t.tenant).events(&filter).await.unwrap().len()
}

#[tokio::test]
async fn a_booked_appointment_is_planned_and_recorded() {
    each_hospital(0, async |b| {
        b.patient("ada");
        b.book("a1", "ada", 7);
        b.sync().await;
        let reminders = b.reminders("ada").await;
        assert!(!reminders.is_empty() && reminders.iter().all(|it| it.state == ReminderState::Planned));
        assert!(reminders.iter().all(|it| it.plan.occasion.resource.id == "a1"));
        assert_eq!(events(&b, EventKind::ReminderPlanned).await, reminders.len());
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_appointment_cancels_its_planned_reminders() {
    each_hospital(0, async |b| {
        b.patient("ada");
        b.book("a1", "ada", 7);
        b.sync().await;
        let planned = b.open_reminders("ada").await;
        b.t.clock.advance(TimeDelta::minutes(20));
        let mut cancelled = b.appointment("a1", "ada", 7);
        cancelled["status"] = json!("cancelled");
        b.hospital.put(cancelled).unwrap();
        b.sync().await;
        assert_eq!(b.open_reminders("ada").await, 0);
        assert_eq!(events(&b, EventKind::ReminderCancelled).await, planned);
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_moved_appointment_is_reminded_of_at_its_new_time_only() {
    each_hospital(0, async |b| {
        b.patient("ada");
        b.book("a1", "ada", 7);
        b.sync().await;
        let before = b.reminders("ada").await;
        b.t.clock.advance(TimeDelta::minutes(20));
        b.book("a1", "ada", 12);
        b.sync().await;
        let after = b.reminders("ada").await;
        let open: Vec<_> = after.iter().filter(|it| it.state == ReminderState::Planned).collect();
        assert_eq!(open.len(), before.len());
        let start = b.now() + TimeDelta::days(12);
        assert!(open.iter().all(|it| it.plan.due_at > start - TimeDelta::days(4) && it.plan.due_at < start));
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_dead_are_not_reminded() {
    each_hospital(0, async |b| {
        b.patient("ada");
        b.book("a1", "ada", 7);
        b.sync().await;
        assert!(b.open_reminders("ada").await > 0);
        b.t.clock.advance(TimeDelta::minutes(20));
        b.hospital
            .put(json!({"resourceType": "Patient", "id": "ada", "active": true, "deceasedDateTime": "2026-03-01"}))
            .unwrap();
        b.sync().await;
        assert_eq!(b.open_reminders("ada").await, 0);
        b.hospital.stop().await;
    })
    .await;
}
