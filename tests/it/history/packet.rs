//! An evidence packet: made by the gateway, checked by whoever trusts nobody.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};
use std::process::Command;

use beckon::domain::{Actor, EhrId, PatientId};
use beckon::history::note::Verifier;
use beckon::history::packet::{PacketReport, Request, check, write};
use beckon::history::{checkpoint, packet};
use chrono::TimeDelta;
use serde_json::Value;

use super::ORIGIN;
use crate::support::house::{ADA, ADA_PHONE, House, each_house};
use crate::support::tools::python;

fn request(ehr: &EhrId) -> Request {
    Request {
        ehr: ehr.clone(),
        patient: PatientId::new(ADA),
        by: Actor::Staff("robin".to_owned()),
        reason: Some("asked by her lawyer".to_owned()),
        organisation: "Test Clinic".to_owned(),
        gateway: "https://beckon.example".to_owned(),
        origin: ORIGIN.to_owned(),
        zone: chrono_tz::America::Chicago,
    }
}

/// Ada got a text, answered STOP, and somebody looked.
async fn story(house: &House) -> String {
    house.ada_is_due_in_an_hour().await;
    let early = checkpoint::sign(&house.t.store, &house.t.tenant, ORIGIN, Actor::system("test")).await.unwrap().0;
    house.live(TimeDelta::hours(2)).await;
    assert_eq!(house.texts().len(), 1);
    house.hospital.reply_as(ADA_PHONE, house.hospital.sender_number(), "STOP").await.unwrap();
    house.live(TimeDelta::hours(2)).await;
    early.note
}

async fn packet_of(house: &House) -> (Vec<u8>, packet::PacketCounts) {
    let mut bytes = Cursor::new(Vec::new());
    let counts = write(&house.t.store, &house.t.tenant, &request(&house.ehr), &mut bytes).await.unwrap();
    (bytes.into_inner(), counts)
}

fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..zip.len())
        .map(|at| {
            let mut file = zip.by_index(at).unwrap();
            let name = file.name().unwrap().into_owned();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            (name, content)
        })
        .collect()
}

