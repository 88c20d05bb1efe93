//! From TOML's tree to [`Table`]s, led by the schema.
//!
//! The tree is walked by hand, not through a deserialiser, for two reasons: the walk goes on after an error, so that
//! a person sees all of them at once, and every value keeps the bytes it came from.

mod decimals;
mod names;

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::fields::{self, Field, Kind, Need, Section};
use crate::nearest::{nearest, suggest};
use crate::scalar::{self, VariableError};
use crate::words::{describe, expected, hint, place, rule_hint, type_of, written_path};
use crate::written::{Entry, Said, Table, Value};

pub(crate) use names::is_name;

/// Reads a whole document against the schema's root.
pub(crate) fn read(
    document: &DeTable<'_>,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    sink: &mut Sink,
) -> Table {
    Reader { text, env, sink, defaults_of: None }.section(&fields::ROOT, document, Spot::default())
}

struct Reader<'a> {
    text: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    sink: &'a mut Sink,
    /// While a default is read: the place of the table that left the key out, in place of the default's own bytes.
    defaults_of: Option<Range<usize>>,
}

impl Reader<'_> {
    fn section(&mut self, section: &'static Section, table: &DeTable<'_>, spot: Spot) -> Table {
        let mut entries = Vec::new();
        let mut meant = Vec::new();
        for (key, value) in in_file_order(table) {
            let at = spot.child(key.get_ref(), self.span(key));
            let Some(field) = section.field(key.get_ref()) else {
                meant.push(self.unknown(section, &spot, key.get_ref(), value.get_ref(), &at));
                continue;
            };
            let value_spot = at.at(self.span(value));
            let value = self.value(&field.kind, value, &value_spot).map(|value| Said::new(value, value_spot));
            let key = if self.defaults_of.is_none() { Some(at.span) } else { None };
            entries.push(Entry { name: field.name, value, key });
        }
        for field in section.fields {
            // What is missing only because its name is misspelt has been reported with that.
            let misspelt = meant.iter().any(|meant| match meant {
                Meant::Field(name) => *name == field.name,
                Meant::Sibling => true,
                Meant::Nothing => false,
            });
            let is_there = entries.iter().any(|entry: &Entry| entry.name == field.name);
            let is_reported = misspelt && field.need == Need::Required;
            if !(is_there || is_reported) {
                entries.extend(self.left_out(section, field, &spot));
            }
        }
        Table { spot, section, entries }
    }

    fn left_out(&mut self, section: &Section, field: &'static Field, spot: &Spot) -> Option<Entry> {
        match field.need {
            Need::Optional => None,
            Need::Required => {
                let message = format!("{} lacks `{}`", describe(section, spot), field.name);
                self.sink.push(Diagnostic::error("missing-key", spot, message).expected(format!(
                    "`{}`: {}",
                    field.name,
                    expected(&field.kind)
                )));
                None
            }
            Need::Default(written) => {
                let at = spot.child(field.name, spot.span.clone());
                let value = DeValue::parse(written).ok()?;
                let outer = self.defaults_of.replace(spot.span.clone());
                let value = self.value(&field.kind, &value, &at);
                self.defaults_of = outer;
                Some(Entry { name: field.name, value: value.map(|value| Said::new(value, at)), key: None })
            }
        }
    }

    fn unknown(
        &mut self,
        section: &Section,
        table: &Spot,
        key: &str,
        value: &DeValue<'_>,
        at: &Spot,
    ) -> Meant {
        if section.later.contains(&key) {
            let message = format!("`{}` is not supported by this version", written_path(value, at));
            self.sink.push(Diagnostic::error("not-yet", at, message));
            return Meant::Nothing;
        }
        // The very name of a key within goes before one that is like it.
        let within = fields::home_within(key, section);
        let near = nearest(key, section.names()).filter(|_| within.is_none());
        let is_sibling = near.is_none() && section.header.ends_with(".NAME]") && is_named_table(value);
        let help = match near {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if is_sibling => {
                let (kind, name) = at.path.split_once('.').unwrap_or_default();
                Some(format!("a name with a dot is written in quotes: `[{kind}.\"{name}\"]`"))
            }
            None => match fields::home_of(key, section) {
                Some(home) => Some(format!("`{key}` belongs into {home}")),
                None => suggest(key, section.names(), "valid key"),
            },
        };
        let message = format!("unknown key `{key}` {}", place(section, table));
        self.sink.push(Diagnostic::error("unknown-key", at, message).maybe_help(help));
        match near {
            Some(name) => Meant::Field(name),
            None if is_sibling => Meant::Sibling,
            None => Meant::Nothing,
        }
    }

    fn value(&mut self, kind: &'static Kind, value: &Spanned<DeValue<'_>>, spot: &Spot) -> Option<Value> {
        match (kind, value.get_ref()) {
            (Kind::List { of, min }, DeValue::Array(items)) => {
                self.enough(items.len(), *min, kind, spot)?;
                Some(self.list(of, items, spot))
            }
            (Kind::OneOrMore(of), DeValue::Array(items)) => {
                self.enough(items.len(), 1, kind, spot)?;
                Some(self.list(of, items, spot))
            }
            (Kind::OneOrMore(of), DeValue::String(_)) => {
                let one = self.value(of, value, spot)?;
                Some(Value::List(vec![Said::new(one, spot.clone())]))
            }
            (
                Kind::Table(section) | Kind::TableOr(section, _) | Kind::TableOrFlag(section),
                DeValue::Table(table),
            ) => Some(Value::Table(self.section(section, table, spot.clone()))),
            (Kind::TableOr(section, main), DeValue::String(_)) => {
                self.short_table(section, main, value, spot)
            }
            (Kind::Tables { of, min }, DeValue::Array(items)) => {
                self.enough(items.len(), *min, kind, spot)?;
                Some(self.tables(of, items, spot))
            }
            (Kind::TablesOr { of, .. }, DeValue::Array(items)) => {
                self.enough(items.len(), 1, kind, spot)?;
                Some(self.tables(of, items, spot))
            }
            (Kind::Named(section), DeValue::Table(table)) => {
                Some(Value::Named(self.named(section, table, spot)))
            }
            (Kind::Conditions, DeValue::Table(table)) => {
                Some(Value::Conditions(self.conditions(table, spot)))
            }
            (Kind::Texts(format), DeValue::Table(table)) => {
                Some(Value::Texts(self.texts(format, table, spot)))
            }
            (
                Kind::List { .. }
                | Kind::OneOrMore(_)
                | Kind::Table(_)
                | Kind::TableOr(..)
                | Kind::Tables { .. }
                | Kind::Named(_)
                | Kind::Conditions
                | Kind::Texts(_),
                other,
            ) => {
                self.wrong_type(&expected(kind), other, spot, hint(kind, spot));
                None
            }
            (_, DeValue::String(raw)) => {
                let text = self.expanded(raw, spot)?;
                self.scalar(kind, &text, text != *raw, spot)
            }
            (_, scalar) => self.plain_scalar(kind, scalar, spot),
        }
    }

    fn list(&mut self, of: &'static Kind, items: &DeArray<'_>, spot: &Spot) -> Value {
        let items = items.iter().enumerate().filter_map(|(index, item)| {
            let spot = spot.entry(index, self.span(item));
            self.value(of, item, &spot).map(|value| Said::new(value, spot))
        });
        Value::List(items.collect())
    }

    fn tables(&mut self, of: &'static Section, items: &DeArray<'_>, spot: &Spot) -> Value {
        let tables = items.iter().enumerate().filter_map(|(index, item)| {
            let spot = spot.entry(index, self.span(item));
            match item.get_ref() {
                DeValue::Table(table) => Some(self.section(of, table, spot)),
                other => {
                    self.wrong_type("a table", other, &spot, rule_hint(of, other));
                    None
                }
            }
        });
        Value::Tables(tables.collect())
    }

    /// A scalar that is not text.
    fn plain_scalar(&mut self, kind: &'static Kind, value: &DeValue<'_>, spot: &Spot) -> Option<Value> {
        match (kind, value) {
            (Kind::Flag, DeValue::Boolean(flag)) => Some(Value::Flag(*flag)),
            (Kind::TableOrFlag(section), DeValue::Boolean(flag)) => {
                Some(self.flag_for_table(section, *flag, spot))
            }
            (Kind::Decimal(_), DeValue::Integer(number)) => Some(Value::Text(decimal(number))),
            (Kind::Decimal(_), DeValue::Float(number)) => {
                Some(Value::Text(number.as_str().trim_start_matches('+').to_owned()))
            }
            (Kind::Date(_), DeValue::Datetime(date)) => Some(Value::Text(date.to_string())),
            (Kind::Count { .. }, DeValue::Integer(number)) => {
                self.in_range(kind, integer(number), number.as_str(), spot).map(Value::Count)
            }
            (Kind::Size { .. }, DeValue::Integer(number)) => {
                self.in_range(kind, integer(number), number.as_str(), spot).map(Value::Bytes)
            }
            (Kind::Share, DeValue::Integer(number)) => self.share(&decimal(number), spot),
            (Kind::Share, DeValue::Float(number)) => {
                self.share(number.as_str().trim_start_matches('+'), spot)
            }
            (Kind::Quantile, DeValue::Integer(number)) => self.quantile(&decimal(number), spot),
            (Kind::Quantile, DeValue::Float(number)) => {
                self.quantile(number.as_str().trim_start_matches('+'), spot)
            }
            (Kind::Statuses, DeValue::Integer(number)) => self.statuses(number.as_str(), spot),
            (Kind::OrOff(_), DeValue::Boolean(false)) => Some(Value::Flag(false)),
            (Kind::OrOff(of), DeValue::Integer(_) | DeValue::Float(_)) => self.plain_scalar(of, value, spot),
            (_, other) => {
                self.wrong_type(&expected(kind), other, spot, hint(kind, spot));
                None
            }
        }
    }

    /// A scalar from text. `expanded`: a variable had its part in it, so that it may also stand for a number or a flag.
    fn scalar(&mut self, kind: &'static Kind, text: &str, expanded: bool, spot: &Spot) -> Option<Value> {
        match kind {
            Kind::Text(format) | Kind::Date(format) | Kind::Decimal(format) if text.is_empty() => {
                self.sink.push(
                    Diagnostic::error("empty-text", spot, "the text is empty").expected(format.expected),
                );
                None
            }
            Kind::Text(_) | Kind::Date(_) | Kind::Decimal(_) => Some(Value::Text(text.to_owned())),
            Kind::Choice { names, later } => self.choice(names, later, text, kind, spot),
            Kind::TablesOr { names, .. } => self.choice(names, &[], text, kind, spot),
            Kind::Share => self.share(text, spot),
            Kind::Quantile => self.quantile(text, spot),
            Kind::Statuses => self.statuses(text, spot),
            Kind::Factor { max } => self.factor(kind, *max, text, spot),
            Kind::OrOff(_) if expanded && text == "false" => Some(Value::Flag(false)),
            Kind::OrOff(of) => self.scalar(of, text, expanded, spot),
            Kind::Duration { .. } => match scalar::parse_duration_ms(text) {
                Some(ms) => self.in_range(kind, Some(i128::from(ms)), text, spot).map(Value::Millis),
                None => self.bad("bad-duration", format!("`{text}` is not a duration"), kind, spot),
            },
            Kind::Size { .. } => match scalar::parse_size_bytes(text) {
                Some(bytes) => self.in_range(kind, Some(i128::from(bytes)), text, spot).map(Value::Bytes),
                None => self.bad("bad-size", format!("`{text}` is not a size"), kind, spot),
            },
            Kind::Count { .. } if expanded => match text.parse::<i128>() {
                Ok(count) => self.in_range(kind, Some(count), text, spot).map(Value::Count),
                Err(_) => self.bad("bad-number", format!("`{text}` is not a whole number"), kind, spot),
            },
            Kind::Flag if expanded => match text.parse::<bool>() {
                Ok(flag) => Some(Value::Flag(flag)),
                Err(_) => self.bad("bad-flag", format!("`{text}` is neither true nor false"), kind, spot),
            },
            Kind::TableOrFlag(section) if expanded => match text.parse::<bool>() {
                Ok(flag) => Some(self.flag_for_table(section, flag, spot)),
                Err(_) => self.bad("bad-flag", format!("`{text}` is neither true nor false"), kind, spot),
            },
            _ => {
                self.wrong_type(&expected(kind), &DeValue::String(text.into()), spot, hint(kind, spot));
                None
            }
        }
    }

    fn choice(
        &mut self,
        names: &[&str],
        later: &[&str],
        text: &str,
        kind: &Kind,
        spot: &Spot,
    ) -> Option<Value> {
        if names.contains(&text) {
            return Some(Value::Text(text.to_owned()));
        }
        let diagnostic = if later.contains(&text) {
            Diagnostic::error("not-yet", spot, format!("`{text}` is not supported by this version"))
        } else {
            let help = nearest(text, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            Diagnostic::error("unknown-choice", spot, format!("`{text}` is not one of the choices"))
                .maybe_help(help)
        };
        self.sink.push(diagnostic.expected(expected(kind)));
        None
    }

    /// `name = true` for a table of which nothing is said, `name = false` for none.
    fn flag_for_table(&mut self, section: &'static Section, flag: bool, spot: &Spot) -> Value {
        if !flag {
            return Value::Flag(false);
        }
        let fields = section.fields.iter();
        let entries = fields.filter_map(|field| self.left_out(section, field, spot)).collect();
        Value::Table(Table { spot: spot.clone(), section, entries })
    }

    /// `name = "text"` for a table of which only one field is said.
    fn short_table(
        &mut self,
        section: &'static Section,
        main: &str,
        value: &Spanned<DeValue<'_>>,
        spot: &Spot,
    ) -> Option<Value> {
        let main = section.field(main)?;
        let value = self.value(&main.kind, value, spot).map(|value| Said::new(value, spot.clone()));
        let mut entries = vec![Entry { name: main.name, value, key: Some(spot.span.clone()) }];
        for field in section.fields.iter().filter(|field| field.name != main.name) {
            entries.extend(self.left_out(section, field, spot));
        }
        Some(Value::Table(Table { spot: spot.clone(), section, entries }))
    }

    /// The text with its variables filled in.
    fn expanded(&mut self, raw: &str, spot: &Spot) -> Option<String> {
        if self.defaults_of.is_some() {
            return Some(raw.to_owned());
        }
        let errors = match scalar::expand(raw, self.env) {
            Ok(text) => return Some(text),
            Err(errors) => errors,
        };
        for error in errors {
            let diagnostic = match error {
                VariableError::Unset(name, part) => {
                    let at = self.part(raw, &part, spot);
                    Diagnostic::error(
                        "unset-variable",
                        &at,
                        format!("the environment variable `{name}` is not set"),
                    )
                    .help(format!("set {name}, or write `$${{{name}}}` for the text itself"))
                }
                VariableError::Malformed(part) => {
                    let at = self.part(raw, &part, spot);
                    Diagnostic::error("bad-variable", &at, "this is not the name of an environment variable")
                        .expected("`${NAME}` of letters, digits and `_`")
                        .help("write `$${` for the text `${` itself")
                }
            };
            self.sink.push(diagnostic);
        }
        None
    }

    /// Where a part of a string stands in the file: found again when the string is written without escapes before it.
    fn part(&self, decoded: &str, part: &Range<usize>, spot: &Spot) -> Spot {
        let (Some(wanted), Some(before), Some(source)) =
            (decoded.get(part.clone()), decoded.get(..part.end), self.text.get(spot.span.clone()))
        else {
            return spot.clone();
        };
        let found = source.find(before).map(|at| at + part.start).or_else(|| source.find(wanted));
        match found {
            Some(at) => spot.at(spot.span.start + at..spot.span.start + at + wanted.len()),
            None => spot.clone(),
        }
    }

    fn in_range(
        &mut self,
        kind: &'static Kind,
        value: Option<i128>,
        shown: &str,
        spot: &Spot,
    ) -> Option<u64> {
        let (min, max) = kind.range();
        let value =
            value.and_then(|value| u64::try_from(value).ok()).filter(|value| (min..=max).contains(value));
        if value.is_none() {
            let diagnostic = Diagnostic::error("out-of-range", spot, format!("`{shown}` is out of range"));
            self.sink.push(diagnostic.expected(expected(kind)));
        }
        value
    }

    fn enough(&mut self, count: usize, min: usize, kind: &'static Kind, spot: &Spot) -> Option<()> {
        if count >= min {
            return Some(());
        }
        let diagnostic = Diagnostic::error("empty-list", spot, "the list is empty");
        self.sink.push(diagnostic.expected(expected(kind)));
        None
    }

    fn bad(&mut self, code: &'static str, message: String, kind: &Kind, spot: &Spot) -> Option<Value> {
        self.sink.push(Diagnostic::error(code, spot, message).expected(expected(kind)));
        None
    }

    fn wrong_type(&mut self, expected: &str, found: &DeValue<'_>, spot: &Spot, help: Option<String>) {
        let message = format!("`{}` cannot be {}", spot.path, type_of(found));
        self.sink.push(Diagnostic::error("wrong-type", spot, message).expected(expected).maybe_help(help));
    }

    fn span<T>(&self, spanned: &Spanned<T>) -> Range<usize> {
        self.defaults_of.clone().unwrap_or_else(|| spanned.span())
    }
}

/// What an unknown key was most likely meant to be.
enum Meant {
    Field(&'static str),
    /// Another table of the same kind, whose name has a dot.
    Sibling,
    Nothing,
}

/// The parser keeps tables by the alphabet; people read files from the top.
fn in_file_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Whether the value looks like an upstream, a migration or a route of its own.
fn is_named_table(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(table) if table.contains_key("match") || table.contains_key("endpoints"))
}

fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The number in decimal, however it was written.
fn decimal(number: &DeInteger<'_>) -> String {
    integer(number).map_or_else(|| number.as_str().to_owned(), |number| number.to_string())
}
