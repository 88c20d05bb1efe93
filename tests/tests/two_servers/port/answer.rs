//! Answers, and how they go on the wire: in other words than waitress uses, to the same effect.

use std::fmt::Write;

use serde_json::Value;
use test_kit::Wire;

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Answer {
    pub(crate) fn new(status: u16, media: &str, body: impl Into<Vec<u8>>) -> Self {
        let answer = Answer { status, fields: Vec::new(), body: body.into(), trailers: Vec::new() };
        answer.with("access-control-allow-credentials", "true").with("content-type", media)
    }

    /// Names and charsets have no case.
    pub(crate) fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Answer::new(status, "Text/HTML; Charset=UTF-8", body)
    }

    pub(crate) fn json(value: &Value) -> Self {
        Answer::new(200, "application/json", spread(value))
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it; `false`: nobody is there any more. Of two answers in turn, one is sized and one comes in chunks.
    pub(crate) fn send(&self, to: &mut Wire, is_head: bool, in_chunks: bool) -> bool {
        let mut head = format!("HTTP/1.1 {} \r\nserver: port\r\nx-powered-by: crabs\r\n", self.status);
        for (name, value) in &self.fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let has_body = !matches!(self.status, 204 | 304);
        let in_chunks = in_chunks || !self.trailers.is_empty();
        if has_body && in_chunks {
            head.push_str("transfer-encoding: chunked\r\n");
        } else if has_body {
            write!(head, "content-length: {}\r\n", self.body.len()).unwrap();
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if has_body && !is_head && in_chunks {
            for piece in self.body.chunks(97) {
                bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n");
            for (name, value) in &self.trailers {
                bytes.extend(format!("{name}: {value}\r\n").bytes());
            }
            bytes.extend(b"\r\n");
        } else if has_body && !is_head {
            bytes.extend(&self.body);
        }
        to.try_send(bytes).is_ok()
    }
}

/// JSON with much space in it, members from Z to A, and characters as they are.
fn spread(value: &Value) -> String {
    let Some(members) = value.as_object() else { return format!("{value:#}") };
    let members =
        members.iter().rev().map(|(name, value)| format!("  {} : {value:#}", Value::from(name.as_str())));
    format!("{{\r\n{}\r\n}}\r\n", members.collect::<Vec<_>>().join(" ,\r\n"))
}
