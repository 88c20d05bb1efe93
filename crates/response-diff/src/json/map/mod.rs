//! Intended changes of an API: old's answer is put into new's form before it is compared.
//!
//! Paths of differences are of new's form. Where old has what they name says [`JsonRules::origin`](super::JsonRules).

mod names;
mod origin;
mod read;
mod rewrite;

use crate::limits::Work;
use crate::path::PathSet;

use super::tree::Json;
use names::Manner;

/// Changes, in the order in which they are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mapping {
    changes: Vec<Change>,
}

/// One change, made at every value that `at` chooses.
#[derive(Clone, Debug)]
enum Change {
    Move { at: Vec<Part>, from: Names, to: Names },
    Wrap { at: Vec<Part>, names: Names },
    Unwrap { at: Vec<Part>, names: Names },
    Drop(PathSet),
    Rename { at: Vec<Part>, from: Manner, to: Manner },
    Values { at: Vec<Part>, words: Vec<(String, String)> },
    Convert { at: Vec<Part>, to_text: bool },
}

/// Names from an object inwards; never none.
type Names = Vec<Box<str>>;

/// One step of a path of names and wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Name(Box<str>),
    Any,
}

impl Mapping {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Old's document in new's form; `None` when there is nothing to change.
    pub(super) fn apply<'a>(&self, json: &Json<'a>, work: &mut Work) -> Option<Json<'a>> {
        let mut mapped: Option<Json<'a>> = None;
        for change in &self.changes {
            let next = rewrite::rewrite(mapped.as_ref().unwrap_or(json), change, work);
            mapped = Some(next);
        }
        mapped
    }
}
