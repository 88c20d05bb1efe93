use std::net::SocketAddr;

use route_plan::{Endpoint, Upstream};

use super::*;

fn pool(members: usize, ejection: Option<Ejection>) -> UpstreamPool {
    let usage = Rc::<Usage>::default();
    let upstream = Upstream { ejection, ..Upstream::default() };
    usage.set_limits(&upstream.limits, 1);
    let member = |at: usize| {
        let port = 1 + u16::try_from(at).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Member::new(Endpoint::new("127.0.0.1", port), address, usage.clone())
    };
    UpstreamPool::new((0..members).map(member).collect(), Names::Known, usage.clone(), &upstream)
}

fn drawn(pool: &UpstreamPool, now_ms: u64, last_resort: bool) -> Vec<usize> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut counts = vec![0; pool.members.len()];
    for _ in 0..1_000 {
        let mut tried = Tried::default();
        let chosen = pool.choose(now_ms, &mut tried, last_resort, |below| rng.usize(..below));
        if let Some(chosen) = chosen {
            counts[usize::from(chosen.address.port()) - 1] += 1;
        }
    }
    counts
}

#[test]
fn requests_are_dealt_evenly_among_the_idle() {
    for members in [1, 2, 3, 10, 100] {
        let counts = drawn(&pool(members, None), 0, false);
        assert_eq!(counts.iter().sum::<usize>(), 1_000);
        let even = 1_000 / members;
        assert!(counts.iter().all(|&count| count > even / 4 && count < even * 3 + 10), "{counts:?}");
    }
    assert!(drawn(&pool(0, None), 0, true).is_empty());
}

#[test]
fn the_unhealthy_are_left_out_unless_there_is_nothing_else() {
    let pool = pool(4, None);
    for at in [0, 1, 2] {
        pool.members[at].set_healthy(false, 0, 0);
    }
    assert_eq!(drawn(&pool, 0, false), [0, 0, 0, 1_000]);
    assert_eq!(drawn(&pool, 0, true), [0, 0, 0, 1_000]);
    pool.members[3].set_healthy(false, 0, 0);
    assert_eq!(drawn(&pool, 0, false), [0; 4]);
    assert!(drawn(&pool, 0, true).iter().all(|&count| count > 100));
}

#[test]
fn another_attempt_goes_elsewhere() {
    let pool = pool(3, None);
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..100 {
        let mut tried = Tried::default();
        let mut ports: Vec<u16> = (0..3)
            .map(|_| pool.choose(0, &mut tried, false, |below| rng.usize(..below)).unwrap().address.port())
            .collect();
        ports.sort_unstable();
        assert_eq!(ports, [1, 2, 3]);
        assert!(pool.choose(0, &mut tried, false, |below| rng.usize(..below)).is_some(), "then anywhere");
    }
}

#[test]
fn one_that_is_back_gets_less_than_its_part() {
    let pool = pool(2, None);
    let idle = drawn(&pool, 0, false);
    assert!(idle[0].abs_diff(idle[1]) < 150, "{idle:?}");
    pool.members[0].set_healthy(false, 0, 1_000);
    pool.members[0].set_healthy(true, 1, 1_000);
    let counts = drawn(&pool, 2, false);
    assert!(counts[0] < 100, "with nothing under way anywhere, weight decides: {counts:?}");
}

#[test]
fn one_that_has_just_failed_is_not_preferred_for_having_nothing_to_do() {
    let pool = pool(3, None);
    for _ in 0..4 {
        pool.note(&pool.members[0], true, 10);
    }
    let counts = drawn(&pool, 11, false);
    assert!((20..120).contains(&counts[0]), "one out of five of those that it would get: {counts:?}");
    assert!(drawn(&pool, 6_000, false)[0] > 200, "then it is forgotten");
    for member in &pool.members {
        pool.note(member, true, 6_000);
    }
    assert_eq!(drawn(&pool, 6_001, false).iter().sum::<usize>(), 1_000, "and somebody always gets it");
}

#[test]
fn only_so_many_are_ejected() {
    let rule = Ejection { failures: 1, max_percent: 50, ..Ejection::default() };
    for (members, most) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
        let pool = pool(members, Some(rule));
        let ejected = pool.members.iter().filter(|member| pool.note(member, true, 10)).count();
        assert_eq!(ejected, most, "of {members}");
        assert_eq!(drawn(&pool, 11, false).iter().filter(|&&count| count > 0).count(), members - most);
    }
}
