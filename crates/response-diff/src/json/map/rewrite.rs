//! A document written anew with one change. What the change does not touch is copied as it is.

use crate::limits::Work;
use crate::path::{PathSet, Place, Step};

use super::super::tree::{Json, Node, Tag, Value};
use super::names::Manner;
use super::{Change, Part};

/// The changed document, and what of the one before has no place in it. Documents nest no deeper than their limit and
/// changes make them little deeper, so neither is this.
pub(super) fn rewrite<'a>(json: &Json<'a>, change: &Change, work: &mut Work) -> (Json<'a>, Vec<usize>) {
    work.take(json.nodes.len() as u64 / 8);
    let mut writer = Writer {
        from: json,
        nodes: Vec::with_capacity(json.nodes.len()),
        owned: json.owned.clone(),
        left: Vec::new(),
        work,
    };
    match change {
        Change::Drop(set) => {
            let start = set.start().clone();
            writer.without(set, 0, &start);
        }
        Change::Move { at, .. }
        | Change::Wrap { at, .. }
        | Change::Unwrap { at, .. }
        | Change::Rename { at, .. }
        | Change::Values { at, .. }
        | Change::Convert { at, .. } => writer.seek(at, 0, change),
    }
    (Json { text: json.text, nodes: writer.nodes, owned: writer.owned }, writer.left)
}

struct Writer<'w, 'a> {
    from: &'w Json<'a>,
    nodes: Vec<Node>,
    owned: String,
    /// What unwrapping leaves, in document order.
    left: Vec<usize>,
    work: &'w mut Work,
}

/// A value that goes somewhere else in the same object.
#[derive(Clone, Copy)]
struct Insert<'s> {
    names: &'s [Box<str>],
    value: usize,
}

impl Writer<'_, '_> {
    /// Writes the value with the change made wherever the parts lead.
    fn seek(&mut self, parts: &[Part], at: usize, change: &Change) {
        let Some((part, rest)) = parts.split_first() else { return self.change(at, change) };
        let node = self.from.node(at);
        match (node.tag, part) {
            (Tag::Array, Part::Any) => {
                let from = self.from;
                self.container(node, |writer| {
                    for element in from.value(at).elements() {
                        writer.seek(rest, element.at(), change);
                    }
                });
            }
            (Tag::Object, part) => {
                let from = self.from;
                self.container(node, |writer| {
                    for (name, value) in from.value(at).members() {
                        writer.copy(value.at() - 1);
                        if *part == Part::Any || matches!(part, Part::Name(wanted) if **wanted == *name) {
                            writer.seek(rest, value.at(), change);
                        } else {
                            writer.copy(value.at());
                        }
                    }
                });
            }
            _ => self.copy(at),
        }
    }

    fn change(&mut self, at: usize, change: &Change) {
        let value = self.from.value(at);
        match change {
            Change::Move { from, to, .. } => match self.find(value, from) {
                Some(moved) if self.has_room(value, from, to) => {
                    self.moving(at, Some(from), Some(Insert { names: to, value: moved.at() }));
                }
                _ => self.copy(at),
            },
            Change::Wrap { names, .. } => self.nested(Insert { names, value: at }),
            Change::Unwrap { names, .. } => match self.find(value, names) {
                Some(inner) => self.unwrapped(at, inner.at(), names),
                None => self.copy(at),
            },
            Change::Rename { from, to, .. } => self.renamed(at, *from, *to),
            Change::Values { words, .. } => self.reworded(at, words),
            Change::Convert { to_text, .. } => self.converted(at, *to_text),
            Change::Drop(_) => self.copy(at),
        }
    }

