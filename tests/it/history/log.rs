//! Numbers, roots and proofs of a log that grows.

use beckon::domain::Actor;
use beckon::history::{HistoryError, checkpoint, number, proof, tree};
use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Database};

use super::{ORIGIN, happen, number_all, sign};
use crate::support::house::each_house;
use crate::support::{each_database, open_store};

#[tokio::test]
async fn a_log_that_grows_is_proven_at_every_size_from_a_handful_of_rows() {
    each_database(async |t| {
        let view = t.store.view(&t.tenant);
        let mut checkpoints = Vec::new();
        for count in [1, 200, 55, 300] {
            happen(&t, count).await;
            checkpoints.push(sign(&t).await);
        }
        let key = checkpoint::verifier(&view.log_keys().await.unwrap()[0]).unwrap();
        let heads: Vec<_> = checkpoints.iter().map(|it| key.open(&it.note).unwrap()).collect();
        assert_eq!(heads.iter().map(|it| it.size).collect::<Vec<_>>(), [1, 202, 258, 559]);
        for (n, old) in heads.iter().enumerate() {
            assert_eq!(proof::root(&view, old.size).await.unwrap(), old.root);
            for new in &heads[n..] {
                let steps = proof::consistency(&view, old.size, new.size).await.unwrap();
                assert!(tree::extends(old.size, &old.root, new.size, &new.root, &steps), "{} {}", old.size, new.size);
            }
        }
        let head = &heads[3];
        let rows = view.audit_page(0, 1000).await.unwrap().check();
        for row in rows.iter().take(559) {
            let place = row.seq.unwrap() as u64;
            let steps = proof::inclusion(&view, place, head.size).await.unwrap();
            assert!(tree::includes(&row.leaf.unwrap(), place, head.size, &steps, &head.root), "{place}");
        }
        assert!(matches!(proof::inclusion(&view, 559, 559).await, Err(HistoryError::NoSuchPlace(559, 559))));
    })
    .await;
}

#[tokio::test]
async fn events_are_numbered_in_the_order_of_their_time_and_each_once_though_replicas_race() {
    each_database(async |t| {
        let other = open_store(&t.url, t.clock.clone()).await;
        for _ in 0..5 {
            happen(&t, 60).await;
            // Whoever loses the race numbers nothing; the next turn finds the rest.
            let (one, two) = tokio::join!(number::number(&t.store, &t.tenant), number::number(&other, &t.tenant));
            assert_eq!(one.unwrap() + two.unwrap(), 60);
        }
        let rows = t.store.view(&t.tenant).audit_page(0, 1000).await.unwrap().check();
        let places: Vec<i64> = rows.iter().map(|row| row.seq.unwrap()).collect();
        assert_eq!(places, (0..300).collect::<Vec<_>>());
        assert!(rows.is_sorted_by_key(|row| row.at));
    })
    .await;
}

#[tokio::test]
async fn an_idle_gateway_numbers_what_happened_and_signs_when_it_is_time() {
    each_house(async |house| {
        let scheduler = house.gateway.scheduler();
        while scheduler.history_turn(true).await.unwrap() > 0 {}
        let view = house.view();
        let first = view.last_checkpoint().await.unwrap().unwrap();
        assert!(!view.has_unnumbered_events().await.unwrap() || first.size > 0);
        while scheduler.history_turn(false).await.unwrap() > 0 {}
        assert!(!view.has_unnumbered_events().await.unwrap());

        // The checkpoint's own event is nothing that would need another one.
        house.later(TimeDelta::minutes(20));
        scheduler.history_turn(true).await.unwrap();
        assert_eq!(view.last_checkpoint().await.unwrap().unwrap(), first);

        house.ada_is_due_in_an_hour().await;
        while scheduler.history_turn(true).await.unwrap() > 0 {}
        scheduler.history_turn(true).await.unwrap();
        let second = view.last_checkpoint().await.unwrap().unwrap();
        assert!(second.size > first.size + 1, "the first one's own event, and the pull");
        house.later(TimeDelta::minutes(5));
        house.ada_is_due_in_an_hour().await;
        while scheduler.history_turn(true).await.unwrap() > 0 {}
        assert_eq!(view.last_checkpoint().await.unwrap().unwrap(), second, "only every quarter of an hour");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_log_that_was_changed_is_neither_continued_nor_signed() {
    each_database(async |t| {
        happen(&t, 300).await;
        sign(&t).await;
        number_all(&t).await;
        let db = Database::connect(&t.url).await.unwrap();
        db.execute_unprepared("UPDATE history_head SET size = 200").await.unwrap();
        happen(&t, 1).await;
        let error = number::number(&t.store, &t.tenant).await.unwrap_err();
        assert!(matches!(&error, HistoryError::Altered(_)) && error.to_string().contains("history verify"), "{error}");
        let error = checkpoint::sign(&t.store, &t.tenant, ORIGIN, Actor::Patient).await.unwrap_err();
        assert!(matches!(error, HistoryError::Altered(_)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_that_would_contradict_an_earlier_one_is_never_signed() {
    each_database(async |t| {
        happen(&t, 300).await;
        let signed = sign(&t).await;
        number_all(&t).await;
        // The operator rewrites the tree with the keys, and forgets the checkpoint.
        let db = Database::connect(&t.url).await.unwrap();
        db.execute_unprepared("DELETE FROM event WHERE seq = 5").await.unwrap();
        db.execute_unprepared("UPDATE event SET seq = NULL").await.unwrap();
        db.execute_unprepared("DELETE FROM history_tile").await.unwrap();
        db.execute_unprepared("DELETE FROM history_head").await.unwrap();
        happen(&t, 10).await;
        let error = checkpoint::sign(&t.store, &t.tenant, ORIGIN, Actor::Patient).await.unwrap_err();
        assert!(matches!(error, HistoryError::Inconsistent { size } if size == signed.size), "{error}");
    })
    .await;
}

#[tokio::test]
async fn what_an_old_key_signed_stays_valid_after_a_new_one_took_over() {
    each_database(async |t| {
        happen(&t, 3).await;
        let old = sign(&t).await;
        checkpoint::rotate_key(&t.store, &t.tenant, ORIGIN, Actor::Patient).await.unwrap();
        happen(&t, 3).await;
        let new = sign(&t).await;
        assert_ne!(old.key, new.key);
        let report = beckon::history::verify::verify(&t.store, &t.tenant, &[], &|_, _| {}).await.unwrap();
        assert!(report.is_whole() && report.checkpoints == 2, "{report:#?}");
    })
    .await;
}
