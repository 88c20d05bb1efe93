//! Tables whose keys the operator chooses.

use toml::de::{DeTable, DeValue};

use super::{Reader, in_file_order};
use crate::diagnostic::{Diagnostic, Spot};
use crate::fields::{Format, Section};
use crate::written::{Said, Table};

impl Reader<'_> {
    pub(super) fn named(
        &mut self,
        section: &'static Section,
        table: &DeTable<'_>,
        spot: &Spot,
    ) -> Vec<(Said<String>, Table)> {
        let mut named = Vec::new();
        for (key, value) in in_file_order(table) {
            let name = key.get_ref().to_string();
            let at = spot.child(&name, self.span(key));
            if !is_name(&name) {
                let message = format!("`{name}` is not a name");
                let diagnostic = Diagnostic::error("bad-name", &at, message);
                self.sink.push(diagnostic.expected("up to 63 lower-case letters, digits, `-`, `_` and `.`"));
            }
            let DeValue::Table(inner) = value.get_ref() else {
                let spot = at.at(self.span(value));
                self.wrong_type(&format!("a table: `[{}]`", at.path), value.get_ref(), &spot, None);
                // The name exists nonetheless, so that what refers to it is right.
                named.push((Said::new(name, at), Table { spot, section, entries: Vec::new() }));
                continue;
            };
            let inner = self.section(section, inner, at.at(self.span(value)));
            named.push((Said::new(name, at), inner));
        }
        named
    }

    pub(super) fn conditions(
        &mut self,
        table: &DeTable<'_>,
        spot: &Spot,
    ) -> Vec<(Said<String>, Option<String>)> {
        let mut conditions = Vec::new();
        for (key, value) in in_file_order(table) {
            let name = Said::new(key.get_ref().to_string(), spot.child(key.get_ref(), self.span(key)));
            let at = name.spot.at(self.span(value));
            match value.get_ref() {
                DeValue::Boolean(true) => conditions.push((name, None)),
                DeValue::String(raw) => {
                    conditions.extend(self.expanded(raw, &at).map(|text| (name, Some(text))));
                }
                DeValue::Boolean(false) => {
                    let diagnostic = Diagnostic::error(
                        "bad-condition",
                        &at,
                        "a rule cannot ask for something to be absent",
                    );
                    let help = "write a more specific rule for the requests that have it";
                    self.sink.push(
                        diagnostic.expected("the text that must be there, or `true` for any").help(help),
                    );
                }
                other => self.wrong_type("the text that must be there, or `true` for any", other, &at, None),
            }
        }
        conditions
    }

    pub(super) fn texts(
        &mut self,
        format: &Format,
        table: &DeTable<'_>,
        spot: &Spot,
    ) -> Vec<(Said<String>, Said<String>)> {
        let mut texts = Vec::new();
        for (key, value) in in_file_order(table) {
            let name = Said::new(key.get_ref().to_string(), spot.child(key.get_ref(), self.span(key)));
            let at = name.spot.at(self.span(value));
            match value.get_ref() {
                DeValue::String(raw) => {
                    texts.extend(self.expanded(raw, &at).map(|text| (name, Said::new(text, at))));
                }
                other => {
                    let help = match other {
                        DeValue::Array(_) => Some("a name can have one text here".to_owned()),
                        DeValue::Table(_) => Some("a name with a dot is written in quotes".to_owned()),
                        _ => Some("write it in quotes".to_owned()),
                    };
                    self.wrong_type(format.expected, other, &at, help);
                }
            }
        }
        texts
    }
}

/// Whether this may name an upstream, a migration, a route or a listener.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    (1..=63).contains(&name.len()) && name.bytes().all(fits)
}
