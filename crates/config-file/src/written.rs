//! The file as it was written: every key known, every value of its type and in its range, and still in its place.
//!
//! This is the first of the three stages of a configuration. A value that was wrong has been reported by the reader
//! and is simply absent here, so that the checks that follow neither repeat an error nor invent one because of it.

use std::ops::{Range, RangeInclusive};

use rollback_guard::Quantile;
use traffic_split::Percent;

use crate::diagnostic::Spot;
use crate::fields::Section;

/// Something that was said in the file, and where.
#[derive(Clone, Debug)]
pub(crate) struct Said<T> {
    pub(crate) value: T,
    pub(crate) spot: Spot,
}

impl<T> Said<T> {
    pub(crate) fn new(value: T, spot: Spot) -> Self {
        Said { value, spot }
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.spot.span.clone()
    }
}

/// A value of one of the schema's kinds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Flag(bool),
    Count(u64),
    Millis(u64),
    Bytes(u64),
    Share(Percent),
    Quantile(Quantile),
    Statuses(RangeInclusive<u16>),
    Factor(f64),
    Text(String),
    List(Vec<Said<Value>>),
    Table(Table),
    Tables(Vec<Table>),
    /// In the order of the file.
    Named(Vec<(Said<String>, Table)>),
    /// Name and the text that must be there; none: any.
    Conditions(Vec<(Said<String>, Option<String>)>),
    /// Name and text, in the order of the file.
    Texts(Vec<(Said<String>, Said<String>)>),
}

/// A table that was read against its section of the schema.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) spot: Spot,
    pub(crate) section: &'static Section,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// None when it was wrong.
    pub(crate) value: Option<Said<Value>>,
    /// The bytes of the key; none when the value is the field's default.
    pub(crate) key: Option<Range<usize>>,
}

impl Table {
    /// The bytes of the key, when the file has it, be its value right or wrong.
    pub(crate) fn key(&self, name: &str) -> Option<Range<usize>> {
        self.entry(name).and_then(|entry| entry.key.clone())
    }

    /// Whether the file has this key.
    pub(crate) fn wrote(&self, name: &str) -> bool {
        self.key(name).is_some()
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.pick(name, |value| if let Value::Flag(flag) = value { Some(*flag) } else { None })
            .map(|said| said.value)
    }

    pub(crate) fn count(&self, name: &str) -> Option<Said<u64>> {
        self.pick(name, |value| if let Value::Count(count) = value { Some(*count) } else { None })
    }

    pub(crate) fn millis(&self, name: &str) -> Option<Said<u64>> {
        self.pick(name, |value| if let Value::Millis(ms) = value { Some(*ms) } else { None })
    }

    pub(crate) fn bytes(&self, name: &str) -> Option<Said<u64>> {
        self.pick(name, |value| if let Value::Bytes(bytes) = value { Some(*bytes) } else { None })
    }

    pub(crate) fn share(&self, name: &str) -> Option<Said<Percent>> {
        self.pick(name, |value| if let Value::Share(share) = value { Some(*share) } else { None })
    }

    pub(crate) fn quantile(&self, name: &str) -> Option<Said<Quantile>> {
        self.pick(name, |value| if let Value::Quantile(quantile) = value { Some(*quantile) } else { None })
    }

    pub(crate) fn factor(&self, name: &str) -> Option<Said<f64>> {
        self.pick(name, |value| if let Value::Factor(factor) = value { Some(*factor) } else { None })
    }

    pub(crate) fn text(&self, name: &str) -> Option<Said<&str>> {
        self.pick(name, |value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
    }

    /// The texts of a list, those that were wrong left out.
    pub(crate) fn texts(&self, name: &str) -> Vec<Said<&str>> {
        self.items(name, |value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
    }

    /// The numbers of a list, those that were wrong left out.
    pub(crate) fn counts(&self, name: &str) -> Vec<Said<u64>> {
        self.items(name, |value| if let Value::Count(count) = value { Some(*count) } else { None })
    }

    /// The statuses of a list, those that were wrong left out.
    pub(crate) fn statuses(&self, name: &str) -> Vec<Said<RangeInclusive<u16>>> {
        self.items(name, |value| if let Value::Statuses(range) = value { Some(range.clone()) } else { None })
    }

    /// The lists of a list, those that were wrong left out.
    pub(crate) fn lists(&self, name: &str) -> Vec<Said<&[Said<Value>]>> {
        self.items(name, |value| if let Value::List(list) = value { Some(list.as_slice()) } else { None })
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.pick(name, |value| if let Value::Table(table) = value { Some(table) } else { None })
            .map(|said| said.value)
    }

    pub(crate) fn tables(&self, name: &str) -> &[Table] {
        self.pick(
            name,
            |value| if let Value::Tables(tables) = value { Some(tables.as_slice()) } else { None },
        )
        .map(|said| said.value)
        .unwrap_or_default()
    }

    pub(crate) fn named(&self, name: &str) -> &[(Said<String>, Table)] {
        self.pick(name, |value| if let Value::Named(named) = value { Some(named.as_slice()) } else { None })
            .map(|said| said.value)
            .unwrap_or_default()
    }

    pub(crate) fn conditions(&self, name: &str) -> &[(Said<String>, Option<String>)] {
        self.pick(name, |value| if let Value::Conditions(all) = value { Some(all.as_slice()) } else { None })
            .map(|said| said.value)
            .unwrap_or_default()
    }

    pub(crate) fn pairs(&self, name: &str) -> &[(Said<String>, Said<String>)] {
        self.pick(name, |value| if let Value::Texts(all) = value { Some(all.as_slice()) } else { None })
            .map(|said| said.value)
            .unwrap_or_default()
    }

    fn items<'a, T>(&'a self, name: &str, of: impl Fn(&'a Value) -> Option<T>) -> Vec<Said<T>> {
        let list =
            self.pick(name, |value| if let Value::List(list) = value { Some(list.as_slice()) } else { None });
        let items = list.map(|said| said.value).unwrap_or_default().iter();
        items.filter_map(|item| Some(Said::new(of(&item.value)?, item.spot.clone()))).collect()
    }

    /// The value, of whatever kind, unless it was wrong or left out.
    pub(crate) fn said(&self, name: &str) -> Option<&Said<Value>> {
        self.entry(name)?.value.as_ref()
    }

    fn pick<'a, T>(&'a self, name: &str, of: impl Fn(&'a Value) -> Option<T>) -> Option<Said<T>> {
        let said = self.entry(name)?.value.as_ref()?;
        Some(Said::new(of(&said.value)?, said.spot.clone()))
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        debug_assert!(self.section.field(name).is_some(), "{} has no field {name}", self.section.header);
        self.entries.iter().find(|entry| entry.name == name)
    }
}
