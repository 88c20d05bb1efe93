//! From changes as they are written to changes that can be made.

use crate::path::{PathSet, Query, Segment, Selector};

use super::super::rules::read_path;
use super::super::spec::{MapSpec, RuleError};
use super::names::Manner;
use super::{Change, Mapping, Names, Part};

/// How many changes there may be, each of which is one pass over the document.
const MOST_CHANGES: usize = 100;
/// How much deeper all changes together may make a document.
const MOST_DEEPER: usize = 64;

/// Says what is wrong with a field of one entry.
type Say<'s> = dyn FnMut(&str, String) + 's;

impl Mapping {
    pub(crate) fn read(spec: &[MapSpec], errors: &mut Vec<RuleError>) -> Mapping {
        let mut changes = Vec::new();
        let mut deeper = 0;
        for (number, entry) in spec.iter().enumerate() {
            let name = format!("map[{number}]");
            let mut say = |field: &str, message: String| {
                let dot = if field.is_empty() { "" } else { "." };
                errors.push(RuleError { entry: format!("{name}{dot}{field}"), message });
            };
            if number >= MOST_CHANGES {
                say("", format!("there are {} changes, more than {MOST_CHANGES}", spec.len()));
                break;
            }
            let Some(change) = read_change(entry, &mut say) else { continue };
            if let Change::Move { to: names, .. } | Change::Wrap { names, .. } = &change {
                deeper += names.len();
            }
            if deeper > MOST_DEEPER {
                say(
                    "",
                    format!("up to here the changes make a document more than {MOST_DEEPER} values deeper"),
                );
                break;
            }
            changes.push(change);
        }
        Mapping { changes }
    }
}

fn read_change(spec: &MapSpec, say: &mut Say<'_>) -> Option<Change> {
    let given = [
        spec.from.is_some() || spec.to.is_some(),
        spec.wrap.is_some(),
        spec.unwrap.is_some(),
        spec.drop.is_some(),
        spec.names.is_some(),
        !spec.values.is_empty(),
        spec.convert.is_some(),
    ];
    let all = "`from` with `to`, `wrap`, `unwrap`, `drop`, `names`, `values`, `convert`";
    if given.iter().filter(|given| **given).count() != 1 {
        say("", format!("a change has exactly one of {all}"));
        return None;
    }
    if let Some(at) = &spec.at
        && (given[0] || given[3])
    {
        say("at", format!("`at = \"{at}\"` is not for this change, whose own paths say where it is made"));
        return None;
    }
    let at = || spec.at.as_deref().unwrap_or("$");
    if let Some(path) = &spec.drop {
        return read_drop(path, say);
    }
    if given[0] {
        return read_move(spec.from.as_deref(), spec.to.as_deref(), say);
    }
    let at = read_parts(at(), "at", say)?;
    if let Some(path) = &spec.wrap {
        return Some(Change::Wrap { at, names: read_names(path, "wrap", say)? });
    }
    if let Some(path) = &spec.unwrap {
        return Some(Change::Unwrap { at, names: read_names(path, "unwrap", say)? });
    }
    if let Some(names) = &spec.names {
        let manners =
            names.split_once("-to-").and_then(|(from, to)| Some((Manner::parse(from)?, Manner::parse(to)?)));
        let Some((from, to)) = manners.filter(|(from, to)| from != to) else {
            let known = "`snake-to-camel`, with `snake`, `camel`, `pascal` and `kebab` in any two places";
            say("names", format!("`{names}` is not of the form {known}"));
            return None;
        };
        return Some(Change::Rename { at, from, to });
    }
    if !spec.values.is_empty() {
        return Some(Change::Values { at, words: spec.values.clone() });
    }
    match spec.convert.as_deref() {
        Some("number-to-string") => Some(Change::Convert { at, to_text: true }),
        Some("string-to-number") => Some(Change::Convert { at, to_text: false }),
        other => {
            let other = other.unwrap_or_default();
            say("convert", format!("`{other}` is none of `number-to-string`, `string-to-number`"));
            None
        }
    }
}

