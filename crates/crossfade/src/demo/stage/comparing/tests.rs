use std::collections::BTreeMap;

use admin_api::{
    DiffsCoverage, DiffsDifference, DiffsQuestions, DiffsSample, DiffsStorage, DiffsSummary, DiffsTurnedAway,
};
use control_plane::LastChange;
use rollback_guard::MatchRate;
use telemetry::ComparisonTotals;

use super::*;
use crate::demo::shop::planted::tests::group;

fn comparing(matched: u64, mismatched: u64) -> Comparing {
    let summary = DiffsSummary {
        migration: "shop".into(),
        since_ms: 1_000,
        comparisons: DiffsCounts { matched, mismatched, noise: 3, race: 1, not_compared: BTreeMap::new() },
        not_copied: BTreeMap::new(),
        judged: matched + mismatched,
        match_rate: None,
        match_rate_at_least: 0.0,
        confidence: 0.99,
        match_rate_text: String::new(),
        coverage: DiffsCoverage { endpoints: 3, covered: 3, enough: 100, share_of_requests: 1.0 },
        groups_left_out: 0,
        asked_again: DiffsQuestions { sampled: 30, rechecked: 10, not_rechecked: 5, races_of_new_alone: 0 },
        turned_away: DiffsTurnedAway { differences: 0, groups: 0, samples: 0 },
        let_in: 1.0,
        storage: DiffsStorage { on_disk: true, error: None, written: 1, failed: 0 },
        suggestions:
            "# Why.\n\n[[x]]\nignore = [\n  \"$.quote\",\n]\nrules = [\n  { path = \"$.priced_at\" },\n]\n"
                .into(),
    };
    let difference = |path: &str, kind, old: &str, new: Option<&str>| DiffsDifference {
        path: path.into(),
        at: path.into(),
        kind,
        old: Some(old.into()),
        new: new.map(str::to_owned),
    };
    let sample = DiffsSample {
        sample: 7,
        at_ms: 1_500,
        request: "GET /products/4".into(),
        request_id: "r-1".into(),
        differences: vec![
            difference("$.price", "value", "59.99", Some("60.00")),
            difference("$.note", "missing", "\"contains nuts\"", None),
        ],
        old: String::new(),
        new: String::new(),
    };
    let mut groups: Vec<_> = FAULTS.iter().map(|one| group(*one, "unknown")).collect();
    groups.iter_mut().for_each(|group| group.samples = vec![7]);
    groups.extend(NOISE.iter().map(|one| group(*one, "noise")));
    Comparing {
        answer: DiffsAnswer {
            summary,
            endpoints: Vec::new(),
            groups,
            races: Vec::new(),
            samples: vec![sample],
        },
        shadow: ShadowStatus {
            state: ShadowState::On,
            sentence: "on".into(),
            by: None,
            pairs_per_s: None,
            comparisons: ComparisonTotals::default(),
            match_rate: MatchRate::of(matched + mismatched, mismatched),
            is_by_gate: true,
            matching: Some("fewer than 0.1% of comparisons are shown to differ".into()),
            verdict: None,
            effect: None,
            drops: Vec::new(),
        },
    }
}

#[test]
fn the_story_goes_by_what_the_proxy_tells() {
    let (before, mut now) = (comparing(10, 90), comparing(75, 25));
    let all = Compared {
        is_on: true,
        judged: 100,
        is_anew: false,
        has_all_faults: true,
        has_all_noise: true,
        has_risen: true,
        is_proven: false,
    };
    assert_eq!(now.seen(Some(&before)), all);
    assert_eq!(before.seen(Some(&now)), Compared { has_risen: false, ..all });
    assert_eq!(now.seen(None), Compared { has_risen: false, ..all });
    now.answer.summary.since_ms += 1;
    now.answer.groups.truncate(4);
    now.shadow.match_rate = MatchRate::of(5_537, 0);
    now.shadow.state = ShadowState::Idle;
    let seen = now.seen(Some(&before));
    assert!(seen.is_anew && !seen.is_on && seen.is_proven && !seen.has_all_faults && !seen.has_all_noise);
}

#[test]
fn what_should_not_be_ends_the_demo() {
    let good = comparing(75, 25);
    assert_eq!(good.trouble(Chapter::Noise, 4_000), None);
    let sentence = good.trouble(Chapter::Noise, 3_999).unwrap();
    assert_eq!(
        sentence,
        "old was asked once more for 40 of 3,999 copied requests (1.00 %), which is more than 1 %"
    );
    assert_eq!(good.trouble(Chapter::Rules, 10), None, "counted anew");
    let mut invented = good.clone();
    invented.answer.groups[0].path = "$.name".into();
    let sentence = invented.trouble(Chapter::Match, 4_000).unwrap();
    assert!(
        sentence.starts_with("comparing found what was not planted: GET /products/{id} $.name"),
        "{sentence}"
    );
    let mut off = good;
    (off.shadow.state, off.shadow.sentence) = (ShadowState::Off, "off, by the guard".into());
    let sentence = off.trouble(Chapter::Copies, 4_000);
    assert_eq!(sentence.as_deref(), Some("the shadow was switched off: off, by the guard"));
    let by = |who: &str| LastChange {
        at: std::time::UNIX_EPOCH,
        who: who.into(),
        reason: None,
        what: String::new(),
    };
    off.shadow.by = Some(by("the guard"));
    assert!(off.trouble(Chapter::Copies, 4_000).is_some());
    off.shadow.by = Some(by("alice"));
    assert_eq!(off.trouble(Chapter::Copies, 4_000), None, "alice has taken over");
}

#[test]
fn an_act_is_told_with_its_numbers() {
    let now = comparing(75, 25);
    let sample =
        |at_s, copies, served| Sample { at: Duration::from_secs(at_s), copies, served, ..Sample::default() };
    let mark = sample(10, 0, [(0, 0.0); 2]);
    let (before, sample) = (comparing(10, 90), sample(14, 5_300, [(100, 1.2), (5_300, 66.25)]));
    let act =
        ActSoFar { mark: &mark, now: &sample, before: Some(&before), before_it: &ArmFigures::default() };
    let told = [Chapter::Copies, Chapter::Differences, Chapter::Noise, Chapter::Rules, Chapter::Match].map(
        |chapter| {
            let (said, told) = now.said(chapter, &act);
            let lines = told.into_iter().chain(said).chain([now.happened(chapter, &act)]);
            format!("{chapter:?}\n  {}", lines.collect::<Vec<_>>().join("\n  "))
        },
    );
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn rules_are_added_to_the_file_if_there_is_one_for_each_noise() {
    let now = comparing(75, 25);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crossfade.toml");
    fs::write(&file, "a = 1\n").unwrap();
    append(&file, now.suggestion().ok().unwrap()).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("a = 1\n\n# Why.\n\n[[x]]\n") && text.ends_with("]\n"), "{text}");
    assert!(append(&folder.path().join("none.toml"), "").is_err());
    let mut without = now;
    without.answer.summary.suggestions = "ignore = [\"$.quote\"]".into();
    assert!(
        matches!(without.suggestion(), Err(Ending::Broken(why)) if why.starts_with("no rule is suggested for $.priced_at"))
    );
}