    fn find<'j>(&self, value: Value<'j>, names: &[Box<str>]) -> Option<Value<'j>> {
        names.iter().try_fold(value, |value, name| value.member(name))
    }

    /// Whether what is on the way to the new place is objects, or not there yet. What moves away does not count.
    fn has_room(&self, value: Value<'_>, from: &[Box<str>], to: &[Box<str>]) -> bool {
        let mut value = value;
        for depth in 1..to.len() {
            if from == &to[..depth] {
                return true;
            }
            match value.member(&to[depth - 1]) {
                None => return true,
                Some(inner) if self.from.node(inner.at()).tag == Tag::Object => value = inner,
                Some(_) => return false,
            }
        }
        true
    }

    /// Writes what the names lead to in place of the value. What stands beside it is no less there than before: it
    /// becomes members of what was unwrapped, and where that has none, it is told apart.
    fn unwrapped(&mut self, at: usize, inner: usize, names: &[Box<str>]) {
        let (value, node) = (self.from.value(at), self.from.node(inner));
        if self.is_only(value, names) {
            self.copy(inner);
        } else if node.tag == Tag::Object {
            let from = self.from;
            self.container(node, |writer| {
                writer.nodes.extend_from_slice(&from.nodes[inner + 1..from.after(inner)]);
                writer.moving_members(at, Some(names), None);
            });
        } else {
            self.leave(value, names);
            self.copy(inner);
        }
    }

    /// Notes all that is in a value beside what the names lead to.
    fn leave(&mut self, value: Value<'_>, names: &[Box<str>]) {
        let mut way = names.split_first();
        for (name, member) in value.members() {
            match way {
                Some((next, rest)) if **next == *name => {
                    way = None;
                    if !rest.is_empty() {
                        self.leave(member, rest);
                    }
                }
                _ => self.left.push(member.at()),
            }
        }
    }

    /// Writes an object without the member to which `remove` leads, and with another one where `insert` leads. Objects
    /// that lose their last member by that are left out, and those that are missing are made.
    fn moving(&mut self, at: usize, remove: Option<&[Box<str>]>, insert: Option<Insert<'_>>) {
        self.container(self.from.node(at), |writer| writer.moving_members(at, remove, insert));
    }

    fn moving_members(&mut self, at: usize, remove: Option<&[Box<str>]>, insert: Option<Insert<'_>>) {
        let (from, writer) = (self.from, self);
        let (mut remove, mut insert) = (remove, insert);
        for (name, value) in from.value(at).members() {
            let removing = remove.filter(|names| *names[0] == *name);
            let inserting = insert.filter(|insert| *insert.names[0] == *name && insert.names.len() > 1);
            match removing {
                Some([_]) => {
                    remove = None;
                    // A new name in the same object: it stays where it was among the members.
                    if let Some(renamed) = insert.filter(|insert| insert.names.len() == 1) {
                        insert = None;
                        writer.nested_members(renamed);
                    }
                    continue;
                }
                Some(names) => {
                    remove = None;
                    let is_left_empty = inserting.is_none() && writer.is_only(value, &names[1..]);
                    if is_left_empty {
                        continue;
                    }
                    writer.copy(value.at() - 1);
                    let inner = inserting.map(|insert| Insert { names: &insert.names[1..], ..insert });
                    if inner.is_some() {
                        insert = None;
                    }
                    writer.moving(value.at(), Some(&names[1..]), inner);
                }
                None => {
                    writer.copy(value.at() - 1);
                    match inserting {
                        Some(inner) => {
                            insert = None;
                            writer.moving(
                                value.at(),
                                None,
                                Some(Insert { names: &inner.names[1..], ..inner }),
                            );
                        }
                        None => writer.copy(value.at()),
                    }
                }
            }
        }
        if let Some(insert) = insert {
            writer.nested_members(insert);
        }
    }

    /// Whether there is nothing in an object but the way to a member.
    fn is_only(&self, value: Value<'_>, names: &[Box<str>]) -> bool {
        let mut value = value;
        names.iter().all(|name| {
            let mut members = value.members();
            match (members.next(), members.next()) {
                (Some((only, inner)), None) if *only == **name => {
                    value = inner;
                    true
                }
                _ => false,
            }
        })
    }

    /// Writes objects in each other around a value.
    fn nested(&mut self, insert: Insert<'_>) {
        self.container(Node { tag: Tag::Object, start: 0, len: 0, span: 0 }, |writer| {
            writer.nested_members(insert);
        });
    }

    fn nested_members(&mut self, insert: Insert<'_>) {
        let Some((name, rest)) = insert.names.split_first() else { return };
        self.push_owned(Tag::NameOwned, name);
        if rest.is_empty() {
            self.copy(insert.value);
        } else {
            self.nested(Insert { names: rest, ..insert });
        }
    }

    fn without(&mut self, set: &PathSet, at: usize, place: &Place) {
        let node = self.from.node(at);
        if place.is_nowhere() || !matches!(node.tag, Tag::Array | Tag::Object) {
            return self.copy(at);
        }
        let from = self.from;
        self.container(node, |writer| {
            let value = from.value(at);
            let siblings = value.elements().count();
            let elements = value.elements().enumerate().map(|(index, child)| (Step::Index(index), child));
            let members = value.members().map(|(name, child)| (Step::Name(name), child));
            for (step, child) in elements.chain(members) {
                let inner = set.step(place, step, siblings, child, writer.work);
                if set.chosen(&inner).next().is_none() {
                    if matches!(step, Step::Name(_)) {
                        writer.copy(child.at() - 1);
                    }
                    writer.without(set, child.at(), &inner);
                }
            }
        });
    }

    fn renamed(&mut self, at: usize, from: Manner, to: Manner) {
        let start = self.nodes.len();
        self.copy(at);
        for index in start..self.nodes.len() {
            let node = self.nodes[index];
            match node.tag {
                Tag::Name | Tag::NameOwned => {
                    let name = from.rewrite(self.from.text_of(node), to);
                    let written = self.own(Tag::NameOwned, &name);
                    self.nodes[index] = written;
                }
                // It is no longer what the document has there.
                Tag::Array | Tag::Object => self.nodes[index].len = 0,
                _ => {}
            }
        }
    }

    fn reworded(&mut self, at: usize, words: &[(String, String)]) {
        let node = self.from.node(at);
        let is_text = matches!(node.tag, Tag::Text | Tag::TextOwned);
        let word = words.iter().find(|(old, _)| is_text && self.from.text_of(node) == *old);
        match word {
            Some((_, new)) => self.push_owned(Tag::TextOwned, new),
            None => self.copy(at),
        }
    }

    fn converted(&mut self, at: usize, to_text: bool) {
        let node = self.from.node(at);
        let tag = match (node.tag, to_text) {
            (Tag::Number, true) => Tag::Text,
            (Tag::NumberOwned, true) => Tag::TextOwned,
            (Tag::Text, false) if is_number(self.from.text_of(node)) => Tag::Number,
            (Tag::TextOwned, false) if is_number(self.from.text_of(node)) => Tag::NumberOwned,
            (same, _) => same,
        };
        self.copy(at);
        if let Some(last) = self.nodes.last_mut().filter(|_| tag != node.tag) {
            last.tag = tag;
        }
    }

    /// Writes a container that is not what the document has there.
    fn container(&mut self, node: Node, inside: impl FnOnce(&mut Self)) {
        let start = self.nodes.len();
        self.nodes.push(Node { len: 0, ..node });
        inside(self);
        let span = self.nodes.len() - start - 1;
        self.nodes[start].span = u32::try_from(span).unwrap_or(u32::MAX);
    }

    /// Writes a node and all that is in it as it is.
    fn copy(&mut self, at: usize) {
        self.nodes.extend_from_slice(&self.from.nodes[at..self.from.after(at)]);
    }

    fn push_owned(&mut self, tag: Tag, text: &str) {
        let node = self.own(tag, text);
        self.nodes.push(node);
    }

    fn own(&mut self, tag: Tag, text: &str) -> Node {
        let start = self.owned.len();
        self.owned.push_str(text);
        self.work.take_bytes(text.len());
        let narrow = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        Node { tag, start: narrow(start), len: narrow(text.len()), span: 0 }
    }
}

/// Whether a text is a number as JSON writes it.
fn is_number(text: &str) -> bool {
    let plain = !text.ends_with(char::is_whitespace) && !text.starts_with(char::is_whitespace);
    let limits = crate::Limits { nodes: 1, depth: 0, ..crate::Limits::default() };
    plain
        && matches!(super::super::parse(text, &limits), Ok(json) if json.root().kind() == super::super::Type::Number)
}
