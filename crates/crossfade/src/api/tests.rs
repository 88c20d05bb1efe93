use std::fs;

use super::*;

#[test]
fn addresses_of_urls() {
    for (url, expected) in [
        ("http://127.0.0.1:9900", Some("127.0.0.1:9900")),
        ("http://127.0.0.1:9900/", Some("127.0.0.1:9900")),
        ("127.0.0.1:9901", Some("127.0.0.1:9901")),
        ("http://[::1]:9900", Some("[::1]:9900")),
        ("http://proxy.internal", Some("proxy.internal:9900")),
        ("https://127.0.0.1:9900", None),
        ("http://127.0.0.1:9900/api", None),
        ("http://user@host:1", None),
        ("http://", None),
    ] {
        assert_eq!(authority_of(url).ok().as_deref(), expected, "{url}");
    }
}

#[test]
fn bytes_are_encoded() {
    assert_eq!(encode(b"user-1._~"), "user-1._~");
    assert_eq!(encode("a b/c?d&é%\u{0}".as_bytes()), "a%20b%2Fc%3Fd%26%C3%A9%25%00");
}

fn found(text: &str) -> Result<String, CallError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(&path, text).unwrap();
    AdminTable::read(Some(&path))?.authority()
}

#[test]
fn the_configuration_says_where_the_api_is() {
    assert_eq!(found("[admin]\nlisten = \"127.0.0.1:9955\"\n[broken]").unwrap(), "127.0.0.1:9955");
    assert_eq!(found("[admin]\nlisten = \"0.0.0.0:9955\"").unwrap(), "127.0.0.1:9955");
    assert_eq!(found("[admin]\nlisten = \"[::]:9955\"").unwrap(), "[::1]:9955");
    assert_eq!(found("[broken]").unwrap(), "127.0.0.1:9900");
    assert_eq!(found("[broken]\n[admin]\nlog = 1").unwrap(), "127.0.0.1:9900");
    assert!(matches!(found("[admin]\nlisten = \"127.0.0.1:0\""), Err(CallError::Usage(_))));
    assert!(matches!(AdminTable::read(Some(Path::new("/nowhere.toml"))), Err(CallError::Usage(_))));
}

#[test]
fn an_address_that_is_not_certain_is_not_guessed() {
    for text in [
        "this is not toml",
        "[admin]\nlisten = \"127.0.0.1:9955\"\n[broken",
        "[admin]\nlisten = \"${ADMIN}\"\n[broken]",
        "[admin]\nlisten = 9955",
        "admin = \"127.0.0.1:9955\"",
    ] {
        let Err(CallError::Usage(sentence)) = found(text) else { panic!("{text}") };
        let end = "cannot be read for [admin].listen; say where the proxy is with --admin";
        assert!(sentence.ends_with(end), "{sentence}");
    }
}

#[test]
fn refusals_are_sentences() {
    let problem = serde_json::json!({ "title": "Not Found", "detail": "there is no migration `x`" });
    assert_eq!(refusal(&problem, 404), "refused (404): there is no migration `x`");
    let bad = serde_json::json!({ "detail": "1 error", "rendered": "error: x\n" });
    assert_eq!(refusal(&bad, 422), "refused, what runs stays:\nerror: x\n");
}
