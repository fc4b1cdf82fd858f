//! Whatever an interface engine sends, or whoever reaches its port: no panic, and nothing is taken without a control id.
#![no_main]

use beckon::pull::hl7::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for message in [bytes.to_vec(), [b"MSH|^~\\&|".as_slice(), bytes].concat()] {
        match read(&message) {
            Ok(received) => assert!(!received.envelope.control_id.is_empty()),
            Err(refusal) => assert!(!refusal.reason.is_empty()),
        }
    }
});
