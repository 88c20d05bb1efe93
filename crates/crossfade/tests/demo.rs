//! The demo as a newcomer starts it, without a terminal: every line is read, every number held against the others.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

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

    let acts: Vec<&str> =
        said.lines().filter(|line| line.ends_with(" wrong arm") || of_both(line) > 0).collect();
    let acts: Vec<&str> = acts.into_iter().filter(|line| !line.starts_with("ended")).collect();
    let starts: Vec<&str> = acts.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(
        starts,
        [
            "at 0 %",
            "copied at 0 %",
            "faults found at 0 %",
            "noise known at 0 %",
            "rules applied at 0 %",
            "new mended at 0 %",
            "ramp at 50 %",
            "new failing, back to 0 %",
            "latched at 0 %",
            "resumed at 25 %",
            "new slow, back to 0 %",
            "resumed at 25 %",
            "both failing at 25 %",
            "arrived at 100 %",
            "new killed at 100 %",
            "new back at 100 %",
            "taken back to 0 %",
        ],
        "{said}"
    );
    for line in &acts {
        for bad in [" failed,", " flapped", " on a wrong arm"] {
            assert_eq!(number(line, bad), 0, "{line}");
        }
        assert_eq!(of_both(line) > 0, line.starts_with("both failing"), "{line}");
    }
    let mut on_new = 0;
    for line in acts.iter().filter(|line| line.contains("users on new")) {
        on_new += number(line, " moved to new");
        on_new -= number(line, " moved back");
        assert_eq!(number(line, &format!(" of {USERS} users on new")), on_new, "{line}");
        match line.split(':').next().unwrap_or_default() {
            "resumed at 25 %" | "both failing at 25 %" => assert!((1..140).contains(&on_new), "{line}"),
            start if start.ends_with(" 100 %") => assert_eq!(on_new, 400, "{line}"),
            start if start.ends_with(" 0 %") => assert_eq!(on_new, 0, "{line}"),
            _ => {}
        }
    }

    comparing_found_what_was_planted(&said);
    the_guard_took_users_back(&said);
    the_guard_did_not_blame_new(&said);
    nobody_saw_new_die(&said);

    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("ended: ") && last.contains("; drained in "), "{last}");
    assert!(number(last, " requests") > 7 * 400, "{last}");
    assert_eq!(number(last, " failed"), 0, "{last}");
}

/// Requests that failed while both shops did, as a line of an act has it.
fn of_both(line: &str) -> u32 {
    const AS_BOTH: &str = " failed while both shops did";
    let is_act = line.ends_with(AS_BOTH);
    if is_act { number(line, AS_BOTH) } else { 0 }
}

/// Every fault with its group and no other, the noise with its evidence, the rules, and a match rate that rose twice.
fn comparing_found_what_was_planted(said: &str) {
    let act = |start: &str| {
        let found = said.lines().position(|line| line.starts_with(start));
        assert!(found.is_some(), "{start:?} is not in {said}");
        found.unwrap_or_default()
    };
    let lines: Vec<&str> = said.lines().collect();
    let [copied, found, known, applied, mended] =
        ["copied at", "faults found", "noise known", "rules applied", "new mended"].map(act);
    assert!(number(lines[copied], " copies,") > 0, "{}", lines[copied]);
    assert!(lines[copied].contains("; old with copies p50 "), "{}", lines[copied]);
    assert!(lines[found].contains(": 5 of 5 faults, and nothing that was not planted; "), "{}", lines[found]);
    for fault in [
        "  GET /products/{id} $.price value: ",
        "  GET /products/{id} $.note missing: \"contains nuts\", in ",
        "  GET /products $[*].price value: ",
        "  GET /products $[*].note missing: \"contains nuts\", in ",
        "  GET /products header:cache-control missing: public, max-age=60, in ",
    ] {
        assert!(
            lines[copied..found].iter().any(|line| line.starts_with(fault)),
            "{fault:?} is not in {said}"
        );
    }
    let learned = &lines[found..known];
    for noise in ["$.quote", "$.priced_at"] {
        let group = format!("  GET /products/{{id}} {noise} value: noise, 99.");
        assert!(learned.iter().any(|line| line.starts_with(&group)), "{group:?} is not in {said}");
        assert!(
            learned.iter().any(|line| line.contains(&format!("\"{noise}\""))),
            "no rule for {noise}: {said}"
        );
    }
    assert!(learned.contains(&"  [[migration.shop.compare.endpoint]]"), "{said}");
    let again = learned.iter().find(|line| line.starts_with("  old was asked once more for "));
    let again = again.copied().unwrap_or_default();
    let of = again.split(" of ").nth(1).unwrap_or_default();
    assert!(number(again, " of ") * 100 <= number(of, " copied requests"), "{again}");

    let rate = |line: &str| {
        let rate = line.split("match rate ").nth(1).and_then(|rest| rest.split(" %").next());
        rate.and_then(|rate| rate.parse::<f64>().ok()).unwrap_or_default()
    };
    let before = |line: &str| rate(&line.replace("; before ", "match rate ").replacen("match rate ", "", 1));
    assert!(rate(lines[applied]) > before(lines[applied]), "{}", lines[applied]);
    assert!(before(lines[applied]) > 0.0, "{}", lines[applied]);
    assert!(before(lines[mended]) >= 50.0 && rate(lines[mended]) > 99.9, "{}", lines[mended]);
    assert!(lines[mended].contains(", at least 99.9"), "{}", lines[mended]);
    assert!(
        lines[mended - 1].starts_with("  fewer than 0.1% of comparisons are shown to differ ("),
        "{said}"
    );
}

