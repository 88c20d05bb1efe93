use crate::demo::ledger::Places;

use super::acts::{FAILS_ONE_IN, SLOW_TIMES};
use super::*;

const ROUND: Duration = Duration::from_secs(2);

fn percent(whole: u32) -> Percent {
    Percent::from_millionths(whole * 1_000_000).unwrap()
}

fn seen(now_s: f64, in_force: u32) -> Seen {
    let (now, in_force) = (Duration::from_secs_f64(now_s), Some(percent(in_force)));
    Seen { now, in_force, all_answered: true, ..Seen::default() }
}

const COPIED: Compared = Compared {
    is_on: true,
    judged: TELLING,
    is_anew: false,
    has_all_faults: false,
    has_all_noise: false,
    has_risen: false,
    is_proven: false,
};
const RISEN: Compared = Compared { is_anew: true, has_risen: true, ..COPIED };

/// What is seen once the proxy has done what the act asks for.
fn outcome(act: Act, now: Duration) -> Seen {
    let at = |whole, step| Seen { now, step, ..seen(0.0, whole) };
    let back = |step| Seen { is_latched: true, is_verified: true, ..at(0, step) };
    let full = |on_new, stood_in| Seen { is_full: true, on_new, stood_in, ..at(100, 3) };
    let compared = |compared| Seen { compared, ..at(0, 0) };
    match act {
        Act::Old => at(0, 0),
        Act::Copy => compared(COPIED),
        Act::Find => compared(Compared { has_all_faults: true, ..COPIED }),
        Act::Learn => compared(Compared { has_all_noise: true, ..COPIED }),
        Act::Apply => compared(RISEN),
        Act::Mend => compared(Compared { is_proven: true, ..RISEN }),
        Act::Climb => at(50, 2),
        Act::Fail | Act::Refuse => back(2),
        Act::Resume | Act::ResumeAgain | Act::Outage => at(25, 1),
        Act::Slow => back(1),
        Act::Arrive | Act::Revive => full(3000, 0),
        Act::Kill => full(0, 3000),
        Act::Back => Seen { is_full: true, ..back(3) },
    }
}

/// A story that has come to this act.
fn story_at(act: Act) -> (Story, Duration) {
    let mut story = Story::new(ROUND, true);
    let mut now = Duration::ZERO;
    while story.act() != Some(act) {
        now += Duration::from_millis(500);
        let looked = story.look(outcome(story.act().unwrap(), now));
        assert!(
            matches!(
                looked,
                None | Some(Turn::Begin(_) | Turn::Settled | Turn::Do(Deed::Heal | Deed::CompareAnew))
            ),
            "{looked:?}"
        );
    }
    (story, now)
}

#[test]
fn it_goes_through_all_acts() {
    let mut story = Story::new(ROUND, false);
    let places = Places::of("shop", 3000);
    let mut told = Vec::new();
    let mut now = Duration::ZERO;
    let mut tell = |story: &Story| {
        let (headline, sentence, next) = (story.headline(), story.sentence(&places), story.next(2134, 3000));
        for (line, room) in [(&headline, 57), (&sentence, 73), (&next, 73)] {
            assert!(line.chars().count() <= room, "{line}");
        }
        let told_now = format!("{headline}: {sentence} Next: {next}");
        if told.last() != Some(&told_now) {
            told.push(told_now);
        }
    };
    let mut deeds = Vec::new();
    while let Some(act) = story.act() {
        tell(&story);
        let at = story.at;
        while story.at == at {
            now += Duration::from_millis(100);
            if let Some(Turn::Begin(Some(deed)) | Turn::Do(deed)) = story.look(outcome(act, now)) {
                deeds.push(deed);
            }
            if story.at == at {
                tell(&story);
            }
        }
    }
    tell(&story);
    assert!(now < Duration::from_secs(95), "{now:?}");
    insta::assert_snapshot!(told.join("\n"));
    let fails = Fault::Fails { one_in: FAILS_ONE_IN };
    assert_eq!(
        deeds,
        [
            Deed::Copy,
            Deed::Apply,
            Deed::Mend,
            Deed::CompareAnew,
            Deed::Advance,
            Deed::Spoil(fails),
            Deed::AskInVain,
            Deed::Resume,
            Deed::Spoil(Fault::Slow { times: SLOW_TIMES }),
            Deed::Resume,
            Deed::SpoilBoth(fails),
            Deed::Heal,
            Deed::Kill,
            Deed::Revive,
            Deed::RollBack,
        ]
    );
}

