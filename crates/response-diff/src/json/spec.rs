//! Rules as they are written, before they are read.

use std::time::Duration;

/// How the JSON bodies of one endpoint are compared, as an operator writes it.
///
/// With nothing said, values are compared as they are: arrays in their order, texts to the letter, numbers by their exact
/// value and by whether they are written as an integer (`1` and `1.0` differ, `0.5` and `5e-1` do not), and `null` is not
/// the same as nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonSpec {
    /// Places that are not compared, by RFC 9535 queries, with all that is in them.
    pub ignore: Vec<String>,
    /// How numbers are compared where no rule says otherwise.
    pub numbers: NumberSpec,
    /// Whether `null` is the same as nothing where no rule says otherwise.
    pub null_is_absent: bool,
    /// How values are compared in certain places. For each option, the first rule that chooses the place and has the
    /// option counts. A rule is for the values that its path chooses, not for what is in them (`$.a..*` chooses that).
    pub rules: Vec<RuleSpec>,
    /// Intended changes, applied in this order to what old answered before it is compared.
    pub map: Vec<MapSpec>,
}

/// How numbers are compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberSpec {
    /// `exact`: `1` and `1.0` differ. `loose`: they are the same. Left out: `loose` where a tolerance is given, else
    /// `exact`.
    pub form: Option<String>,
    /// How far apart two numbers may be: a decimal such as `0.001`.
    pub absolute: Option<String>,
    /// The same as a share of the greater one: `0.01%` or `0.0001`. Either tolerance is enough.
    pub relative: Option<String>,
}

/// How values are compared in certain places.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSpec {
    /// The places, by an RFC 9535 query.
    pub path: String,
    /// Arrays: `ignore` compares them as multisets; `exact` in their order.
    pub order: Option<String>,
    /// Arrays: the fields by which elements are known, such as `id` or `meta.id`. Elements with the same values there
    /// are compared with each other, wherever they stand; with `order = "exact"` another order is a difference.
    pub by: Vec<String>,
    /// Numbers: form and tolerance.
    pub numbers: NumberSpec,
    /// Members: `absent` takes `null` for nothing; `distinct` does not.
    pub null: Option<String>,
    /// Times: texts of RFC 3339, ISO 8601 without a zone, or HTTP's dates; numbers, or texts of digits, of seconds,
    /// milliseconds, microseconds or nanoseconds since 1970. Both in one form and no further apart than this are the same.
    pub within: Option<Duration>,
    /// Texts: `ignore` takes `A` for `a`; `exact` does not.
    pub case: Option<String>,
    /// Texts: `collapse` takes any white space for one space and none at the ends; `ignore` leaves all of it out;
    /// `exact` does neither.
    pub whitespace: Option<String>,
    /// Texts: what matches one of these regular expressions counts as the same.
    pub mask: Vec<String>,
}

/// One intended change from old's form to new's. Exactly one of `from` with `to`, `wrap`, `unwrap`, `drop`, `names`,
/// `values` and `convert` is given.
///
/// Paths are names and wildcards, `$.items[*].sku`, and see the document as the changes before have left it; only the
/// path of `drop` may be any query. What a change is not for, such as a member that is not there, stays as it is, and
/// shows as a difference if it is one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MapSpec {
    /// Where a member is in old's form.
    pub from: Option<String>,
    /// Where it is in new's: another name, another object, or both. Up to the last wildcard the two paths are the same,
    /// so that what is inside an element stays inside it.
    pub to: Option<String>,
    /// Old's document is what new has at this path: `$.data`.
    pub wrap: Option<String>,
    /// New's document is what old has at this path. What old has beside it stays a member of the document, and where
    /// there can be none, since no object was unwrapped, it is compared in the place that it had: it is missing in new
    /// unless it is dropped before, or ignored.
    pub unwrap: Option<String>,
    /// New does not have this any more, by an RFC 9535 query.
    pub drop: Option<String>,
    /// All names at `at` and inside it are written in another manner: `snake-to-camel`, `camel-to-snake`,
    /// `snake-to-pascal`, `pascal-to-snake`, `camel-to-pascal`, `pascal-to-camel`, `snake-to-kebab` or `kebab-to-snake`.
    pub names: Option<String>,
    /// Texts at `at` that new has other words for: old's and new's.
    pub values: Vec<(String, String)>,
    /// What is at `at` is of another type in new: `number-to-string`, `string-to-number`.
    pub convert: Option<String>,
    /// Which values `wrap`, `unwrap`, `names`, `values` and `convert` are for: `$`, the document, unless given.
    pub at: Option<String>,
}

/// What is wrong with rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Which entry of the spec: `ignore[2]`, `numbers.absolute`, `rules[0].path`, `map[1].to`.
    pub entry: String,
    /// What is wrong with it, as a sentence without its full stop.
    pub message: String,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.entry, self.message)
    }
}

impl std::error::Error for RuleError {}
