//! Reading the journal's files, a line at a time.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::line::{self, Line, NO_HASH};
use super::record::{Kind, State};
use super::{CURRENT, JournalError, MAX_LINE_BYTES};

/// Where the journal ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The number of the last line; 0 before the first.
    pub(super) seq: u64,
    /// Its hash.
    pub(super) hash: String,
    /// The number of the first line in the current file.
    pub(super) first_seq: u64,
    /// How much of the current file is whole lines.
    pub(super) bytes: u64,
}

/// What a journal says.
#[derive(Debug)]
pub(super) struct Found {
    /// The last state of each migration, with the line that told it.
    pub(super) states: BTreeMap<String, (u64, State)>,
    pub(super) tail: Tail,
    /// The bytes of a last line without its end.
    pub(super) torn_bytes: u64,
}

/// The files in the order in which they were written. The current one need not be there.
pub(super) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut aside: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let number = name.strip_prefix("journal-").and_then(|rest| rest.strip_suffix(".jsonl"));
        if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
            aside.push(dir.join(name));
        }
    }
    // Their numbers have the same width.
    aside.sort();
    aside.push(dir.join(CURRENT));
    Ok(aside)
}

/// Reads all of it and holds each line against the one before.
pub(super) fn everything(dir: &Path) -> Result<Found, JournalError> {
    let files = files(dir).map_err(|error| JournalError::unusable("read", dir, error))?;
    let tail = Tail { seq: 0, hash: NO_HASH.to_owned(), first_seq: 1, bytes: 0 };
    let mut found = Found { states: BTreeMap::new(), tail, torn_bytes: 0 };
    for path in files {
        let is_current = path.ends_with(CURRENT);
        found.tail.bytes = 0;
        found.tail.first_seq = found.tail.seq + 1;
        let file = match File::open(&path) {
            Ok(file) => file,
            // The process ended between setting the file before aside and beginning this one.
            Err(error) if is_current && error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(JournalError::unusable("read", &path, error)),
        };
        one_file(&path, file, is_current, &mut found)?;
    }
    Ok(found)
}

fn one_file(path: &Path, file: File, is_current: bool, found: &mut Found) -> Result<(), JournalError> {
    let mut lines = Lines::new(file);
    loop {
        let damaged = |lines: &Lines, why: String| {
            Err(JournalError::Damaged { file: path.to_owned(), line: lines.number, why })
        };
        match lines.next().map_err(|error| JournalError::unusable("read", path, error))? {
            Next::End => return Ok(()),
            Next::Torn(bytes) if is_current => {
                found.torn_bytes = bytes;
                return Ok(());
            }
            Next::Torn(_) => {
                return damaged(&lines, "it has no end, and later files go on from it".to_owned());
            }
            Next::TooLong => return damaged(&lines, format!("it is longer than {MAX_LINE_BYTES} bytes")),
            Next::Line => {
                if let Err(why) = take(&lines.text, found) {
                    return damaged(&lines, why);
                }
                found.tail.bytes = lines.bytes;
            }
        }
    }
}

/// One line, held against the one before.
fn take(text: &[u8], found: &mut Found) -> Result<(), String> {
    let line = line::decode(text)?;
    let expected = found.tail.seq + 1;
    if line.seq != expected {
        return Err(format!(
            "its number is {}, expected {expected}: lines are missing or out of order",
            line.seq
        ));
    }
    if line.prev != found.tail.hash {
        return Err("its `prev` is not the hash of the line before, so one of the two was changed".to_owned());
    }
    if line.kind == Kind::Renamed.as_str()
        && let Some(before) = line.data.get("from").and_then(Value::as_str)
    {
        found.states.remove(before);
    }
    if let Some(state) = line.state()? {
        found.states.insert(line.migration.clone().unwrap_or_default(), (line.seq, state));
    }
    (found.tail.seq, found.tail.hash) = (line.seq, line::hash(text));
    Ok(())
}

/// Which lines somebody wants to see.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The migration that they are about.
    pub(crate) migration: String,
    /// How many at most: the latest.
    pub(crate) limit: usize,
}

/// The latest lines about a migration, oldest first, as JSON. `synced_seq` is the last line that counts: those after
/// it are still being written.
pub(crate) fn history(dir: &Path, wanted: &Wanted, synced_seq: u64) -> Result<Vec<Value>, JournalError> {
    let files = files(dir).map_err(|error| JournalError::unusable("read", dir, error))?;
    let mut latest: VecDeque<Value> = VecDeque::new();
    for path in files {
        let unusable = |error| JournalError::unusable("read", &path, error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unusable(error)),
        };
        let mut lines = Lines::new(file);
        while let Next::Line = lines.next().map_err(unusable)? {
            let Ok(line) = line::decode(&lines.text) else { continue };
            if line.seq <= synced_seq && is_about(&line, &wanted.migration) {
                if latest.len() >= wanted.limit {
                    latest.pop_front();
                }
                latest.extend(serde_json::from_slice::<Value>(&lines.text));
            }
        }
    }
    Ok(latest.into())
}

fn is_about(line: &Line, migration: &str) -> bool {
    line.migration.as_deref() == Some(migration)
        || (line.kind == Kind::Renamed.as_str()
            && line.data.get("from").and_then(Value::as_str) == Some(migration))
}

/// The lines of a file, with one of them in memory.
struct Lines {
    file: BufReader<File>,
    text: Vec<u8>,
    /// Whole lines so far.
    bytes: u64,
    number: u64,
}

enum Next {
    Line,
    /// Bytes after the last whole line.
    Torn(u64),
    TooLong,
    End,
}

impl Lines {
    fn new(file: File) -> Self {
        Lines { file: BufReader::new(file), text: Vec::new(), bytes: 0, number: 0 }
    }

    fn next(&mut self) -> io::Result<Next> {
        self.text.clear();
        let length = (&mut self.file).take(MAX_LINE_BYTES).read_until(b'\n', &mut self.text)? as u64;
        if length == 0 {
            return Ok(Next::End);
        }
        self.number += 1;
        if self.text.last() != Some(&b'\n') {
            return Ok(if length == MAX_LINE_BYTES { Next::TooLong } else { Next::Torn(length) });
        }
        self.text.pop();
        self.bytes += length;
        Ok(Next::Line)
    }
}
