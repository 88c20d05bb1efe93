//! What a query is, once it is read (RFC 9535).

use regex::Regex;

/// A query from the document's value (`$`) or from the value that a filter looks at (`@`).
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// It begins with `@`.
    pub(crate) relative: bool,
    pub(crate) segments: Vec<Segment>,
}

/// One part of a query: from each value to some that are in it.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// It looks at any depth: `..`.
    pub(crate) descendant: bool,
    pub(crate) selectors: Vec<Selector>,
}

/// Which of a value's children.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    Name(Box<str>),
    Wildcard,
    /// From the end when it is negative.
    Index(i64),
    Slice(Slice),
    Filter(Box<Test>),
}

/// `start:end:step` (RFC 9535 section 2.3.4).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    pub(crate) step: i64,
}

/// What a filter asks of a value.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Any(Vec<Test>),
    All(Vec<Test>),
    Not(Box<Test>),
    Exists(Query),
    Compare(Compared, Comparison, Compared),
    /// `match` when it is the whole text, `search` when it is any part of it.
    Matches {
        text: Compared,
        pattern: Pattern,
    },
}

/// One side of a comparison, and an argument of a function.
#[derive(Clone, Debug)]
pub(crate) enum Compared {
    Null,
    Bool(bool),
    Number(Box<str>),
    Text(Box<str>),
    /// A query that chooses one value at most.
    Value(Query),
    Length(Box<Compared>),
    Count(Query),
    /// The value of a query that chooses one; nothing when it chooses none or several.
    Only(Query),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A regular expression of RFC 9485.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// It stands in the query.
    Fixed(Regex),
    /// It comes from the document.
    Found { pattern: Compared, whole: bool },
}

impl Query {
    /// Whether it chooses one value at most: names and indexes alone.
    pub(crate) fn is_singular(&self) -> bool {
        let is_one = |selectors: &[Selector]| matches!(selectors, [Selector::Name(_)] | [Selector::Index(_)]);
        self.segments.iter().all(|segment| !segment.descendant && is_one(&segment.selectors))
    }

    /// Whether the names of the steps to a value alone tell if it is chosen: it has no index, slice or filter.
    pub(crate) fn is_fixed(&self) -> bool {
        let is_fixed = |selector: &Selector| matches!(selector, Selector::Name(_) | Selector::Wildcard);
        self.segments.iter().all(|segment| segment.selectors.iter().all(is_fixed))
    }
}

impl Slice {
    /// Whether it has the element of this index in an array of this length.
    pub(crate) fn has(&self, index: usize, length: usize) -> bool {
        let (Ok(index), Ok(length)) = (i64::try_from(index), i64::try_from(length)) else { return false };
        let from_start = |bound: i64| if bound < 0 { bound.saturating_add(length) } else { bound };
        if self.step > 0 {
            let lower = from_start(self.start.unwrap_or(0)).clamp(0, length);
            let upper = from_start(self.end.unwrap_or(length)).clamp(0, length);
            lower <= index && index < upper && (index - lower) % self.step == 0
        } else if self.step < 0 {
            let upper = from_start(self.start.unwrap_or(length - 1)).clamp(-1, length - 1);
            let lower = self.end.map_or(-1, |end| from_start(end).clamp(-1, length - 1));
            lower < index && index <= upper && (upper - index) % self.step.saturating_neg() == 0
        } else {
            false
        }
    }
}

/// Whether a letter can begin a name behind a dot.
pub(super) fn begins_name(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_' || !letter.is_ascii()
}

/// Whether a letter can go on in a name behind a dot.
pub(super) fn continues_name(letter: char) -> bool {
    begins_name(letter) || letter.is_ascii_digit()
}
