//! The configuration on disk: the file, and the key lists that it names.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use config_file::{Checked, Diagnostic, Files, Outcome, Severity};
use rustix::fs::{Mode, OFlags, open};
use xxhash_rust::xxh3::Xxh3;

/// The largest configuration file that is read.
pub const MAX_CONFIG_BYTES: u64 = 16 << 20;
/// The largest key list that is read.
pub const MAX_KEY_FILE_BYTES: u64 = 256 << 20;

/// A configuration that was read and can run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its values.
    pub checked: Checked,
    /// What a person should look at, as sentences with their place.
    pub warnings: Vec<String>,
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
}

/// Why there is no configuration.
#[derive(Clone, Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is not a configuration.
    Bad(BadConfig),
}

/// A file that was refused.
#[derive(Clone, Debug)]
pub struct BadConfig {
    /// One line: how many errors and warnings.
    pub summary: String,
    /// Everything that is wrong, for people: each place underlined, without colour.
    pub rendered: String,
    /// Everything that is wrong, for programs.
    pub problems: Vec<Diagnostic>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Unreadable { path, reason } => write!(f, "cannot read {}: {reason}", path.display()),
            LoadError::Bad(bad) => f.write_str(&bad.summary),
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads and checks the configuration at `path`. Blocks.
///
/// # Errors
/// When the file cannot be read, or has any error.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    load_with_content(path).1
}

/// Reads the configuration at `path` and gives what came of the check, good or bad. Blocks, also on a pipe, since a
/// person who asks for a check may well have one in hand.
///
/// # Errors
/// When the file cannot be read.
pub fn read(path: &Path) -> Result<Outcome, LoadError> {
    parse(path, Patience::Pipes).0.map(|(outcome, _)| outcome)
}

/// The file that a configuration at `config` names as `named`: relative to the configuration's own directory.
#[must_use]
pub fn resolve(config: &Path, named: &str) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(named)
}

/// As [`load`], with the mark of what was read also when it was refused.
pub(crate) fn load_with_content(path: &Path) -> (Content, Result<Loaded, LoadError>) {
    let (parsed, content) = parse(path, Patience::Files);
    let loaded = parsed.and_then(|(outcome, content)| {
        let warnings = outcome.diagnostics.iter().filter(|found| found.severity == Severity::Warning);
        let warnings: Vec<String> = warnings.map(|warning| sentence(path, warning)).collect();
        match outcome.checked {
            Some(checked) => Ok(Loaded { checked, warnings, path: path.to_owned(), content }),
            None => Err(LoadError::Bad(BadConfig {
                summary: outcome.summary(),
                rendered: outcome.render(false),
                problems: outcome.diagnostics,
            })),
        }
    });
    (content, loaded)
}

/// What tells one content from another: a hash of the file and of every file that it names. Editors touch files
/// without changing them, and a volume that is mounted anew brings the same content under new times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    digest: u128,
    /// The files that the configuration names, as written.
    pub(crate) files: Vec<String>,
}

impl Content {
    /// The present content of the same files. Blocks.
    pub(crate) fn again(&self, path: &Path) -> Content {
        let text = read_text(path, MAX_CONFIG_BYTES, Patience::Files);
        let files = self.files.iter().map(|file| (file.clone(), read_named(path, file))).collect();
        Content::of(&text, &files)
    }

    fn of(text: &Result<String, String>, files: &BTreeMap<String, Result<String, String>>) -> Content {
        let mut hash = Xxh3::new();
        let mut add = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        let mut add_result = |content: &Result<String, String>| match content {
            Ok(text) => {
                add("read");
                add(text);
            }
            Err(reason) => {
                add("not read");
                add(reason);
            }
        };
        add_result(text);
        for (name, content) in files {
            add_result(&Ok(name.clone()));
            add_result(content);
        }
        Content { digest: hash.digest128(), files: files.keys().cloned().collect() }
    }
}

type Parsed = Result<(Outcome, Content), LoadError>;

fn parse(path: &Path, patience: Patience) -> (Parsed, Content) {
    let text = read_text(path, MAX_CONFIG_BYTES, patience);
    let files = Recorder { config: path, seen: RefCell::default() };
    let outcome = text.as_ref().ok().map(|text| {
        config_file::parse(text, &path.display().to_string(), &|name| std::env::var(name).ok(), &files)
    });
    let content = Content::of(&text, &files.seen.into_inner());
    let parsed = match (outcome, text) {
        (Some(outcome), _) => Ok((outcome, content.clone())),
        (None, text) => {
            Err(LoadError::Unreadable { path: path.to_owned(), reason: text.err().unwrap_or_default() })
        }
    };
    (parsed, content)
}

