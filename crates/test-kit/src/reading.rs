//! HTTP/1.1 messages as the tests read them: a second, small and strict reading beside the proxy's.
//!
//! It takes only what a proxy with good manners writes: lines that end in CRLF, fields without folding, one
//! framing, chunks without extensions. What it does not understand is [`Broken::Malformed`], so that a proxy that
//! writes sloppily fails its tests even where a lenient reader would shrug.

use std::fmt;

/// Why a message could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer closed in good order before the first byte of a message.
    Closed,
    /// The peer closed in good order in the midst of a message.
    Truncated,
    /// The connection was reset.
    Reset,
    /// Nothing came for [`crate::DEADLINE`].
    TimedOut,
    /// What came is not a message; the sentence says why.
    Malformed(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Closed => f.write_str("closed before a message"),
            Broken::Truncated => f.write_str("closed in the midst of a message"),
            Broken::Reset => f.write_str("connection reset"),
            Broken::TimedOut => f.write_str("nothing came in time"),
            Broken::Malformed(why) => write!(f, "not an HTTP/1.1 message: {why}"),
        }
    }
}

/// How the end of a body is found (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Everything until the connection ends.
    UntilClose,
}

/// Field lines in their order. Names are as sent and compared without case; bytes beyond ASCII in values are held
/// as the characters of the same number, so that nothing is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The value of the first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The values of all fields of this name.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// Whether there is a field of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether one of the comma-separated members of these fields is `token`, without case.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name).iter().flat_map(|value| value.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    }
}

/// A request as an upstream got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The target, byte for byte.
    pub target: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// The header fields.
    pub fields: Fields,
    /// How the body was framed.
    pub framing: Framing,
    /// The body's content, once it has been read.
    pub body: Vec<u8>,
    /// Trailer fields of a chunked body.
    pub trailers: Fields,
    /// The head's very bytes.
    pub head: Vec<u8>,
}

/// An answer as a client got it.
#[derive(Clone, Debug)]
pub struct Response {
    /// `HTTP/1.1`.
    pub version: String,
    /// The status.
    pub status: u16,
    /// The reason phrase, which may be empty.
    pub reason: String,
    /// The header fields.
    pub fields: Fields,
    /// How the body was framed.
    pub framing: Framing,
    /// The body's content, once it has been read.
    pub body: Vec<u8>,
    /// Trailer fields of a chunked body.
    pub trailers: Fields,
    /// The head's very bytes.
    pub head: Vec<u8>,
}

impl Request {
    pub(crate) fn parse(head: Vec<u8>) -> Result<Self, Broken> {
        let (start, fields) = lines(&head)?;
        let [method, target, version] = start.split(' ').collect::<Vec<_>>()[..] else {
            return malformed(format!("request line {start:?}"));
        };
        if !method.bytes().all(is_token) || target.is_empty() || version != "HTTP/1.1" {
            return malformed(format!("request line {start:?}"));
        }
        let framing = declared(&fields)?.unwrap_or(Framing::None);
        let (method, target, version) = (method.to_owned(), target.to_owned(), version.to_owned());
        Ok(Request {
            method,
            target,
            version,
            fields,
            framing,
            body: Vec::new(),
            trailers: Fields::default(),
            head,
        })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Response {
    pub(crate) fn parse(head: Vec<u8>, to_head: bool) -> Result<Self, Broken> {
        let (start, fields) = lines(&head)?;
        let mut words = start.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().filter(|word| word.len() == 3).and_then(|word| word.parse::<u16>().ok());
        let (Some(status), true) = (status, version == "HTTP/1.1" || version == "HTTP/1.0") else {
            return malformed(format!("status line {start:?}"));
        };
        let Some(reason) = words.next().map(ToOwned::to_owned) else {
            return malformed(format!("no space behind the status in {start:?}"));
        };
        let declared = declared(&fields)?;
        let bodiless = to_head || matches!(status, 100..=199 | 204 | 304);
        let framing = if bodiless { Framing::None } else { declared.unwrap_or(Framing::UntilClose) };
        let (body, trailers) = (Vec::new(), Fields::default());
        Ok(Response { version, status, reason, fields, framing, body, trailers, head })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text()))
    }

