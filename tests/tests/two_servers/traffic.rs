//! The requests: of all that the port has, with other values in each, and the faults that each of them meets.

use std::net::SocketAddr;

use test_kit::{Request, Wire, request};

const CONNECTIONS: usize = 4;

/// One request.
#[derive(Debug)]
pub(crate) struct Asking {
    method: &'static str,
    target: String,
    fields: Vec<(&'static str, String)>,
    body: String,
    /// The faults of the port that it meets, by name.
    pub(crate) faults: Vec<&'static str>,
}

const CODES: [u16; 18] =
    [200, 201, 202, 204, 301, 302, 304, 400, 401, 402, 403, 404, 405, 406, 409, 410, 418, 429];
const WORDS: [&str; 5] = ["hello", "caf%C3%A9", "a+b", "%E2%9C%93", "x%2Fy"];
const LANGUAGES: [&str; 3] = ["de", "en-GB, en;q=0.8", "fr"];

impl Asking {
    fn get(target: impl Into<String>) -> Self {
        Asking {
            method: "GET",
            target: target.into(),
            fields: Vec::new(),
            body: String::new(),
            faults: Vec::new(),
        }
    }

    fn post(target: &str, media: &str, body: String) -> Self {
        Asking { method: "POST", body, ..Asking::get(target) }.with("content-type", media)
    }

