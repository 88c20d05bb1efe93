//! The table of `FALLBACK.md`, which operators go by: each row is held against what a request's plan decides.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod view;

use std::collections::BTreeSet;

use route_plan::{
    Circumstances, Decision, Ended, Failure, Fallback, FallbackPolicy, Kept, Match, Migration, Phase,
    RouteEntry, RouteTable, Snapshot, Target, Timeouts, plan,
};
use traffic_split::{Overrides, Percent, Split};
use view::Request;

const DOCUMENT: &str = include_str!("../FALLBACK.md");

/// A row of the table.
struct Row<'d> {
    line: &'d str,
    ended: Vec<Ended>,
    circumstances: Circumstances,
    /// What happens to a safe, a listed and another request.
    decisions: [Decision; 3],
}

#[test]
fn every_row_of_the_document_holds() {
    let rows: Vec<Row<'_>> = DOCUMENT.lines().filter_map(row).collect();
    assert_eq!(rows.len(), 14);
    let [safe, listed, other] = requests();
    for Row { line, ended, circumstances, decisions } in &rows {
        for ended in ended {
            for (requests, decision) in [&safe, &listed, &other].into_iter().zip(decisions) {
                for (name, fallback) in requests {
                    assert_eq!(
                        fallback.decide(*ended, *circumstances),
                        *decision,
                        "{name}, {ended:?}:\n{line}"
                    );
                }
            }
        }
    }
}

#[test]
fn no_case_is_missing() {
    let rows: Vec<Row<'_>> = DOCUMENT.lines().filter_map(row).collect();
    let failures: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| &row.ended)
        .filter_map(|ended| if let Ended::Failed(failure) = ended { Some(failure.as_str()) } else { None })
        .collect();
    // An answer that counts as a failure is one with a status; a late answer is passed on like any other.
    let answered = [Failure::Status5xx, Failure::StatusOther, Failure::Header, Failure::Late];
    let all = Failure::ALL.iter().filter(|failure| !answered.contains(failure));
    assert_eq!(failures, all.map(|failure| failure.as_str()).collect());

    let decisions: Vec<Decision> = rows.iter().flat_map(|row| row.decisions).collect();
    for kept in Kept::ALL {
        assert!(decisions.contains(&Decision::Keep(kept)), "{kept:?}");
    }
}

/// The fallbacks that plans hold for safe requests, listed ones and others.
fn requests() -> [Vec<(&'static str, Fallback)>; 3] {
    let snapshot = snapshot();
    let of = |method: &'static str, target: &str| {
        let request = Request::new("shop.example", target).method(method).header("x-user-id", "u1");
        (method, plan(&snapshot, &request, &mut || 0).unwrap().fallback.unwrap())
    };
    [
        ["GET", "HEAD", "OPTIONS", "TRACE"].map(|method| of(method, "/cart")).to_vec(),
        vec![of("POST", "/quote")],
        ["POST", "PUT", "DELETE", "PATCH"].map(|method| of(method, "/cart")).to_vec(),
    ]
}

/// Everybody is on new, and `POST /quote` may be carried out twice.
fn snapshot() -> Snapshot {
    let table = |rule: Match| {
        let entry = RouteEntry { label: "the rule".to_owned(), rule, target: Target::Migration(0) };
        RouteTable::build(vec![entry]).unwrap()
    };
    let quote =
        Match { path: "/quote".parse().unwrap(), methods: vec!["POST".to_owned()], ..Match::default() };
    Snapshot {
        table: table(Match::default()),
        migrations: vec![Migration {
            name: "shop".to_owned(),
            lineage: 0,
            old: 0,
            new: 1,
            phase: Phase::Full,
            split: Split {
                salt: b"shop"[..].into(),
                keys: vec!["header:x-user-id".parse().unwrap()],
                percent: Percent::FULL,
                overrides: Overrides::default(),
            },
            asked: Percent::FULL,
            force: None,
            assign_cookie: None,
            timeouts: Timeouts::default(),
            drain_after_rollback_ms: Migration::DRAIN_AFTER_ROLLBACK_MS,
            fallback: Some(FallbackPolicy { listed: table(quote), ..FallbackPolicy::default() }),
            shadow: None,
            failures: Default::default(),
            rules: Default::default(),
            expose_arm: None,
        }],
        ..Snapshot::default()
    }
}

/// The row that a line of the document is; `None` for any other line.
fn row(line: &str) -> Option<Row<'_>> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, ended, sent, content, under_way, safe, listed, other, _] = cells[..] else { return None };
    if ended.starts_with("---") || ended.starts_with("what became") {
        return None;
    }
    let one_of = |cell: &str, [no, yes]: [&str; 2]| match cell {
        cell if cell == no => false,
        cell if cell == yes => true,
        _ => panic!("{cell:?} is neither {no:?} nor {yes:?}:\n{line}"),
    };
    let too_many = one_of(under_way, ["few", "too many"]);
    Some(Row {
        line,
        ended: match ended {
            "the client went away" => vec![Ended::Client],
            ended => ended.trim_start_matches("status ").split(' ').map(ended_by).collect(),
        },
        circumstances: Circumstances {
            begun: one_of(sent, ["nothing", "a part of an answer"]),
            body_lost: one_of(content, ["kept", "more than is kept"]),
            under_way: FallbackPolicy::default().concurrency - u32::from(!too_many),
            ..Circumstances::default()
        },
        decisions: [safe, listed, other].map(decision),
    })
}

/// A failure by its label, or a status.
fn ended_by(cell: &str) -> Ended {
    let word = cell.trim_matches('`');
    match word.parse() {
        Ok(status) => Ended::Answered(status),
        Err(_) => Ended::Failed(*Failure::ALL.iter().find(|failure| failure.as_str() == word).unwrap()),
    }
}

fn decision(cell: &str) -> Decision {
    match cell {
        "old answers" => Decision::FallBack,
        "passed on" => Decision::PassOn,
        reason => {
            let reason = reason.trim_matches('`');
            Decision::Keep(*Kept::ALL.iter().find(|kept| kept.as_str() == reason).unwrap())
        }
    }
}