fn packed(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn checked(bytes: &[u8], key: Option<&Verifier>, kept: &[(String, String)]) -> PacketReport {
    check(Cursor::new(bytes), key, kept).unwrap()
}

#[tokio::test]
async fn a_packet_tells_what_was_sent_and_why_and_is_whole_to_whoever_has_the_key() {
    each_house(async |house| {
        let early = story(&house).await;
        let (bytes, counts) = packet_of(&house).await;
        let key = Verifier::parse(&counts.key).unwrap();
        let report = checked(&bytes, Some(&key), &[("kept".to_owned(), early)]);
        assert!(report.is_whole(), "{report:#?}");
        assert_eq!((report.events as usize, report.messages as usize), (counts.events, counts.messages));
        assert!(report.events > 8 && report.messages >= 1 && report.earlier >= 1 && report.kept == 1, "{report:#?}");
        assert!(report.key_was_given && !checked(&bytes, None, &[]).key_was_given);

        let files = files(&bytes);
        let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
        let body = house.messages().await[0].message.body.clone().unwrap().text.into_inner();
        assert!(text("messages.csv").contains("+13125550123") && text("messages.csv").contains("delivered"));
        assert!(text("messages.json").contains(&serde_json::to_string(&body).unwrap()));
        assert!(text("consents.csv").contains("STOP"), "{}", text("consents.csv"));
        assert!(text("decisions.csv").contains("released") && text("decisions.csv").contains("quiet_hours"));
        assert!(text("access.csv").contains("staff:robin"), "that the packet was made is part of it");
        assert!(text("README.txt").contains(&counts.key) && text("README.txt").contains(&counts.size.to_string()));
        assert!(files["summary.pdf"].starts_with(b"%PDF-"));
        let bundle: Value = serde_json::from_slice(&files["bundle.json"]).unwrap();
        let kinds: Vec<&str> = bundle["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["resource"]["resourceType"].as_str().unwrap())
            .collect();
        assert!(kinds.contains(&"Patient") && kinds.contains(&"Communication"), "{kinds:?}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn no_file_of_a_packet_can_be_altered_left_out_or_added() {
    each_house(async |house| {
        story(&house).await;
        let (bytes, _) = packet_of(&house).await;
        let whole = files(&bytes);
        assert!(checked(&packed(&whole), None, &[]).is_whole(), "packing anew changes nothing");
        for name in whole.keys() {
            let mut altered = whole.clone();
            let content = altered.get_mut(name).unwrap();
            let at = content.len() / 2;
            content[at] ^= 1;
            match check(Cursor::new(packed(&altered)), None, &[]) {
                Ok(report) => assert!(!report.is_whole(), "{name} altered"),
                Err(error) => assert!(error.to_string().contains("this is no"), "{name}: {error}"),
            }
            let mut less = whole.clone();
            less.remove(name);
            match check(Cursor::new(packed(&less)), None, &[]) {
                Ok(report) => assert!(!report.is_whole(), "{name} left out"),
                Err(error) => assert!(error.to_string().contains(name), "{name}: {error}"),
            }
        }
        let mut more = whole.clone();
        more.insert("more.txt".to_owned(), b"x".to_vec());
        assert_eq!(checked(&packed(&more), None, &[]).problems, ["more.txt was added"]);
        assert!(check(Cursor::new(b"no zip".to_vec()), None, &[]).is_err());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_that_was_changed_after_it_was_sent_does_not_fit_the_log() {
    each_house(async |house| {
        story(&house).await;
        let id = house.messages().await[0].message.id;
        let mut message = house.messages().await[0].message.clone();
        message.body.as_mut().unwrap().text = "We never wrote this.".to_owned().into();
        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        tx.set_message_body(&message).await.unwrap();
        tx.commit().await.unwrap();
        let (bytes, counts) = packet_of(&house).await;
        let report = checked(&bytes, None, &[]);
        assert_eq!(report.problems, [format!("message {id} does not say what the log says was sent")]);
        assert_eq!(report.messages as usize + 1, counts.messages);
        house.close().await;
    })
    .await;
}

/// The steps of README.txt, by a program that shares nothing with ours.
const BY_HAND: &str = r#"
import base64, hashlib, json, sys, zipfile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
z = zipfile.ZipFile(sys.argv[1])
sha = lambda b: hashlib.sha256(b).digest()
note = z.read("checkpoint.txt").decode()
text, signatures = note.rsplit("\n\n", 1)
origin, size, root = text.split("\n")[:3]
size, root = int(size), base64.b64decode(root)
name, _, key = z.read("key.txt").decode().strip().split("+", 2)
signature = base64.b64decode(signatures.split(" ")[2])
Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(signature[4:], (text + "\n").encode())
assert name == origin
sent, count = {}, 0
for line in z.read("events.ndjson").decode().splitlines():
    e = json.loads(line)
    r = sha(b"\0" + e["content"].encode() + bytes.fromhex(e["salt"]))
    assert r.hex() == e["leaf"]
    fn, sn = e["place"], size - 1
    for p in map(bytes.fromhex, e["proof"]):
        if fn & 1 or fn == sn:
            r = sha(b"\1" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha(b"\1" + r + p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0 and r == root, e["place"]
    count += 1
    it = json.loads(e["content"])
    if it["kind"] == "attempt.opened":
        sent[it["message"]] = it["detail"]["body_sha256"]
messages = json.loads(z.read("messages.json"))
for m in messages:
    body = json.dumps(m["message"]["body"], separators=(",", ":"), ensure_ascii=False).encode()
    assert hashlib.sha256(body).hexdigest() == sent[m["message"]["id"]]
manifest = z.read("manifest.json")
for file, digest in json.loads(manifest)["files"].items():
    assert hashlib.sha256(z.read(file)).hexdigest() == digest, file
seal, _ = z.read("manifest.note").decode().rsplit("\n\n", 1)
assert seal.split("\n")[2] == hashlib.sha256(manifest).hexdigest()
print(count, len(messages))
"#;

#[tokio::test]
async fn somebody_who_follows_the_readme_in_another_language_comes_to_the_same() {
    let Some(python) = python("cryptography") else { return };
    each_house(async |house| {
        story(&house).await;
        let (bytes, counts) = packet_of(&house).await;
        let folder = tempfile::tempdir().unwrap();
        let (file, program) = (folder.path().join("packet.zip"), folder.path().join("by_hand.py"));
        std::fs::write(&file, &bytes).unwrap();
        std::fs::write(&program, BY_HAND).unwrap();
        let run = Command::new(&python).arg(&program).arg(&file).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let said = String::from_utf8(run.stdout).unwrap();
        assert_eq!(said.trim(), format!("{} {}", counts.events, counts.messages));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_command_checks_a_packet_without_settings_and_says_what_is_wrong_by_its_exit_code() {
    let t = crate::support::TestStore::sqlite().await;
    let house = House::open(t, &crate::support::house::Setup::default()).await;
    story(&house).await;
    let (bytes, counts) = packet_of(&house).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("packet.zip"), &bytes).unwrap();
    let mut spoiled = files(&bytes);
    spoiled.insert("messages.csv".to_owned(), b"message\n".to_vec());
    std::fs::write(folder.path().join("spoiled.zip"), packed(&spoiled)).unwrap();
    let run = |file: &str, more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_beckon"))
            .current_dir(folder.path())
            .args(["history", "verify", "--packet", file])
            .args(more)
            .output()
            .unwrap()
    };
    let good = run("packet.zip", &["--key", &counts.key]);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert_eq!(good.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&good.stderr));
    assert!(said.contains(&format!("{} events are in the log {ORIGIN}", counts.events)), "{said}");
    let bad = run("spoiled.zip", &[]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stdout).contains("messages.csv was altered"));
    assert_eq!(run("nothing.zip", &[]).status.code(), Some(2));
    house.close().await;
}
