//! Bodies that are read as JSON although they are written otherwise: streams of records and events, and forms.
//!
//! Each becomes the text of one JSON document, so that all rules hold for it: records and events are the elements of an
//! array (`$[*].price`), a form's fields the members of an object (`$.scope`).

use std::fmt::Write;

use crate::json;
use crate::limits::Limits;
use crate::outcome::NotCompared;

/// Why a body is no document of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is something else.
    Malformed,
    /// It exceeds a limit.
    TooMuch(NotCompared),
}

/// Documents, one a line; empty lines are none.
pub(crate) fn lines(text: &str, limits: &Limits) -> Result<String, Unread> {
    documents(text.split('\n'), limits)
}

/// Documents, each behind a record separator (RFC 7464 section 2.1).
pub(crate) fn sequence(text: &str, limits: &Limits) -> Result<String, Unread> {
    let mut records = text.split('\u{1e}');
    if records.next().is_some_and(|before| !before.trim().is_empty()) {
        return Err(Unread::Malformed);
    }
    documents(records, limits)
}

fn documents<'a>(texts: impl Iterator<Item = &'a str>, limits: &Limits) -> Result<String, Unread> {
    let mut out = List::new();
    for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
        parses(text, limits)?;
        out.push(text, limits)?;
    }
    Ok(out.end())
}

/// That it is one document.
fn parses(text: &str, limits: &Limits) -> Result<(), Unread> {
    match json::parse(text, limits) {
        Ok(_) => Ok(()),
        Err(json::Unparsed::Malformed { .. }) => Err(Unread::Malformed),
        Err(json::Unparsed::TooMuch(why)) => Err(Unread::TooMuch(why)),
    }
}

/// The events of a stream (HTML standard, section 9.2.6): `event`, `data`, `id` and `retry`, where they are given. Data
/// that is a JSON object or array is compared as such. What was not ended by an empty line is `unfinished`: clients do
/// not see it.
pub(crate) fn events(text: &str, limits: &Limits) -> Result<String, Unread> {
    let mut out = List::new();
    let mut event = Event::default();
    for line in event_lines(text) {
        if line.is_empty() {
            event.end(false, &mut out, limits)?;
        } else {
            event.line(line);
        }
    }
    event.end(true, &mut out, limits)?;
    Ok(out.end())
}

/// Lines end in CRLF, LF or CR. What stands behind the last end is a line if it is not empty.
fn event_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.filter(|text| !text.is_empty())?;
        let Some(end) = text.find(['\r', '\n']) else { return rest.take() };
        let (line, behind) = text.split_at(end);
        rest = behind.strip_prefix("\r\n").or_else(|| behind.get(1..));
        Some(line)
    })
}

#[derive(Default)]
struct Event<'a> {
    name: Option<&'a str>,
    data: Option<String>,
    id: Option<&'a str>,
    retry: Option<&'a str>,
}

impl<'a> Event<'a> {
    fn line(&mut self, line: &'a str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = Some(value),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" => self.id = Some(value),
            "retry" => self.retry = Some(value),
            // A comment, or what clients have to leave alone.
            _ => {}
        }
    }

    fn end(&mut self, is_unfinished: bool, out: &mut List, limits: &Limits) -> Result<(), Unread> {
        let Event { name, data, id, retry } = std::mem::take(self);
        if name.is_none() && data.is_none() && id.is_none() && retry.is_none() {
            return Ok(());
        }
        let mut members = Vec::new();
        for (key, value) in [("event", name), ("id", id), ("retry", retry)] {
            members.extend(value.map(|value| format!("{}:{}", quoted(key), quoted(value))));
        }
        if let Some(data) = data {
            let is_json = data.trim_start().starts_with(['{', '[']) && parses(&data, limits).is_ok();
            members.push(format!("\"data\":{}", if is_json { data } else { quoted(&data) }));
        }
        if is_unfinished {
            members.push("\"unfinished\":true".to_owned());
        }
        out.push(&format!("{{{}}}", members.join(",")), limits)
    }
}

/// The fields of a form (URL standard, section 5.1), each with its value, or with the list of them where it has several.
/// What does not decode to UTF-8 is no form.
pub(crate) fn form(text: &str) -> Result<String, Unread> {
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for pair in text.trim_end_matches(['\r', '\n']).split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (form_text(name)?, form_text(value)?);
        let place = *places.entry(name.clone()).or_insert(fields.len());
        match fields.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => fields.push((name, vec![value])),
        }
    }
    let members = fields.iter().map(|(name, values)| {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        match &values[..] {
            [one] => format!("{}:{one}", quoted(name)),
            several => format!("{}:[{}]", quoted(name), several.join(",")),
        }
    });
    Ok(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
}

