//! Rules, read once and asked at every value.

use std::borrow::Cow;
use std::time::Duration;

use regex::Regex;

use crate::path::{PathSet, Place, Query, Selector};

use super::map::Mapping;
use super::number::{self, Tolerance};
use super::spec::{JsonSpec, NumberSpec, RuleError, RuleSpec};
use super::text::{self, Space, TextRule};
use super::time;

/// Rules of a [`JsonSpec`], read and checked.
#[derive(Clone, Debug)]
pub struct JsonRules {
    /// The paths of `ignore`, then those of the rules.
    places: PathSet,
    ignored: u16,
    rules: Vec<Rule>,
    defaults: Rule,
    /// What holds in each state of the automaton of `places`: an index into `options`, or that it is ignored.
    states: Vec<Option<usize>>,
    options: Vec<Options>,
    map: Mapping,
    /// Both documents are in old's form.
    old_alone: bool,
}

/// The options that one rule has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    ordered: Option<bool>,
    by: Option<Vec<Field>>,
    exact_form: Option<bool>,
    absolute: Option<String>,
    relative: Option<String>,
    null_is_absent: Option<bool>,
    within: Option<Duration>,
    any_case: Option<bool>,
    space: Option<Space>,
    masks: Option<Vec<Regex>>,
}

/// The names that lead from an element to one of the fields by which it is known.
pub(super) type Field = Vec<Box<str>>;

/// What holds for one value.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(super) array: ArrayRule,
    pub(super) numbers: NumberRule,
    pub(super) null_is_absent: bool,
    pub(super) within: Option<Duration>,
    pub(super) text: TextRule,
}

/// Which elements of two arrays are compared with each other.
#[derive(Clone, Debug)]
pub(super) struct ArrayRule {
    pub(super) ordered: bool,
    /// Those that are the same in these fields, if there are any.
    pub(super) by: Vec<Field>,
}

/// Which numbers are the same.
#[derive(Clone, Debug)]
pub(super) struct NumberRule {
    pub(super) exact_form: bool,
    pub(super) tolerance: Option<Tolerance>,
}

impl NumberRule {
    pub(super) fn same(&self, one: &str, other: &str) -> bool {
        if one == other {
            return true;
        }
        if self.exact_form && number::is_integer_form(one) != number::is_integer_form(other) {
            return false;
        }
        match &self.tolerance {
            Some(tolerance) => tolerance.covers(one, other),
            None => number::same_value(one, other),
        }
    }
}

impl Options {
    /// Whether two numbers that are written differently are the same.
    pub(super) fn same_number(&self, one: &str, other: &str) -> bool {
        self.numbers.same(one, other) || self.within.is_some_and(|window| time::within(one, other, window))
    }

    /// What is left of a text when all that does not count is taken away.
    pub(crate) fn essence(&self, text: &str) -> String {
        self.text.essence(text)
    }

    /// Whether two texts are the same.
    pub(crate) fn same_text(&self, one: &str, other: &str) -> bool {
        self.text.same(one, other) || self.within.is_some_and(|window| time::within(one, other, window))
    }
}

impl Default for JsonRules {
    fn default() -> JsonRules {
        let mut errors = Vec::new();
        JsonRules::read(&JsonSpec::default(), &mut errors)
    }
}