#[test]
fn the_migration_is_the_watchers_after_that() {
    let (mut story, now) = story_at(Act::Back);
    let at = |s: u64| now + Duration::from_secs(s);
    assert_eq!(story.look(outcome(Act::Back, at(1))), Some(Turn::Settled));
    assert_eq!(story.look(outcome(Act::Back, at(2))), Some(Turn::Over));
    assert!(story.is_yours() && story.place().is_none());
    assert_eq!(story.look(outcome(Act::Back, at(3))), Some(Turn::Settled));
    assert_eq!(story.look(outcome(Act::Resume, at(4))), Some(Turn::Followed), "the watcher resumed");
    assert_eq!((story.headline(), story.done()), ("25 % is in force".into(), "raised to 25 %".into()));
    assert_eq!(story.look(outcome(Act::Fail, at(5))), Some(Turn::Followed));
    assert_eq!(story.done(), "back to 0 %");
}

#[test]
fn somebody_else_takes_over() {
    let places = Places::of("shop", 1000);
    let mut story = Story::new(ROUND, true);
    let set = Seen { by_others: true, ..seen(1.0, 50) };
    assert_eq!(story.look(set), Some(Turn::Followed));
    assert!(story.is_yours() && !story.tells_of_rollbacks());
    assert!(story.sentence(&places).ends_with("users move from old to new. Nobody moves back."));
    assert_eq!(story.look(set), Some(Turn::Settled));
    assert_eq!(story.look(set), None);
    let gone = Seen { in_force: None, ..set };
    assert_eq!(story.look(gone), None);
    // Who resumes before the demo does has taken over too.
    let (mut story, now) = story_at(Act::Refuse);
    assert_eq!(story.look(outcome(Act::Resume, now)), Some(Turn::Followed));
    // A pause moves nobody.
    let (mut story, now) = story_at(Act::Arrive);
    let paused = Seen { by_others: true, ..outcome(Act::Outage, now) };
    assert_eq!(story.look(paused), Some(Turn::Followed));
    assert_eq!(story.sentence(&places), "Nobody moves.");
}

#[test]
fn the_ramp_and_the_guard_are_waited_for() {
    let (mut story, now) = story_at(Act::Fail);
    let after = |seconds: u64, seen: Seen| Seen { now: now + Duration::from_secs(seconds), ..seen };
    let failing = outcome(Act::Climb, now);
    assert_eq!(story.look(after(1, failing)), None);
    let unverified = Seen { is_verified: false, ..outcome(Act::Fail, now) };
    assert_eq!(story.look(after(2, unverified)), None);
    assert_eq!(story.look(after(3, outcome(Act::Fail, now))), Some(Turn::Settled));
    // In vain.
    let (mut story, _) = story_at(Act::Fail);
    assert_eq!(story.look(after(30, failing)), None);
    assert_eq!(story.look(after(31, failing)), Some(Turn::Stuck));
    assert_eq!(story.look(after(32, failing)), None);
    // A gate that does not open in time is passed by force, and that again and again.
    let (mut story, now) = story_at(Act::Climb);
    let after = |seconds: u64| Seen { now: now + Duration::from_secs(seconds), ..outcome(Act::Outage, now) };
    assert_eq!(story.look(after(0)), None);
    assert_eq!(story.look(after(90)), None);
    assert_eq!(story.look(after(91)), Some(Turn::Do(Deed::Insist)));
    assert_eq!(story.look(after(92)), None);
    assert_eq!(story.look(after(182)), Some(Turn::Do(Deed::Insist)));
}

