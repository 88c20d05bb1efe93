//! `crossfade compare`, as a person and a program meet it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const OLD: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2026 00:00:00 GMT\r\n\
                   Content-Type: application/json\r\n\r\n{\"items\":[{\"id\":1,\"price\":5}],\"eta\":\"10:00\"}";
const NEW: &str = "HTTP/2 200\r\ncontent-type: application/json\r\n\r\n{\"eta\":\"10:05\",\"items\":[{\"price\":6,\"id\":1}]}";
const CONFIG: &str = r#"
[[listener]]
listen = "127.0.0.1:0"
[upstream.old]
endpoints = ["http://10.0.0.11:8080"]
[upstream.new]
endpoints = ["http://10.0.0.21:8080"]
[migration.shop]
match = [{ path = "/*" }]
old = "old"
new = "new"
[migration.shop.shadow]
ignore = ["$.eta"]
[[migration.shop.compare.endpoint]]
path = "/orders/{id}"
rules = [{ path = "$.items[*].price", absolute = 1 }]
"#;

/// Exit code, standard output and standard error.
fn crossfade(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .arg("compare")
        .args(arguments)
        .current_dir(folder)
        .env_remove("CROSSFADE_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone before all is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("old.http", OLD),
        ("new.http", NEW),
        ("shop.toml", CONFIG),
        ("body.json", "{ \"items\":[{\"id\":1,\"price\":5}],\"eta\":\"10:00\"}"),
        ("page.txt", "one\ntwo\nthree\n"),
        ("other.txt", "one\n\u{1b}[2J2\nthree\n"),
        ("bomb.http", "HTTP/1.1 200 OK\ncontent-encoding: unheard-of\n\nx"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn people_read_what_differs() {
    let folder = folder();
    let run = |arguments: &[&str]| crossfade(folder.path(), arguments, "");
    let (code, out, _) = run(&["old.http", "new.http"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(out, @r#"
    mismatch: 2 differences

    $.items[*].price  value  at $.items[0].price
      old │ 5
      new │ 6

    $.eta  value
      old │ "10:00"
      new │ "10:05"
    "#);
    let (code, out, _) = run(&["page.txt", "other.txt"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(out, @r"
    mismatch: 1 difference

    body  value, 1 line
    line │ old                                           │ new
       2 │ two                                           │ \u{1b}[2J2
    ");
    let (code, out, _) = run(&["bomb.http", "old.http"]);
    assert_eq!(code, 1);
    assert!(out.starts_with("mismatch: "), "{out}");
    let (code, out, _) = run(&["bomb.http", "page.txt"]);
    assert_eq!(code, 1);
    assert_eq!(
        out,
        "not compared (encoding): a body has a Content-Encoding that is not known or that it does not fulfil\n"
    );
    let (code, out, err) = run(&["old.http", "body.json"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "match: nothing differs that counts\n", ""));
}

#[test]
fn programs_read_json() {
    let folder = folder();
    let json = |arguments: &[&str], input: &str| {
        let (code, out, err) = crossfade(folder.path(), &[arguments, &["--json"]].concat(), input);
        assert_eq!(err, "");
        (code, serde_json::from_str::<serde_json::Value>(&out).unwrap())
    };
    let (code, found) = json(&["old.http", "-"], NEW);
    assert_eq!((code, found["result"].as_str()), (1, Some("mismatch")));
    assert_eq!(
        found["differences"][0],
        serde_json::json!({
            "path": "$.items[*].price", "kind": "value", "at": "$.items[0].price", "old": "5", "new": "6"
        })
    );
    let (code, found) = json(&["old.http", "old.http"], "");
    assert_eq!((code, found), (0, serde_json::json!({ "result": "match", "differences": [] })));
    let (code, found) = json(&["bomb.http", "page.txt"], "");
    assert_eq!(code, 1);
    assert_eq!(
        found,
        serde_json::json!({ "result": "not_compared", "reason": "encoding", "differences": [] })
    );
}

#[test]
fn a_migrations_rules_are_taken() {
    let folder = folder();
    let run = |path: &str| {
        let arguments =
            ["old.http", "new.http", "--config", "shop.toml", "--migration", "shop", "--path", path];
        let (code, out, _) = crossfade(folder.path(), &arguments, "");
        (code, out.lines().filter(|line| line.starts_with('$')).count())
    };
    assert_eq!(run("/carts/1"), (1, 1));
    assert_eq!(run("/orders/1?full=1"), (0, 0));
    // As the proxy reads paths.
    assert_eq!(run("/carts/../orders/./1"), (0, 0));
    assert_eq!(run("/orders/%31"), (0, 0));
    assert_eq!(run("/orders/.."), (1, 1));
}

#[test]
fn a_download_that_broke_off_is_not_compared() {
    let folder = folder();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n\r\n";
    for (name, body) in [("whole", "abcdefghij"), ("cut", "abc"), ("head", "")] {
        fs::write(folder.path().join(name), format!("{head}{body}")).unwrap();
    }
    let run = |old: &str, new: &str| {
        let (code, out, _) = crossfade(folder.path(), &[old, new], "");
        (code, out)
    };
    let cut =
        "not compared (incomplete): a body did not come to its end: it is shorter than its Content-Length\n";
    assert_eq!(run("whole", "cut"), (1, cut.to_owned()));
    assert_eq!(run("cut", "cut"), (1, cut.to_owned()));
    let (code, out) = run("head", "whole");
    assert_eq!((code, out.contains("body  added")), (1, true), "{out}");
    assert_eq!(run("head", "head").0, 0);
}

#[test]
fn what_looks_like_a_head_within_a_body_is_body() {
    let folder = folder();
    let failure = "HTTP/1.1 500 X\r\n\r\nabc";
    fs::write(folder.path().join("failure"), failure).unwrap();
    fs::write(folder.path().join("quoting"), format!("HTTP/1.1 200 OK\r\nserver: a\r\n\r\n{failure}"))
        .unwrap();
    let (code, out, _) = crossfade(folder.path(), &["quoting", "failure"], "");
    assert_eq!((code, out.contains("status  value")), (1, true), "{out}");
}

#[test]
fn what_cannot_be_asked_is_said_with_exit_code_2() {
    let folder = folder();
    for (arguments, said) in [
        (&["old.http"][..], "<NEW>"),
        (&["old.http", "nowhere"], "nowhere cannot be read: No such file"),
        (&["-", "-"], "only one of the two answers can be standard input"),
        (&["old.http", "new.http", "--config", "shop.toml"], "--migration"),
        (
            &["old.http", "new.http", "-c", "shop.toml", "-m", "shoop"],
            "there is no migration `shoop` in shop.toml",
        ),
        (&["old.http", "new.http", "-c", "old.http", "-m", "shop"], "error"),
        (
            &["old.http", "new.http", "--path", "orders/7"],
            "--path orders/7 is no path of a request: the path does not begin with `/`",
        ),
        (&["old.http", "new.http", "--path", "/../x"], "the path climbs above the root"),
        (&["old.http", "new.http", "-c", "nowhere.toml", "-m", "shop"], "nowhere.toml"),
    ] {
        let (code, out, err) = crossfade(folder.path(), arguments, "");
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
}
