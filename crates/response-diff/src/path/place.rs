//! Places as differences write them, read back, and looked up where their documents are not at hand.

use crate::Kind;
use crate::json;
use crate::limits::{Limits, Work};

use super::{PathSet, PathSetError, Place, Query, Segment, Selector, Step};

/// One step of a place, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Name(String),
    /// `[3]` or `[*]`.
    Element(String),
}

/// `$.items[3]['odd name']` as steps; `None` where it is not the place of a JSON value.
pub(crate) fn written_steps(place: &str) -> Option<Vec<Written>> {
    let mut rest = place.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            steps.push(Written::Name(after[..end].to_owned()));
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix("['") {
            let (name, length) = quoted(after)?;
            steps.push(Written::Name(name));
            rest = after[length..].strip_prefix(']')?;
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Written::Element(format!("[{index}]")));
            rest = after;
        }
    }
    Some(steps)
}

/// The name up to the closing quote, and how long it is as written, quote included.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Some((name, at + 1)),
            '\\' => match letters.next()?.1 {
                'b' => name.push('\u{8}'),
                't' => name.push('\t'),
                'n' => name.push('\n'),
                'f' => name.push('\u{c}'),
                'r' => name.push('\r'),
                'u' => {
                    let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    name.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => name.push(other),
            },
            other => name.push(other),
        }
    }
    None
}

/// Queries that places of differences are looked up in, without the documents: what a query asks beside names counts as
/// met.
#[derive(Clone, Debug)]
pub struct Places {
    all: PathSet,
    /// Those that do not look at any depth, so that it can be said what leads to them.
    direct: PathSet,
}

impl Places {
    /// Reads the queries.
    ///
    /// # Errors
    ///
    /// One for each text that is none.
    pub fn compile<T: AsRef<str>>(texts: &[T]) -> Result<Places, Vec<PathSetError>> {
        // For its errors, and its limit of how many there may be.
        PathSet::compile(texts)?;
        let queries: Vec<Query> = texts
            .iter()
            .filter_map(|text| Query::parse(text.as_ref()).ok())
            .map(|query| query.loosened())
            .collect();
        let is_direct = |query: &&Query| query.segments.iter().all(|segment| !segment.descendant);
        let direct = queries.iter().filter(is_direct).cloned().collect();
        Ok(Places { direct: PathSet::of(direct), all: PathSet::of(queries) })
    }

    /// Whether a difference of this kind is at a place that is chosen, inside one, or takes one away with what it is in.
    #[must_use]
    pub fn touches(&self, at: &str, kind: Kind) -> bool {
        let Some(steps) = written_steps(at) else { return false };
        let is_of_whole = matches!(kind, Kind::Missing | Kind::Added | Kind::Type);
        walk(&self.all, &steps).is_none()
            || is_of_whole && walk(&self.direct, &steps).is_none_or(|end| !end.is_nowhere())
    }
}

/// Where the steps lead; `None`: to a place that is chosen, or inside one.
fn walk(set: &PathSet, steps: &[Written]) -> Option<Place> {
    let limits = Limits::default();
    // Names and wildcards look at no value, so that any will do.
    let nothing = json::parse("null", &limits).ok()?;
    let mut work = Work::new(&limits);
    let mut place = set.start().clone();
    for step in steps {
        if set.chosen(&place).next().is_some() {
            return None;
        }
        let step = match step {
            Written::Name(name) => Step::Name(name),
            Written::Element(_) => Step::Index(0),
        };
        place = set.step(&place, step, 1, nothing.root(), &mut work);
    }
    let is_chosen = set.chosen(&place).next().is_some();
    (!is_chosen).then_some(place)
}

impl Query {
    /// The query with a wildcard for everything that asks more than a name.
    pub(crate) fn loosened(&self) -> Query {
        let loose = |selector: &Selector| match selector {
            Selector::Name(name) => Selector::Name(name.clone()),
            Selector::Wildcard | Selector::Index(_) | Selector::Slice(_) | Selector::Filter(_) => {
                Selector::Wildcard
            }
        };
        let segment = |segment: &Segment| Segment {
            descendant: segment.descendant,
            selectors: segment.selectors.iter().map(loose).collect(),
        };
        Query { relative: false, segments: self.segments.iter().map(segment).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::concrete;

    #[test]
    fn places_are_read_as_they_are_written() {
        for names in [
            &["items", "price"][..],
            &["odd name", "it's\\\"\u{1}\n\t\r\u{8}\u{c}"],
            &["", "größe", "_x-y"],
            &[],
        ] {
            let place = concrete(names.iter().map(|name| Step::Name(name)));
            let expected: Vec<_> = names.iter().map(|name| Written::Name((*name).to_owned())).collect();
            assert_eq!(written_steps(&place), Some(expected), "{place}");
        }
        assert_eq!(
            written_steps("$.items[*]['a.b'][3]"),
            Some(vec![
                Written::Name("items".to_owned()),
                Written::Element("[*]".to_owned()),
                Written::Name("a.b".to_owned()),
                Written::Element("[3]".to_owned()),
            ])
        );
        for other in ["status", "body", "header:date", "$['open", "$[3", "$x"] {
            assert_eq!(written_steps(other), None, "{other}");
        }
    }

    #[test]
    fn a_difference_touches_what_it_is_in_and_what_it_takes_away() {
        let places = Places::compile(&["$.total", "$.items[?@.paid].price", "$..iban"]).unwrap();
        for (at, kind, touches) in [
            ("$.total", Kind::Value, true),
            ("$.total.amount", Kind::Missing, true),
            ("$.totals", Kind::Value, false),
            ("$", Kind::Type, true),
            ("$", Kind::Value, false),
            ("$.items[3].price", Kind::Value, true),
            ("$.items[3]", Kind::Missing, true),
            ("$.items[3]", Kind::Order, false),
            ("$.items[3].name", Kind::Missing, false),
            ("$.a['b c'].iban", Kind::Added, true),
            ("$.a['b c'].note", Kind::Added, false),
            ("body", Kind::Value, false),
        ] {
            assert_eq!(places.touches(at, kind), touches, "{at} {kind}");
        }
        assert!(Places::compile(&["total"]).is_err());
    }
}
