//! `beckon check` as an administrator meets it.

use beckon::config::{ConfigError, load_text};
use secrecy::ExposeSecret;

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn problems(text: &str) -> Vec<String> {
    match load_text(text) {
        Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(other) => vec![other.to_string()],
        Ok(_) => Vec::new(),
    }
}

fn smallest() -> String {
    format!(
        "[server]\npublic_url = \"https://b.example\"\n[seal]\nroot_key = \"{KEY}\"\n\
         [organisation]\nname = \"Clinic\"\nphone = \"+15125550199\"\n"
    )
}

#[test]
fn the_smallest_settings_are_enough_and_send_nothing_by_themselves() {
    let settings = load_text(&smallest()).unwrap();
    assert!(settings.smtp.is_none() && settings.sms.is_none());
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.database.url.expose_secret(), "sqlite://beckon.sqlite");
    assert_eq!((settings.send.per_day, settings.send.per_week), (1, 3));
}

#[test]
fn every_problem_is_reported_at_once_with_its_key_and_what_to_write() {
    let text = "[server]\npublic_url = \"http://b.example\"\nlisten = \"8080\"\n[seal]\nroot_key = \"c2hvcnQ=\"\n\
         [organisation]\nphone = \"1\"\nzone = \"Mars/Olympus\"\n[organisation.location_zones]\nloc-1 = \"Nowhere\"\n\
         [smtp]\nhost = \"relay.example\"\nsecurity = \"plain-loopback\"\nport = 99999\nfrom = \"a@b.example\"\n\
         pasword = \"x\"\n[send]\nallowed_from = \"21:00\"\nallowed_until = \"8\"\n";
    insta::assert_snapshot!(problems(text).join("\n"));
}

#[test]
fn the_example_file_is_complete_and_valid() {
    let text = std::fs::read_to_string("beckon.example.toml").unwrap();
    // Secrets come from files that a fresh checkout does not have; everything else must hold as it stands.
    let wrong: Vec<String> = problems(&text).into_iter().filter(|p| !p.contains("_file: the file")).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn secrets_may_live_in_files_and_never_show_in_debug_output() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("root");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let text = smallest().replace(&format!("root_key = \"{KEY}\""), &format!("root_key_file = {file:?}"));
    let settings = load_text(&text).unwrap();
    assert_eq!(settings.seal.root_key.expose_secret(), KEY);
    assert!(!format!("{settings:?}").contains(KEY));
}

#[test]
fn messages_from_other_machines_are_taken_by_tls_only() {
    let with = |lines: &str| problems(&format!("{}[hl7]\nehr = \"north\"\n{lines}\n", smallest()));
    assert_eq!(with("listen = \"127.0.0.1:2575\""), Vec::<String>::new());
    let open = with("listen = \"0.0.0.0:2575\"");
    assert!(open.len() == 1 && open[0].contains("hl7.cert_file"), "{open:?}");
    let half = with("cert_file = \"a.pem\"");
    assert!(half.len() == 1 && half[0].contains("go together"), "{half:?}");
    let absent =
        with("cert_file = \"a.pem\"\nkey_file = \"b.pem\"\nclient_ca_file = \"c.pem\"\nappointment_ids = \"x\"");
    assert_eq!(absent.len(), 4, "{absent:?}");
    assert!(problems(&format!("{}[hl7]\n", smallest())).iter().any(|it| it.contains("hl7.ehr")));
}
