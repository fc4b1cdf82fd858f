//! Programs that are not ours and that some tests need. `tests/run` installs them. On a developer's machine a test
//! without its tool says that it was skipped; in the checks (`CI` is set) it fails.

use std::path::PathBuf;

/// libfaketime (Debian: faketime), by which a process lives in a time of its own; `None` after saying that the test is
/// skipped.
pub fn fake_time() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = folders.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let found = places.find(|path| path.exists());
    if found.is_none() {
        let words = "libfaketime is not here (Debian: apt-get install faketime)";
        assert!(!in_the_checks(), "{words}");
        eprintln!("skipped: {words}");
    }
    found
}

fn in_the_checks() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}
