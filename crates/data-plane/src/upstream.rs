//! A worker's view of one upstream: which of its endpoints gets a request, and how much of it is in use.
//!
//! Of two endpoints picked at random the one with fewer requests under way gets the next (the power of two choices: M.
//! Mitzenmacher, IEEE TPDS 12(10), 2001). Endpoints that the health checks find unhealthy, and those that this worker has
//! ejected, are left out.

mod budget;
mod connection;
mod standing;
mod usage;

use std::rc::Rc;

use route_plan::{Ejection, Retry};

pub(crate) use connection::{Connection, Member, Opening};
pub(crate) use usage::{Full, Place, Ticket, Usage};

/// Sides of the dice by which doubtful endpoints get a request now and then.
const DICE: usize = 1 << 30;
/// How often two different endpoints are sought by chance before all are looked at.
const DRAWS: usize = 8;

/// The addresses of one upstream, as one view has them.
#[derive(Debug)]
pub(crate) struct UpstreamPool {
    pub(crate) members: Vec<Rc<Member>>,
    pub(crate) names: Names,
    /// What this worker uses of it, across all views.
    pub(crate) usage: Rc<Usage>,
    pub(crate) retry: Retry,
    ejection: Option<Ejection>,
}

/// How far the names among an upstream's endpoints have been resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// There is an address for each, or none is a name.
    Known,
    /// Some have not been looked up yet.
    Unknown,
    /// Some have no address.
    NotFound,
}

/// Members that were tried for a request, by place; those beyond the first 64 are never marked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried(u64);

impl Tried {
    fn mark(&mut self, at: usize) {
        self.0 |= 1_u64.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or(0);
    }

    fn has(self, at: usize) -> bool {
        at < 64 && self.0 & (1 << at) != 0
    }
}

impl UpstreamPool {
    pub(crate) fn new(
        members: Vec<Rc<Member>>,
        names: Names,
        usage: Rc<Usage>,
        upstream: &route_plan::Upstream,
    ) -> UpstreamPool {
        UpstreamPool { members, names, usage, retry: upstream.retry, ejection: upstream.ejection }
    }

    /// The member for one more attempt, marked as tried. Those that were tried before come only when all were. With
    /// `last_resort` an unhealthy one is better than none.
    pub(crate) fn choose(
        &self,
        now_ms: u64,
        tried: &mut Tried,
        last_resort: bool,
        random: impl FnMut(usize) -> usize,
    ) -> Option<Rc<Member>> {
        let at = self.pick(now_ms, *tried, last_resort, random)?;
        tried.mark(at);
        self.members.get(at).cloned()
    }

    fn pick(
        &self,
        now_ms: u64,
        tried: Tried,
        last_resort: bool,
        mut random: impl FnMut(usize) -> usize,
    ) -> Option<usize> {
        // The usual case first: one endpoint, and it is fine.
        if let [only] = self.members.as_slice() {
            return (only.is_eligible(now_ms) || last_resort).then_some(0);
        }
        let eligible = |at: usize| self.members.get(at).is_some_and(|member| member.is_eligible(now_ms));
        let dice = random(DICE);
        let doubtful = |at: usize| {
            self.members.get(at).is_some_and(|member| !dice.is_multiple_of(member.standing.doubt(now_ms)))
        };
        self.better_of_two(now_ms, &|at| eligible(at) && !tried.has(at) && !doubtful(at), &mut random)
            .or_else(|| self.better_of_two(now_ms, &|at| eligible(at) && !tried.has(at), &mut random))
            .or_else(|| self.better_of_two(now_ms, &eligible, &mut random))
            .or_else(|| self.better_of_two(now_ms, &|at| last_resort && !tried.has(at), &mut random))
            .or_else(|| self.better_of_two(now_ms, &|_| last_resort, &mut random))
    }

    /// The better of two that fit, drawn by chance.
    fn better_of_two(
        &self,
        now_ms: u64,
        fits: &dyn Fn(usize) -> bool,
        random: &mut impl FnMut(usize) -> usize,
    ) -> Option<usize> {
        let count = self.members.len();
        let mut first = None;
        for _ in 0..DRAWS.min(count * 4) {
            let at = random(count);
            match first {
                _ if !fits(at) => {}
                None => first = Some(at),
                Some(one) if one == at => {}
                Some(one) => return Some(self.less_loaded(now_ms, one, at)),
            }
        }
        // Few fit. The search begins by chance, so that no member is favoured.
        let start = if count > 0 { random(count) } else { 0 };
        first.or_else(|| (start..count).chain(0..start).find(|&at| fits(at)))
    }

    fn less_loaded(&self, now_ms: u64, one: usize, other: usize) -> usize {
        let load = |at: usize| self.members.get(at).map_or(u64::MAX, |member| member.load(now_ms));
        if load(other) < load(one) { other } else { one }
    }

    /// An attempt at a member ended. `true` when it is ejected for that.
    pub(crate) fn note(&self, member: &Member, failed: bool, now_ms: u64) -> bool {
        if !member.standing.note(failed, self.ejection.as_ref(), now_ms) {
            return false;
        }
        let Some(ejection) = &self.ejection else { return false };
        let out = self.members.iter().filter(|member| member.standing.is_out(now_ms)).count();
        let allowed = self.members.len() * usize::from(ejection.max_percent) / 100;
        let ejected = out < allowed;
        if ejected {
            member.standing.eject(ejection, now_ms);
        }
        ejected
    }
}

#[cfg(test)]
mod tests;
