//! New: a port of a part of httpbin 0.7, with the faults of [`crate::plants`] and no others that are known.
//!
//! Whatever a client is not to rely on is done in other ways than httpbin does it: the order of members, space, escapes, the
//! case of names, the order of fields and of what is a set, the framing, what keeps connections, levels of compression,
//! several fields in one line, entity tags, and what names the software.

mod answer;
mod asked;
mod leading;
mod random;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use test_kit::{Scripted, Serving, Wire};

use crate::traffic;

use answer::Answer;
use asked::{Asked, titled};
use leading::{cookies, forwarding};
use random::Random;

const BYTES: &str = "application/octet-stream";
const MEDIA: [&str; 5] = ["image/webp", "image/svg+xml", "image/jpeg", "image/png", "image/*"];

/// A running port.
#[derive(Debug)]
pub(crate) struct Port {
    serving: Serving,
    shop: Arc<Shop>,
}

impl Port {
    /// Starts it on a loopback port that the kernel picks, with httpbin's pages and pictures.
    pub(crate) fn start(templates: &Path) -> Self {
        let shop = Arc::new(Shop::new(templates));
        let serving = Scripted::bind().serve({
            let shop = Arc::clone(&shop);
            move |wire| shop.serve(wire)
        });
        Port { serving, shop }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.serving.addr()
    }

    /// Whether a copy of this user's request came.
    pub(crate) fn has_answered(&self, user: usize) -> bool {
        self.shop.answered.lock().unwrap().contains(&user)
    }
}

/// What all connections have in common.
#[derive(Debug)]
struct Shop {
    moby: Vec<u8>,
    form: Vec<u8>,
    xml: Vec<u8>,
    demo: Vec<u8>,
    png: Vec<u8>,
    /// An hour before the start.
    built: String,
    /// Another one in each run.
    seed: u32,
    drawn: AtomicU32,
    /// Users whose requests it has answered.
    answered: Mutex<BTreeSet<usize>>,
}

impl Shop {
    fn new(templates: &Path) -> Self {
        // As Jinja renders them: without the line break at the end.
        let page = |name: &str| {
            let mut page = fs::read(templates.join(name)).unwrap();
            assert_eq!(page.pop(), Some(b'\n'), "{name}");
            page
        };
        let form = String::from_utf8(page("forms-post.html")).unwrap();
        Shop {
            moby: page("moby.html"),
            form: form.replace("{{ url_for('view_post') }}", "/post").into_bytes(),
            xml: page("sample.xml"),
            demo: page("UTF-8-demo.txt"),
            png: fs::read(templates.join("images/pig_icon.png")).unwrap(),
            built: http_date(SystemTime::now() - Duration::from_secs(3_600)),
            seed: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos(),
            drawn: AtomicU32::new(0),
            answered: Mutex::default(),
        }
    }

    fn serve(&self, mut wire: Wire) {
        let mut in_chunks = false;
        while let Ok(request) = wire.try_request() {
            let asked = Asked::of(&request);
            let origin = asked.field("origin").unwrap_or("*");
            let answer = self.answer(&asked).with("access-control-allow-origin", origin);
            in_chunks = !in_chunks;
            // Before it can have become a pair: who has no copy by then is asked again.
            self.answered.lock().unwrap().extend(traffic::user(&request));
            if !answer.send(&mut wire, request.method == "HEAD", in_chunks) {
                return;
            }
        }
    }

