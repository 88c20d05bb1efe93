//! `guard replay`: what the guard would have done with traffic that is past, said for people and for programs.

use std::fs;
use std::process::Command;

use tempfile::TempDir;
use test_kit::{Config, Outcome, crossfade_binary, free_port};

const HEADER: &str = "t,arm,ok,latency_ms,user\n";

/// A trace, or what the reference implementation says of it.
fn committed(name: &str) -> String {
    format!("{}/../crates/rollback-guard/tests/traces/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn replay(args: &[&str]) -> Outcome {
    Outcome::of(Command::new(crossfade_binary()).args(["guard", "replay"]).args(args))
}

fn replay_json(args: &[&str]) -> serde_json::Value {
    let outcome = replay(&[args, &["--json"]].concat());
    assert!(outcome.code == 0 && outcome.stdout.lines().count() == 1, "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Replays what a pipe brings.
fn replay_pipe(printing: &str) -> Outcome {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{printing} | \"$1\" guard replay -"), "sh"]).arg(crossfade_binary());
    Outcome::of(&mut command)
}

#[test]
fn the_evidence_is_the_reference_s_in_every_slot() {
    for name in ["five_percent", "shared_slow", "slower_x3"] {
        let wanted = fs::read_to_string(committed(&format!("{name}.lnw"))).unwrap();
        let mut wanted: Vec<&str> = wanted.lines().collect();
        let end = wanted.pop().unwrap();
        let trace = committed(&format!("{name}.csv"));
        let dump = replay(&[&trace, "--dump"]);
        assert_eq!((dump.code, dump.stdout.lines().count()), (0, wanted.len()), "{name}");
        for (slot, (line, wanted)) in dump.stdout.lines().zip(wanted).enumerate() {
            let (t, ln_w) = line.split_once(' ').unwrap();
            assert_eq!(t, format!("{:.3}", 0.1 * (slot + 1) as f64), "{name}");
            let off = ln_w.parse::<f64>().unwrap() - wanted.parse::<f64>().unwrap();
            assert!(off.abs() < 1e-6, "{name} at {t}: off by {off}");
        }
        let json = replay_json(&[&trace]);
        let told = format!(
            "{} {} {} {} {}",
            json["verdict"].as_str().unwrap(),
            json["t"],
            json["n_new"],
            json["f_new"],
            json["cause"].as_str().unwrap_or_default()
        );
        if end == "none" {
            assert!(json["t"].is_null() && json["verdict"] != "breached", "{name}: {json}");
        } else {
            assert_eq!(told, end, "{name}");
        }
    }
}

#[test]
fn people_are_told_when_and_why() {
    let told = replay(&[&committed("five_percent.csv")]);
    assert_eq!(told.code, 0, "{told:?}");
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert!(lines[0].trim_start().starts_with("0.05 s  insufficient; "), "{told:?}");
    let breach = lines[lines.len() - 2];
    assert!(breach.contains(" s  breached; error_rate: ") && breach.contains("tolerated: old and 0.5 pp"));
    let end = lines[lines.len() - 1];
    assert!(end.starts_with("goes back at ") && end.contains(": new fails "), "{end}");
    let calm = replay(&[&committed("healthy_moving.csv")]).stdout;
    assert!(calm.lines().last().unwrap().starts_with("does not go back in 130."), "{calm}");
    assert!(!calm.contains("breached"), "{calm}");
}

#[test]
fn the_limits_are_those_of_the_file() {
    let dir = TempDir::new().unwrap();
    let trace = committed("five_percent.csv");
    let file = |lines: &str| {
        let path = dir.path().join("crossfade.toml");
        fs::write(&path, Config::single(free_port()).section(lines).to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    assert_eq!(replay_json(&[&trace])["cause"], "error_rate");
    let lenient = file("[migration.shop.guard]\nerror_rate = { over_old = \"20%\" }");
    let json = replay_json(&[&trace, "--config", &lenient, "--migration", "shop"]);
    assert!(json["t"].is_null() && json["verdict"] != "breached", "{json}");

    for (args, code, said) in [
        (&["--config", &lenient, "--migration", "shpo"][..], 1, "there is no migration `shpo` in "),
        (&["--config", &lenient], 2, "--migration"),
        (&["--migration", "shop"], 2, "--config"),
        (&["--config", "/nonexistent.toml", "--migration", "shop"], 2, "/nonexistent.toml"),
    ] {
        let refused = replay(&[&[trace.as_str()], args].concat());
        assert!(refused.code == code && refused.stderr.contains(said), "{args:?}: {refused:?}");
    }
    let unguarded = dir.path().join("unguarded.toml");
    fs::write(&unguarded, Config::single(free_port()).migration("guard = false").to_string()).unwrap();
    let refused = replay(&[&trace, "-c", unguarded.to_str().unwrap(), "-m", "shop"]);
    assert!(refused.code == 1 && refused.stderr.contains("`guard = false`"), "{refused:?}");
}

#[test]
fn a_bad_line_is_named_with_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trace.csv");
    for (rows, line, what) in [
        ("1,old,1,2,3\n2,newer,1,2,3\n", 3, "column `arm` is missing or wrong: `old` or `new` is expected"),
        ("1,old,yes,2,3\n", 2, "column `ok` is missing or wrong: 1, or 0 for a failure is expected"),
        ("1,old,1,fast,3\n", 2, "column `latency_ms`"),
        ("\n1,old,1,2\n", 3, "column `user`"),
        ("2,old,1,2,3\n1.5,new,1,2,3\n", 3, "out of order: it ended at 1.5 s, the one before it at 2 s"),
        ("1700000000,old,1,2,3\n", 2, "more than a day after what came before"),
    ] {
        fs::write(&path, format!("{HEADER}{rows}")).unwrap();
        for flags in [&[][..], &["--json"]] {
            let refused = replay(&[&[path.to_str().unwrap()], flags].concat());
            let place = format!("{}, line {line}: ", path.display());
            assert!(refused.code == 2 && refused.stderr.contains(&place), "{rows}: {refused:?}");
            assert!(refused.stderr.contains(what), "{rows}: {refused:?}");
            assert!(!refused.stdout.contains("back") && !refused.stdout.contains('{'), "{rows}: {refused:?}");
        }
    }
    let missing = replay(&["/nonexistent.csv"]);
    assert!(missing.code == 2 && missing.stderr.contains("/nonexistent.csv cannot be read"), "{missing:?}");
}

#[test]
fn a_trace_may_come_through_a_pipe_and_is_not_held() {
    let trace = committed("hard_down_half.csv");
    let told = replay_pipe(&format!("cat '{trace}'"));
    assert!(told.code == 0 && told.stdout.contains("goes back at "), "{told:?}");
    let endless = replay_pipe("yes 1 | tr -d '\\n'");
    assert!(endless.code == 2, "{endless:?}");
    assert!(endless.stderr.contains("standard input, line 1: longer than 1024 bytes"), "{endless:?}");
}
