//! What a request asks, read as httpbin reads it.

use serde_json::{Map, Value, json};
use test_kit::Request;

/// Fields that httpbin does not tell, since whoever runs it adds them.
const HIDDEN: [&str; 5] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-request-id", "via"];

pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request,
    pub(crate) path: &'a str,
    query: &'a str,
    /// The parts of the path, decoded.
    pub(crate) words: Vec<String>,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(request: &'a Request) -> Self {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let words = path.split('/').skip(1).map(|word| decoded(word, false)).collect();
        Asked { request, path, query, words }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.request.fields.get(name)
    }

    pub(crate) fn arguments(&self) -> Vec<(String, String)> {
        pairs(self.query)
    }

    pub(crate) fn argument(&self, name: &str) -> Option<String> {
        self.arguments().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn is_form(&self) -> bool {
        self.field("content-type").is_some_and(|media| media.starts_with("application/x-www-form-urlencoded"))
    }

    /// The members of this name that tell of the request.
    pub(crate) fn told(&self, members: &[&str]) -> Map<String, Value> {
        members.iter().map(|member| ((*member).to_owned(), self.member(member))).collect()
    }

    fn member(&self, member: &str) -> Value {
        let body = if self.is_form() { String::new() } else { self.request.text() };
        match member {
            "url" => {
                let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
                let host = self.field("host").unwrap_or_default();
                json!(format!("http://{host}{}{}", shown(self.path), shown(&query)))
            }
            "args" => flat(self.arguments()),
            "form" if self.is_form() => flat(pairs(&self.request.text())),
            "form" | "files" => json!({}),
            "data" => json!(body),
            "json" => serde_json::from_str(&body).unwrap_or(Value::Null),
            "method" => json!(self.request.method),
            "origin" => json!(self.field("x-forwarded-for").unwrap_or("127.0.0.1")),
            "headers" => self.headers(),
            other => panic!("httpbin tells no {other}"),
        }
    }

    fn headers(&self) -> Value {
        let mut told = Map::new();
        for (name, value) in &self.request.fields.0 {
            if HIDDEN.iter().any(|hidden| name.eq_ignore_ascii_case(hidden)) {
                continue;
            }
            let name = titled(name);
            let before = told.get(&name).and_then(Value::as_str).map(|before| format!("{before}, "));
            told.insert(name, json!(before.unwrap_or_default() + value));
        }
        Value::Object(told)
    }

    pub(crate) fn cookies(&self) -> Map<String, Value> {
        let cookies = self.field("cookie").unwrap_or_default().split(';');
        let cookies = cookies.filter_map(|cookie| cookie.trim().split_once('='));
        cookies.map(|(name, value)| (name.to_owned(), json!(value))).collect()
    }

    /// The entity tags of `If-Match` and its like, as httpbin takes them apart.
    pub(crate) fn tags(&self, name: &str) -> Option<Vec<String>> {
        let tags = self.field(name)?.split(',');
        Some(tags.map(|tag| tag.trim().trim_matches('"').to_owned()).collect())
    }

    /// The first and the last byte that are wanted of so many (`Range`).
    pub(crate) fn range(&self, bytes: usize) -> (usize, usize) {
        let wanted = self.field("range").and_then(|range| range.strip_prefix("bytes=")).unwrap_or("-");
        let (first, last) = wanted.split_once('-').unwrap_or(("", ""));
        match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) => (first, last),
            (Ok(first), _) => (first, bytes - 1),
            (_, Ok(last)) => (bytes.saturating_sub(last), bytes - 1),
            _ => (0, bytes - 1),
        }
    }
}

/// `name=value&...`, decoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name, true), decoded(value, true))
        })
        .collect()
}

/// One value as itself, several as a list.
fn flat(pairs: Vec<(String, String)>) -> Value {
    let mut flat = Map::new();
    for (name, value) in pairs {
        match flat.get_mut(&name) {
            None => {
                flat.insert(name, json!(value));
            }
            Some(Value::Array(values)) => values.push(json!(value)),
            Some(first) => *first = json!([first.clone(), value]),
        }
    }
    Value::Object(flat)
}

fn decoded(text: &str, is_form: bool) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let code = after.get(..2).and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) if is_form => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An address for people: what is beyond ASCII in it is decoded, the rest stays as it is.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let coded = rest.as_bytes()[at..].chunks(3);
        let run = coded.take_while(|code| code.len() == 3 && code[0] == b'%' && code[1] >= b'8').count();
        let end = at + 3 * run.max(1);
        let piece = rest.get(at..end).unwrap_or(&rest[at..]);
        shown.push_str(&rest[..at]);
        shown.push_str(&if run > 0 { decoded(piece, false) } else { piece.to_owned() });
        rest = rest.get(end..).unwrap_or_default();
    }
    shown + rest
}

/// `X-My-Field`
pub(crate) fn titled(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    });
    words.collect::<Vec<_>>().join("-")
}