    fn answer(&self, asked: &Asked<'_>) -> Answer {
        let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
        let number =
            |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok()).unwrap_or_default();
        match (asked.request.method.as_str(), &words[..]) {
            ("OPTIONS", ["get"]) => options(),
            ("POST", ["post"]) => posted(asked),
            (_, ["anything", ..]) => anything(asked),
            (_, ["status", code]) => status(code),
            ("GET" | "HEAD", _) => self.page(asked, &words, number(1), number(2)),
            _ => no_method(),
        }
    }

    fn page(&self, asked: &Asked<'_>, words: &[&str], n: usize, at: usize) -> Answer {
        match words {
            ["get"] => {
                let mut told = asked.told(&["url", "args", "headers", "origin"]);
                // FAULT: a member for the developers was left in.
                told.insert("debug".to_owned(), json!(false));
                Answer::json(&told.into())
            }
            ["headers"] => {
                let mut told = asked.told(&["headers"]);
                // FAULT: a field is missing.
                told["headers"].as_object_mut().unwrap().remove("Accept-Language");
                Answer::json(&told.into())
            }
            // FAULT: a list instead of a text.
            ["ip"] => Answer::json(&json!({ "origin": [asked.told(&["origin"])["origin"]] })),
            // FAULT: a field is missing.
            ["user-agent"] => Answer::json(&json!({ "user-agent": asked.field("user-agent") }))
                .without("access-control-allow-credentials"),
            ["uuid"] => Answer::json(&json!({ "uuid": self.uuid() })),
            ["delay", seconds] => {
                std::thread::park_timeout(Duration::from_secs_f64(seconds.parse().unwrap_or_default()));
                Answer::json(
                    &asked.told(&["url", "args", "form", "data", "origin", "headers", "files"]).into(),
                )
            }
            ["gzip" | "deflate" | "brotli"] => coded(asked, words[0]),
            ["stream", _] => stream(asked, n),
            ["cookies", ..] => cookies(asked, words),
            ["redirect" | "relative-redirect" | "absolute-redirect" | "redirect-to" | "links", ..] => {
                forwarding(asked, words, n, at)
            }
            ["base64", text] => Answer::html(200, unbase64(text)),
            ["bytes" | "stream-bytes", _] => self.random_bytes(asked, words[0], n),
            ["range", _] => range(asked, n),
            ["cache", ..] | ["etag", _] => self.cached(asked, words),
            ["response-headers"] => response_headers(asked),
            ["basic-auth" | "bearer" | "digest-auth", ..] => self.authenticated(asked, words),
            ["html"] => Answer::html(200, self.moby.clone()),
            ["forms", "post"] => Answer::html(200, self.form.clone()),
            ["encoding", "utf8"] => Answer::html(200, self.demo.clone()),
            // FAULT: another media type.
            ["xml"] => Answer::new(200, "text/xml", self.xml.clone()),
            // FAULT: a line says something else.
            ["robots.txt"] => Answer::new(200, "text/plain", "User-agent: *\nDisallow: /denied\n"),
            ["image", "png"] => Answer::new(200, "image/png", self.png.clone()),
            ["image"] => match asked.field("accept").unwrap_or_default() {
                accept if accept.contains("image/png") => Answer::new(200, "image/png", self.png.clone()),
                _ => status("406"),
            },
            _ => page_of_error(404, "Not Found", NOT_FOUND),
        }
    }

    fn random_bytes(&self, asked: &Asked<'_>, word: &str, n: usize) -> Answer {
        let seed = asked.argument("seed").and_then(|seed| seed.parse().ok());
        let bytes = Random::seeded(seed.unwrap_or_else(|| self.draw())).bytes(n);
        let answer = Answer::new(200, BYTES, bytes);
        match (word, seed) {
            // FAULT: a trailer that nobody asked for.
            ("stream-bytes", Some(_)) => answer.trailer("x-checked", "yes"),
            _ => answer,
        }
    }

    fn cached(&self, asked: &Asked<'_>, words: &[&str]) -> Answer {
        let answer = || Answer::json(&asked.told(&["url", "args", "headers", "origin"]).into());
        match words {
            ["cache"] if asked.field("if-none-match").or(asked.field("if-modified-since")).is_some() => {
                status("304")
            }
            // FAULT: the moment at which the port was built instead of this one.
            ["cache"] => {
                answer().with("last-modified", &self.built).with("etag", &format!("\"{:x}\"", self.draw()))
            }
            // FAULT: `public` is missing.
            ["cache", seconds] => answer().with("cache-control", &format!("Max-Age={seconds}")),
            [_, tag] => {
                let has = |tags: &[String]| tags.iter().any(|known| known == tag || known == "*");
                // FAULT: weak tags are not understood.
                match (asked.tags("if-none-match"), asked.tags("if-match")) {
                    (Some(tags), _) if has(&tags) => status("304").with("etag", &format!("\"{tag}\"")),
                    (None, Some(tags)) if !has(&tags) => status("412"),
                    _ => answer().with("etag", &format!("\"{tag}\"")),
                }
            }
            _ => status("404"),
        }
    }

    fn authenticated(&self, asked: &Asked<'_>, words: &[&str]) -> Answer {
        let given = asked.field("authorization");
        let unknown = Answer::html(401, "");
        match words {
            ["basic-auth", user, password] => {
                let expected = format!("{user}:{password}").into_bytes();
                match given.and_then(|given| given.strip_prefix("Basic ")) {
                    Some(given) if unbase64(given) == expected => {
                        Answer::json(&json!({ "user": user, "authenticated": true }))
                    }
                    _ => status("401"),
                }
            }
            ["bearer"] => match given.and_then(|given| given.strip_prefix("Bearer ")) {
                Some(token) => Answer::json(&json!({ "token": token, "authenticated": true })),
                None => unknown.with("www-authenticate", "Bearer"),
            },
            _ => {
                let [nonce, opaque] = [self.uuid(), self.uuid()].map(|uuid| uuid.replace('-', ""));
                let challenge = format!(
                    "Digest realm=\"me@kennethreitz.com\", nonce=\"{nonce}\", qop=\"auth\", opaque=\"{opaque}\", \
                     algorithm=MD5, stale=FALSE"
                );
                unknown
                    .with("www-authenticate", &challenge)
                    .with("set-cookie", "fake=fake_value; path=/")
                    .with("set-cookie", "stale_after=never; path=/")
            }
        }
    }

    /// Another number for each call, and for each run.
    fn draw(&self) -> u32 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        Random::seeded(self.seed.wrapping_add(count)).bits()
    }

    fn uuid(&self) -> String {
        let bytes = Random::seeded(self.draw()).bytes(16);
        let mut hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.replace_range(12..13, "4");
        hex.replace_range(16..17, "a");
        [8, 13, 18, 23].into_iter().for_each(|at| hex.insert(at, '-'));
        hex
    }
}

