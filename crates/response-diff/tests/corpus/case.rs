//! The cases as they are written, and how their answers are made.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use response_diff::{Answer, Body, Field, Incomplete};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// One pair of answers with its verdict. See `README.md`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    #[serde(skip)]
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) why: String,
    #[serde(default = "root")]
    pub(crate) request: String,
    #[serde(default)]
    pub(crate) rules: String,
    #[serde(default)]
    pub(crate) limits: Limits,
    pub(crate) old: String,
    pub(crate) new: String,
    pub(crate) verdict: Verdict,
    #[serde(default)]
    pub(crate) differences: Vec<Place>,
    #[serde(default)]
    pub(crate) noise: Vec<Place>,
    #[serde(default)]
    pub(crate) raced: Vec<Place>,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) values: BTreeMap<String, Values>,
    pub(crate) old_recheck: Option<String>,
    pub(crate) new_recheck: Option<String>,
    pub(crate) old_charset: Option<String>,
    pub(crate) new_charset: Option<String>,
    pub(crate) old_hex: Option<String>,
    pub(crate) new_hex: Option<String>,
    pub(crate) old_encoding: Option<String>,
    pub(crate) new_encoding: Option<String>,
    #[serde(default)]
    pub(crate) old_trailers: Vec<String>,
    #[serde(default)]
    pub(crate) new_trailers: Vec<String>,
    #[serde(default)]
    pub(crate) old_hashed: bool,
    #[serde(default)]
    pub(crate) new_hashed: bool,
    pub(crate) old_incomplete: Option<String>,
    pub(crate) new_incomplete: Option<String>,
}

fn root() -> String {
    "/".to_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Match,
    Mismatch,
    Noise,
    Race,
    NotCompared,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Values {
    pub(crate) old: Vec<String>,
    pub(crate) new: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) depth: Option<usize>,
    pub(crate) nodes: Option<usize>,
}

/// Which of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Old,
    New,
}

/// An answer with its bytes.
pub(crate) struct Message {
    status: u16,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    hashed: bool,
    incomplete: Option<Incomplete>,
}

/// All cases of all files, in their order.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is beside this test")
        .map(|entry| entry.expect("the corpus can be listed").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a file of the corpus can be read");
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        cases.extend(file.case.into_iter().map(|case| Case { file: name.clone(), ..case }));
    }
    cases
}

impl Case {
    /// How many answers to the same request each side gave.
    pub(crate) fn answers(&self) -> usize {
        self.values.values().next().map_or(1, |values| values.old.len())
    }

    /// The answer of this side with the values of this index.
    pub(crate) fn answer(&self, side: Side, index: usize) -> Message {
        let mut text = match side {
            Side::Old => self.old.clone(),
            Side::New => self.new.clone(),
        };
        for (name, values) in &self.values {
            let values = if side == Side::Old { &values.old } else { &values.new };
            text = text.replace(&format!("«{name}»"), &values[index]);
        }
        self.message(side, &text)
    }

    /// The answer of this side when it was asked again because of a mismatch.
    pub(crate) fn recheck(&self, side: Side) -> Option<Message> {
        let text = if side == Side::Old { &self.old_recheck } else { &self.new_recheck };
        text.as_deref().map(|text| self.message(side, text))
    }

    fn message(&self, side: Side, text: &str) -> Message {
        let (charset, hex, encoding, trailers, hashed, incomplete) = match side {
            Side::Old => (
                &self.old_charset,
                &self.old_hex,
                &self.old_encoding,
                &self.old_trailers,
                self.old_hashed,
                &self.old_incomplete,
            ),
            Side::New => (
                &self.new_charset,
                &self.new_hex,
                &self.new_encoding,
                &self.new_trailers,
                self.new_hashed,
                &self.new_incomplete,
            ),
        };
        let text = repeated(text);
        let (head, body) = if text.starts_with("HTTP/") {
            let end = ["\n\n", "\r\n\r\n"].into_iter().find_map(|end| text.split_once(end));
            end.unwrap_or_else(|| panic!("{}: no blank line after the head", self.name))
        } else {
            ("HTTP/1.1 200 OK\ncontent-type: application/json", text.as_str())
        };
        let mut lines = head.lines();
        let first = lines.next().expect("it begins with HTTP/");
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("it has a status");
        let charset = charset.as_deref();
        let mut fields: Vec<_> = lines.map(|line| field(line, charset)).collect();
        let mut body = match hex {
            Some(digits) => from_hex(digits),
            None => encoded(body, charset),
        };
        if let Some(encoding) = encoding {
            for coding in encoding.split(", ") {
                body = compressed(&body, coding);
            }
            let announced = encoding.replace("raw-deflate", "deflate");
            fields.push((b"Content-Encoding".to_vec(), announced.into_bytes()));
        }
        Message {
            status,
            fields,
            trailers: trailers.iter().map(|line| field(line, None)).collect(),
            body,
            hashed,
            incomplete: incomplete.as_deref().map(why_incomplete),
        }
    }
}

