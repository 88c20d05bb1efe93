use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::redact::{Redacted, Redactor};
use crate::summary::Why;
use crate::summary::noise::Rules;
use crate::{Limits as ComparisonLimits, NotCompared};

fn redacted(text: &str) -> Redacted {
    static REDACTOR: LazyLock<Redactor> =
        LazyLock::new(|| Redactor::new(&[0; 32], &[], &ComparisonLimits::default(), 1 << 20).unwrap());
    REDACTOR.restored(text.to_owned())
}

fn sample(at_ms: u64, text: &str) -> Sample {
    Sample {
        at_ms,
        request: redacted("GET /orders/42"),
        request_id: redacted("r-1"),
        differences: Vec::new(),
        old: redacted(text),
        new: redacted("new"),
    }
}

fn differs(path: &str, kind: Kind) -> Difference {
    Difference {
        path: path.to_owned(),
        at: path.to_owned(),
        kind,
        old: Some("1".into()),
        new: Some("2".into()),
        extent: 1,
    }
}

fn endpoint() -> Endpoint {
    Endpoint::named("GET /orders/{id}")
}

/// Records a comparison and gives the sample that is wanted.
fn take(groups: &mut Groups, endpoint: &Endpoint, class: Class, paths: &[&str], at_ms: u64) -> Option<u64> {
    let differences: Vec<_> = paths.iter().map(|path| differs(path, Kind::Value)).collect();
    let wanted = groups.record(endpoint, class, &differences, at_ms, at_ms)?;
    groups.keep(wanted, sample(at_ms, &format!("old at {at_ms}")))
}

fn listing(groups: &Groups, noise: &Noise) -> String {
    groups.list(noise, None).iter().fold(String::new(), |mut text, view| {
        let samples: Vec<_> =
            view.samples.iter().map(|(id, sample)| format!("#{id} at {}", sample.at_ms)).collect();
        writeln!(
            text,
            "{:>4} of {:>4} ({:.1} %) {} {} {}, {} to {}, {} races, noise: {}; {}",
            view.count,
            view.comparisons,
            view.share() * 100.0,
            view.endpoint,
            view.path,
            view.kind,
            view.first_ms,
            view.last_ms,
            view.races,
            view.knowledge.is_noise(),
            samples.join(", ")
        )
        .unwrap();
        text
    })
}

#[test]
fn the_most_frequent_real_ones_come_first_and_noise_last() {
    let (mut groups, mut noise) = (Groups::new(Limits::default()), Noise::new(Rules::default()));
    let clock = [differs("$.now", Kind::Value)];
    for _ in 0..40 {
        noise.sampled(&endpoint(), &clock, true, &clock);
    }
    let other = Endpoint::named("GET /users/{id}");
    for at_ms in 0..100 {
        take(&mut groups, &endpoint(), Class::Noise, &["$.now"], at_ms * 10_000);
        take(&mut groups, &other, Class::Matched, &[], at_ms * 10_000);
    }
    for at_ms in 0..5 {
        take(
            &mut groups,
            &endpoint(),
            Class::Mismatched,
            &["$.now", "$.price", "$.price"],
            2_000_000 + at_ms,
        );
        take(&mut groups, &other, Class::Mismatched, &["$.name"], 3_000_000 + at_ms);
        take(&mut groups, &other, Class::Race, &["$.name", "$.stock"], 4_000_000 + at_ms);
    }
    take(&mut groups, &other, Class::Mismatched, &["$.name"], 5_000_000);
    take(&mut groups, &other, Class::NotCompared(Why::Answers(NotCompared::Depth)), &["$.name"], 6_000_000);
    insta::assert_snapshot!(listing(&groups, &noise));
    assert_eq!(groups.list(&noise, Some(&other)).len(), 1);
    assert_eq!(groups.of(&other), (111, 0));
}

#[test]
fn every_difference_has_the_same_chance_to_be_drawn() {
    let mut times = BTreeMap::<u64, u32>::new();
    let runs = 400;
    for run in 0..runs {
        let mut groups = Groups::new(Limits::default());
        for at_ms in 0..20 {
            let wanted = groups.record(
                &endpoint(),
                Class::Mismatched,
                &[differs("$.a", Kind::Value)],
                at_ms,
                mixed(run, at_ms),
            );
            if let Some(wanted) = wanted {
                groups.keep(wanted, sample(at_ms, "x"));
            }
        }
        let all = &groups.endpoints[&endpoint()].groups;
        for id in &all[&("$.a".to_owned(), Kind::Value)].drawn {
            *times.entry(groups.samples.get(*id).unwrap().at_ms).or_default() += 1;
        }
    }
    // The first is kept as the first; each of the others is drawn with a chance of 2 in 20, or a little more.
    for at_ms in 2..20 {
        let times = times.get(&at_ms).copied().unwrap_or_default();
        assert!((20..=70).contains(&times), "the one at {at_ms} in {times} of {runs} runs");
    }
}