fn options() -> Answer {
    Answer::html(200, "")
        .with("access-control-allow-methods", "OPTIONS, PATCH, DELETE, PUT, POST, GET")
        .with("access-control-max-age", "3600")
        // FAULT: `HEAD` is missing.
        .with("allow", "GET, OPTIONS")
}

fn posted(asked: &Asked<'_>) -> Answer {
    let mut told = asked.told(&["url", "args", "form", "data", "origin", "headers", "files", "json"]);
    // FAULT: several values of one name are told from the last one to the first.
    for value in told["form"].as_object_mut().unwrap().values_mut() {
        if let Value::Array(values) = value {
            values.reverse();
        }
    }
    // FAULT: integers beyond 64 bits are told as floats; that is what `serde_json` reads them as.
    Answer::json(&told.into())
}

fn anything(asked: &Asked<'_>) -> Answer {
    let mut told =
        asked.told(&["url", "args", "headers", "origin", "method", "form", "data", "files", "json"]);
    // FAULT: arguments without a value are left out.
    told["args"].as_object_mut().unwrap().retain(|_, value| value.as_str() != Some(""));
    Answer::json(&told.into())
}

fn status(code: &str) -> Answer {
    let Ok(number) = code.parse::<u16>() else {
        return Answer::new(400, "Text/Plain; Charset=UTF-8", "Invalid status code");
    };
    let plain = Answer::html(number, "").without("content-type");
    match number {
        301..=303 | 305 | 307 => plain.with("location", "/redirect/1"),
        304 => plain,
        401 => plain.with("www-authenticate", "Basic realm=\"Fake Realm\""),
        402 => Answer { body: b"Fuck you, pay me!".to_vec(), ..plain }
            .with("x-more-info", "http://vimeo.com/22053820"),
        406 => {
            let said =
                json!({ "accept": MEDIA, "message": "Client did not request a supported media type." });
            Answer { status: 406, ..Answer::json(&said) }
        }
        407 => plain.with("proxy-authenticate", "Basic realm=\"Fake Realm\""),
        // FAULT: it is well.
        418 => Answer { status: 200, body: TEAPOT.into(), ..plain }
            .with("x-more-info", "http://tools.ietf.org/html/rfc2324"),
        _ => Answer::html(number, ""),
    }
}

fn coded(asked: &Asked<'_>, coding: &str) -> Answer {
    let mut told = asked.told(&["origin", "headers", "method"]);
    let (word, name) = match coding {
        "gzip" => ("gzipped", "gzip"),
        "deflate" => ("deflated", "deflate"),
        _ => ("brotli", "br"),
    };
    // FAULT: under the compression of gzip, it says that there is none.
    told.insert(word.to_owned(), json!(word != "gzipped"));
    let plain = Answer::json(&told.into());
    let body = match coding {
        "gzip" => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
            gzip.write_all(&plain.body).unwrap();
            gzip.finish().unwrap()
        }
        "deflate" => {
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
            zlib.write_all(&plain.body).unwrap();
            zlib.finish().unwrap()
        }
        _ => brotli(&plain.body),
    };
    Answer { body, ..plain }.with("content-encoding", name)
}

