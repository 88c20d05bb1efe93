//! Where the command under test is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

static BINARY: LazyLock<PathBuf> = LazyLock::new(find);

/// The `crossfade` command: what `CROSSFADE_BIN` names, else the one that cargo builds beside the running test, brought
/// up to date once per process.
///
/// `CROSSFADE_BIN` is the way to hold another build against the tests, and saves the check where each test is a
/// process of its own.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn crossfade_binary() -> &'static Path {
    &BINARY
}

fn find() -> PathBuf {
    if let Some(named) = std::env::var_os("CROSSFADE_BIN") {
        let path = PathBuf::from(named);
        assert!(path.is_file(), "CROSSFADE_BIN names {}, which is no file", path.display());
        return path;
    }
    // A test runs from TARGET/PROFILE/deps/name-hash; what cargo built is in TARGET/PROFILE.
    let test = std::env::current_exe().expect("the running test has a path");
    let built = test.ancestors().nth(2).expect("cargo puts tests two folders below the target folder");
    let target = built.parent().expect("a profile's folder is in the target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "crossfade", "--target-dir"]).arg(target);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    match built.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            build.args(["--profile", profile]);
        }
    }
    let status = build.status().expect("cargo can be started");
    assert!(status.success(), "crossfade does not build");
    built.join("crossfade")
}