impl Message {
    /// The answer as the engine sees it.
    pub(crate) fn answer(&self) -> Answer<'_> {
        let body = match self.incomplete {
            Some(why) => Body::Incomplete(why),
            None if self.hashed => {
                Body::Hashed { bytes: self.body.len() as u64, hash: xxhash_rust::xxh3::xxh3_128(&self.body) }
            }
            None => Body::Whole(&self.body),
        };
        Answer {
            status: self.status,
            headers: as_fields(&self.fields),
            trailers: as_fields(&self.trailers),
            body,
        }
    }
}

fn as_fields(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<Field<'_>> {
    fields.iter().map(|(name, value)| Field { name, value }).collect()
}

fn field(line: &str, charset: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line}"));
    let value = value.trim_matches([' ', '\t']);
    let value = if charset == Some("latin1") { latin1(value) } else { value.as_bytes().to_vec() };
    (name.as_bytes().to_vec(), value)
}

/// `⟦3×ab⟧` is `ababab`.
fn repeated(text: &str) -> String {
    let mut made = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('⟦') {
        let (count, after) = after.split_once('×').expect("a repetition has a count");
        let (part, after) = after.split_once('⟧').expect("a repetition ends");
        made.push_str(before);
        made.push_str(&part.repeat(count.parse().expect("a count is a number")));
        rest = after;
    }
    made.push_str(rest);
    made
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).expect("it is Latin-1")).collect()
}

fn encoded(text: &str, charset: Option<&str>) -> Vec<u8> {
    match charset {
        None => text.as_bytes().to_vec(),
        Some("latin1") => latin1(text),
        Some("utf-16le-bom") => {
            [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
        }
        Some(label) => {
            let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).expect("a known charset");
            let (bytes, _, unmappable) = encoding.encode(text);
            assert!(!unmappable, "{text} cannot be written in {label}");
            bytes.into_owned()
        }
    }
}

fn from_hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("hexadecimal is ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal digits")
        })
        .collect()
}

fn compressed(body: &[u8], coding: &str) -> Vec<u8> {
    let fast = flate2::Compression::fast();
    match coding {
        "identity" => body.to_vec(),
        "gzip" | "x-gzip" => written(GzEncoder::new(Vec::new(), fast), body, GzEncoder::finish),
        "deflate" => written(ZlibEncoder::new(Vec::new(), fast), body, ZlibEncoder::finish),
        "raw-deflate" => written(DeflateEncoder::new(Vec::new(), fast), body, DeflateEncoder::finish),
        "zstd" => ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest),
        "br" => {
            let mut made = Vec::new();
            let parameters = brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
            brotli::BrotliCompress(&mut &*body, &mut made, &parameters).expect("brotli writes to memory");
            made
        }
        other => panic!("no such coding: {other}"),
    }
}

fn written<W: Write>(
    mut encoder: W,
    body: &[u8],
    finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>,
) -> Vec<u8> {
    encoder.write_all(body).expect("an encoder writes to memory");
    finish(encoder).expect("an encoder writes to memory")
}

fn why_incomplete(word: &str) -> Incomplete {
    match word {
        "client" => Incomplete::Client,
        "upstream" => Incomplete::Upstream,
        "slow" => Incomplete::Slow,
        "stream" => Incomplete::Stream,
        other => panic!("no reason for an incomplete body: {other}"),
    }
}
