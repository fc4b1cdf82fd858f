//! Mail relays that others wrote: Postfix, and aiosmtpd where a script is needed.

use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::house;
use crate::support::tools::{Running, free_port, postfix, python, wait_for};

/// A folder that accounts of Debian's services may look into, with a certificate of `localhost` in it.
fn open_folder() -> tempfile::TempDir {
    let open = std::fs::Permissions::from_mode(0o755);
    let folder = tempfile::Builder::new().prefix("beckon-test-mail.").permissions(open).tempdir_in("/var/tmp").unwrap();
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("ca.pem"), issued.cert.pem()).unwrap();
    let both = format!("{}{}", issued.signing_key.serialize_pem(), issued.cert.pem());
    std::fs::write(folder.path().join("chain.pem"), both).unwrap();
    folder
}

async fn greets(port: u16) {
    wait_for("a relay greets", async || {
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting).ok()?;
            (&greeting == b"220 ").then_some(())
        })
        .await
        .unwrap()
    })
    .await;
}

/// What a relay of aiosmtpd does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes everything, never offers STARTTLS.
    Plain,
    /// Takes nothing before STARTTLS, and nobody at the first try.
    Greylisting,
}

/// aiosmtpd: keeps what it takes.
pub struct Keeper {
    program: Option<Running>,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Keeper {
    pub async fn start(manner: Manner) -> Option<Self> {
        let mut keeper = Self { program: None, port: free_port(), folder: open_folder() };
        keeper.become_one(manner).await?;
        Some(keeper)
    }

    /// Ends it and starts it on the same port, of that manner.
    pub async fn become_one(&mut self, manner: Manner) -> Option<()> {
        self.program = None;
        let mut command = Command::new(python("aiosmtpd")?);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/relay.py"));
        command.arg(self.port.to_string()).arg(self.folder.path()).stdin(Stdio::null());
        if manner == Manner::Greylisting {
            command.arg("--grey").arg("--tls").arg(self.folder.path().join("chain.pem"));
        }
        self.program = Some(Running::start(&mut command));
        greets(self.port).await;
        Some(())
    }

    pub fn relay(&self) -> house::Relay {
        house::Relay { port: self.port, ca: self.folder.path().join("ca.pem") }
    }

    /// What it took, in order.
    pub fn mails(&self) -> Vec<Kept> {
        let numbered = (1..).map(|n| self.folder.path().join(format!("{n}.json")));
        let there = numbered.map_while(|path| std::fs::read(path).ok());
        there.map(|bytes| Kept(serde_json::from_slice(&bytes).unwrap())).collect()
    }

    /// Whom it turned away.
    pub fn turned_away(&self) -> Vec<String> {
        let lines = std::fs::read_to_string(self.folder.path().join("turned-away")).unwrap_or_default();
        lines.lines().map(str::to_owned).collect()
    }
}

/// A mail as Python's library reads it.
#[derive(Debug)]
pub struct Kept(pub Value);

impl Kept {
    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let all = self.0["headers"].as_array().unwrap().iter();
        let named = all.filter(|it| it[0].as_str().unwrap().eq_ignore_ascii_case(name));
        named.map(|it| it[1].as_str().unwrap()).collect()
    }
}

/// A Postfix on a port of its own, which takes nothing before STARTTLS and hands everything on to a keeper.
pub struct Postfix {
    pub port: u16,
    keeper_port: u16,
    folder: tempfile::TempDir,
}

impl Postfix {
    /// `None` where there is none that could be started.
    pub async fn start(keeper: &Keeper, more: &str) -> Option<Self> {
        postfix()?;
        let it = Self { port: free_port(), keeper_port: keeper.port, folder: open_folder() };
        it.again(more).await;
        Some(it)
    }

    /// Ends it and starts it on the same port, with further settings.
    pub async fn again(&self, more: &str) {
        let chain = self.folder.path().join("chain.pem");
        let settings = format!(
            "smtpd_tls_security_level = encrypt\nsmtpd_tls_chain_files = {}\nsmtpd_tls_received_header = yes\n{more}",
            chain.display()
        );
        let (port, to) = (self.port.to_string(), self.keeper_port.to_string());
        let started = self.script(&["start", &port, &to], &settings);
        assert!(started, "Postfix did not start: {}", self.log());
        greets(self.port).await;
    }

    fn script(&self, args: &[&str], settings: &str) -> bool {
        let mut command = Command::new("bash");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postfix")).args(args);
        command.env("BECKON_POSTFIX_HOME", self.home()).env("BECKON_POSTFIX_MORE", settings);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("postfix")
    }

    pub fn relay(&self) -> house::Relay {
        house::Relay { port: self.port, ca: self.folder.path().join("ca.pem") }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home().join("data/log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.script(&["stop"], "");
    }
}
