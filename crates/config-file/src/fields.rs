//! The schema, as data.
//!
//! Every section of the file is a table of [`Field`]s. The reader, the defaults, the search for the nearest valid
//! name and the JSON Schema all work from these tables, so that none of them can know a key that the others do not.
//! What a field *means* (a reference to an upstream, an address, a path) is checked afterwards, in `check`.

mod sections;

pub(crate) use sections::{ALL, MOST_STEPS, ROOT};

/// A table of the file, and what may stand in it.
#[derive(Debug)]
pub(crate) struct Section {
    /// How a person writes its header.
    pub(crate) header: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
    /// Names that belong here and that this version does not know yet.
    pub(crate) later: &'static [&'static str],
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
    pub(crate) doc: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
    /// Left out, it counts as this TOML value.
    Default(&'static str),
}

/// What may stand to the right of the equals sign. Ranges are inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Flag,
    Count {
        min: u64,
        max: u64,
    },
    Duration {
        min_ms: u64,
        max_ms: u64,
    },
    Size {
        min: u64,
        max: u64,
    },
    /// A share of the requests: a number of per cent, or text such as `"37.5%"`.
    Share,
    /// A number between 0 and 1, or text such as `"p95"`.
    Quantile,
    /// A status from 200 to 599, or text such as `"5xx"` for a class of them.
    Statuses,
    /// How many times as much, as text such as `"2x"`: above 1, at most `max`.
    Factor {
        max: u32,
    },
    /// The kind, or `false` for none.
    OrOff(&'static Kind),
    Text(Format),
    /// A number with any digits behind its point, as it is written, or text.
    Decimal(Format),
    /// Text that may also be written as one of TOML's dates and times, without quotes.
    Date(Format),
    Choice {
        names: &'static [&'static str],
        later: &'static [&'static str],
    },
    /// At least `min` of `of`.
    List {
        of: &'static Kind,
        min: usize,
    },
    /// A list of at least one, or the one entry alone.
    OneOrMore(&'static Kind),
    Table(&'static Section),
    /// `[[name]]` or a list of inline tables, at least `min` of them.
    Tables {
        of: &'static Section,
        min: usize,
    },
    /// As [`Kind::Tables`], at least one, or one of these names.
    TablesOr {
        of: &'static Section,
        names: &'static [&'static str],
    },
    /// `[kind.NAME]`, any number.
    Named(&'static Section),
    /// The table, or text that stands for its field of this name.
    TableOr(&'static Section, &'static str),
    /// The table, `true` for the table with nothing in it, or `false` for none. No field of it is required.
    TableOrFlag(&'static Section),
    /// Names chosen by the operator, each with the text that must be there or `true` for any.
    Conditions,
    /// Names chosen by the operator, each with a text, which may be empty.
    Texts(Format),
}

/// What a text is meant to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) expected: &'static str,
    /// For the JSON Schema. It lets through everything that the checks let through, and is here for editors.
    pub(crate) pattern: &'static str,
}

impl Kind {
    /// The smallest and the largest number, in the kind's own unit.
    pub(crate) fn range(&self) -> (u64, u64) {
        match self {
            Kind::Count { min, max } | Kind::Size { min, max } => (*min, *max),
            Kind::Duration { min_ms, max_ms } => (*min_ms, *max_ms),
            _ => (0, u64::MAX),
        }
    }
}

impl Section {
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.fields.iter().map(|field| field.name)
    }
}

/// The headers of the sections where a key of this name belongs, when they are few enough to say. What lies within
/// the section that the key was written in goes before what does not.
pub(crate) fn home_of(name: &str, written_in: &Section) -> Option<String> {
    let homes = ALL.iter().copied().filter(|section| section.field(name).is_some());
    home_within(name, written_in).or_else(|| one_or_two(&homes.collect::<Vec<_>>()))
}

/// The same for those sections alone that lie within the one that the key was written in.
pub(crate) fn home_within(name: &str, written_in: &Section) -> Option<String> {
    let outer = written_in.header.trim_matches(['[', ']']);
    let is_within = |section: &&Section| {
        let inner = section.header.trim_matches(['[', ']']);
        inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
    };
    let homes = ALL.iter().copied().filter(|section| section.field(name).is_some());
    one_or_two(&homes.filter(is_within).collect::<Vec<_>>())
}

fn one_or_two(sections: &[&Section]) -> Option<String> {
    match sections {
        [one] => Some(one.header.to_owned()),
        [one, other] => Some(format!("{} or {}", one.header, other.header)),
        _ => None,
    }
}

const fn text(expected: &'static str, pattern: &'static str) -> Kind {
    Kind::Text(Format { expected, pattern })
}

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, need: Need::Required, doc }
}

const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, need: Need::Optional, doc }
}

const fn defaulted(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Field {
    Field { name, kind, need: Need::Default(default), doc }
}
