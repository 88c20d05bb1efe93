//! Reading the journal's files, a line at a time.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::line::{self, Line, NO_HASH};
use super::record::{Kind, State, served};
use super::{CURRENT, JournalError, MAX_LINE_BYTES, NEXT};

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
    /// How much of that is what the file began with: how everything stood.
    pub(super) head_bytes: u64,
}

/// The last state of each migration, with the line that told it.
pub(super) type States = BTreeMap<String, (u64, State)>;

/// Notes what a line tells of a migration. `from` is the name that it had before, where it has another one now.
pub(super) fn note(
    states: &mut States,
    seq: u64,
    name: Option<&str>,
    from: Option<&str>,
    state: Option<State>,
) {
    if let Some(from) = from {
        states.remove(from);
    }
    if let Some(state) = state {
        states.insert(name.unwrap_or_default().to_owned(), (seq, state));
    }
}

/// Notes how long steps were served by then. The states stay those of the lines that told them.
pub(super) fn note_served(states: &mut States, notes: Vec<(String, Duration)>) {
    for (name, held) in notes {
        if let Some((_, state)) = states.get_mut(&name) {
            state.serve(held);
        }
    }
}

/// The name before, in what belongs to a line of this kind.
pub(super) fn renamed_from<'a>(kind: &str, data: &'a Map<String, Value>) -> Option<&'a str> {
    data.get("from").and_then(Value::as_str).filter(|_| kind == Kind::Renamed.as_str())
}

/// What a journal says.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) states: States,
    pub(super) tail: Tail,
    /// The bytes of a last line without its end.
    pub(super) torn_bytes: u64,
    /// The last file, where it is set aside already and the next one is not in its place yet.
    pub(super) gap: Option<PathBuf>,
}

/// The name of a file that is set aside.
pub(super) fn aside_name(first_seq: u64) -> String {
    format!("journal-{first_seq:020}.jsonl")
}

/// The files that were set aside, by the number of their first line.
pub(super) fn aside(dir: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let number = name.strip_prefix("journal-").and_then(|rest| rest.strip_suffix(".jsonl"));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.insert(number, dir.join(name));
        }
    }
    Ok(found)
}

/// Opens the current file, if it is there. To be done before one looks at which others there are: a file is set aside
/// before another one takes its place.
pub(super) fn open_current(dir: &Path) -> Result<Option<File>, JournalError> {
    let path = dir.join(CURRENT);
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::unusable("read", &path, error)),
    }
}

/// Reads the newest file, which begins with how everything stood.
pub(super) fn newest(dir: &Path) -> Result<Found, JournalError> {
    let current = open_current(dir)?;
    let mut aside = aside(dir).map_err(|error| JournalError::unusable("read", dir, error))?;
    let path = dir.join(CURRENT);
    let mut reading = Reading::new();
    let Some(file) = current else {
        let Some((_, last)) = aside.pop_last() else { return Ok(reading.found(0, None)) };
        read_aside(&last, &mut reading)?;
        next_goes_on_from(dir, &last, &reading.tail)?;
        return Ok(reading.found(0, Some(last)));
    };
    let torn_bytes = reading.read(&path, Lines::new(file), true)?;
    match aside.last_key_value() {
        // What was begun without any file before it, or not even that, has no place after others.
        Some((_, last)) if reading.tail.first_seq == 1 => {
            let why = format!("it does not go on from {}, which is there", name_of(last));
            Err(JournalError::Damaged { file: path, line: 1, why })
        }
        _ => Ok(reading.found(torn_bytes, None)),
    }
}

fn read_aside(path: &Path, reading: &mut Reading) -> Result<(), JournalError> {
    let file = File::open(path).map_err(|error| JournalError::unusable("read", path, error))?;
    reading.read(path, Lines::new(file), false).map(drop)
}

