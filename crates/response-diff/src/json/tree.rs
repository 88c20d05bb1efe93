//! A JSON document as a flat list of nodes in document order.
//!
//! A container is followed by all that is in it, and says how many nodes that is: skipping it is one addition, its
//! descendants are one range, and a subtree can be copied as it is. A member is its name's node followed by its value's.
//! Texts without escapes are borrowed from the document, numbers stay as they are written.

use std::fmt::Write as _;

use super::surrogate;

/// A parsed document. Numbers have any size and precision. A name that an object has twice stays twice: its members
/// are a list, and no value is dropped in silence.
#[derive(Clone, Debug)]
pub struct Json<'a> {
    pub(super) text: &'a str,
    /// Never empty: the root is the first.
    pub(super) nodes: Vec<Node>,
    /// Texts that had escapes, and those that mapping made, one behind the other.
    pub(super) owned: String,
}

/// One value or one member's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) tag: Tag,
    /// Where its text begins: in the document, or in `owned`. A container's text is all of it.
    pub(super) start: u32,
    /// The text's bytes; 0 for a container that is no longer what the document has there.
    pub(super) len: u32,
    /// Nodes of a container's inside, names and values of all depths.
    pub(super) span: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tag {
    Null,
    False,
    True,
    Number,
    /// A number that mapping made.
    NumberOwned,
    Text,
    TextOwned,
    Name,
    NameOwned,
    Array,
    Object,
}

impl Tag {
    pub(super) fn is_name(self) -> bool {
        matches!(self, Tag::Name | Tag::NameOwned)
    }
}

/// What type of JSON value one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, however it is written.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'j> {
    json: &'j Json<'j>,
    at: usize,
}

/// What one value is.
#[derive(Clone, Copy, Debug)]
pub enum View<'j> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it is written.
    Number(&'j str),
    /// A string without its escapes.
    String(&'j str),
    /// An array's elements.
    Array(Elements<'j>),
    /// An object's members.
    Object(Members<'j>),
}

impl<'a> Json<'a> {
    /// The document's value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value { json: self, at: 0 }
    }

    pub(super) fn value(&self, at: usize) -> Value<'_> {
        Value { json: self, at }
    }

    pub(super) fn node(&self, at: usize) -> Node {
        self.nodes[at]
    }

    /// The node after this one and all that is in it.
    pub(super) fn after(&self, at: usize) -> usize {
        at + 1 + self.nodes[at].span as usize
    }

    /// The text of a name, a string or a number.
    pub(super) fn text_of(&self, node: Node) -> &str {
        let from = match node.tag {
            Tag::TextOwned | Tag::NameOwned | Tag::NumberOwned => &self.owned,
            _ => self.text,
        };
        &from[node.start as usize..node.start as usize + node.len as usize]
    }

    /// How the document writes a container, unless mapping changed it. Scalars have none: `1` and `"1"` have one text.
    pub(super) fn source(&self, node: Node) -> Option<&'a str> {
        let (start, len) = (node.start as usize, node.len as usize);
        (len > 0 && matches!(node.tag, Tag::Array | Tag::Object)).then(|| &self.text[start..start + len])
    }
}

impl<'j> Value<'j> {
    pub(crate) fn at(self) -> usize {
        self.at
    }

    /// The document it is part of.
    pub(crate) fn json(self) -> &'j Json<'j> {
        self.json
    }

    /// The document's value.
    pub(crate) fn root(self) -> Value<'j> {
        Value { json: self.json, at: 0 }
    }

    /// What it is.
    #[must_use]
    pub fn view(self) -> View<'j> {
        let node = self.json.nodes[self.at];
        match node.tag {
            Tag::Null => View::Null,
            Tag::False => View::Bool(false),
            Tag::True => View::Bool(true),
            Tag::Number | Tag::NumberOwned => View::Number(self.json.text_of(node)),
            Tag::Text | Tag::TextOwned | Tag::Name | Tag::NameOwned => View::String(self.json.text_of(node)),
            Tag::Array => View::Array(Elements { json: self.json, at: self.at + 1, end: self.end() }),
            Tag::Object => View::Object(Members { json: self.json, at: self.at + 1, end: self.end() }),
        }
    }

    /// Its type.
    #[must_use]
    pub fn kind(self) -> Type {
        match self.json.nodes[self.at].tag {
            Tag::Null => Type::Null,
            Tag::False | Tag::True => Type::Bool,
            Tag::Number | Tag::NumberOwned => Type::Number,
            Tag::Text | Tag::TextOwned | Tag::Name | Tag::NameOwned => Type::String,
            Tag::Array => Type::Array,
            Tag::Object => Type::Object,
        }
    }

    /// The elements of an array; none of anything else.
    #[must_use]
    pub fn elements(self) -> Elements<'j> {
        let end = if self.kind() == Type::Array { self.end() } else { self.at + 1 };
        Elements { json: self.json, at: self.at + 1, end }
    }

    /// The members of an object; none of anything else.
    #[must_use]
    pub fn members(self) -> Members<'j> {
        let end = if self.kind() == Type::Object { self.end() } else { self.at + 1 };
        Members { json: self.json, at: self.at + 1, end }
    }

    /// The first member of this name.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Value<'j>> {
        self.members().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// All values in it at any depth, itself first, in document order.
    pub(crate) fn descendants(self) -> impl Iterator<Item = Value<'j>> {
        let json = self.json;
        (self.at..self.end())
            .filter(move |at| !json.nodes[*at].tag.is_name())
            .map(move |at| Value { json, at })
    }

    /// Values and names in it at any depth.
    pub(crate) fn span(self) -> usize {
        self.json.nodes[self.at].span as usize
    }

    /// Writes it as compact JSON, at most `limit` bytes of it; what was cut off is marked by `…`.
    #[must_use]
    pub fn shortened(self, limit: usize) -> String {
        let mut out = Shortened { text: String::new(), limit, cut: false };
        write_json(self, &mut out);
        if out.cut {
            out.text.push('…');
        }
        out.text
    }

    fn end(self) -> usize {
        self.json.after(self.at)
    }
}

