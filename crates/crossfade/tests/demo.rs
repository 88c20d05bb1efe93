//! The demo as a newcomer starts it, without a terminal: every line is read, every number held against the others.

use std::collections::HashMap;
use std::process::{Command, Output};

const USERS: &str = "400";

fn demo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crossfade")).arg("demo").args(args).output().expect("the demo starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the demo writes UTF-8")
}

/// The number before each of these words.
fn number(line: &str, after: &str) -> u32 {
    let before = line.split(after).next().and_then(|before| before.split_whitespace().last());
    let number = before.and_then(|digits| digits.replace(',', "").parse().ok());
    assert!(number.is_some(), "no number before {after:?} in {line:?}");
    number.unwrap_or_default()
}

#[test]
fn the_story_is_told_to_its_end() {
    let output = demo(&["--exit", "--fast", "--users", USERS]);
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}\n{complained}");
    assert_eq!(complained, "");
    assert!(!said.contains('\x1b'), "{said:?}");

    let steps: Vec<&str> = said.lines().filter(|line| line.contains("users on new")).collect();
    let starts: Vec<&str> = steps.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(
        starts,
        [
            "at 0 %",
            "raised to 1 %",
            "raised to 5 %",
            "raised to 25 %",
            "raised to 100 %",
            "new back at 100 %",
            "back to 25 %",
            "back to 0 %"
        ]
    );
    let mut on_new = 0;
    let mut at_percent = HashMap::new();
    for line in &steps {
        for bad in [" failed", " flapped", " on a wrong arm"] {
            assert_eq!(number(line, bad), 0, "{line}");
        }
        let (to_new, back) = (number(line, " moved to new"), number(line, " moved back"));
        assert!(to_new == 0 || back == 0, "{line}");
        assert_eq!(line.starts_with("raised"), to_new > 0, "{line}");
        assert_eq!(line.starts_with("back"), back > 0, "{line}");
        let now = number(line, &format!(" of {USERS} users on new"));
        assert_eq!(now, on_new + to_new - back, "{line}");
        on_new = now;
        let percent = number(line, " %");
        assert_eq!(*at_percent.entry(percent).or_insert(now), now, "{line}");
    }
    assert_eq!((at_percent[&0], at_percent[&100]), (0, 400));
    assert!((60..140).contains(&at_percent[&25]), "{}", at_percent[&25]);

    nobody_saw_new_die(&said);

    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("ended: ") && last.contains("; drained in "), "{last}");
    assert!(number(last, " requests") > 7 * 400, "{last}");
    assert_eq!(number(last, " failed"), 0, "{last}");
}

/// New was killed with everybody on it: all were answered by old, the proxy counted it, and no user saw a failure.
fn nobody_saw_new_die(said: &str) {
    let chapter: Vec<&str> = said.lines().filter(|line| line.starts_with("new ")).collect();
    assert_eq!(chapter.len(), 2, "{said}");
    let (killed, back) = (chapter[0], chapter[1]);
    assert!(killed.starts_with("new killed at 100 %: 400 of 400 users answered by old"), "{killed}");
    for line in [killed, back] {
        for bad in [" failed", " flapped", " on a wrong arm"] {
            assert_eq!(number(line, bad), 0, "{line}");
        }
    }
    assert_eq!(number(killed, " withheld"), 0, "{killed}");
    let counted = number(killed, " fallbacks");
    assert!(counted >= 400, "{killed}");
    let reasons = killed.split(" fallbacks: ").nth(1).and_then(|rest| rest.split(';').next());
    let reasons = reasons.unwrap_or_default().split(", ");
    let by_reason = reasons.map(|one| number(&format!("{one} end"), " end"));
    assert_eq!(by_reason.sum::<u32>(), counted, "{killed}");
    let seen = said.lines().find(|line| line.starts_with("old answered "));
    let seen = seen.map_or(0, |line| number(line, " requests that new had failed"));
    assert!(seen >= counted, "{counted} were counted, users saw {seen}");
}

#[test]
fn it_names_commands_that_fit_a_terminal() {
    let output = demo(&["--exit", "--fast", "--users", "10"]);
    let said = text(&output.stdout);
    let tries: Vec<&str> = said.lines().filter(|line| line.starts_with("try: ")).collect();
    for part in ["-H 'x-user-id: alice'", " where shop alice ", " set shop 50 ", " status ", "/metrics"] {
        assert!(tries.iter().any(|line| line.contains(part)), "{part} is not in {tries:?}");
    }
    for line in tries {
        assert!(line.len() <= 80, "{line}");
    }
}

#[test]
fn the_configuration_that_it_prints_is_one() {
    let printed = demo(&["--print-config"]);
    assert_eq!(printed.status.code(), Some(0));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("crossfade.toml");
    std::fs::write(&path, &printed.stdout).expect("the folder can be written to");
    let checked = Command::new(env!("CARGO_BIN_EXE_crossfade")).arg("check").arg(&path).output();
    let checked = checked.expect("the command starts");
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
}

#[test]
fn too_many_users_are_refused() {
    let output = demo(&["--users", "1000000"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("10..=10000"), "{}", text(&output.stderr));
}