    /// Whether the server says that it ends the connection behind this answer.
    #[must_use]
    pub fn says_close(&self) -> bool {
        self.fields.lists("connection", "close")
    }
}

/// Field lines up to the empty line, as the trailer section has them.
pub(crate) fn parse_fields(section: &[u8]) -> Result<Fields, Broken> {
    let mut with_start = b"\r\n".to_vec();
    with_start.extend_from_slice(section);
    lines(&with_start).map(|(_, fields)| fields)
}

/// The size line of a chunk, without its CRLF.
pub(crate) fn chunk_size(line: &[u8]) -> Result<u64, Broken> {
    let text = String::from_utf8_lossy(line);
    let hex = !line.is_empty() && line.iter().all(u8::is_ascii_hexdigit);
    match u64::from_str_radix(&text, 16) {
        Ok(size) if hex => Ok(size),
        _ => malformed(format!("chunk size {text:?}")),
    }
}

pub(crate) fn malformed<T>(why: String) -> Result<T, Broken> {
    Err(Broken::Malformed(why))
}

fn lines(head: &[u8]) -> Result<(String, Fields), Broken> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let Some(text) = text.strip_suffix("\r\n\r\n").or_else(|| text.strip_suffix("\r\n")) else {
        return malformed(format!("head without its end {text:?}"));
    };
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let mut fields = Fields::default();
    for line in lines.filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            return malformed(format!("field line {line:?}"));
        };
        let value = value.trim_matches([' ', '\t']);
        let bad_name = name.is_empty() || !name.bytes().all(is_token);
        if bad_name || value.contains(|c: char| c.is_ascii_control() && c != '\t') {
            return malformed(format!("field line {line:?}"));
        }
        fields.0.push((name.to_owned(), value.to_owned()));
    }
    if start.contains(|c: char| c.is_ascii_control()) {
        return malformed(format!("start line {start:?}"));
    }
    Ok((start, fields))
}

/// The framing that the fields declare; two of them are never right.
fn declared(fields: &Fields) -> Result<Option<Framing>, Broken> {
    match (&fields.all("content-length")[..], &fields.all("transfer-encoding")[..]) {
        ([], []) => Ok(None),
        ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => match length.parse() {
            Ok(length) => Ok(Some(Framing::Length(length))),
            Err(_) => malformed(format!("content-length {length:?}")),
        },
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
        (lengths, codings) => malformed(format!("content-length {lengths:?}, transfer-encoding {codings:?}")),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Broken, Framing, Request, Response, chunk_size};

    #[test]
    fn reads_what_is_well_written() {
        let request =
            Request::parse(b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n".to_vec()).unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/a?b"));
        assert_eq!((request.fields.get("HOST"), request.framing), (Some("x"), Framing::Length(5)));

        let response =
            Response::parse(b"HTTP/1.1 200 \r\nConnection: a, Close\r\n\r\n".to_vec(), false).unwrap();
        assert_eq!((response.status, response.framing), (200, Framing::UntilClose));
        assert!(response.says_close());
        let to_head =
            Response::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec(), true).unwrap();
        assert_eq!(to_head.framing, Framing::None);
    }

    #[test]
    fn refuses_what_is_not() {
        for bad in [
            "GET  /a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/2.0\r\n\r\n",
            "GET /a HTTP/1.1\r\nno colon\r\n\r\n",
            "GET /a HTTP/1.1\r\nspace : x\r\n\r\n",
            "GET /a HTTP/1.1\r\na: b\nc: d\r\n\r\n",
            "GET /a HTTP/1.1\r\na: b\r\n c\r\n\r\n",
            "GET /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "GET /a HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ] {
            let got = Request::parse(bad.as_bytes().to_vec());
            assert!(matches!(got, Err(Broken::Malformed(_))), "{bad:?} was read as {got:?}");
        }
        for bad in ["HTTP/1.1 200\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTP/1.1 200 OK\r\n\r\n"] {
            assert!(Response::parse(bad.as_bytes().to_vec(), false).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn chunk_sizes() {
        assert_eq!(chunk_size(b"1aF"), Ok(0x1af));
        for bad in ["", " 1", "1 ", "0x1", "+1", "1;a=b", "11111111111111111"] {
            assert!(chunk_size(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