/// Twice by itself and once for a person, each time with its sentence, its times and what it came to.
fn the_guard_took_users_back(said: &str) {
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("  ")).collect();
    let rollbacks: Vec<usize> =
        (0..told.len()).filter(|&at| told[at].starts_with("  latched at 0 % since ")).collect();
    assert_eq!(rollbacks.len(), 3, "{said}");
    let whys = [
        "by the guard (error_rate): new fails ",
        "by the guard (latency): new takes longer than ",
        "by the demo",
    ];
    for (&at, why) in rollbacks.iter().zip(whys) {
        assert!(told[at].contains(&format!("rolled back {why}")), "{}", told[at]);
        assert!(told[at + 1].contains("the switch took "), "{}", told[at + 1]);
        let is_timed = told[at + 1].starts_with("  0 % in force ");
        assert_eq!(is_timed, why != "by the demo", "{}", told[at + 1]);
        assert!(told[at + 2].contains("the rollback to 0% is verified"), "{}", told[at + 2]);
    }
    let refused =
        "  `crossfade set shop 50` is refused: shop is latched at 0 % since a rollback, so 50 % is refused";
    assert!(told.iter().any(|line| line.starts_with(refused)), "{said}");
}

/// What both failed, the proxy passed on to users, and left them where they were.
fn the_guard_did_not_blame_new(said: &str) {
    let both = said.lines().find(|line| line.starts_with("  old failed "));
    let both = both.unwrap_or_default();
    assert!(both.contains(", and the guard says: "), "{said}");
    assert!(!both.contains("breached"), "{both}");
    let act = said.lines().find(|line| line.starts_with("both failing at 25 %"));
    assert!(
        of_both(act.unwrap_or_default()) >= number(&both.replace("  old failed ", ""), " requests") / 2,
        "{said}"
    );
    let summed = said.lines().find(|line| line.contains(" requests failed while both shops did, "));
    assert_eq!(number(summed.unwrap_or_default(), " requests"), of_both(act.unwrap_or_default()), "{said}");
}

/// New was killed with everybody on it: all were answered by old, the proxy counted it, and no user saw a failure.
fn nobody_saw_new_die(said: &str) {
    let chapter: Vec<&str> =
        said.lines().filter(|line| line.starts_with("new killed") || line.starts_with("new back")).collect();
    assert_eq!(chapter.len(), 2, "{said}");
    let (killed, back) = (chapter[0], chapter[1]);
    assert!(killed.starts_with("new killed at 100 %: 400 of 400 users answered by old"), "{killed}");
    for line in [killed, back] {
        for bad in [" failed,", " flapped", " on a wrong arm"] {
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
fn it_names_commands_that_fit_a_terminal_and_ends_when_it_is_interrupted() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .args(["demo", "--users", "300"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the demo starts");
    let mut lines =
        BufReader::new(demo.stdout.take().expect("its output is read")).lines().map_while(Result::ok);
    let tries: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("at 0 %")).collect();
    let interrupted = Command::new("kill").args(["-INT", &demo.id().to_string()]).status();
    assert!(interrupted.expect("kill is there").success());
    let last = lines.last().unwrap_or_default();
    assert!(last.starts_with("ended: ") && last.contains("; drained in "), "{last}");
    assert_eq!(demo.wait().expect("it ends").code(), Some(0));
    let tries: Vec<&String> = tries.iter().filter(|line| line.starts_with("try: ")).collect();
    for part in
        ["-H 'x-user-id: alice'", " where shop alice ", " rollback shop ", " resume shop ", " status shop "]
    {
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
    assert!(text(&output.stderr).contains("300..=10000"), "{}", text(&output.stderr));
}
