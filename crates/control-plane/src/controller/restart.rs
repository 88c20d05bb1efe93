//! The start: what the journal says, joined with what the file says.

use std::sync::Arc;

use jiff::Timestamp;
use ramp::{Intent, Policy, Written};
use telemetry::Telemetry;

use super::Controller;
use super::keeping::Kept;
use crate::book::Book;
use crate::journal::{Disk, Entry, Journal, JournalError, Kind};
use crate::reload::{self, Outlook};
use crate::source::{Content, Loaded, resolve};

impl Controller {
    /// Takes over the first configuration and, where it names a state directory, the journal in there, and makes the
    /// first snapshot of both. A value of the file that is the one that it last had is no new intent, however long ago
    /// that was. Blocks. Nothing runs yet.
    ///
    /// # Errors
    /// When the state directory is in use, cannot be used, or has a journal that is damaged. A disk that is full or
    /// read-only is no error: the proxy serves, by what was written so far.
    pub fn open(first: Loaded, telemetry: Arc<Telemetry>) -> Result<Self, JournalError> {
        let Some(dir) = first.checked.state_dir.as_ref().map(|dir| resolve(&first.path, dir)) else {
            return Ok(Self::new(first, telemetry));
        };
        let (mut disk, told) = Disk::open(&dir)?;
        let recorded = told.by_name();
        let mut first_words = Vec::from_iter((told.torn_bytes > 0).then(|| {
            format!(
                "the last line of the journal was not written to its end, and nobody was told of it: {} bytes cut off",
                told.torn_bytes
            )
        }));
        let before = Book::restored(told.states);
        let outlook = reload::read_file(&before, &first.checked, Timestamp::now());
        let mut book = before.clone();
        book.take_over(&outlook, &first.checked);
        let started = Entry::of_process(Kind::Started)
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("pid", std::process::id());
        let mut entries = vec![started.clone()];
        entries.extend(book.unrecorded(&recorded, &outlook.renamed));
        let failed = disk.append(&entries).err().map(|error| error.to_string());
        let is_held_back = failed.is_some() && hold_back(&mut book, &before, &outlook);
        if is_held_back {
            first_words.push(
                "the file asks for more than the journal has, which cannot be written: that waits until it can be"
                    .to_owned(),
            );
        } else {
            first_words.extend(outlook.sentences.iter().cloned());
        }
        first_words.extend(
            outlook.reshuffle.as_ref().map(|reshuffle| {
                format!("{reshuffle}; it was done all the same, since the proxy has to start")
            }),
        );
        let is_behind = failed.is_some();
        let mut recorded = recorded;
        if !is_behind {
            outlook.renamed.iter().for_each(|(_, from)| drop(recorded.remove(from)));
            recorded.extend(entries.into_iter().filter_map(|entry| entry.migration.zip(entry.state)));
        }
        let trouble = failed.clone();
        let journal = Journal::start(disk, failed.map(|why| (why, vec![started]))).map_err(|error| {
            JournalError::Unusable { what: "start the journal's thread".to_owned(), error }
        })?;
        let kept = Kept::load(&dir, &before, &outlook);
        let mut controller = Self::with(first, book, kept, telemetry);
        if is_held_back {
            // Any reading is news then, also of the same content.
            (controller.content, controller.seen) = (Content::default(), Content::default());
        }
        controller.recorded = recorded;
        controller.health = Some(journal.health());
        controller.journal = Some(journal);
        (controller.is_behind, controller.is_held_back) = (is_behind, is_held_back);
        (controller.first_words, controller.trouble) = (first_words, trouble);
        Ok(controller)
    }
}

/// What the file asks for beyond what the journal has waits: nothing goes forward that is not written. Says whether
/// there is such a thing.
fn hold_back(book: &mut Book, before: &Book, outlook: &Outlook) -> bool {
    let unknown = Intent::first(Written::default(), &Policy::default());
    let mut is_any = false;
    for (name, intent) in &mut book.intents {
        let known = before.before(outlook, name).unwrap_or(&unknown);
        if intent.is_forward_from(known) {
            (*intent, is_any) = (known.clone(), true);
        }
    }
    is_any
}
