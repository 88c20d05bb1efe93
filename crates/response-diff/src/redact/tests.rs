use std::io::Write as _;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const KEY: [u8; 32] = [7; 32];

fn redactor(rules: &[&str]) -> Redactor {
    let rules: Vec<_> = rules.iter().map(|rule| (*rule).to_owned()).collect();
    Redactor::new(&KEY, &rules, &Limits::default(), 4096).unwrap()
}

fn field<'a>((name, value): &(&'a str, &'a str)) -> Field<'a> {
    Field { name: name.as_bytes(), value: value.as_bytes() }
}

fn answer<'a>(headers: &[(&'a str, &'a str)], body: &'a str) -> Answer<'a> {
    Answer {
        status: 200,
        headers: headers.iter().map(field).collect(),
        trailers: Vec::new(),
        body: Body::Whole(body.as_bytes()),
    }
}

fn json(body: &str) -> Answer<'_> {
    answer(&[("content-type", "application/json")], body)
}

fn without_marks(text: &str) -> String {
    static MARKS: LazyLock<Regex> = LazyLock::new(|| Regex::new("«redacted [0-9a-f]{6}»").unwrap());
    MARKS.replace_all(text, "\u{0}").into_owned()
}

fn shown(redactor: &Redactor, one: &Answer<'_>) -> String {
    redactor.pair(one, one).answer(one).to_string()
}

#[test]
fn an_answer_is_kept_without_its_secrets() {
    let mut one = answer(
        &[
            ("Content-Type", "application/json"),
            ("Set-Cookie", "session=s3cr3t-value; Path=/; HttpOnly"),
            ("Location", "https://shop.example/cb?code=42&access_token=abcdef123#top"),
            ("X-Api-Key", "key-0001"),
            ("X-Tenant", "acme"),
            ("X-Trace", "Bearer abcdefgh12345678"),
            ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ],
        r#"{"id": 7, "user": {"name": "Ann", "password": "hunter22", "email": "ann@example.com"},
            "card": {"number": 4111111111111111, "holder": null, "saved": true, "k3y": "x"},
            "tokens": {"tok_1a2b3c": {"scope": "all"}},
            "note": "your password is hunter22, said Ann", "empty": {}, "list": [1, [], "a\"b\\c\n"]}"#,
    );
    one.trailers.push(field(&("x-checksum", "a1b2c3")));
    let redactor = redactor(&["header:x-tenant", "trailer:x-checksum", "$.user.email"]);
    insta::assert_snapshot!(shown(&redactor, &one));
}

#[test]
fn texts_are_kept_without_what_says_that_it_is_secret() {
    let redactor = redactor(&["text:\\b[A-Z]{2}\\d{6}\\b", "text:tenant (\\w+)"]);
    let texts = [
        "id=7 password=hunter22 ok",
        "Password: hunter22\napi_key = 'abc def', next",
        r#"{"client_secret": "abc", "id": 7} trailing"#,
        "<user><name>Ann</name><ns:password kind=\"x\">hunter22</ns:password></user>",
        r#"<input type="hidden" name="csrf_token" value="abc123"><input name="q" value="shoes">"#,
        "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r here",
        "authorization failed for basic dXNlcjpwYXNz",
        "postgres://app:pa55word@db:5432/shop",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
        "passport AB123456 of tenant acme",
        "12 bytes, XXH3 0123456789abcdef0123456789abcdef",
        "nothing to hide: 12:30, a=b, https://example.com/?page=2",
    ];
    let lines: Vec<_> = texts.iter().map(|text| redactor.text(text).to_string()).collect();
    insta::assert_snapshot!(lines.join("\n"));
    for line in lines {
        assert_eq!(redactor.text(&line).as_str(), line, "twice is once");
    }
}

