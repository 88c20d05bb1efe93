//! Places in a JSON document: how they are written, and the queries that choose them (RFC 9535).
//!
//! The engine is our own, so that a query walks along a comparison in the same bounded tree, with the same exact numbers
//! and the same limit of steps. Of the libraries, jsonpath-rust 1.0.12 fails 9 of the 703 cases of the RFC's compliance
//! suite; serde_json_path 0.7.2 passes all of them, but compiles a regular expression anew for each value that it is
//! tried on, has no limit of steps, and finds no `@[-1]` that is compared. It is what the tests hold this engine against,
//! but for that and for `<=` between nothing and nothing.

mod filter;
mod parser;
mod place;
mod query;
mod set;

use std::fmt::Write as _;

pub use parser::PathError;
pub use place::Places;
pub(crate) use place::{Written, written_steps};
pub(crate) use query::{Query, Segment, Selector};
pub use set::{PathSet, PathSetError, Place};

/// One step from a value to one inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step<'a> {
    /// To a member of an object.
    Name(&'a str),
    /// To an element of an array, counted from 0.
    Index(usize),
}

/// The place as it is in one document: `$.items[3]['odd name']`. Names that need no quotes have none, all others are
/// quoted as RFC 9535 section 2.7 quotes them in normalized paths. It is a valid query that chooses this one place.
#[must_use]
pub fn concrete<'a>(steps: impl IntoIterator<Item = Step<'a>>) -> String {
    write_path(steps, |out, index| {
        let _ = write!(out, "[{index}]");
    })
}

/// The place with every index as `*`: `$.items[*]['odd name']`, the same for all elements of an array.
#[must_use]
pub fn normalised<'a>(steps: impl IntoIterator<Item = Step<'a>>) -> String {
    write_path(steps, |out, _| out.push_str("[*]"))
}

fn write_path<'a>(
    steps: impl IntoIterator<Item = Step<'a>>,
    write_index: impl Fn(&mut String, usize),
) -> String {
    let mut out = String::from("$");
    for step in steps {
        match step {
            Step::Name(name) => push_name(&mut out, name),
            Step::Index(index) => write_index(&mut out, index),
        }
    }
    out
}

/// Writes the step to a member.
pub(crate) fn push_name(out: &mut String, name: &str) {
    if is_shorthand(name) {
        out.push('.');
        out.push_str(name);
        return;
    }
    out.push_str("['");
    for letter in name.chars() {
        match letter {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push_str("']");
}

/// Whether a name can stand behind a dot (RFC 9535 section 2.5.1.1).
fn is_shorthand(name: &str) -> bool {
    name.chars().next().is_some_and(query::begins_name) && name.chars().all(query::continues_name)
}

#[cfg(test)]
mod tests;
