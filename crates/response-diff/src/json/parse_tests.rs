use super::{Unparsed, Value, View, parse};
use crate::{Limits, NotCompared};
use proptest::prelude::*;

#[test]
fn what_is_written_back_is_what_was_read() {
    let cases = [
        ("null", "null"),
        (" true\n", "true"),
        ("\t[ ]\r", "[]"),
        ("{ }", "{}"),
        ("[[],{},[{}]]", "[[],{},[{}]]"),
        (r#"{"a" : 1 , "b":[ -0 , 1e5,0.5E-4 ]}"#, r#"{"a":1,"b":[-0,1e5,0.5E-4]}"#),
        // A name that comes twice stays twice.
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
        ("1000000000000000000000000001", "1000000000000000000000000001"),
        (
            r#""\u00e9 \ud83d\ude00 \/ \b\f\n\r\t \" \\ \u0000""#,
            "\"é 😀 / \\u0008\\u000c\\n\\r\\t \\\" \\\\ \\u0000\"",
        ),
        (r#"{"\u00e9":"é", "é": "\u00E9"}"#, r#"{"é":"é","é":"é"}"#),
        // Lone surrogates: in the middle, in the wrong order, before a pair, at the end.
        (
            r#""a\uD800b \udc00\ud800 \ud800\ud83d\ude00 \ud83d""#,
            r#""a\ud800b \udc00\ud800 \ud800😀 \ud83d""#,
        ),
    ];
    for (text, written) in cases {
        let json = parse(text, &Limits::default()).unwrap();
        assert_eq!(json.root().shortened(1000), written);
        let again = parse(written, &Limits::default()).unwrap();
        assert_eq!(again.root().shortened(1000), written);
    }
}

#[test]
fn what_is_no_json_is_said_with_its_place() {
    let texts = [
        "",
        " ",
        "nul",
        "nulll",
        "tru",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "{",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x10",
        "NaN",
        "1 2",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\udbfe\\udc00\"",
        "[\"\u{10f800}\"]",
        "\"\u{1}\"",
        "\"1234567\u{1f}\"",
        "\"1234567\\n\n\"",
        "\u{feff}1",
        "]",
        "}",
        ",",
        "[1]]",
    ];
    let said = texts.map(|text| match parse(text, &Limits::default()) {
        Err(Unparsed::Malformed { at, what }) => format!("{text:?} {what}, at {at}"),
        other => panic!("{text:?} is {other:?}"),
    });
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn limits_are_kept_to_the_unit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let depth = |most| Limits { depth: most, ..Limits::default() };
    assert!(parse(&nested(3), &depth(3)).is_ok());
    assert_eq!(parse(&nested(4), &depth(3)).unwrap_err(), Unparsed::TooMuch(NotCompared::Depth));
    assert!(parse("1", &depth(0)).is_ok());
    // However deep the text and whatever is asked for: neither parsing nor walking exhausts the stack.
    let deep = "[".repeat(1_000_000);
    assert_eq!(parse(&deep, &depth(usize::MAX)).unwrap_err(), Unparsed::TooMuch(NotCompared::Depth));
    assert!(parse(&nested(Limits::DEEPEST), &depth(usize::MAX)).is_ok());

    let nodes = |most| Limits { nodes: most, ..Limits::default() };
    // An object, two names, a number, an array, a number.
    let six = r#"{"a":1,"b":[2]}"#;
    assert!(parse(six, &nodes(6)).is_ok());
    assert_eq!(parse(six, &nodes(5)).unwrap_err(), Unparsed::TooMuch(NotCompared::Nodes));
}

#[test]
fn values_are_looked_into() {
    let json = parse(r#"{"a":[1,"x",null],"b":{"c":true},"b":2}"#, &Limits::default()).unwrap();
    let root = json.root();
    assert_eq!(root.members().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b", "b"]);
    let array = root.member("a").unwrap();
    assert_eq!(array.elements().count(), 3);
    assert!(matches!(array.elements().nth(1).unwrap().view(), View::String("x")));
    assert!(matches!(root.member("b").unwrap().member("c").unwrap().view(), View::Bool(true)));
    assert!(root.member("d").is_none());
    assert_eq!((root.elements().count(), array.members().count()), (0, 0));
    assert_eq!(root.descendants().count(), 8);
}

#[test]
fn what_is_shown_is_cut_between_characters() {
    let json = parse(r#"{"name":"ääääää","list":[1,2,3]}"#, &Limits::default()).unwrap();
    let shown = [0, 1, 9, 10, 11, 12, 30].map(|limit| json.root().shortened(limit));
    assert_eq!(
        shown,
        [
            "…",
            "{…",
            "{\"name\":\"…",
            "{\"name\":\"…",
            "{\"name\":\"ä…",
            "{\"name\":\"ä…",
            "{\"name\":\"ääääää\",\"list\":…"
        ]
    );
    for limit in 0..50 {
        let text = json.root().shortened(limit);
        assert!(text.trim_end_matches('…').len() <= limit, "{limit}: {text}");
    }
}

/// The value as another parser has it, to hold ours against it.
fn rebuilt(value: Value<'_>) -> serde_json::Value {
    match value.view() {
        View::Null => serde_json::Value::Null,
        View::Bool(is) => is.into(),
        View::Number(text) => serde_json::from_str(text).unwrap(),
        View::String(text) => text.into(),
        View::Array(elements) => elements.map(rebuilt).collect(),
        View::Object(members) => members.map(|(name, value)| (name.to_owned(), rebuilt(value))).collect(),
    }
}

fn check(text: &str) {
    let theirs = serde_json::from_str::<serde_json::Value>(text);
    match (parse(text, &Limits::default()), theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(rebuilt(ours.root()), theirs, "{text}"),
        (Err(Unparsed::Malformed { .. }), Err(_)) => {}
        // Numbers beyond floating point, lone surrogates and nesting beyond ours are no question of what JSON is.
        (Ok(_), Err(error)) => {
            let error = error.to_string();
            let beyond = ["number out of range", "unexpected end of hex escape", "lone leading surrogate"];
            assert!(beyond.iter().any(|why| error.starts_with(why)), "{text}: {error}");
        }
        (Err(Unparsed::Malformed { .. }), Ok(_)) if super::surrogate::find(text).is_some() => {}
        (Err(Unparsed::TooMuch(NotCompared::Depth)), _) => {}
        (ours, theirs) => panic!("{text}: {ours:?} and {theirs:?}"),
    }
}

proptest! {
    #[test]
    fn it_agrees_with_serde_json_on_almost_json(text in "[\\[\\]{},:\"0-9eE.+-]{0,24}") {
        check(&text);
    }

    #[test]
    fn it_agrees_with_serde_json_on_parts_of_json(parts in prop::collection::vec(prop::sample::select(vec![
        "[", "]", "{", "}", ",", ":", "\"a\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "1", "-0.5e3", "null",
        "true", " ", "\n", "\"a\":", "\"b\":[", "{\"c\":",
    ]), 0..12)) {
        check(&parts.concat());
    }

    #[test]
    fn it_agrees_with_serde_json_on_texts(text in "\"\\PC{0,20}\"", cut in 0_usize..30) {
        check(&text);
        let end = text.floor_char_boundary(cut);
        check(&text[..end]);
        check(&format!("[{text},\"\u{1}\"]"));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        check(&text);
    }
}