#[test]
fn targets_are_kept_without_secret_parameters() {
    let redactor = redactor(&["query:code"]);
    for (target, expected) in [
        ("/orders/42", "/orders/42"),
        ("/orders?page=2&sort=asc", "/orders?page=2&sort=asc"),
        ("/cb?code=4711&state=x", "/cb?code=«redacted 1718df»&state=x"),
        ("/cb?access%5Ftoken=ab%20cd&x", "/cb?access%5Ftoken=«redacted 0a6b4b»&x"),
        ("/reset?token=", "/reset?token="),
        ("", ""),
    ] {
        let shown = redactor.target(target);
        assert_eq!(without_marks(shown.as_str()), without_marks(expected), "{target}");
        assert_eq!(redactor.target(shown.as_str()), shown);
    }
}

fn difference(path: &str, at: &str, old: &str, new: &str) -> Difference {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Difference {
        path: path.to_owned(),
        at: at.to_owned(),
        kind: Kind::Value,
        old: text(old),
        new: text(new),
        extent: 1,
    }
}

#[test]
fn differences_are_kept_without_secrets() {
    let old = json(r#"{"user_key": "moved-away-secret", "list": [{"type": "card", "number": "4111"}]}"#);
    let new = json(r#"{"ok": true}"#);
    let redactor =
        redactor(&["$.user_key", "$.list[?@.type == 'card'].number", "header:x-tenant", "$.people[-1]"]);
    let redaction = redactor.pair(&old, &new);
    let mut text = String::new();
    for one in [
        difference("status", "status", "200", "404"),
        difference("$.price", "$.price", "12", "12.0"),
        difference("$.user.password", "$.user.password", "\"one\"", "\"other\""),
        difference("$.user.password", "$.user.password", "\"one\"", "1"),
        // Mapped elsewhere before it was compared, and cut.
        difference("$.user.key", "$.user.key", "\"moved-away-secret\"", "\"moved-away-sec…"),
        // The filter cannot be asked here, and is taken to hold.
        difference("$.list[*].number", "$.list[3].number", "\"5500\"", "\"5501\""),
        difference("$.people[*]", "$.people[0]", "\"Ann\"", "\"Bob\""),
        difference(
            "$.user",
            "$.user",
            r#"{"id":7,"pin":1234,"name":"Ann"}"#,
            r#"{"id":7,"pin":1234,"name":"An…"#,
        ),
        difference("$.user", "$.user", r#"{"id":7,"pin":12…"#, "\"text with \\\"quotes\\\" that goes on…"),
        difference("$.tokens['t0k3n'].scope", "$.tokens['t0k3n'].scope", "\"a\"", ""),
        difference("header:x-tenant", "header:x-tenant", "acme", "umbrella"),
        difference("header:set-cookie:sid", "header:set-cookie:sid", "sid=abc; path=/", "abc"),
        difference("header:set-cookie:sid", "header:set-cookie:sid;path", "/", "/x"),
        difference("header:location", "header:location", "/a?token=abc", "/b"),
        difference("body", "body:12", "say password=abc", "say hello"),
    ] {
        let redacted = redaction.difference(&one);
        let side = |side: &Option<Redacted>| side.as_ref().map_or("-".to_owned(), ToString::to_string);
        text += &format!(
            "{} at {}: {} | {}\n",
            redacted.path,
            redacted.at,
            side(&redacted.old),
            side(&redacted.new)
        );
    }
    insta::assert_snapshot!(text);
}

#[test]
fn names_inside_secret_places_are_no_places() {
    let redactor = redactor(&["$.people.*.mails", "$.index"]);
    let mut all = [
        ("$.tokens['t0k3n'].scope", "$.tokens.*.scope"),
        ("$.people.ann.mails['ann@example.com'][*].at", "$.people.ann.mails.*[*].at"),
        ("$.index[*].a1", "$.index[*].*"),
        ("$.index.word", "$.index.word"),
        ("$.plain['odd name']", "$.plain['odd name']"),
        ("header:x-api-key", "header:x-api-key"),
    ]
    .map(|(place, expected)| (difference(place, place, "", ""), expected));
    for (one, expected) in &mut all {
        redactor.hide_names(std::slice::from_mut(one));
        assert_eq!((one.path.as_str(), one.at.as_str()), (*expected, *expected));
        // What is hidden is a query still, and stays what it is.
        if expected.starts_with('$') {
            assert!(Query::parse(expected).is_ok());
        }
        redactor.hide_names(std::slice::from_mut(one));
        assert_eq!(one.path, *expected);
    }
}

#[test]
fn what_cannot_be_redacted_is_not_kept() {
    let limits = Limits { depth: 3, ..Limits::default() };
    let redactor = Redactor::new(&KEY, &["$.a".to_owned()], &limits, 4096).unwrap();
    let deep = json(r#"{"a":[[["deep secret"]]]}"#);
    let fine = json(r#"{"a":"fine"}"#);
    let redaction = redactor.pair(&deep, &fine);
    for one in [&deep, &fine] {
        assert_eq!(
            redaction.answer(one).as_str(),
            "200\n\n(not kept: it cannot be redacted within the limits)\n"
        );
    }
    let shown = redaction.difference(&difference("$.b", "$.b", "\"deep secret\"", "\"x\""));
    assert!(marks::is_mark(shown.old.unwrap().as_str()) && marks::is_mark(shown.new.unwrap().as_str()));
    // What is no JSON has no places that a rule could name.
    let broken = json(r#"{"a":"secret""#);
    let shown = self::shown(&redactor, &broken);
    assert!(shown.contains("(13 bytes, «redacted ") && !shown.contains("secret"), "{shown}");
    assert!(self::shown(&self::redactor(&[]), &broken).contains(r#"{"a":"secret""#));
}

#[test]
fn bodies_that_are_no_text_are_told_by_length_and_mark() {
    let redactor = redactor(&[]);
    let mut one = answer(&[("content-type", "image/png")], "\u{1}\u{2}bytes");
    let shown_once = shown(&redactor, &one);
    assert!(
        shown_once.contains("(7 bytes, «redacted ") && !shown_once.contains("bytes\u{2}"),
        "{shown_once}"
    );
    one.body = Body::Hashed { bytes: 2 << 30, hash: 5 };
    assert!(shown(&redactor, &one).contains("(2147483648 bytes, «redacted "));
    one.body = Body::Incomplete(crate::answer::Incomplete::Slow);
    assert!(shown(&redactor, &one).contains("(not whole: it took too long)"));
    one.body = Body::Whole(b"");
    assert!(shown(&redactor, &one).ends_with("\n\n"));
}

#[test]
fn what_has_structure_is_shown_as_json_and_rules_hold_for_it() {
    let redactor = redactor(&["$[*].user.mail", "$[*].data.mail", "$.mail"]);
    let mut text = String::new();
    for (kind, body) in [
        (
            "application/x-www-form-urlencoded",
            "a=1&password=hunter22&mail=ann%40example.com&b=it+is+ann%40example.com",
        ),
        (
            "application/x-ndjson",
            "{\"id\":1,\"user\":{\"mail\":\"ann@example.com\"}}\n{\"token\":\"abcd\"}\n",
        ),
        (
            "text/event-stream",
            "event: added\ndata: {\"mail\":\"ann@example.com\"}\n\ndata: hello ann@example.com\n\n",
        ),
        ("text/plain", "{\"mail\": \"ann@example.com\"}"),
        ("application/x-ndjson", "no json, but mail"),
        ("text/plain", "a text with password=hunter22"),
    ] {
        let one = answer(&[("content-type", kind)], body);
        text += &shown(&redactor, &one);
        text.push('\n');
    }
    assert!(!text.contains("ann@") && !text.contains("hunter22") && !text.contains("abcd"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn an_answer_is_cut_at_the_limit_and_not_within_a_mark() {
    let long = format!(r#"{{"token": "abcd", "text": "{}"}}"#, "abcd".repeat(5_000));
    let one = json(&long);
    for kept_bytes in [0, 3, 50, 70, 75, 100, 1_000] {
        let redactor = Redactor::new(&KEY, &[], &Limits::default(), kept_bytes).unwrap();
        let shown = shown(&redactor, &one);
        assert!(shown.len() <= kept_bytes + "…\n".len() && shown.ends_with("…\n"), "{kept_bytes}: {shown}");
        assert!(!shown.contains("abcd"));
        assert_eq!(shown.matches('«').count(), shown.matches('»').count(), "{kept_bytes}: {shown}");
    }
}

#[test]
fn rules_that_are_none_are_said() {
    let rules = ["$.a[", "header:", "header:a b", "trailer:x:y", "query:", "text:(", "text:a*", "card"];
    let errors = Redactor::new(&KEY, &rules.map(str::to_owned), &Limits::default(), 1).unwrap_err();
    let text: Vec<_> =
        errors.iter().map(|error| error.to_string().lines().next().unwrap().to_owned()).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn nothing_shows_the_key() {
    let shown = format!("{:?}", redactor(&["header:x"]));
    assert_eq!(shown, r#"Redactor { headers: ["x"], trailers: [], parameters: [], kept_bytes: 4096, .. }"#);
}

/// A JSON document in which some values are secret, and texts elsewhere hold them too.
fn documents() -> impl Strategy<Value = (Vec<String>, String)> {
    let secret = prop_oneof!["[a-z0-9]{4,12}", "[0-9]{4,19}", "[ -~äß€😀\"\\\\/\n]{4,20}"];
    let names = prop::sample::select(vec!["password", "apiKey", "secret_place", "card", "X-Token"]);
    let secrets = prop::collection::vec((names, secret), 1..5);
    let before = prop::collection::vec("[ -~äß€«»]{0,12}", 1..5);
    (secrets, before).prop_map(|(secrets, before)| {
        let secrets: Vec<_> = secrets
            .into_iter()
            .filter(|(_, value)| !"«redacted ".contains(value.as_str()) && !value.contains("redacted"))
            .collect();
        let mut members: Vec<_> = secrets
            .iter()
            .enumerate()
            .map(|(number, (name, value))| {
                format!("{:?}:{{\"{name}\":{}}}", number.to_string(), json::quoted(value))
            })
            .collect();
        for (number, text) in before.iter().enumerate() {
            let repeated: String = secrets.iter().map(|(_, value)| value.as_str()).collect();
            members.push(format!("\"text{number}\":{}", json::quoted(&format!("{text}{repeated}{text}"))));
        }
        (secrets.into_iter().map(|(_, value)| value).collect(), format!("{{{}}}", members.join(",")))
    })
}

proptest! {
    // Regular expressions are slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_secret_is_ever_shown((secrets, document) in documents()) {
        let redactor = redactor(&["$.*.secret_place"]);
        let header = secrets.iter().map(String::as_str).collect::<Vec<_>>().join("-").replace('\n', " ");
        let one = answer(&[("content-type", "application/json"), ("x-echo", &header)], &document);
        let other = json("{}");
        let redaction = redactor.pair(&one, &other);
        let mut texts = vec![redaction.answer(&one).to_string()];
        texts.push(redaction.target(&format!("/x?q={header}")).to_string());
        texts.push(redaction.text(&header).to_string());
        let whole = difference("$", "$", &document, "");
        texts.push(redaction.difference(&whole).old.unwrap().to_string());
        let elsewhere = difference("$.x", "$.x", &json::quoted(&header), "");
        texts.push(redaction.difference(&elsewhere).old.unwrap().to_string());
        for text in texts {
            // Names of headers and of members are the test's own; digits may be those of a mark.
            let text = without_marks(&text);
            for secret in &secrets {
                let is_own = ["content-type: application/json", "x-echo: ", "password", "apiKey", "secret_place", "text0", "200\n"]
                    .iter()
                    .any(|own| own.contains(secret.as_str()));
                prop_assert!(is_own || !text.contains(secret.as_str()), "{secret:?} in {text}");
            }
        }
    }

    #[test]
    fn twice_is_once((_, document) in documents(), text in "[ -~«»\n]{0,60}") {
        let redactor = redactor(&["$.*.secret_place"]);
        let once = redactor.text(&text);
        prop_assert_eq!(redactor.text(once.as_str()), once);
        let one = json(&document);
        let redaction = redactor.pair(&one, &one);
        let whole = redaction.difference(&difference("$", "$", &document, "")).old.unwrap();
        let again = redaction.difference(&difference("$", "$", whole.as_str(), "")).old.unwrap();
        prop_assert_eq!(&again, &whole);
        let kept = json(whole.as_str());
        let from_kept = redactor.pair(&kept, &kept);
        prop_assert_eq!(from_kept.difference(&difference("$", "$", whole.as_str(), "")).old.unwrap(), whole);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0_usize..4, path in ".{0,20}") {
        let types = ["application/json", "text/html", "application/x-www-form-urlencoded", "application/x-ndjson"];
        let one = Answer { body: Body::Whole(&bytes), ..answer(&[("content-type", types[kind])], "") };
        let redactor = redactor(&["$..x"]);
        let redaction = redactor.pair(&one, &one);
        let _ = redaction.answer(&one);
        let text = String::from_utf8_lossy(&bytes);
        let mut one = difference(&format!("${path}"), &path, &text, &format!("{text}…"));
        let _ = redaction.difference(&one);
        redactor.hide_names(std::slice::from_mut(&mut one));
    }
}

#[test]
fn what_the_request_says_in_secret_is_hidden_where_an_answer_repeats_it() {
    let fields = [
        ("Authorization", "Bearer tok-5311-abcdef"),
        ("Cookie", "sid=c00kie-value; theme=x"),
        ("X-Api-Key", "key-0001"),
        ("X-Tenant", "acme-corp"),
        ("X-Trace", "shown-1"),
    ]
    .map(|pair| field(&pair));
    let target = "/orders/7?access_token=q-s3cret%2F1&page=second";
    let said = Said { target, fields: fields.to_vec(), content: b"" };
    let redactor = redactor(&["header:x-tenant"]);
    let says = |what: &str| format!(r#"{{"message": "no user for {what}"}}"#);
    for secret in ["tok-5311-abcdef", "c00kie-value", "key-0001", "acme-corp", "q-s3cret%2F1", "q-s3cret/1"] {
        let (old, new) = (says(secret), says("nobody"));
        let (old, new) = (json(&old), json(&new));
        let redaction = redactor.pair(&old, &new).knowing(&said);
        let difference = Difference {
            path: "$.message".to_owned(),
            at: "$.message".to_owned(),
            kind: Kind::Value,
            old: Some(format!("\"no user for {secret}\"")),
            new: Some("\"no user for nobody\"".to_owned()),
            extent: 1,
        };
        let kept = format!(
            "{} {:?} {} {}",
            redaction.answer(&old),
            redaction.difference(&difference),
            redaction.text(secret),
            redaction.target(target)
        );
        assert!(!kept.contains(secret), "{secret}: {kept}");
        assert!(kept.contains("no user for «redacted "), "{kept}");
    }
    let basic = field(&("authorization", "Basic dTpwYXNzLTc3MQ=="));
    let basic = Said { target: "/", fields: vec![basic], content: b"" };
    let body = says("u with pass-771");
    let shown = redactor.pair(&json(&body), &json(&body)).knowing(&basic).answer(&json(&body));
    assert!(!shown.as_str().contains("pass-771"), "{shown}");
    for open in ["shown-1", "second", "/orders/7"] {
        let body = says(open);
        let shown = redactor.pair(&json(&body), &json(&body)).knowing(&said).answer(&json(&body));
        assert!(shown.as_str().contains(open), "{shown}");
    }
}

#[test]
fn what_the_content_of_a_request_says_in_secret_is_hidden_where_an_answer_repeats_it() {
    let written = r#"{"user": "open-771", "login": {"password": "s3cret-771"}}"#;
    let zipped = {
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(written.as_bytes()).unwrap();
        zipped.finish().unwrap()
    };
    let part = "--x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nopen-771\r\n--x\r\n\
        Content-Disposition: form-data; name=\"password\"\r\nContent-Type: text/plain\r\n\r\ns3cret-771\r\n--x--\r\n";
    let by_rule = r#"{"user": "open-771", "plan": {"code": "s3cret-771"}}"#;
    let form: &[u8] = b"user=open-771&password=s3cret%2D771";
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let table: [(Fields<'_>, &[u8]); 8] = [
        (&[("content-type", "application/json")], written.as_bytes()),
        (&[], written.as_bytes()),
        (&[("content-type", "application/json"), ("content-encoding", "gzip")], &zipped),
        (&[("content-type", "application/json")], by_rule.as_bytes()),
        // It says that it is JSON, and is not.
        (&[("content-type", "application/json")], b"user=open-771, password=s3cret-771"),
        (&[("content-type", "application/x-www-form-urlencoded")], form),
        (&[("content-type", "multipart/form-data; boundary=x")], part.as_bytes()),
        (
            &[("content-type", "text/xml")],
            b"<login><user>open-771</user><password>s3cret-771</password></login>",
        ),
    ];
    let redactor = redactor(&["$.plan.code"]);
    let body = r#"{"message": "s3cret-771 is not open-771's"}"#;
    let answer = json(body);
    for (fields, content) in table {
        let said = Said { target: "/login", fields: fields.iter().map(field).collect(), content };
        let shown = redactor.pair(&answer, &answer).knowing(&said).answer(&answer);
        let what = String::from_utf8_lossy(content);
        assert!(shown.as_str().contains("«redacted "), "{what}: {shown}");
        assert!(
            !shown.as_str().contains("s3cret-771") && shown.as_str().contains("open-771"),
            "{what}: {shown}"
        );
    }
}

#[test]
fn a_place_has_no_name_that_the_request_says_in_secret() {
    let fields = vec![field(&("authorization", "Bearer tok-5311-abcdef")), field(&("x-page", "second"))];
    let said = Said {
        target: "/orders?token=qsecret",
        fields,
        content: br#"{"token": "in-body-1", "page": "in-body-2"}"#,
    };
    let redactor = redactor(&[]);
    for (place, expected) in [
        ("$.users['tok-5311-abcdef'].name", "$.users.*.name"),
        ("$.users['tok-5311-abcdef'][*]", "$.users.*[*]"),
        ("$.q-s3cret", "$.q-s3cret"),
        ("$.qsecret.id", "$.*.id"),
        ("$['in-body-1'].id", "$.*.id"),
        ("$['in-body-2'].id", "$['in-body-2'].id"),
        ("$.second", "$.second"),
        ("$.orders[*].id", "$.orders[*].id"),
        ("header:tok-5311-abcdef", "header:tok-5311-abcdef"),
        ("body", "body"),
    ] {
        let mut found = [Difference {
            path: place.to_owned(),
            at: place.to_owned(),
            kind: Kind::Value,
            old: None,
            new: None,
            extent: 1,
        }];
        redactor.hide_names_said(&mut found, &said);
        assert_eq!((found[0].path.as_str(), found[0].at.as_str()), (expected, expected));
        // Nothing changes where the content is not written plainly.
        let escaped: Vec<u8> = br#"{"token": "\u0069n-body-1", "page": "in-body-2"}"#.to_vec();
        found[0].path = place.to_owned();
        found[0].at = place.to_owned();
        redactor.hide_names_said(&mut found, &Said { content: &escaped, ..said.clone() });
        assert_eq!((found[0].path.as_str(), found[0].at.as_str()), (expected, expected));
    }
}

mod written;
