//! Reading all of a journal again: whether every line of every file is as it was written.

use std::fs::File;
use std::io;
use std::path::Path;

use super::read::{self, Lines, Next, Reading, name_of};
use super::{CURRENT, JournalError, line};

/// A journal that is as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Files.
    pub files: u64,
    /// Lines in them.
    pub lines: u64,
    /// The number of the first; above 1 where older files were removed. 0 where there is none.
    pub first_seq: u64,
    /// The number of the last.
    pub last_seq: u64,
    /// Bytes after it, of a line that is being written or was when the power went.
    pub torn_bytes: u64,
}

/// Reads all files of the journal in `dir`, holds each line against the one before, and what each file begins with
/// against what those before it say. Changes nothing, and may be done while a proxy writes. Blocks.
///
/// # Errors
/// A sentence with the file and the line, where one is not as it was written, lines are missing, or a file cannot be
/// read.
pub fn verify(dir: &Path) -> Result<Verified, String> {
    let found = verify_once(dir);
    // Where another file was just about to begin, it looks as if that were missing.
    if found.is_err() { verify_once(dir) } else { found }
}

fn verify_once(dir: &Path) -> Result<Verified, String> {
    let current = read::open_current(dir).map_err(sentence)?;
    let mut files = read::aside(dir).map_err(|error| sentence(JournalError::unusable("read", dir, error)))?;
    let began_at = current
        .as_ref()
        .map(first_seq)
        .transpose()
        .map_err(|error| sentence(JournalError::unusable("read", &dir.join(CURRENT), error)))?;
    if let Some(began_at) = began_at.flatten() {
        // It may have been set aside since it was opened.
        drop(files.split_off(&began_at));
    }
    let mut reading = Reading::new();
    let mut count = 0;
    for (number, path) in &files {
        let file = match File::open(path) {
            Ok(file) => file,
            // It was the oldest of too many.
            Err(error) if reading.lines == 0 && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(sentence(JournalError::unusable("read", path, error))),
        };
        reading.read(path, Lines::new(file), false).map_err(sentence)?;
        if reading.tail.first_seq != *number {
            return Err(format!("{}: its first line is number {}", path.display(), reading.tail.first_seq));
        }
        count += 1;
    }
    let mut torn_bytes = 0;
    match (current, files.last_key_value()) {
        (Some(file), last) => {
            let lines_before = reading.lines;
            torn_bytes = reading.read(&dir.join(CURRENT), Lines::new(file), true).map_err(sentence)?;
            count += 1;
            if let Some((_, last)) = last.filter(|_| reading.lines == lines_before) {
                return Err(format!("{CURRENT} is empty, while {} is there", name_of(last)));
            }
        }
        (None, Some((_, last))) => read::next_goes_on_from(dir, last, &reading.tail).map_err(sentence)?,
        (None, None) => {}
    }
    let (first_seq, last_seq) = (reading.began_at, reading.tail.seq);
    Ok(Verified { files: count, lines: reading.lines, first_seq, last_seq, torn_bytes })
}

/// The number of a file's first line.
fn first_seq(file: &File) -> io::Result<Option<u64>> {
    let mut lines = Lines::new(file.try_clone()?);
    let first = matches!(lines.next()?, Next::Line).then(|| line::decode(&lines.text).ok()).flatten();
    io::Seek::rewind(&mut &*file)?;
    Ok(first.map(|line| line.seq))
}

/// Without what to do about it at a start.
fn sentence(error: JournalError) -> String {
    match error {
        JournalError::Damaged { file, line, why } => format!("{} line {line}: {why}", file.display()),
        other => other.to_string(),
    }
}
