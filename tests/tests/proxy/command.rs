//! The command line: what it does and with which exit code it ends.

use std::fs;
use std::process::Command;

use tempfile::TempDir;
use test_kit::{Config, Origin, Outcome, Proxy, crossfade_binary, free_port, refusing_address, request};

use crate::origin;

fn crossfade(args: &[&str]) -> Outcome {
    Outcome::of(Command::new(crossfade_binary()).args(args).env_remove("CROSSFADE_ADMIN"))
}

/// Runs `crossfade check` on this text.
fn check(text: &str) -> Outcome {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(&path, text).unwrap();
    crossfade(&["check", path.to_str().unwrap()])
}

#[test]
fn check_reads_what_a_pipe_brings() {
    let mut check = Command::new("sh");
    check.args(["-c", "printf 'nonsense = 1' | \"$1\" check /dev/stdin", "sh"]).arg(crossfade_binary());
    let outcome = Outcome::of(&mut check);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("unknown-key"), "{outcome:?}");
}

#[test]
fn check_accepts_and_refuses() {
    let good = Config::single(free_port()).percent("12.5").to_string();
    let accepted = check(&good);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    for (bad, hint) in [
        (good.replace("percent = 12.5", "prcent = 12.5"), "percent"),
        (good.replace("old = \"shop-old\"", "old = \"shop-odl\""), "shop-old"),
        (good.replace("percent = 12.5", "percent = 100.5"), "100"),
        (good.replace("percent = 12.5", "percent = 12.5\nkey = [\"headr:x\"]"), "header"),
        (good.replace("[admin]", "[admin"), "]"),
    ] {
        assert_ne!(bad, good);
        let refused = check(&bad);
        assert_eq!(refused.code, 2, "{refused:?}");
        let said = refused.stderr + &refused.stdout;
        assert!(said.contains(hint) && said.contains("crossfade.toml"), "{hint} is not in\n{said}");
    }
}

#[test]
fn run_does_not_start_on_a_bad_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(&path, "[[listener]]\nlisten = 5\n").unwrap();
    assert_eq!(crossfade(&["run", "--config", path.to_str().unwrap()]).code, 2);
    assert_eq!(crossfade(&["run", "--config", "/nonexistent/crossfade.toml"]).code, 2);
}

#[test]
fn usage_is_2_and_an_unreachable_api_is_3() {
    assert_eq!(crossfade(&["no-such-command"]).code, 2);
    assert_eq!(crossfade(&["--help"]).code, 0);
    assert!(crossfade(&["--version"]).stdout.contains("crossfade"));
    let (nobody, _held) = refusing_address();
    let nobody = format!("http://{nobody}");
    for args in [&["status"][..], &["reload"], &["set", "shop", "5"], &["where", "shop", "a"]] {
        let outcome =
            Outcome::of(Command::new(crossfade_binary()).args(args).env("CROSSFADE_ADMIN", &nobody));
        assert_eq!(outcome.code, 3, "{args:?}: {outcome:?}");
    }
}

#[test]
fn schema_is_json() {
    let schema = crossfade(&["schema"]);
    assert_eq!(schema.code, 0);
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    assert!(schema["properties"]["migration"].is_object(), "{schema}");
}

#[test]
fn completions_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let printed = crossfade(&["completions", shell]);
        assert!(printed.code == 0 && printed.stdout.contains("crossfade"), "{shell}: {printed:?}");
    }
}

#[test]
fn set_where_and_status_agree() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let proxy = Proxy::start(&Config::pair(old.addr(), new.addr()));
    let set = proxy.command(&["set", "shop", "37.5", "--reason", "the test says so"]);
    assert_eq!(set.code, 0, "{set:?}");
    let mut client = proxy.connect();
    for user in ["ann", "bob", "cem", "dan", "eva", "fay", "gus"] {
        let told = proxy.command(&["where", "shop", user]);
        let served = origin(&client.exchange(request::get_as("/", user))).to_owned();
        assert!(told.code == 0 && told.stdout.contains(&served), "{user} was served by {served}: {told:?}");
    }
    let status = proxy.command(&["status"]);
    assert!(
        status.code == 0 && status.stdout.contains("shop") && status.stdout.contains("37.5"),
        "{status:?}"
    );
    let json = proxy.command(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(json.to_string().contains("37.5"), "{json}");

    for (args, code) in [
        (&["set", "nobody", "5", "--reason", "r"][..], 1),
        (&["set", "shop", "101", "--reason", "r"], 2),
        (&["set", "shop", "many", "--reason", "r"], 2),
        (&["where", "nobody", "a"], 1),
    ] {
        let outcome = proxy.command(args);
        assert_eq!(outcome.code, code, "{args:?}: {outcome:?}");
    }
}

#[test]
fn where_asks_the_proxy_unless_told_not_to() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let proxy = Proxy::start(&Config::pair(old.addr(), new.addr()));
    assert_eq!(proxy.command(&["set", "shop", "100"]).code, 0);
    // The file says where the proxy is; its percentage is no longer the one in force.
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("crossfade.toml");
    let admin = proxy.admin().to_string();
    fs::write(&file, Config::single(free_port()).percent(0).to_string().replacen("127.0.0.1:0", &admin, 1))
        .unwrap();
    let file = file.to_str().unwrap();
    let asked = crossfade(&["where", "shop", "ann", "--config", file]);
    assert!(asked.code == 0 && asked.stdout.starts_with("new "), "{asked:?}");

    let offline = crossfade(&["where", "shop", "ann", "--offline", file]);
    let note = format!("\nby {file} alone; what was set since is not known\n");
    assert!(offline.code == 0 && offline.stdout.starts_with("old "), "{offline:?}");
    assert!(offline.stdout.ends_with(&note), "{offline:?}");
}

#[test]
fn what_the_phase_overrules_is_not_in_force() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let proxy = Proxy::start(&Config::pair(old.addr(), new.addr()));
    let full = proxy.command(&["phase", "shop", "full"]);
    assert_eq!(full.code, 0, "{full:?}");
    let set = proxy.command(&["set", "shop", "0"]);
    assert!(set.code == 1 && set.stdout.starts_with("NOT in force: "), "{set:?}");
    assert!(set.stdout.contains("`crossfade phase shop canary`"), "{set:?}");
    let back = proxy.command(&["phase", "shop", "canary"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert!(proxy.command(&["where", "shop", "ann"]).stdout.starts_with("old "));
}