fn read_drop(path: &str, say: &mut Say<'_>) -> Option<Change> {
    let query = read_query(path, "drop", say)?;
    if query.segments.is_empty() {
        say(
            "drop",
            "`$` is the document, which cannot be dropped; to compare nothing of it, ignore it".to_owned(),
        );
        return None;
    }
    Some(Change::Drop(PathSet::of(vec![query])))
}

fn read_move(from: Option<&str>, to: Option<&str>, say: &mut Say<'_>) -> Option<Change> {
    let (Some(from_text), Some(to_text)) = (from, to) else {
        let (missing, given) = if from.is_none() { ("from", "to") } else { ("to", "from") };
        say(missing, format!("`{given}` is given without `{missing}`"));
        return None;
    };
    let (from, to) = (read_parts(from_text, "from", say), read_parts(to_text, "to", say));
    let (mut from, mut to) = (from?, to?);
    let wildcards =
        |parts: &[Part]| parts.iter().rposition(|part| *part == Part::Any).map_or(0, |last| last + 1);
    let (shared, shared_to) = (wildcards(&from), wildcards(&to));
    if from[..shared] != to[..shared_to] {
        let rule =
            "up to the last wildcard both paths are the same, so that what is in an element stays in it";
        say("to", format!("`{from_text}` cannot become `{to_text}`: {rule}"));
        return None;
    }
    if from == to {
        say("to", format!("`{to_text}` is where it is already"));
        return None;
    }
    let (from, to, mut at) = (names_of(from.split_off(shared)), names_of(to.split_off(shared)), from);
    match (from.is_empty(), to.is_empty()) {
        (true, _) => Some(Change::Wrap { at, names: to }),
        (false, true) => Some(Change::Unwrap { at, names: from }),
        // To where an object is that it comes from: it takes that object's place.
        (false, false) if from.starts_with(&to) => {
            let names = from[to.len()..].to_vec();
            at.extend(to.into_iter().map(Part::Name));
            Some(Change::Unwrap { at, names })
        }
        (false, false) => Some(Change::Move { at, from, to }),
    }
}

fn names_of(parts: Vec<Part>) -> Names {
    let name = |part| match part {
        Part::Name(name) => Some(name),
        Part::Any => None,
    };
    parts.into_iter().filter_map(name).collect()
}

/// A path of names, from the value that is wrapped or unwrapped.
fn read_names(path: &str, field: &str, say: &mut Say<'_>) -> Option<Names> {
    let parts = read_parts(path, field, say)?;
    if parts.is_empty() || parts.contains(&Part::Any) {
        say(field, format!("`{path}` is no path of one or more names, such as `$.data`"));
        return None;
    }
    Some(names_of(parts))
}

/// A path of names and wildcards.
fn read_parts(path: &str, field: &str, say: &mut Say<'_>) -> Option<Vec<Part>> {
    let query = read_query(path, field, say)?;
    let parts = query.segments.into_iter().map(|Segment { descendant, mut selectors }| {
        match (descendant, selectors.len(), selectors.pop()) {
            (false, 1, Some(Selector::Name(name))) => Some(Part::Name(name)),
            (false, 1, Some(Selector::Wildcard)) => Some(Part::Any),
            _ => None,
        }
    });
    let parts: Option<Vec<Part>> = parts.collect();
    if parts.is_none() {
        say(field, format!("`{path}` has more than names and wildcards, such as in `$.items[*].id`"));
    }
    parts
}

fn read_query(path: &str, field: &str, say: &mut Say<'_>) -> Option<Query> {
    let mut errors = Vec::new();
    let query = read_path(path, || field.to_owned(), &mut errors);
    for error in errors {
        say(field, error.message);
    }
    query
}
