//! What kind of thing a body is, by its Content-Type (RFC 9110 section 8.3).

use std::borrow::Cow;

use crate::answer::Answer;

/// A media type as a comparison reads it: names in lower case, parameters without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// `application/json`
    pub(crate) essence: String,
    /// In the order in which they came.
    pub(crate) parameters: Vec<(String, String)>,
}

/// By what means bodies are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// One JSON document.
    Json,
    /// One JSON document a line (NDJSON).
    JsonLines,
    /// JSON documents, each after a record separator (RFC 7464).
    JsonSequence,
    /// `text/event-stream`
    Events,
    /// `application/x-www-form-urlencoded`
    Form,
    /// Text by lines; HTML and XML are text too.
    Text,
    /// Parts between boundaries, which are drawn anew for each answer.
    Multipart,
    /// Messages with their length before them; on the web, trailers are one of them.
    Grpc,
    /// Nothing is known of what is in it: bytes.
    Bytes,
}

impl BodyKind {
    /// Whether the same content can have many forms, so that other bytes are no difference yet.
    pub(crate) fn has_structure(self) -> bool {
        use BodyKind::{Events, Form, Json, JsonLines, JsonSequence, Multipart};
        matches!(self, Json | JsonLines | JsonSequence | Events | Form | Multipart)
    }
}

impl MediaType {
    /// The media type of the answer's body. Of several headers the last one counts, as in browsers.
    pub(crate) fn of(answer: &Answer<'_>) -> Option<MediaType> {
        answer.header_values("content-type").filter_map(MediaType::parse).last()
    }

    /// Reads a Content-Type. `None` where it has no type and subtype.
    pub(crate) fn parse(value: &[u8]) -> Option<MediaType> {
        let value = String::from_utf8_lossy(value);
        let mut parts = split_unquoted(&value, ';').into_iter();
        let essence = parts.next()?.trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if kind.is_empty() || subtype.is_empty() || essence.contains(|c: char| c.is_whitespace() || c == ',')
        {
            return None;
        }
        let parameters = parts.filter_map(|part| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), unquote(value.trim()).into_owned()))
        });
        let parameters = parameters.collect();
        Some(MediaType { essence, parameters })
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn kind(&self) -> BodyKind {
        let essence = self.essence.as_str();
        // RFC 6839 and RFC 8091: what stands behind the plus names the form. Streams that carry `+json` all the same
        // are listed first.
        match essence {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines"
            | "application/x-jsonl"
            | "application/stream+json"
            | "application/x-json-stream"
            | "text/x-ndjson"
            | "text/jsonl" => BodyKind::JsonLines,
            "application/json-seq" => BodyKind::JsonSequence,
            "application/json"
            | "application/dns-json"
            | "text/json"
            | "text/x-json"
            | "application/x-json" => BodyKind::Json,
            "text/event-stream" => BodyKind::Events,
            "application/x-www-form-urlencoded" => BodyKind::Form,
            // Messages in base64, which can be put together in many ways.
            _ if essence.starts_with("application/grpc-web-text") => BodyKind::Text,
            _ if essence.starts_with("application/grpc") => BodyKind::Grpc,
            _ if essence.starts_with("multipart/") => BodyKind::Multipart,
            _ if essence.ends_with("+json-seq") => BodyKind::JsonSequence,
            _ if essence.ends_with("+json") => BodyKind::Json,
            _ if is_text(essence) => BodyKind::Text,
            _ => BodyKind::Bytes,
        }
    }

    /// Whether senders are known to put JSON under this type: frameworks whose default it is, or callers that get
    /// scripts.
    pub(crate) fn may_hide_json(&self) -> bool {
        matches!(
            self.essence.as_str(),
            "text/html"
                | "text/plain"
                | "text/javascript"
                | "application/javascript"
                | "application/x-javascript"
        )
    }
}

fn is_text(essence: &str) -> bool {
    const APPLICATIONS: [&str; 19] = [
        "application/xml",
        "application/xml-dtd",
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/graphql",
        "application/sql",
        "application/x-sh",
        "application/rtf",
        "application/x-pem-file",
        "application/pem-certificate-chain",
        "application/openmetrics-text",
        "application/vnd.apple.mpegurl",
        "application/x-mpegurl",
        "application/sdp",
        "application/x-subrip",
    ];
    essence.starts_with("text/")
        || essence.ends_with("+xml")
        || essence.ends_with("+yaml")
        || APPLICATIONS.contains(&essence)
}

/// The parts between separators that stand neither in a quoted string (RFC 9110 section 5.6.4) nor between angle
/// brackets, as the address of a link does.
pub(crate) fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_quoted, mut is_escaped, mut is_angled) = (0, false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' if !is_angled => is_quoted = !is_quoted,
            '<' | '>' if !is_quoted => is_angled = c == '<',
            _ if c == separator && !is_quoted && !is_angled => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The text of a quoted string, or the text itself where it is none.
pub(crate) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(inner.len());
    let mut is_escaped = false;
    for c in inner.chars() {
        if c == '\\' && !is_escaped {
            is_escaped = true;
        } else {
            out.push(c);
            is_escaped = false;
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_parameters_are_read() {
        for (value, essence, parameters) in [
            ("application/json", "application/json", &[][..]),
            ("Application/JSON ; Charset=UTF-8", "application/json", &[("charset", "UTF-8")]),
            (
                "text/plain;charset=\"utf-8\"; format=flowed",
                "text/plain",
                &[("charset", "utf-8"), ("format", "flowed")],
            ),
            ("multipart/mixed; boundary=\"a;b\\\"c\"", "multipart/mixed", &[("boundary", "a;b\"c")]),
            ("text/html;;", "text/html", &[]),
        ] {
            let read = MediaType::parse(value.as_bytes()).unwrap();
            assert_eq!(read.essence, essence);
            let expected: Vec<_> =
                parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(read.parameters, expected, "{value}");
        }
        for value in ["", "json", "/json", "text/", "text/html, text/plain", "a b/c"] {
            assert_eq!(MediaType::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn kinds() {
        use BodyKind::{Bytes, Events, Form, Grpc, Json, JsonLines, JsonSequence, Multipart, Text};
        for (essence, kind) in [
            ("application/json", Json),
            ("application/problem+json", Json),
            ("application/vnd.github.v3+json", Json),
            ("text/json", Json),
            ("application/x-ndjson", JsonLines),
            ("application/jsonl", JsonLines),
            ("application/stream+json", JsonLines),
            ("application/json-seq", JsonSequence),
            ("application/geo+json-seq", JsonSequence),
            ("text/event-stream", Events),
            ("application/x-www-form-urlencoded", Form),
            ("text/html", Text),
            ("text/csv", Text),
            ("application/xml", Text),
            ("application/atom+xml", Text),
            ("image/svg+xml", Text),
            ("application/javascript", Text),
            ("application/yaml", Text),
            ("multipart/mixed", Multipart),
            ("application/grpc", Grpc),
            ("application/grpc+proto", Grpc),
            ("application/grpc-web+proto", Grpc),
            ("application/grpc-web-text", Text),
            ("application/octet-stream", Bytes),
            ("image/png", Bytes),
            ("application/pdf", Bytes),
            ("application/protobuf", Bytes),
            ("application/cbor", Bytes),
        ] {
            assert_eq!(MediaType::parse(essence.as_bytes()).map(|read| read.kind()), Some(kind), "{essence}");
        }
    }
}