/// There is no current file. That is as it should be only if the process ended while it put the next one in its place:
/// then that is there under another name and goes on from the last.
pub(super) fn next_goes_on_from(dir: &Path, last: &Path, tail: &Tail) -> Result<(), JournalError> {
    let first = File::open(dir.join(NEXT)).and_then(|file| {
        let mut lines = Lines::new(file);
        Ok(matches!(lines.next()?, Next::Line).then_some(lines.text))
    });
    let first = first.ok().flatten().and_then(|text| line::decode(&text).ok());
    if first.is_some_and(|line| line.seq == tail.seq + 1 && line.prev == tail.hash) {
        return Ok(());
    }
    let why = format!("it is gone, while {}, which it goes on from, is there", name_of(last));
    Err(JournalError::Damaged { file: dir.join(CURRENT), line: 1, why })
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Holds each line against the one before, over one file or several, and collects what they say.
pub(super) struct Reading {
    pub(super) states: States,
    pub(super) tail: Tail,
    /// Lines so far.
    pub(super) lines: u64,
    /// The number of the first line.
    pub(super) began_at: u64,
    /// What the file began with is not over yet.
    head: Option<Head>,
}

/// How everything stood as a file began.
struct Head {
    /// So many states are still to come.
    left: u64,
    /// How the file before had it; `None` where that was not read.
    before: Option<States>,
}

impl Reading {
    pub(super) fn new() -> Self {
        let tail = Tail { seq: 0, hash: NO_HASH.to_owned(), first_seq: 1, bytes: 0, head_bytes: 0 };
        Reading { states: States::new(), tail, lines: 0, began_at: 0, head: None }
    }

    fn found(self, torn_bytes: u64, gap: Option<PathBuf>) -> Found {
        Found { states: self.states, tail: self.tail, torn_bytes, gap }
    }

    /// One file, after those before it. Returns the bytes after its last whole line, which only the current file may
    /// have.
    pub(super) fn read(
        &mut self,
        path: &Path,
        mut lines: Lines,
        is_current: bool,
    ) -> Result<u64, JournalError> {
        (self.tail.bytes, self.tail.head_bytes, self.tail.first_seq) = (0, 0, self.tail.seq + 1);
        let damaged = |line, why| JournalError::Damaged { file: path.to_owned(), line, why };
        let torn_bytes = loop {
            match lines.next().map_err(|error| JournalError::unusable("read", path, error))? {
                Next::End => break 0,
                Next::Torn(bytes) if is_current => break bytes,
                Next::Torn(_) => {
                    let why = "it has no end, and later files go on from it".to_owned();
                    return Err(damaged(lines.number, why));
                }
                Next::TooLong => {
                    return Err(damaged(lines.number, format!("it is longer than {MAX_LINE_BYTES} bytes")));
                }
                Next::Line => {
                    let is_head = self
                        .take(&lines.text, lines.number == 1)
                        .map_err(|why| damaged(lines.number, why))?;
                    self.tail.bytes = lines.bytes;
                    if is_head {
                        self.tail.head_bytes = lines.bytes;
                    }
                }
            }
        };
        match self.head.take() {
            Some(head) => Err(damaged(
                lines.number,
                format!("the file ends where {} more states were carried over to it", head.left),
            )),
            None => Ok(torn_bytes),
        }
    }

    /// One line, held against the one before. Says whether it is of what the file began with.
    fn take(&mut self, text: &[u8], is_first: bool) -> Result<bool, String> {
        let line = line::decode(text)?;
        let begins = is_first && line.kind == Kind::Continued.as_str();
        let is_alone = self.lines == 0;
        if begins && is_alone {
            // Whatever it goes on from is not at hand.
            (self.tail.seq, self.tail.hash) = (line.seq.saturating_sub(1), line.prev.clone());
        }
        let expected = self.tail.seq + 1;
        if line.seq != expected {
            return Err(format!(
                "its number is {}, expected {expected}: lines are missing or out of order",
                line.seq
            ));
        }
        if line.prev != self.tail.hash {
            return Err(
                "its `prev` is not the hash of the line before, so one of the two was changed".to_owned()
            );
        }
        if is_first {
            self.tail.first_seq = line.seq;
        }
        if is_alone {
            self.began_at = line.seq;
        }
        let (state, served) = (line.state()?, served(&line.kind, &line.data)?);
        let is_head = begins || self.head.is_some();
        if begins {
            let left = line.data.get("states").and_then(Value::as_u64);
            let left = left.ok_or("it does not say how many states were carried over")?;
            let before = std::mem::take(&mut self.states);
            self.head = Some(Head { left, before: (!is_alone).then_some(before) });
        } else if let Some(head) = &mut self.head {
            head.take(&line, state.as_ref())?;
        }
        if self.head.as_ref().is_some_and(|head| head.left == 0) {
            self.head.take().map_or(Ok(()), Head::end)?;
        }
        let from = renamed_from(&line.kind, &line.data);
        note(&mut self.states, line.seq, line.migration.as_deref(), from, state);
        note_served(&mut self.states, served);
        (self.tail.seq, self.tail.hash) = (line.seq, line::hash(text));
        self.lines += 1;
        Ok(is_head)
    }
}

impl Head {
    fn take(&mut self, line: &Line, state: Option<&State>) -> Result<(), String> {
        let name = line.migration.as_deref().unwrap_or_default();
        let Some(state) = state.filter(|_| line.kind == Kind::Carried.as_str()) else {
            return Err("a state that was carried over is missing here".to_owned());
        };
        self.left -= 1;
        if let Some(before) = &mut self.before
            && before.remove(name).is_none_or(|(_, was)| was != *state)
        {
            return Err(format!("it has {name} otherwise than the file before"));
        }
        Ok(())
    }

    /// Those that left the file long ago may be forgotten, those in it not.
    fn end(self) -> Result<(), String> {
        let mut lost = self.before.into_iter().flatten().filter(|(_, (_, state))| state.is_present);
        match lost.next() {
            Some((name, _)) => Err(format!("{name} was not carried over from the file before")),
            None => Ok(()),
        }
    }
}

/// Which lines somebody wants to see.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The migration that they are about.
    pub(crate) migration: String,
    /// How many at most: the latest.
    pub(crate) limit: usize,
    /// The number of the line; `None`: any, but for those of earlier versions that only note how long a step was served.
    pub(crate) seq: Option<u64>,
}

