//! By what rules answers are compared, and which of them a request's path chooses.

mod texts;

use std::collections::BTreeSet;
use std::fmt;

use crate::findings::Findings;
use crate::headers::{FieldPlace, FieldRules, Glob, is_name};
use crate::json::{JsonRules, JsonSpec, RuleError, RuleSpec};
use crate::outcome::Kind;
use crate::summary::endpoint::Template;

use texts::TextRule;

/// How statuses are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusRule {
    /// They must be the same.
    #[default]
    Exact,
    /// Their first digits must be the same.
    Class,
}

/// How the answers of one endpoint are compared, as an operator writes it. With nothing said, all of an answer counts
/// but for the header fields that `HEADERS.md` leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RulesSpec {
    /// `None`: [`StatusRule::Exact`], or, at an endpoint, what holds for all.
    pub status: Option<StatusRule>,
    /// Statuses, old's and new's, that are the same beside that.
    pub status_pairs: Vec<(u16, u16)>,
    /// The header fields that are compared, `*` standing for any characters. `None`: all, by the table in `HEADERS.md`;
    /// `"*"` in the list stands for these. Whatever else is named is compared even where the table would not.
    pub headers: Option<Vec<String>>,
    /// How bodies are compared. Beside queries for JSON, `ignore` takes `header:NAME`, `trailer:NAME` and
    /// `header:set-cookie:NAME`, and a rule's path these and `body`, for bodies of text; there `within`, `case`,
    /// `whitespace` and `mask` can be said. Those for cookies hold for their values, not for attributes.
    pub json: JsonSpec,
}

/// The rules of a migration, as an operator writes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSetSpec {
    /// For all answers.
    pub rules: RulesSpec,
    /// For the answers of some endpoints. Of several whose path fits, the one that says the most of it counts.
    pub endpoints: Vec<EndpointSpec>,
}

/// Rules for one endpoint. Its lists are added to those for all, before them where the first counts; what else it says
/// takes the place of what is said for all, and so does its list of headers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointSpec {
    /// `/orders/{id}`
    pub path: String,
    /// What holds there.
    pub rules: RulesSpec,
}

/// Rules that are ready to compare by. The default compares all of an answer.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    status: StatusRule,
    status_pairs: BTreeSet<(u16, u16)>,
    fields: FieldRules,
    texts: Vec<TextRule>,
    json: JsonRules,
}

impl Rules {
    /// Reads rules.
    ///
    /// # Errors
    /// All that is wrong with them, by entry: `ignore[2]`, `rules[0].path`, `headers[1]`, `status_pairs[0]`.
    pub fn compile(spec: &RulesSpec) -> Result<Rules, Vec<RuleError>> {
        let mut errors = Vec::new();
        let mut json = spec.json.clone();
        let only = spec.headers.as_ref().map(|names| only(names, &mut errors));
        let (ignored, json_ignored) = split(&spec.json.ignore, "ignore", ignored, &mut errors);
        let (texts, json_rules) = split(&spec.json.rules, "rules", TextRule::compile, &mut errors);
        json.ignore = json_ignored.iter().filter_map(|at| spec.json.ignore.get(*at).cloned()).collect();
        json.rules = json_rules.iter().filter_map(|at| spec.json.rules.get(*at).cloned()).collect();
        for (index, (old, new)) in spec.status_pairs.iter().enumerate() {
            if let Some(wrong) = [old, new].into_iter().find(|status| !(100..=599).contains(*status)) {
                errors.push(error(
                    format!("status_pairs[{index}]"),
                    format!("{wrong} is no status: they are 100 to 599"),
                ));
            }
        }
        let compiled = JsonRules::compile(&json).map_err(|found| {
            errors.extend(found.into_iter().map(|mut error| {
                renumber(&mut error.entry, "ignore", &json_ignored);
                renumber(&mut error.entry, "rules", &json_rules);
                error
            }));
        });
        let (true, Ok(json)) = (errors.is_empty(), compiled) else { return Err(errors) };
        Ok(Rules {
            status: spec.status.unwrap_or_default(),
            status_pairs: spec.status_pairs.iter().copied().collect(),
            fields: FieldRules { only, ignored },
            texts,
            json,
        })
    }