#[test]
fn samples_are_bounded_and_the_newest_one_wins() {
    let limits = Limits { sample_bytes: 600, samples_bytes: 1_500, ..Limits::default() };
    let mut groups = Groups::new(limits);
    let too_large =
        groups.record(&endpoint(), Class::Mismatched, &[differs("$.z", Kind::Value)], 0, 0).unwrap();
    assert_eq!(groups.keep(too_large, sample(0, &"x".repeat(600))), None);
    for number in 0..20_u64 {
        let wanted = groups.record(
            &endpoint(),
            Class::Mismatched,
            &[differs(&format!("$.p{number}"), Kind::Value)],
            number,
            0,
        );
        let id = groups.keep(wanted.unwrap(), sample(number, &"x".repeat(300)));
        assert!(id.is_some_and(|id| groups.sample(id).unwrap().at_ms == number));
        assert!(groups.samples.bytes() <= limits.samples_bytes);
    }
    let kept: Vec<_> = groups.samples.iter().map(|(_, sample)| sample.at_ms).collect();
    assert_eq!(kept, [17, 18, 19]);
    assert_eq!(groups.turned_away(), TurnedAway { samples: 18, ..TurnedAway::default() });
    groups.forget_samples();
    assert_eq!((groups.samples.bytes(), groups.list(&Noise::default(), None).len()), (0, 21));
}

#[test]
fn where_there_is_no_room_differences_are_counted_and_stale_groups_give_way() {
    let limits =
        Limits { groups_per_endpoint: 2, groups: 3, path_bytes: 10, stale_ms: 1_000, ..Limits::default() };
    let mut groups = Groups::new(limits);
    let record = |groups: &mut Groups, name: &str, path: &str, at_ms: u64| {
        let _ =
            groups.record(&Endpoint::named(name), Class::Mismatched, &[differs(path, Kind::Value)], at_ms, 0);
    };
    for path in ["$.a", "$.b", "$.c", "$.a_very_long_name"] {
        record(&mut groups, "GET /", path, 5);
    }
    for path in ["$.a", "$.b"] {
        record(&mut groups, "GET /x", path, 6);
    }
    assert_eq!(groups.turned_away(), TurnedAway { differences: 3, ..TurnedAway::default() });
    assert_eq!(groups.of(&Endpoint::named("GET /")), (4, 2));
    record(&mut groups, "GET /", "$.b", 1_500);
    record(&mut groups, "GET /", "$.c", 2_000);
    assert_eq!(groups.turned_away(), TurnedAway { differences: 3, groups: 1, samples: 0 });
    let paths: Vec<_> =
        groups.list(&Noise::default(), None).iter().map(|view| view.path.to_owned()).collect();
    assert_eq!(paths, ["$.b", "$.c", "$.a"]);
}

fn steps() -> impl Strategy<Value = Vec<(u8, u8, u8, bool, u64)>> {
    prop::collection::vec((0_u8..3, 0_u8..4, 0_u8..16, prop::bool::weighted(0.05), any::<u64>()), 0..60)
}

fn play(groups: &mut Groups, steps: &[(u8, u8, u8, bool, u64)], from_ms: u64) {
    for (number, (endpoint, class, mask, fold, random)) in steps.iter().enumerate() {
        let endpoint = Endpoint::named(&format!("GET /{endpoint}"));
        let class = [Class::Matched, Class::Mismatched, Class::Noise, Class::Race][usize::from(*class)];
        let listed: Vec<_> = (0..4)
            .filter(|bit| mask & (1 << bit) != 0 && class != Class::Matched)
            .map(|bit| differs(&format!("$.p{bit}"), Kind::Value))
            .collect();
        let at_ms = from_ms + number as u64 * 10_000;
        if let Some(wanted) = groups.record(&endpoint, class, &listed, at_ms, *random) {
            groups.keep(wanted, sample(at_ms, &"x".repeat(usize::from(*mask) * 10)));
        }
        if *fold {
            groups.fold(&Fold { from: endpoint, into: Endpoint::named("GET /2") });
        }
    }
}

fn check(groups: &Groups) {
    let all = groups.endpoints.values().flat_map(|all| all.groups.values());
    assert_eq!(all.clone().count(), groups.groups);
    assert!(groups.groups <= groups.limits.groups + groups.limits.groups_per_endpoint);
    let used: BTreeSet<_> = all.flat_map(Group::sample_ids).collect();
    let held: BTreeSet<_> = groups.samples.iter().map(|(id, _)| id).collect();
    assert_eq!(used, held, "every sample belongs to a group, and every group's sample is there");
    let bytes: usize = groups.samples.iter().map(|(_, sample)| sample.bytes()).sum();
    assert_eq!(bytes, groups.samples.bytes());
    assert!(bytes <= groups.limits.samples_bytes);
}

proptest! {
    #[test]
    fn groups_are_bounded_consistent_and_restorable(before in steps(), after in steps()) {
        let limits = Limits { groups_per_endpoint: 3, groups: 8, samples_bytes: 3_000, ..Limits::default() };
        let mut one = Groups::new(limits);
        play(&mut one, &before, 0);
        check(&one);
        let mut other = Groups::restore(limits, &one.state());
        check(&other);
        prop_assert_eq!(one.state(), other.state());
        play(&mut one, &after, 10_000_000);
        play(&mut other, &after, 10_000_000);
        check(&one);
        prop_assert_eq!(one.state(), other.state());
    }

    #[test]
    fn nothing_is_lost_by_counting(steps in steps()) {
        let mut groups = Groups::new(Limits { groups_per_endpoint: 2, groups: 4, ..Limits::default() });
        play(&mut groups, &steps, 0);
        let counts = |class: u8| class == 1 || class == 2;
        let differences: u32 = steps.iter().filter(|step| counts(step.1)).map(|step| (step.2 & 15).count_ones()).sum();
        let grouped: u64 = groups.list(&Noise::default(), None).iter().map(|view| view.count).sum();
        prop_assert_eq!(grouped + groups.turned_away().differences, u64::from(differences));
        let comparisons: u64 = groups.endpoints.values().map(|all| all.comparisons).sum();
        prop_assert_eq!(comparisons, steps.len() as u64);
    }
}
