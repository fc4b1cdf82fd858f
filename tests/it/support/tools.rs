//! Programs that are not ours and that some tests need. `tests/run` installs them. On a developer's machine a test
//! without its tool says that it was skipped; in the checks (`CI` is set), or after `tests/run` has installed
//! them (`BECKON_TEST_TOOLS` is set), it fails.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// libfaketime (Debian: faketime), by which a process lives in a time of its own; `None` after saying that the test is
/// skipped.
pub fn fake_time() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = folders.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let found = places.find(|path| path.exists());
    or_skip(found, "libfaketime is not here (Debian: apt-get install faketime)")
}

/// A Python that has what `tests/requirements.txt` lists and can run this module of it.
pub fn python(module: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the test script hands the interpreter over this way")]
    let given = std::env::var("BECKON_TEST_PYTHON").ok().map(PathBuf::from);
    let found = given.filter(|python| {
        let asked = Command::new(python).args(["-c", &format!("import {module}")]).status();
        asked.is_ok_and(|status| status.success())
    });
    or_skip(found, &format!("BECKON_TEST_PYTHON names no Python that has {module} (bash tests/run tools)"))
}

/// The driver of a Chromium (Debian: chromium-driver), by which a test uses the pages as a person does.
pub fn chromedriver() -> Option<PathBuf> {
    or_skip(program("chromedriver"), "chromedriver is not here (Debian: apt-get install chromium-driver)")
}

/// Postfix, if this account may start one: its master wants to be root.
pub fn postfix() -> Option<PathBuf> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !root && !is_set("CI") {
        eprintln!("skipped: only root may start a Postfix");
        return None;
    }
    or_skip(program("postfix"), "Postfix is not here (Debian: apt-get install postfix)")
}

/// Where a program is: on the path, or where Debian keeps those of the system.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.exists())
}

fn or_skip<T>(found: Option<T>, words: &str) -> Option<T> {
    if found.is_none() {
        assert!(!in_the_checks(), "{words}");
        eprintln!("skipped: {words}");
    }
    found
}

/// Whether every tool must be here: in the checks, and where the test script has installed them.
fn in_the_checks() -> bool {
    is_set("CI") || is_set("BECKON_TEST_TOOLS")
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// A port for a program that cannot choose one itself. Below those that the system hands out, so that none is taken
/// between this look and its use, nor while a program is down and comes back.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests may run in several processes.
    let begin = std::process::id().wrapping_mul(97);
    loop {
        let port = 20_000 + (begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A program that a test started; it ends with the test.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// How long a test waits for something that another program does: much longer than it takes anywhere.
const PATIENCE: Duration = Duration::from_mins(2);

/// Asks again and again until there is an answer.
pub async fn wait_for<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
