//! Whatever stands in a sealed column: it opens only as it was sealed.
#![no_main]

use beckon::seal::{Key, KeyBytes, Place, key_of};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(|parts: (&[u8], &[u8], usize, u8)| {
    let (garbage, plain, at, change) = parts;
    let key = Key::new(Uuid::from_u128(1), &KeyBytes::from_slice(&[7; 32]).unwrap()).unwrap();
    let place = Place { tenant: "main", table: "message", column: "body", row: "1" };
    let _ = key_of(garbage);
    assert!(key.open(&place, garbage).is_err(), "bytes that nobody sealed opened");
    let mut sealed = key.seal(&place, plain).unwrap();
    assert_eq!(key.open(&place, &sealed).unwrap(), plain);
    let elsewhere = Place { row: "2", ..place };
    assert!(key.open(&elsewhere, &sealed).is_err(), "a value opened at another row");
    let at = at % sealed.len();
    sealed[at] ^= change;
    assert_eq!(key.open(&place, &sealed).is_ok(), change == 0, "an altered value opened");
});