/// The elements of an array, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'j> {
    json: &'j Json<'j>,
    at: usize,
    end: usize,
}

impl<'j> Iterator for Elements<'j> {
    type Item = Value<'j>;

    fn next(&mut self) -> Option<Value<'j>> {
        let at = self.at;
        (at < self.end).then(|| {
            self.at = self.json.after(at);
            Value { json: self.json, at }
        })
    }
}

/// The members of an object, in their order. A name may come twice.
#[derive(Clone, Copy, Debug)]
pub struct Members<'j> {
    json: &'j Json<'j>,
    at: usize,
    end: usize,
}

impl<'j> Iterator for Members<'j> {
    type Item = (&'j str, Value<'j>);

    fn next(&mut self) -> Option<(&'j str, Value<'j>)> {
        let at = self.at;
        (at < self.end).then(|| {
            self.at = self.json.after(at + 1);
            (self.json.text_of(self.json.nodes[at]), Value { json: self.json, at: at + 1 })
        })
    }
}

/// Takes text until its limit.
struct Shortened {
    text: String,
    limit: usize,
    cut: bool,
}

impl Shortened {
    fn push(&mut self, more: &str) {
        if self.cut {
            return;
        }
        let room = self.limit.saturating_sub(self.text.len());
        if more.len() <= room {
            self.text.push_str(more);
        } else {
            self.text.push_str(&more[..more.floor_char_boundary(room)]);
            self.cut = true;
        }
    }
}

/// Writes a value without recursion: the nodes are in the order in which they are written.
fn write_json(value: Value<'_>, out: &mut Shortened) {
    let json = value.json;
    // The containers that are open: where each ends, and what closes it.
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut first = true;
    let mut at = value.at;
    let end = value.end();
    while at < end && !out.cut {
        let node = json.nodes[at];
        if !first {
            out.push(",");
        }
        first = false;
        if node.tag.is_name() && at != value.at {
            write_text(json.text_of(node), out);
            out.push(":");
            first = true;
        } else {
            match json.value(at).view() {
                View::Null => out.push("null"),
                View::Bool(true) => out.push("true"),
                View::Bool(false) => out.push("false"),
                View::Number(text) => out.push(text),
                View::String(text) => write_text(text, out),
                View::Array(_) => open_container(out, &mut open, &mut first, "[", (json.after(at), "]")),
                View::Object(_) => open_container(out, &mut open, &mut first, "{", (json.after(at), "}")),
            }
        }
        at += 1;
        while let Some((_, close)) = open.pop_if(|(end, _)| *end == at) {
            out.push(close);
            first = false;
        }
    }
}

fn open_container<'t>(
    out: &mut Shortened,
    open: &mut Vec<(usize, &'t str)>,
    first: &mut bool,
    bracket: &str,
    close: (usize, &'t str),
) {
    out.push(bracket);
    open.push(close);
    *first = true;
}

/// Writes a string with quotes and the escapes that it needs, as far as there is room.
fn write_text(text: &str, out: &mut Shortened) {
    out.push("\"");
    let room = text.floor_char_boundary(out.limit.saturating_sub(out.text.len()).saturating_add(4));
    let mut escaped = String::new();
    for letter in text[..room].chars() {
        match letter {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(control));
            }
            other => match surrogate::original(other) {
                Some(lone) => {
                    let _ = write!(escaped, "\\u{lone:04x}");
                }
                None => escaped.push(other),
            },
        }
    }
    out.push(&escaped);
    if room < text.len() {
        out.cut = true;
    }
    out.push("\"");
}
