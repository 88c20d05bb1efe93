//! Budgets and habits of the source, checked rather than promised: sizes, arrows between crates, what the pure crates
//! may stand on, and what stays out of product code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 500;

/// No crate has more of the product's code than this share, but for those named with a reason.
const CRATE_SHARE: f64 = 0.25;
const LARGER_CRATES: &[(&str, &str)] = &[];

/// Which of our crates each crate may stand on. Arrows point down, as in ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("traffic-split", &[]),
    ("http1-codec", &[]),
    ("route-plan", &["traffic-split"]),
    ("ramp", &["traffic-split", "route-plan"]),
    ("rollback-guard", &["traffic-split"]),
    ("response-diff", &["route-plan"]),
    ("config-file", &["traffic-split", "route-plan", "ramp", "rollback-guard", "response-diff"]),
    ("outbound-calls", &["ramp"]),
    ("telemetry", &["traffic-split", "route-plan", "rollback-guard"]),
    ("shadow-compare", &["traffic-split", "route-plan", "response-diff", "config-file", "telemetry"]),
    ("migration-glue", &["traffic-split", "route-plan", "telemetry"]),
    ("data-plane", &["traffic-split", "route-plan", "http1-codec", "telemetry", "migration-glue"]),
    (
        "control-plane",
        &[
            "traffic-split",
            "route-plan",
            "ramp",
            "rollback-guard",
            "config-file",
            "outbound-calls",
            "telemetry",
        ],
    ),
    ("admin-api", &["traffic-split", "route-plan", "ramp", "telemetry", "control-plane"]),
    (
        "crossfade",
        &[
            "traffic-split",
            "route-plan",
            "ramp",
            "rollback-guard",
            "response-diff",
            "config-file",
            "telemetry",
            "migration-glue",
            "data-plane",
            "control-plane",
            "admin-api",
            "shadow-compare",
        ],
    ),
    ("test-kit", &[]),
];

/// What crates without clock, sockets, files and randomness may use from outside. Their tests may use anything.
const PURE: &[(&str, &[&str])] = &[
    ("traffic-split", &["xxhash-rust"]),
    ("http1-codec", &["httparse", "memchr"]),
    ("route-plan", &["ipnet"]),
    ("ramp", &["jiff"]),
    ("rollback-guard", &[]),
    // Text, compressed bodies and JSON are other people's trades; none of these opens a file or asks a clock.
    (
        "response-diff",
        &[
            // Passwords that are written in it are looked for.
            "base64",
            // All in Rust: what comes compressed from outside is no place for C, nor for its compiler.
            "brotli-decompressor",
            "encoding_rs",
            "flate2",
            "hmac",
            "regex",
            "ruzstd",
            "serde_json",
            "sha2",
            "similar",
            "jiff",
            "memchr",
            "xxhash-rust",
        ],
    ),
    ("config-file", &["annotate-snippets", "ipnet", "jiff", "serde_json", "strsim", "toml"]),
];

/// Words that have no place in product code, and why.
const BANNED: &[(&str, &str)] = &[
    (".unwrap()", "handle it, or `expect` with the invariant"),
    ("unsafe ", "no unsafe code"),
    ("unbounded_channel", "every queue has a limit"),
    ("unbounded()", "every queue has a limit"),
    ("mpsc::channel()", "every queue has a limit: `sync_channel`"),
    ("thread::sleep", "wait for the thing, not for time"),
    ("process::exit", "only main ends the process, by its return value"),
    ("todo!", "finish it"),
    ("unimplemented!", "finish it"),
    ("dbg!", "left over"),
    ("TODO", "finish it"),
    ("FIXME", "finish it"),
];

/// Beside those, what the pure crates must not reach for.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "std::thread",
    "tokio::",
    "rand::",
    "RandomState",
];

#[derive(Debug)]
struct Source {
    krate: String,
    path: PathBuf,
    /// Without its tests.
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn crates() -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(_, path)| path.join("Cargo.toml").is_file())
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            rust_files(&entry, found);
        } else if entry.extension().is_some_and(|end| end == "rs") {
            found.push(entry);
        }
    }
}

/// The code of a file up to its tests, which stand last. A file that is all tests has none.
fn without_tests(path: &Path, text: &str) -> String {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let in_tests = path.components().any(|part| part.as_os_str() == "tests");
    if name == "tests" || name.ends_with("_tests") || in_tests {
        return String::new();
    }
    let end = text.find("\n#[cfg(test)]\nmod ").or_else(|| text.find("\n#[cfg(test)]\n#[allow"));
    text[..end.unwrap_or(text.len())].to_owned()
}

/// Every source file of every crate.
fn sources() -> Vec<Source> {
    let mut all = Vec::new();
    for (krate, folder) in crates() {
        let mut files = Vec::new();
        rust_files(&folder.join("src"), &mut files);
        for path in files {
            let code = without_tests(&path, &fs::read_to_string(&path).unwrap());
            let path = path.strip_prefix(root()).unwrap().to_owned();
            all.push(Source { krate: krate.clone(), path, code });
        }
    }
    all
}

