//! Whole answers.

use std::borrow::Cow;

use crate::answer::{Answer, Body, Incomplete};
use crate::body::records::{self, Unread};
use crate::charset;
use crate::decode;
use crate::media::{BodyKind, MediaType};

use super::headers::Section;
use super::json::Unwritten;
use super::marks;
use super::pass::Pass;

impl Pass<'_> {
    /// An answer as text, bounded.
    pub(super) fn answer(&mut self, answer: &Answer<'_>) -> String {
        let most = self.redactor.kept_bytes;
        let mut out = format!("{}\n", answer.status);
        for field in &answer.headers {
            let line = self.field(Section::Headers, field);
            push(&mut out, &line, most);
        }
        push(&mut out, "\n", most);
        let body = self.body(answer, most);
        push(&mut out, &body, most);
        if !answer.trailers.is_empty() {
            push(&mut out, "\n\n", most);
        }
        for field in &answer.trailers {
            let line = self.field(Section::Trailers, field);
            push(&mut out, &line, most);
        }
        let kept = marks::cut(&out, most).len();
        if kept < out.len() {
            out.truncate(kept);
            out.push_str("…\n");
        }
        out
    }

    fn body(&mut self, answer: &Answer<'_>, most: usize) -> String {
        let body = match answer.body {
            Body::Whole(body) => body,
            Body::Hashed { bytes, hash } => {
                return format!("({bytes} bytes, {})", self.redactor.marks.of(&format!("{hash:032x}")));
            }
            Body::Incomplete(why) => {
                let why = match why {
                    Incomplete::Client => "its client went away",
                    Incomplete::Upstream => "it broke off",
                    Incomplete::Slow => "it took too long",
                    Incomplete::Stream => "it was given up, since it does not end",
                };
                return format!("(not whole: {why})");
            }
        };
        if body.is_empty() {
            return String::new();
        }
        let decoded = decode::codings(answer)
            .and_then(|codings| decode::decode(body, &codings, self.redactor.limits.decoded_bytes));
        let Ok(decoded) = decoded else { return self.bytes(body) };
        let media = MediaType::of(answer);
        let kind = media.as_ref().map_or(BodyKind::Text, MediaType::kind);
        let is_text = !matches!(kind, BodyKind::Bytes | BodyKind::Grpc) && !decoded.contains(&0);
        match charset::text(&decoded, media.as_ref(), kind) {
            Some(text) if is_text => self.text_body(kind, &text, most),
            _ => self.bytes(&decoded),
        }
    }

    /// How many bytes, and a mark of them.
    fn bytes(&mut self, body: &[u8]) -> String {
        let hash = xxhash_rust::xxh3::xxh3_128(body);
        format!("({} bytes, {})", body.len(), self.redactor.marks.of(&format!("{hash:032x}")))
    }

    /// What has structure is shown as JSON, so that all rules hold for it, and places are those of its differences.
    fn text_body(&mut self, kind: BodyKind, text: &str, most: usize) -> String {
        let limits = self.redactor.limits;
        let document = match kind {
            BodyKind::Json => Ok(Cow::Borrowed(text)),
            // Under many types, and under none, JSON is sent as well.
            BodyKind::Text if text.trim_start().starts_with(['{', '[']) => Ok(Cow::Borrowed(text)),
            BodyKind::JsonLines => records::lines(text, &limits).map(Cow::Owned),
            BodyKind::JsonSequence => records::sequence(text, &limits).map(Cow::Owned),
            BodyKind::Events => records::events(text, &limits).map(Cow::Owned),
            BodyKind::Form => records::form(text).map(Cow::Owned),
            BodyKind::Text | BodyKind::Multipart | BodyKind::Grpc | BodyKind::Bytes => {
                return self.free(text);
            }
        };
        let shown = match document {
            Ok(document) => self.document(&document, most),
            Err(Unread::Malformed) => Err(Unwritten::NoJson),
            Err(Unread::TooMuch(_)) => Err(Unwritten::Limit),
        };
        match shown {
            Ok(lines) => lines,
            Err(Unwritten::NoJson) => {
                let shown = self.free(text);
                // Of a text nothing is kept where places are secret that it does not have.
                if self.redactor.has_paths { self.bytes(text.as_bytes()) } else { shown }
            }
            Err(Unwritten::Limit) => {
                if let Some(found) = &mut self.found {
                    found.give_up();
                }
                self.bytes(text.as_bytes())
            }
        }
    }
}

/// Adds what is still of use: one more than fits tells that something was cut.
fn push(out: &mut String, more: &str, most: usize) {
    if out.len() <= most {
        out.push_str(more);
    }
}