    fn by(self, method: &'static str) -> Self {
        Asking { method, ..self }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    fn meets(self, fault: &'static str) -> Self {
        self.meets_if(true, fault)
    }

    fn meets_if(mut self, does: bool, fault: &'static str) -> Self {
        self.faults.extend(does.then_some(fault));
        self
    }

    /// The request of random bytes that only noise is to be learned from.
    pub(crate) fn uuid() -> Self {
        Asking::get("/uuid")
    }

    /// The request at this place of the traffic: of which kind it is goes round, its values are drawn.
    pub(crate) fn at(at: usize) -> Self {
        let drawn = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        Asking::telling(at % 48, usize::try_from(drawn % 1_000_003).unwrap())
    }

    /// What tells of the request, and all other kinds.
    fn telling(kind: usize, n: usize) -> Self {
        match kind {
            0..=2 => Asking::get(format!("/get?page={n}&q={}&sort=name&sort=price", pick(&WORDS, n)))
                .meets("debug"),
            3 => Asking::get(format!("/get?page={n}")).by("HEAD"),
            4 => Asking::get("/get").by("OPTIONS").meets("allow"),
            5 if n.is_multiple_of(2) => Asking::get("/headers"),
            5 | 6 => Asking::get("/headers").with("accept-language", pick(&LANGUAGES, n)).meets("language"),
            7 => Asking::get("/ip").meets("list"),
            8 => Asking::get("/user-agent").meets("credentials"),
            9 => Asking::get(format!("/gzip?n={n}")).meets("gzipped"),
            10 => Asking::get(format!("/deflate?n={n}")),
            11 => Asking::get(format!("/brotli?n={n}")),
            12 => {
                // One line of JSON is one document.
                let n = 1 + n % 9;
                let fault = if n == 1 { "counted, of one" } else { "counted" };
                Asking::get(format!("/stream/{n}")).meets(fault)
            }
            _ => Asking::leading(kind, n),
        }
    }

    /// What sets cookies and leads elsewhere, and all other kinds.
    fn leading(kind: usize, n: usize) -> Self {
        match kind {
            13 => Asking::get("/cookies").with("cookie", format!("a={n}; theme=dark")),
            14 => Asking::get(format!("/cookies/set?session={n}")).meets("http-only"),
            15 => Asking::get(format!("/cookies/set/theme/{n}")),
            16 => Asking::get("/cookies/delete?session="),
            17 => {
                let n = 1 + n % 6;
                Asking::get(format!("/redirect/{n}")).meets_if(n > 1, "nearer")
            }
            18 => Asking::get(format!("/relative-redirect/{}", 1 + n % 6)),
            19 => Asking::get(format!("/absolute-redirect/{}", 1 + n % 6)),
            20 => Asking::get(format!(
                "/redirect-to?url=/items/{n}?a%3Db&status_code={}",
                [301, 302, 307][n % 3]
            )),
            21 => {
                let (n, at) = (2 + n % 11, n % 2);
                Asking::get(format!("/links/{n}/{at}")).meets_if(at != n - 1, "link")
            }
            22 => Asking::get(format!("/links/{}", 1 + n % 11)),
            23 => Asking::get(format!(
                "/base64/{}",
                ["aGVsbG8gd29ybGQ=", "Y2Fmw6kgMTIzNDU=", "eyJhIjoxfQ=="][n % 3]
            )),
            _ => Asking::holding(kind, n),
        }
    }

    /// Bytes, caches and whom they are for, and all other kinds.
    fn holding(kind: usize, n: usize) -> Self {
        match kind {
            24 => Asking::get(format!("/bytes/{}?seed={n}", 1 + n % 700)),
            25 if n.is_multiple_of(4) => Asking::get(format!("/bytes/{}", 16 + n % 700)),
            25 => Asking::get(format!("/bytes/{}?seed={}", 1 + n % 3_000, n % 7)),
            26 => Asking::get(format!("/stream-bytes/{}?seed={n}", 1 + n % 700)).meets("trailer"),
            27 => {
                let first = n % 60;
                let asking = Asking::get("/range/100").with("range", format!("bytes={first}-{}", first + 9));
                asking.meets_if(!first.is_multiple_of(26), "part")
            }
            28 if n.is_multiple_of(2) => Asking::get(format!("/range/{}", 1 + n % 3_000)),
            28 => Asking::get("/range/100").with("range", "bytes=200-"),
            29 if n.is_multiple_of(2) => Asking::get("/cache").with("if-none-match", "\"x\""),
            29 => Asking::get("/cache").meets("stale"),
            30 => Asking::get(format!("/cache/{n}")).meets("public"),
            31 => Asking::etag(n),
            32 => Asking::get(format!("/response-headers?x-item={n}&x-tag=a&x-tag=b")),
            33 if n.is_multiple_of(2) => Asking::get("/basic-auth/user7/secret7"),
            33 => {
                Asking::get("/basic-auth/user7/secret7").with("authorization", "Basic dXNlcjc6c2VjcmV0Nw==")
            }
            34 if n.is_multiple_of(2) => Asking::get("/bearer"),
            34 => Asking::get("/bearer").with("authorization", format!("Bearer {n}")),
            35 => Asking::get("/digest-auth/auth/user1234/secret1234"),
            _ => Asking::showing(kind, n),
        }
    }

    /// Pages, statuses, and what has a body.
    fn showing(kind: usize, n: usize) -> Self {
        match kind {
            36 => Asking::get(["/html", "/forms/post", "/encoding/utf8"][n % 3]),
            37 => Asking::get("/xml").meets("media"),
            38 => Asking::get("/robots.txt").meets("line"),
            39 if n.is_multiple_of(2) => Asking::get("/image/png"),
            39 => Asking::get("/image").with("accept", ["image/png", "text/html"][n / 2 % 2]),
            40 | 41 => {
                let code = CODES[n % 18];
                Asking::get(format!("/status/{code}")).meets_if(code == 418, "teapot")
            }
            42 => Asking::get(format!("/anything/orders/{n}?q={}", pick(&WORDS, n))),
            43 if n.is_multiple_of(5) => {
                Asking::get(format!("/anything/orders/{n}?q={}&note=", pick(&WORDS, n))).meets("empty")
            }
            43 => Asking::post(&format!("/anything/orders/{n}"), "text/plain", format!("caf\u{e9} {n}")),
            44 if n.is_multiple_of(2) => Asking::form(format!("name={}&n={n}", pick(&WORDS, n))),
            44 => Asking::form(format!("name={}&tags=a&tags={n}&tags=c", pick(&WORDS, n))).meets("order"),
            45 => {
                let is_big = n.is_multiple_of(10);
                let big = if is_big { "1180591620717411303424" } else { "9007199254740993" };
                let body = format!(
                    "{{\"n\": {n}, \"price\": 2.50, \"big\": {big}, \"no\": null, \"name\": \"\u{e9}\"}}"
                );
                Asking::post("/post", "application/json", body).meets_if(is_big, "float")
            }
            46 => Asking::get(format!("/nothing/{n}")),
            _ => match n % 8 {
                0 => Asking::get("/delay/0.01"),
                1 => Asking::post("/status/201", "text/plain", String::new()),
                _ => Asking::uuid(),
            },
        }
    }

    fn form(body: String) -> Self {
        Asking::post("/post", "application/x-www-form-urlencoded", body)
    }

    fn etag(n: usize) -> Self {
        let plain = Asking::get(format!("/etag/{n}"));
        match n % 5 {
            0 => plain,
            1 => plain.with("if-none-match", format!("\"x\", \"{n}\"")),
            2 => plain.with("if-none-match", format!("W/\"{n}\"")).meets("weak"),
            3 => plain.with("if-match", "\"x\""),
            _ => plain.with("if-match", "*"),
        }
    }

    fn bytes(&self, user: usize) -> Vec<u8> {
        let (user, length) = (format!("{USER}{user}"), self.body.len().to_string());
        let mut fields =
            vec![("x-user-id", user.as_str()), ("user-agent", "two-servers/1"), ("accept", "*/*")];
        if self.method == "POST" {
            fields.push(("content-length", &length));
        }
        fields.retain(|(name, _)| self.fields.iter().all(|(own, _)| own != name));
        fields.extend(self.fields.iter().map(|(name, value)| (*name, value.as_str())));
        request::with(self.method, &self.target, &fields, self.body.as_bytes())
    }
}

fn pick(words: &[&'static str], n: usize) -> &'static str {
    words[n % words.len()]
}

/// What the users' names begin with; the rest is the number of their one request.
const USER: &str = "user-";

/// Whose request it is.
pub(crate) fn user(request: &Request) -> Option<usize> {
    request.fields.get("x-user-id")?.strip_prefix(USER)?.parse().ok()
}

/// Sends these over a few connections, and checks that old answered each of them.
pub(crate) fn send(some: &[(usize, &Asking)], to: SocketAddr) {
    std::thread::scope(|scope| {
        for first in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut wire = Wire::connect(to);
                for (user, asking) in some.iter().skip(first).step_by(CONNECTIONS) {
                    let answer = wire.exchange(asking.bytes(*user));
                    let server = answer.fields.get("server");
                    assert_eq!(server, Some("waitress"), "{}: {}", asking.target, answer.text());
                    if answer.says_close() {
                        wire = Wire::connect(to);
                    }
                }
            });
        }
    });
}