/// A line of code without its comment; rough, but comments are all it has to leave out.
fn code_of(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or_default() }
}

/// Whether a line has this word, and not as the end of another one: `Operand::` is not `rand::`.
fn names(line: &str, word: &str) -> bool {
    let starts_there = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| starts_there(at))
}

fn manifest(folder: &Path) -> toml::Table {
    fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
}

fn dependencies(folder: &Path) -> BTreeSet<String> {
    let manifest = manifest(folder);
    let own = manifest.get("dependencies").and_then(toml::Value::as_table);
    own.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

fn report(faults: &[String]) {
    let all = faults.iter().fold(String::new(), |mut all, fault| {
        writeln!(all, "  {fault}").unwrap();
        all
    });
    assert!(faults.is_empty(), "{} faults:\n{all}", faults.len());
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = source.code.lines().count();
        (lines > FILE_LINES)
            .then(|| format!("{}: {lines} lines, the limit is {FILE_LINES}", source.path.display()))
    });
    report(&long.collect::<Vec<_>>());
}

#[test]
fn no_crate_is_most_of_it() {
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources().into_iter().filter(|source| source.krate != "test-kit") {
        *lines.entry(source.krate).or_default() += source.code.lines().count();
    }
    let whole: usize = lines.values().sum();
    let limit = whole as f64 * CRATE_SHARE;
    let large = lines.iter().filter(|(name, _)| !LARGER_CRATES.iter().any(|(allowed, _)| allowed == name));
    let large = large.filter(|(_, lines)| **lines as f64 > limit);
    report(
        &large
            .map(|(name, lines)| format!("{name}: {lines} of {whole} lines, more than a quarter"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_banned_is_used() {
    let mut faults = Vec::new();
    // The test kit starts processes and waits for them; it is no product code.
    for source in sources().iter().filter(|source| source.krate != "test-kit") {
        for (number, line) in source.code.lines().enumerate() {
            for (word, why) in BANNED.iter().filter(|(word, _)| code_of(line).contains(word)) {
                faults.push(format!("{}:{}: `{word}`: {why}", source.path.display(), number + 1));
            }
        }
    }
    report(&faults);
}

#[test]
fn no_expect_without_the_invariant() {
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in source.code.lines().enumerate() {
            for message in code_of(line).split(".expect(\"").skip(1).filter_map(|rest| rest.split('"').next())
            {
                if message.split_whitespace().count() < 3 {
                    faults.push(format!("{}:{}: expect({message:?})", source.path.display(), number + 1));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn arrows_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let ours: BTreeSet<String> = crates().into_iter().map(|(name, _)| name).collect();
    let mut faults = Vec::new();
    for (name, folder) in crates() {
        let Some(allowed) = allowed.get(name.as_str()) else {
            faults.push(format!("{name} is not in the table of arrows: say what it may stand on"));
            continue;
        };
        let used = dependencies(&folder);
        let up = used.iter().filter(|used| ours.contains(*used) && !allowed.contains(&used.as_str()));
        faults.extend(up.map(|used| format!("{name} stands on {used}: an arrow that DESIGN does not have")));
    }
    report(&faults);
}

#[test]
fn the_two_planes_do_not_know_each_other() {
    for (one, other) in [("control-plane", "data_plane"), ("data-plane", "control_plane")] {
        let named: Vec<_> = sources()
            .into_iter()
            .filter(|source| {
                source.krate == one && source.code.lines().any(|line| code_of(line).contains(other))
            })
            .map(|source| source.path.display().to_string())
            .collect();
        report(&named);
    }
}

#[test]
fn pure_crates_stay_pure() {
    let ours: BTreeSet<String> = crates().into_iter().map(|(name, _)| name).collect();
    let mut faults = Vec::new();
    for (name, allowed) in PURE {
        let folder = root().join("crates").join(name);
        for used in dependencies(&folder).iter().filter(|used| !ours.contains(*used)) {
            if !allowed.contains(&used.as_str()) {
                faults.push(format!("{name} uses {used}"));
            }
        }
        for source in sources().iter().filter(|source| source.krate == *name) {
            for (number, line) in source.code.lines().enumerate() {
                for word in IMPURE.iter().filter(|word| names(code_of(line), word)) {
                    faults.push(format!("{}:{}: {word}", source.path.display(), number + 1));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn the_test_kit_is_for_tests_alone() {
    let users = crates().into_iter().filter(|(_, folder)| dependencies(folder).contains("test-kit"));
    report(&users.map(|(name, _)| format!("{name} ships the test kit")).collect::<Vec<_>>());
}

#[test]
fn every_package_keeps_the_lints() {
    let packages = crates()
        .into_iter()
        .chain([("tests".to_owned(), root().join("tests")), ("benches".to_owned(), root().join("benches"))]);
    let loose = packages.filter(|(_, folder)| {
        let lints = manifest(folder).get("lints").and_then(|lints| lints.get("workspace")).cloned();
        lints.and_then(|on| on.as_bool()) != Some(true)
    });
    report(&loose.map(|(name, _)| format!("{name} does not take the workspace's lints")).collect::<Vec<_>>());
}