fn form_text(coded: &str) -> Result<String, Unread> {
    let spaced = coded.replace('+', " ");
    String::from_utf8(percent_decoded(&spaced)).map_err(|_| Unread::Malformed)
}

/// The bytes with what is escaped as `%2F`; a `%` without two digits behind it stands for itself.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// A JSON array in the making.
struct List {
    out: String,
    length: usize,
}

impl List {
    fn new() -> Self {
        List { out: String::from("["), length: 0 }
    }

    fn push(&mut self, document: &str, limits: &Limits) -> Result<(), Unread> {
        self.length += 1;
        if self.length > limits.nodes {
            return Err(Unread::TooMuch(NotCompared::Nodes));
        }
        if self.length > 1 {
            self.out.push(',');
        }
        self.out.push_str(document);
        Ok(())
    }

    fn end(mut self) -> String {
        self.out.push(']');
        self.out
    }
}

/// A text as JSON writes it (RFC 8259 section 7).
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_elements() {
        let limits = Limits::default();
        for (text, expected) in [
            ("", Ok("[]")),
            ("{\"a\":1}\n\r\n [2] \r\n", Ok("[{\"a\":1},[2]]")),
            ("1\n2", Ok("[1,2]")),
            ("{\"a\":1}{\"a\":2}", Err(Unread::Malformed)),
            ("[1\n2]", Err(Unread::Malformed)),
            ("1,2", Err(Unread::Malformed)),
        ] {
            assert_eq!(lines(text, &limits), expected.map(str::to_owned), "{text:?}");
        }
        for (text, expected) in [
            ("\u{1e}{\"a\":1}\n\u{1e}2\n", Ok("[{\"a\":1},2]")),
            ("", Ok("[]")),
            ("{}\u{1e}{}", Err(Unread::Malformed)),
            ("\u{1e}{\u{1e}}", Err(Unread::Malformed)),
        ] {
            assert_eq!(sequence(text, &limits), expected.map(str::to_owned), "{text:?}");
        }
        let few = Limits { nodes: 2, ..limits };
        assert_eq!(lines("1\n2\n3", &few), Err(Unread::TooMuch(NotCompared::Nodes)));
    }

    #[test]
    fn events_become_elements() {
        for (text, expected) in [
            ("", "[]"),
            (": hello\n\n", "[]"),
            ("data: a\n\n", r#"[{"data":"a"}]"#),
            ("data:a\r\n\r\ndata: b\r\rdata\n\n", r#"[{"data":"a"},{"data":"b"},{"data":""}]"#),
            (
                "event: e\ndata: {\"n\": 1}\nid: 7\nretry: 3\nother: x\n\n",
                r#"[{"event":"e","id":"7","retry":"3","data":{"n": 1}}]"#,
            ),
            ("data: {\ndata: \"a\":1}\n\n", "[{\"data\":{\n\"a\":1}}]"),
            ("data: a\ndata:  b\n\n", r#"[{"data":"a\u000a b"}]"#),
            ("data: [DONE]\n\n", r#"[{"data":"[DONE]"}]"#),
            ("data: 1.0\n\n", r#"[{"data":"1.0"}]"#),
            ("data: a\n\ndata: b", r#"[{"data":"a"},{"data":"b","unfinished":true}]"#),
            ("data: a\n\ndata: b\n", r#"[{"data":"a"},{"data":"b","unfinished":true}]"#),
        ] {
            assert_eq!(events(text, &Limits::default()).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn fields_become_members() {
        for (text, expected) in [
            ("", Ok("{}")),
            ("a=1&b=2\n", Ok(r#"{"a":"1","b":"2"}"#)),
            ("a=x+y&b=x%20y&c=%c3%bc", Ok(r#"{"a":"x y","b":"x y","c":"ü"}"#)),
            ("a=1&b=2&a=3", Ok(r#"{"a":["1","3"],"b":"2"}"#)),
            ("a&=b&c==", Ok(r#"{"a":"","":"b","c":"="}"#)),
            ("a=%&b=%4&c=%zz&d=%+1", Ok(r#"{"a":"%","b":"%4","c":"%zz","d":"% 1"}"#)),
            ("a=%22%5c%0a", Ok(r#"{"a":"\"\\\u000a"}"#)),
            ("a=%ff", Err(Unread::Malformed)),
        ] {
            assert_eq!(form(text), expected.map(str::to_owned), "{text:?}");
        }
    }
}