impl Wanted {
    fn has(&self, line: &Line) -> bool {
        self.seq.map_or(line.kind != Kind::Held.as_str(), |seq| line.seq == seq)
    }
}

/// The latest lines about a migration, oldest first, as JSON. `synced_seq` is the last line that counts: those after
/// it are still being written. Reads from the newest file back, until there are enough.
pub(crate) fn history(dir: &Path, wanted: &Wanted, synced_seq: u64) -> Result<Vec<Value>, JournalError> {
    let current = open_current(dir)?;
    let mut older = aside(dir).map_err(|error| JournalError::unusable("read", dir, error))?;
    let mut found = VecDeque::new();
    let mut carried = None;
    if let Some(file) = current {
        let path = dir.join(CURRENT);
        let unusable = |error| JournalError::unusable("read", &path, error);
        let page = Page::read(file, wanted, wanted.limit, synced_seq).map_err(unusable)?;
        if let Some(first_seq) = page.first_seq {
            // It may have been set aside since it was opened.
            drop(older.split_off(&first_seq));
        }
        (found, carried) = (page.lines, page.carried);
    }
    while found.len() < wanted.limit
        && let Some((_, path)) = older.pop_last()
    {
        let unusable = |error| JournalError::unusable("read", &path, error);
        let file = match File::open(&path) {
            Ok(file) => file,
            // It was the oldest of too many.
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(unusable(error)),
        };
        let page = Page::read(file, wanted, wanted.limit - found.len(), synced_seq).map_err(unusable)?;
        page.lines.into_iter().rev().for_each(|line| found.push_front(line));
        carried = page.carried;
    }
    if found.len() < wanted.limit {
        // Of what was before the oldest file, that is all there is.
        carried.into_iter().for_each(|line| found.push_front(line));
    }
    Ok(found.into())
}

/// What one file has about a migration.
struct Page {
    first_seq: Option<u64>,
    /// The latest lines, at most as many as are wanted; without the next.
    lines: VecDeque<Value>,
    /// How the migration stood as the file began.
    carried: Option<Value>,
}

impl Page {
    fn read(file: File, wanted: &Wanted, limit: usize, synced_seq: u64) -> io::Result<Self> {
        let mut page = Page { first_seq: None, lines: VecDeque::new(), carried: None };
        let mut lines = Lines::new(file);
        while let Next::Line = lines.next()? {
            let Ok(line) = line::decode(&lines.text) else { continue };
            page.first_seq = page.first_seq.or(Some(line.seq));
            if line.seq > synced_seq || !is_about(&line, &wanted.migration) || !wanted.has(&line) {
                continue;
            }
            let json = serde_json::from_slice(&lines.text).ok();
            if line.kind == Kind::Carried.as_str() {
                page.carried = json;
                continue;
            }
            if page.lines.len() >= limit {
                page.lines.pop_front();
            }
            page.lines.extend(json);
        }
        Ok(page)
    }
}

fn is_about(line: &Line, migration: &str) -> bool {
    line.migration.as_deref() == Some(migration) || renamed_from(&line.kind, &line.data) == Some(migration)
}

/// The lines of a file, with one of them in memory.
pub(super) struct Lines {
    file: BufReader<File>,
    pub(super) text: Vec<u8>,
    /// Whole lines so far.
    bytes: u64,
    number: u64,
}

pub(super) enum Next {
    Line,
    /// Bytes after the last whole line.
    Torn(u64),
    TooLong,
    End,
}

impl Lines {
    pub(super) fn new(file: File) -> Self {
        Lines { file: BufReader::new(file), text: Vec::new(), bytes: 0, number: 0 }
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
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