/// Gives the checks their files and remembers which they were.
struct Recorder<'a> {
    config: &'a Path,
    seen: RefCell<BTreeMap<String, Result<String, String>>>,
}

impl Files for Recorder<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        let text = read_named(self.config, path);
        self.seen.borrow_mut().insert(path.to_owned(), text.clone());
        text
    }
}

fn read_named(config: &Path, named: &str) -> Result<String, String> {
    read_text(&resolve(config, named), MAX_KEY_FILE_BYTES, Patience::Files)
}

/// What may be waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Only what is there: a running proxy must not hang on a pipe.
    Files,
    /// Whoever writes into a pipe, too.
    Pipes,
}

fn read_text(path: &Path, max_bytes: u64, patience: Patience) -> Result<String, String> {
    let read = || -> io::Result<Vec<u8>> {
        // Without blocking: to open a pipe would otherwise wait for somebody to write into it.
        let waits = if patience == Patience::Pipes { OFlags::empty() } else { OFlags::NONBLOCK };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | waits;
        let file = File::from(open(path, flags, Mode::empty())?);
        let kind = file.metadata()?.file_type();
        if !kind.is_file() && !kind.is_dir() && patience == Patience::Files {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(max_bytes + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| reason(&error))?;
    if bytes.len() as u64 > max_bytes {
        return Err(format!("it is larger than {max_bytes} bytes"));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 text, from byte {} on", error.utf8_error().valid_up_to()))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn sentence(path: &Path, found: &Diagnostic) -> String {
    let help = found.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{}:{}:{}: {}{help}", path.display(), found.line, found.column, found.message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    const MINIMAL: &str = "
[[listener]]
listen = \"127.0.0.1:0\"
[upstream.a]
endpoints = [\"http://127.0.0.1:1\"]
[upstream.b]
endpoints = [\"http://127.0.0.1:2\"]
[migration.shop]
match = [{ path = \"/*\" }]
old = \"a\"
new = \"b\"
percent = 5
[migration.shop.override]
new_file = \"testers\"
";

    #[test]
    fn files_are_found_beside_the_configuration_and_count_as_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("crossfade.toml");
        fs::write(&path, MINIMAL).unwrap();
        fs::write(dir.path().join("testers"), "alice\n").unwrap();
        let loaded = load(&path).unwrap();
        assert_eq!(loaded.content.files, ["testers"]);
        assert!(loaded.checked.migrations[0].overrides.new.contains(b"alice".as_slice()));
        assert_eq!(loaded.content.again(&path), loaded.content);

        fs::write(&path, MINIMAL).unwrap();
        assert_eq!(loaded.content.again(&path), loaded.content, "a touch is no change");

        fs::write(dir.path().join("testers"), "bob\n").unwrap();
        assert_ne!(loaded.content.again(&path), loaded.content);
        fs::remove_file(dir.path().join("testers")).unwrap();
        assert_ne!(loaded.content.again(&path), loaded.content);
        assert!(matches!(load(&path), Err(LoadError::Bad(_))));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let said = |path: &Path| load(path).unwrap_err().to_string();
        assert!(said(&dir.path().join("no.toml")).ends_with("no.toml: there is no such file"));
        assert!(said(dir.path()).ends_with("it is a directory"));
        let binary = dir.path().join("binary");
        fs::write(&binary, b"abc\xff").unwrap();
        assert!(said(&binary).ends_with("it is not UTF-8 text, from byte 3 on"));
        let pipe = dir.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(said(&pipe).ends_with("it is not a regular file"), "and nobody waits for a writer");
    }

    #[test]
    fn a_bad_file_is_told_in_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.toml");
        fs::write(&path, "[[listener]]\nlisten = 7\nfoo = 1\n").unwrap();
        let LoadError::Bad(bad) = load(&path).unwrap_err() else { panic!("expected a refusal") };
        assert!(bad.problems.len() >= 2, "{}", bad.rendered);
        assert!(bad.summary.contains("error"), "{}", bad.summary);
    }
}