impl JsonRules {
    /// Reads rules.
    ///
    /// # Errors
    ///
    /// All that is wrong with them.
    pub fn compile(spec: &JsonSpec) -> Result<JsonRules, Vec<RuleError>> {
        let mut errors = Vec::new();
        let rules = JsonRules::read(spec, &mut errors);
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    fn read(spec: &JsonSpec, errors: &mut Vec<RuleError>) -> JsonRules {
        let mut queries = Vec::new();
        for (number, path) in spec.ignore.iter().enumerate() {
            queries.extend(read_path(path, || format!("ignore[{number}]"), errors));
        }
        let ignored = queries.len();
        let mut rules = Vec::new();
        for (number, rule) in spec.rules.iter().enumerate() {
            let entry = format!("rules[{number}]");
            let path = read_path(&rule.path, || format!("{entry}.path"), errors);
            let rule = Rule::read(rule, &entry, errors);
            if let Some(path) = path {
                queries.push(path);
                rules.push(rule);
            }
        }
        if queries.len() > usize::from(u16::MAX) {
            let message = format!("there are {} paths, more than {}", queries.len(), u16::MAX);
            errors.push(RuleError { entry: "rules".to_owned(), message });
            queries.clear();
        }
        let mut defaults = Rule::default();
        defaults.read_numbers(&spec.numbers, "numbers", errors);
        defaults.null_is_absent = Some(spec.null_is_absent);
        let mut compiled = JsonRules {
            places: PathSet::of(queries),
            ignored: u16::try_from(ignored).unwrap_or(u16::MAX),
            rules,
            options: vec![Rule::resolve([&defaults])],
            defaults,
            states: Vec::new(),
            map: Mapping::read(&spec.map, errors),
            old_alone: false,
        };
        compiled.resolve_states();
        compiled
    }

    fn resolve_states(&mut self) {
        for state in 0..self.places.states() {
            let chosen = self.places.chosen_in(state);
            let resolved = if chosen.iter().any(|number| *number < self.ignored) {
                None
            } else if chosen.is_empty() {
                Some(0)
            } else {
                self.options.push(self.resolve(chosen.iter().copied()));
                Some(self.options.len() - 1)
            };
            self.states.push(resolved);
        }
    }

    fn resolve(&self, chosen: impl Iterator<Item = u16>) -> Options {
        let rules =
            chosen.filter_map(|number| self.rules.get(usize::from(number.checked_sub(self.ignored)?)));
        Rule::resolve(rules.chain([&self.defaults]))
    }

    /// What old answers is mapped to before it is compared.
    /// The same rules for two documents in old's form: both are put into new's.
    pub(crate) fn of_old_alone(&self) -> JsonRules {
        JsonRules { old_alone: true, ..self.clone() }
    }

    pub(super) fn is_of_old_alone(&self) -> bool {
        self.old_alone
    }

    pub(super) fn map(&self) -> &Mapping {
        &self.map
    }

    /// Whether two bodies of the same bytes are the same by these rules, so that there is no need to look into them. They
    /// are unless old's is changed by `map` before it is compared.
    #[must_use]
    pub fn same_bytes_match(&self) -> bool {
        self.map.is_empty()
    }

    /// Where old has what a difference's path names, when `map` rules have moved it: old's `$.user_name` for new's
    /// `$.user.name`. `None` where it is in the same place.
    #[must_use]
    pub fn origin(&self, path: &str) -> Option<String> {
        self.map.origin(path)
    }

    pub(super) fn places(&self) -> &PathSet {
        &self.places
    }

    /// Whether the place is left out of the comparison.
    pub(super) fn ignores(&self, place: &Place) -> bool {
        self.states[place.state()].is_none()
            || place.chosen_by_looking().iter().any(|number| *number < self.ignored)
    }

    /// What holds at the place.
    pub(super) fn options(&self, place: &Place) -> Cow<'_, Options> {
        if place.chosen_by_looking().is_empty() {
            return Cow::Borrowed(&self.options[self.states[place.state()].unwrap_or(0)]);
        }
        let mut chosen: Vec<u16> = self.places.chosen(place).collect();
        chosen.sort_unstable();
        Cow::Owned(self.resolve(chosen.into_iter()))
    }
}

impl Rule {
    /// Reads the options of a rule; its path is the caller's.
    pub(crate) fn read(spec: &RuleSpec, entry: &str, errors: &mut Vec<RuleError>) -> Rule {
        let mut rule = Rule { within: spec.within, ..Rule::default() };
        rule.read_numbers(&spec.numbers, entry, errors);
        let mut say = |field: &str, message: String| {
            errors.push(RuleError { entry: format!("{entry}.{field}"), message });
        };
        let mut word = |field: &str, given: &Option<String>, words: &[&str]| {
            let given = given.as_deref()?;
            let found = words.iter().position(|word| *word == given);
            if found.is_none() {
                say(field, format!("`{given}` is none of `{}`", words.join("`, `")));
            }
            found
        };
        rule.ordered = word("order", &spec.order, &["ignore", "exact"]).map(|found| found == 1);
        rule.null_is_absent = word("null", &spec.null, &["distinct", "absent"]).map(|found| found == 1);
        rule.any_case = word("case", &spec.case, &["exact", "ignore"]).map(|found| found == 1);
        rule.space = word("whitespace", &spec.whitespace, &["exact", "collapse", "ignore"])
            .map(|found| [Space::Exact, Space::Collapse, Space::Ignore][found]);
        for (number, pattern) in spec.mask.iter().enumerate() {
            match text::mask(pattern) {
                Ok(mask) => rule.masks.get_or_insert_default().push(mask),
                Err(message) => say(&format!("mask[{number}]"), message),
            }
        }
        for (number, field) in spec.by.iter().enumerate() {
            match read_field(field) {
                Ok(field) => rule.by.get_or_insert_default().push(field),
                Err(message) => say(&format!("by[{number}]"), message),
            }
        }
        if *spec == (RuleSpec { path: spec.path.clone(), ..RuleSpec::default() }) {
            let options = "`order`, `by`, `form`, `absolute`, `relative`, `null`, `within`, `case`, `whitespace`, `mask`";
            let message = format!("a rule without options does nothing; it has one or more of {options}");
            errors.push(RuleError { entry: entry.to_owned(), message });
        }
        rule
    }