    pub(crate) fn compare_status(&self, old: u16, new: u16, findings: &mut Findings) {
        let is_same = match self.status {
            StatusRule::Exact => old == new,
            StatusRule::Class => old / 100 == new / 100,
        };
        if !is_same && !self.status_pairs.contains(&(old, new)) {
            findings.push("status", Kind::Value, Some(&old.to_string()), Some(&new.to_string()));
        }
    }

    pub(crate) fn fields(&self) -> &FieldRules {
        &self.fields
    }

    pub(crate) fn json(&self) -> &JsonRules {
        &self.json
    }

    /// Whether texts in this place, `body` or `header:location`, can be the same although they are not equal.
    pub(crate) fn has_text_rule(&self, place: &str) -> bool {
        self.texts.iter().any(|rule| rule.is_for(place))
    }

    pub(crate) fn is_same_text(&self, place: &str, old: &str, new: &str) -> bool {
        old == new || (self.has_text_rule(place) && texts::options(&self.texts, place).same_text(old, new))
    }

    /// What of texts in a place counts.
    pub(crate) fn normal_text(&self, place: &str) -> impl Fn(&str) -> String + use<> {
        let options = self.has_text_rule(place).then(|| texts::options(&self.texts, place));
        move |text| match &options {
            Some(options) => options.essence(text),
            None => text.to_owned(),
        }
    }
}

/// The rules of a migration, ready to compare by. The default compares all of an answer.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    all: Rules,
    /// The ones that say the most of a path first.
    endpoints: Vec<(Template, Rules)>,
}

impl RuleSet {
    /// Reads the rules of a migration.
    ///
    /// # Errors
    /// All that is wrong with them, by entry; those of endpoints as `endpoint[0].ignore[2]`.
    pub fn compile(spec: &RuleSetSpec) -> Result<RuleSet, Vec<RuleError>> {
        let mut errors = Vec::new();
        let all = Rules::compile(&spec.rules).map_err(|found| errors.extend(found)).ok();
        let mut endpoints = Vec::new();
        for (index, endpoint) in spec.endpoints.iter().enumerate() {
            let entry = |name: &str| format!("endpoint[{index}].{name}");
            let template = Template::parse(&endpoint.path)
                .map_err(|wrong| wrong.to_string())
                .and_then(|template| alone(template, &spec.endpoints[..index]))
                .map_err(|wrong| errors.push(error(entry("path"), wrong)))
                .ok();
            // Alone first, so that an error is told once and of the right entry.
            if let Err(found) = Rules::compile(&endpoint.rules) {
                let found = found.into_iter();
                errors.extend(found.map(|error| RuleError { entry: entry(&error.entry), ..error }));
                continue;
            }
            if all.is_some()
                && let Some(template) = template
            {
                match Rules::compile(&endpoint.rules.over(&spec.rules)) {
                    Ok(rules) => endpoints.push((template, rules)),
                    Err(found) => errors.extend(found),
                }
            }
        }
        endpoints.sort_by(|(one, _), (other, _)| one.rank().cmp(&other.rank()));
        match all {
            Some(all) if errors.is_empty() => Ok(RuleSet { all, endpoints }),
            _ => Err(errors),
        }
    }

    /// The rules for answers to a request for this path, with or without its query.
    #[must_use]
    pub fn for_path(&self, path: &str) -> &Rules {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let found = self.endpoints.iter().find(|(template, _)| template.matches(path));
        found.map_or(&self.all, |(_, rules)| rules)
    }

    /// The same rules for two answers of old: intended changes of the API are made in both of them.
    #[must_use]
    pub fn of_old_alone(&self) -> RuleSet {
        let alone = |rules: &Rules| Rules {
            status_pairs: BTreeSet::new(),
            json: rules.json.of_old_alone(),
            ..rules.clone()
        };
        let endpoints = self.endpoints.iter().map(|(template, rules)| (template.clone(), alone(rules)));
        RuleSet { all: alone(&self.all), endpoints: endpoints.collect() }
    }

    /// The paths that have rules of their own, as they were written.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().map(|(template, _)| template.as_str())
    }

    /// Whether rules of its own are written for the paths of this template, whatever its parameters are called.
    #[must_use]
    pub fn has_table_for(&self, path: &str) -> bool {
        Template::parse(path)
            .is_ok_and(|wanted| self.endpoints.iter().any(|(template, _)| template.is_for_paths_of(&wanted)))
    }
}

