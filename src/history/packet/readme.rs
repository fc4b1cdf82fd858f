//! How to check a packet, for somebody who trusts neither the hospital nor us.

use super::names;
use crate::history::note::{Checkpoint, Verifier};

pub fn readme(head: &Checkpoint, key: &Verifier) -> String {
    format!(
        "EVIDENCE PACKET

{summary} is to be read. {messages_sheet}, {consents}, {decisions} and {access} open in a spreadsheet;
{messages} and {bundle} (HL7 FHIR R4) hold the same for programs.

HOW TO CHECK IT

With the program, on any machine, without database and network:

    beckon history verify --packet FILE.zip
    beckon history verify --packet FILE.zip --key KEY --checkpoint KEPT

KEY is the log's public key as you were given it before, apart from this packet. Without it you learn only that the packet
agrees with itself. KEPT is a checkpoint of this log that you or somebody else kept: if the log was rewritten since, it
does not continue that checkpoint, and the program says so.

By hand, in any language, from published standards:

1. Each line of {events} is one event. If it has \"content\" and \"salt\", then
       leaf = SHA-256( 0x00, the bytes of \"content\", the 32 bytes of \"salt\" ).
   Where they are absent, a retention policy has destroyed them and the leaf alone is left.
2. \"place\" counts events from 0. \"proof\" lists the hashes that lead from the leaf to the root of a tree of
   {size} leaves: RFC 9162, section 2.1.3.2, with SHA-256.
3. The root must be the third line of {checkpoint}, which is base64. That file is a C2SP tlog-checkpoint; its signature
   is Ed25519, as in C2SP signed-note, by the key in {key_file}.
4. {earlier} holds checkpoints that were signed before, each with a proof that today's log continues it: RFC 9162,
   section 2.1.4.2.
5. A message in {messages} is the one that was sent if the SHA-256 of its \"body\", as compact JSON in the order of its
   keys, is the \"body_sha256\" of the last event \"attempt.opened\" with its id.
6. {manifest} has the SHA-256 of every file; {seal} is that file's SHA-256, signed by the same key.

Log: {origin}
Key: {key}
",
        summary = names::SUMMARY,
        messages_sheet = names::MESSAGES_SHEET,
        consents = names::CONSENTS_SHEET,
        decisions = names::DECISIONS_SHEET,
        access = names::ACCESS_SHEET,
        messages = names::MESSAGES,
        bundle = names::BUNDLE,
        events = names::EVENTS,
        checkpoint = names::CHECKPOINT,
        key_file = names::KEY,
        earlier = names::EARLIER,
        manifest = names::MANIFEST,
        seal = names::SEAL,
        size = head.size,
        origin = head.origin,
        key = key.text(),
    )
}
