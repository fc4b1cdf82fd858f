//! The simulated hospital: an EHR with SMART, a phone and a mailbox. Knows nothing of the gateway.