#[test]
fn comparing_is_waited_for_and_not_for_ever() {
    for act in [Act::Copy, Act::Find, Act::Learn, Act::Apply] {
        let (mut story, now) = story_at(act);
        assert!(story.comparing().is_some());
        let after = |seconds: u64, compared| {
            let now = now + Duration::from_secs(seconds);
            Seen { now, compared, ..outcome(act, now) }
        };
        assert_eq!(story.look(after(1, Compared::default())), None, "{act:?}");
        assert_eq!(story.look(after(60, Compared::default())), None, "{act:?}");
        assert_eq!(story.look(after(61, Compared::default())), Some(Turn::Stuck), "{act:?}");
        assert_eq!(story.look(outcome(act, now + Duration::from_secs(62))), Some(Turn::Settled), "{act:?}");
    }
    assert!(story_at(Act::Climb).0.comparing().is_none());
}

#[test]
fn a_higher_match_rate_counts_once_it_is_counted_anew_and_often_enough() {
    let (mut story, now) = story_at(Act::Apply);
    let mut look = |compared| story.look(Seen { compared, ..outcome(Act::Apply, now) });
    assert_eq!(look(Compared { is_anew: false, ..RISEN }), None);
    assert_eq!(look(Compared { judged: TELLING - 1, ..RISEN }), None);
    assert_eq!(look(Compared { has_risen: false, ..RISEN }), None);
    assert_eq!(look(RISEN), Some(Turn::Settled));
    // What was under way when new was mended is not counted; and to be better is not yet to match.
    let (mut story, now) = story_at(Act::Mend);
    let at = |ms: u64, compared| {
        let now = now + Duration::from_millis(ms);
        Seen { now, compared, ..outcome(Act::Mend, now) }
    };
    let proven = Compared { is_proven: true, ..RISEN };
    assert_eq!(story.look(at(1_400, proven)), None);
    assert_eq!(story.look(at(1_500, proven)), Some(Turn::Do(Deed::CompareAnew)));
    assert_eq!(story.look(at(1_600, RISEN)), None);
    assert_eq!(story.look(at(1_700, proven)), Some(Turn::Settled));
}

#[test]
fn users_who_are_taken_back_without_need_end_it() {
    for act in [Act::Climb, Act::Outage, Act::Arrive] {
        let (mut story, now) = story_at(act);
        assert_eq!(story.look(outcome(Act::Slow, now)), Some(Turn::Blamed), "{act:?}");
    }
}

#[test]
fn what_new_s_death_waits_for() {
    let (mut story, now) = story_at(Act::Kill);
    assert!(story.new_is_dead());
    let look = |story: &mut Story, on_new, stood_in| {
        story.look(Seen { on_new, stood_in, ..outcome(Act::Kill, now) })
    };
    assert_eq!(look(&mut story, 1, 2999), None, "somebody was answered by it last");
    assert_eq!(look(&mut story, 0, 3000), Some(Turn::Settled));
    assert_eq!(look(&mut story, 0, 3000), Some(Turn::Begin(Some(Deed::Revive))));
    assert!(!story.new_is_dead());
    assert_eq!(look(&mut story, 2999, 1), None, "somebody is still answered by old");
    assert_eq!(look(&mut story, 3000, 0), Some(Turn::Settled));
}

#[test]
fn an_act_that_does_not_settle_is_told_once() {
    let mut story = Story::new(Duration::from_secs(1), true);
    let unanswered = |now_s| Seen { all_answered: false, ..seen(now_s, 0) };
    assert_eq!(story.look(unanswered(20.0)), None);
    assert_eq!(story.look(unanswered(20.1)), Some(Turn::Stuck));
    assert_eq!(story.look(unanswered(22.0)), None);
    assert_eq!(story.look(seen(23.0, 0)), Some(Turn::Settled));
}