    fn read_numbers(&mut self, spec: &NumberSpec, entry: &str, errors: &mut Vec<RuleError>) {
        let mut say = |field: &str, message: String| {
            errors.push(RuleError { entry: format!("{entry}.{field}"), message });
        };
        self.exact_form = match spec.form.as_deref() {
            None => None,
            Some("exact") => Some(true),
            Some("loose") => Some(false),
            Some(other) => {
                say("form", format!("`{other}` is none of `exact`, `loose`"));
                None
            }
        };
        if let Err(message) = Tolerance::parse(spec.absolute.as_deref(), None) {
            say("absolute", message);
        } else {
            self.absolute.clone_from(&spec.absolute);
        }
        if let Err(message) = Tolerance::parse(None, spec.relative.as_deref()) {
            say("relative", message);
        } else {
            self.relative.clone_from(&spec.relative);
        }
    }

    /// For each option the first rule that has it.
    pub(crate) fn resolve<'r>(rules: impl IntoIterator<Item = &'r Rule>) -> Options {
        let mut first = Rule::default();
        for rule in rules {
            first.ordered = first.ordered.or(rule.ordered);
            first.by = first.by.or_else(|| rule.by.clone());
            first.exact_form = first.exact_form.or(rule.exact_form);
            first.absolute = first.absolute.or_else(|| rule.absolute.clone());
            first.relative = first.relative.or_else(|| rule.relative.clone());
            first.null_is_absent = first.null_is_absent.or(rule.null_is_absent);
            first.within = first.within.or(rule.within);
            first.any_case = first.any_case.or(rule.any_case);
            first.space = first.space.or(rule.space);
            first.masks = first.masks.or_else(|| rule.masks.clone());
        }
        // Both were parsed when the rules were read.
        let tolerance = Tolerance::parse(first.absolute.as_deref(), first.relative.as_deref());
        let tolerance = tolerance.ok().filter(|tolerance| *tolerance != Tolerance::default());
        let by = first.by.unwrap_or_default();
        Options {
            array: ArrayRule { ordered: first.ordered.unwrap_or(by.is_empty()), by },
            numbers: NumberRule { exact_form: first.exact_form.unwrap_or(tolerance.is_none()), tolerance },
            null_is_absent: first.null_is_absent.unwrap_or(false),
            within: first.within,
            text: TextRule {
                any_case: first.any_case.unwrap_or(false),
                space: first.space.unwrap_or_default(),
                masks: first.masks.unwrap_or_default(),
            },
        }
    }
}

/// Reads a query, or says what is wrong with it.
pub(super) fn read_path(
    path: &str,
    entry: impl FnOnce() -> String,
    errors: &mut Vec<RuleError>,
) -> Option<Query> {
    match Query::parse(path) {
        Ok(query) => Some(query),
        Err(error) => {
            errors.push(RuleError { entry: entry(), message: format!("`{path}`: {error}") });
            None
        }
    }
}

/// Reads `id`, `meta.id` or `['odd name'].id`, with or without `@.` before it.
fn read_field(text: &str) -> Result<Field, String> {
    let rest = text.strip_prefix(['@', '$']).unwrap_or(text);
    let dot = if rest.starts_with(['.', '[']) { "" } else { "." };
    let wrong = || format!("`{text}` is no field of an element; one is written as `id` or `meta.id`");
    let query = Query::parse(&format!("${dot}{rest}")).map_err(|_| wrong())?;
    let names = query.segments.iter().map(|segment| match segment.selectors.as_slice() {
        [Selector::Name(name)] if !segment.descendant => Some(name.clone()),
        _ => None,
    });
    names.collect::<Option<Vec<_>>>().filter(|names| !names.is_empty()).ok_or_else(wrong)
}
