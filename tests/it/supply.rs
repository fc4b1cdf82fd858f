//! What the gateway is built from: one TLS library, one provider of cryptography, nothing that deny.toml bans.
//! cargo-deny holds the licences against the same file.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crates that must not be linked into the gateway, on any system that it is built for.
const BANNED: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls", "rsa", "actix-governor", "phonenumber"];

const TARGETS: &[&str] = &["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// Name and versions of every crate that is linked into the gateway.
fn linked(target: &str) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--target", target])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            crates.entry(name.to_owned()).or_default().insert(version.to_owned());
        }
    }
    crates
}

#[test]
fn the_gateway_has_one_tls_library_and_one_provider_of_cryptography() {
    for target in TARGETS {
        let crates = linked(target);
        assert!(crates.len() > 100, "cargo tree listed only {} crates", crates.len());
        assert_eq!(crates["rustls"].len(), 1, "{target}: {:?}", crates["rustls"]);
        assert_eq!(crates["aws-lc-rs"].len(), 1, "{target}: {:?}", crates["aws-lc-rs"]);
        let found: Vec<&&str> = BANNED.iter().filter(|name| crates.contains_key(**name)).collect();
        assert!(found.is_empty(), "{target}: {found:?} would be linked into the gateway");
    }
}

#[test]
fn deny_toml_bans_what_this_test_bans() {
    let file: toml::Table = include_str!("../../deny.toml").parse().unwrap();
    let banned: BTreeSet<&str> =
        file["bans"]["deny"].as_array().unwrap().iter().map(|ban| ban["crate"].as_str().unwrap()).collect();
    let missing: Vec<&&str> = BANNED.iter().filter(|name| !banned.contains(**name)).collect();
    assert!(missing.is_empty(), "deny.toml does not ban {missing:?}");
}
