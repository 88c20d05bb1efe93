use super::*;

fn fallback(replayable: bool) -> Fallback {
    let policy = FallbackPolicy::default();
    Fallback {
        upstream: 0,
        after_ms: policy.after_ms,
        statuses: policy.statuses,
        body_bytes: policy.body_bytes,
        concurrency: 2,
        replayable,
    }
}

/// The table of the module's documentation, case by case.
#[test]
fn what_happens_in_each_case() {
    use Decision::{FallBack, Keep, PassOn};
    let fine = Circumstances::default();
    for failure in Failure::ALL {
        let before = matches!(
            failure,
            Failure::Connect | Failure::ConnectTimeout | Failure::NoEndpoint | Failure::Overloaded
        );
        assert_eq!(failure.is_before_sending(), before, "{failure:?}");
        let ended = Ended::Failed(failure);
        let [safe, other] = [true, false].map(|replayable| fallback(replayable).decide(ended, fine));
        match failure {
            Failure::TotalTimeout => assert_eq!([safe, other], [Keep(Kept::TimeIsUp); 2]),
            _ if before => assert_eq!([safe, other], [FallBack; 2], "{failure:?}: new never saw it"),
            _ => assert_eq!([safe, other], [FallBack, Keep(Kept::NotReplayable)], "{failure:?}"),
        }
    }
    for status in 100..=599 {
        let ended = Ended::Answered(status);
        let [safe, other] = [true, false].map(|replayable| fallback(replayable).decide(ended, fine));
        if matches!(status, 500 | 502 | 503 | 504) {
            assert_eq!([safe, other], [FallBack, Keep(Kept::NotReplayable)], "{status}");
        } else {
            assert_eq!([safe, other], [PassOn; 2], "{status}");
        }
    }
    assert_eq!(fallback(true).decide(Ended::Client, fine), PassOn);
}

#[test]
fn what_stands_in_the_way() {
    let refused = Ended::Failed(Failure::Connect);
    let decide = |circumstances| fallback(true).decide(refused, circumstances);
    let fine = Circumstances::default();
    assert_eq!(decide(Circumstances { begun: true, ..fine }), Decision::Keep(Kept::AnswerBegun));
    let sent = Circumstances { sent: true, ..fine };
    assert_eq!(decide(sent), Decision::FallBack);
    assert_eq!(fallback(false).decide(refused, fine), Decision::FallBack);
    assert_eq!(fallback(false).decide(refused, sent), Decision::Keep(Kept::NotReplayable));
    assert_eq!(decide(Circumstances { body_lost: true, ..fine }), Decision::Keep(Kept::BodyTooLarge));
    assert_eq!(decide(Circumstances { under_way: 1, ..fine }), Decision::FallBack);
    assert_eq!(decide(Circumstances { under_way: 2, ..fine }), Decision::Keep(Kept::TooMany));
}

#[test]
fn sets_of_statuses_hold_what_was_put_in() {
    let set = Statuses::of(&[404, 499, 500, 563, 564, 599, 600]);
    let held: Vec<u16> = (0..=u16::MAX).filter(|&status| set.contains(status)).collect();
    assert_eq!(held, [500, 563, 564, 599]);
}

#[test]
fn labels_are_distinct_and_in_order() {
    for (at, kept) in Kept::ALL.iter().enumerate() {
        assert_eq!(kept.index(), at);
    }
    let mut labels: Vec<_> = Kept::ALL.iter().map(|kept| kept.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), Kept::ALL.len());
}