/// Brotli (RFC 7932) that compresses nothing: one block of bytes as they are, and an empty last one.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap() - 1;
    assert!(length < 1 << 16);
    // From the lowest bit: a window of 2^16 (0), not the last block (0), four digits of length (00), them, uncompressed (1).
    let head = (length << 4) | 1 << 20;
    [&head.to_le_bytes()[..3], bytes, &[3]].concat()
}

fn stream(asked: &Asked<'_>, n: usize) -> Answer {
    let mut lines = String::new();
    for id in 0..n.min(100) {
        let mut told = asked.told(&["url", "args", "headers", "origin"]);
        // FAULT: they are counted from 1.
        told.insert("id".to_owned(), json!(id + 1));
        lines += &format!("{}\n", Value::Object(told));
    }
    Answer::new(200, "application/json", lines)
}

fn range(asked: &Asked<'_>, n: usize) -> Answer {
    let (first, last) = asked.range(n);
    let tag = format!("\"range{n}\"");
    let answer = Answer::new(200, BYTES, "").with("etag", &tag).with("accept-ranges", "Bytes");
    if first > last || last >= n {
        let none = answer.without("content-type").with("content-type", "text/plain; charset=UTF-8");
        return Answer { status: 416, ..none }.with("content-range", &format!("bytes */{n}"));
    }
    let letters = b"abcdefghijklmnopqrstuvwxyz";
    let is_whole = (first, last) == (0, n - 1);
    // FAULT: a part is the one at the start, wherever it was to be from.
    let body = (0..=last - first).map(|at| letters[at % 26]).collect();
    let status = if is_whole { 200 } else { 206 };
    Answer { status, body, ..answer }.with("content-range", &format!("bytes {first}-{last}/{n}"))
}

/// The answer tells its own fields, the length of it among them: round and round until that does not change any more.
fn response_headers(asked: &Asked<'_>) -> Answer {
    let arguments = asked.arguments();
    let mut told = serde_json::Map::new();
    for (name, value) in &arguments {
        match told.get_mut(name) {
            None => drop(told.insert(name.clone(), json!(value))),
            Some(Value::Array(values)) => values.push(json!(value)),
            Some(first) => *first = json!([first.clone(), value]),
        }
    }
    told.insert("Content-Type".to_owned(), json!("application/json"));
    let mut length = 0;
    let body = loop {
        told.insert("Content-Length".to_owned(), json!(format!("{length}")));
        let body = format!("{}\n", Value::Object(told.clone()));
        if body.len() == length {
            break body;
        }
        length = body.len();
    };
    let mut answer = Answer::new(200, "application/json", body);
    for (name, value) in arguments {
        // Several fields of one name may be one with commas.
        match answer.fields.iter_mut().find(|(known, _)| *known == titled(&name)) {
            Some((_, before)) => *before += &format!(", {value}"),
            None => answer = answer.with(&titled(&name), &value),
        }
    }
    answer
}

fn no_method() -> Answer {
    page_of_error(405, "Method Not Allowed", "The method is not allowed for the requested URL.")
        .with("allow", "GET, HEAD, OPTIONS")
}

fn page_of_error(code: u16, name: &str, said: &str) -> Answer {
    let page = format!(
        "<!doctype html>\n<html lang=en>\n<title>{code} {name}</title>\n<h1>{name}</h1>\n<p>{said}</p>\n"
    );
    Answer::html(code, page)
}

/// Base64 by either alphabet, as far as it is well written.
fn unbase64(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter_map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    });
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}

fn http_date(at: SystemTime) -> String {
    let seconds = i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    jiff::Timestamp::from_second(seconds).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

const NOT_FOUND: &str = "The requested URL was not found on the server. If you entered the URL manually please check your \
                         spelling and try again.";
const TEAPOT: &str = "\n    -=[ teapot ]=-\n\n       _...._\n     .'  _ _ `.\n    | .\"` ^ `\". _,\n    \
                      \\_;`\"---\"`|//\n      |       ;/\n      \\_     _/\n        `\"\"\"`\n";
