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
    pub(super) fn apply<'a>(&self, json: &Json<'a>, work: &mut Work) -> Option<Mapped<'a>> {
        let mut mapped: Option<Json<'a>> = None;
        let mut left = Vec::new();
        for change in &self.changes {
            let before = mapped.take();
            let (next, places) = rewrite::rewrite(before.as_ref().unwrap_or(json), change, work);
            if !places.is_empty() {
                left.push(Left { json: before.unwrap_or_else(|| json.clone()), places });
            }
            mapped = Some(next);
        }
        mapped.map(|json| Mapped { json, left })
    }
}

/// A document in new's form.
#[derive(Debug)]
pub(super) struct Mapped<'a> {
    pub(super) json: Json<'a>,
    pub(super) left: Vec<Left<'a>>,
}

/// What stood beside a value that was unwrapped and is no object, so that there is no room for it in new's form.
#[derive(Debug)]
pub(super) struct Left<'a> {
    /// The document that was unwrapped.
    pub(super) json: Json<'a>,
    /// The values in it that are left, in document order; none is in another one, and none is the document.
    pub(super) places: Vec<usize>,
}