impl RulesSpec {
    /// These rules for one endpoint, with those for all behind them.
    fn over(&self, all: &RulesSpec) -> RulesSpec {
        fn joined<T: Clone>(first: &[T], then: &[T]) -> Vec<T> {
            [first, then].concat()
        }
        let (own, json) = (&self.json, &all.json);
        let mut numbers = own.numbers.clone();
        numbers.form = numbers.form.or_else(|| json.numbers.form.clone());
        numbers.absolute = numbers.absolute.or_else(|| json.numbers.absolute.clone());
        numbers.relative = numbers.relative.or_else(|| json.numbers.relative.clone());
        RulesSpec {
            status: self.status.or(all.status),
            status_pairs: joined(&self.status_pairs, &all.status_pairs),
            headers: self.headers.clone().or_else(|| all.headers.clone()),
            json: JsonSpec {
                ignore: joined(&own.ignore, &json.ignore),
                numbers,
                null_is_absent: own.null_is_absent || json.null_is_absent,
                rules: joined(&own.rules, &json.rules),
                // What holds for all has happened when an endpoint's own changes begin.
                map: joined(&json.map, &own.map),
            },
        }
    }
}

/// The template, unless one before it is for the same paths: nobody could tell whose rules hold.
fn alone(template: Template, before: &[EndpointSpec]) -> Result<Template, String> {
    let is_same =
        |one: &&EndpointSpec| Template::parse(&one.path).is_ok_and(|known| known.is_for_paths_of(&template));
    match before.iter().find(is_same) {
        Some(one) => {
            Err(format!("the rules of `{}` are for the same paths: write them in one table", one.path))
        }
        None => Ok(template),
    }
}

fn error(entry: String, message: impl fmt::Display) -> RuleError {
    RuleError { entry, message: message.to_string() }
}

/// What entries name: a place that is no place in a JSON document, read by `read`, or one that is.
fn split<E: Place, T>(
    entries: &[E],
    list: &str,
    read: impl Fn(&E) -> Result<T, Vec<(String, String)>>,
    errors: &mut Vec<RuleError>,
) -> (Vec<T>, Vec<usize>) {
    let (mut own, mut json) = (Vec::new(), Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        if entry.place().starts_with('$') {
            json.push(index);
            continue;
        }
        match read(entry) {
            Ok(rule) => own.push(rule),
            Err(wrong) => {
                let wrong = wrong.into_iter();
                errors
                    .extend(wrong.map(|(field, message)| error(format!("{list}[{index}]{field}"), message)));
            }
        }
    }
    (own, json)
}

trait Place {
    fn place(&self) -> &str;
}

impl Place for String {
    fn place(&self) -> &str {
        self
    }
}

impl Place for RuleSpec {
    fn place(&self) -> &str {
        &self.path
    }
}

/// `ignore[1]` of what was handed on -> `ignore[4]` of what was written.
fn renumber(entry: &mut String, list: &str, written: &[usize]) {
    let Some((index, behind)) = entry
        .strip_prefix(list)
        .and_then(|rest| rest.strip_prefix('['))
        .and_then(|rest| rest.split_once(']'))
    else {
        return;
    };
    if let Some(at) = index.parse().ok().and_then(|index: usize| written.get(index)) {
        *entry = format!("{list}[{at}]{behind}");
    }
}

fn only(names: &[String], errors: &mut Vec<RuleError>) -> Vec<Glob> {
    for (index, name) in names.iter().enumerate() {
        if !is_name(name) {
            errors.push(error(format!("headers[{index}]"), format!("`{name}` is not a header name")));
        }
    }
    names.iter().map(|name| Glob::new(name)).collect()
}

fn ignored(entry: &String) -> Result<FieldPlace, Vec<(String, String)>> {
    FieldPlace::parse(entry).ok_or_else(|| {
        let message = format!(
            "`{entry}` is no place in an answer: write a JSONPath such as `$.eta`, `header:NAME` or `trailer:NAME`"
        );
        vec![(String::new(), message)]
    })
}

#[cfg(test)]
mod tests;
