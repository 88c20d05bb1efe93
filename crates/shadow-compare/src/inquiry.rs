//! Requests that are being asked once more, of old and of new: which, when, and what came of it.
//!
//! Pure but for its memory: time is an argument, and who is to be asked is what it returns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use response_diff::summary::Endpoint;
use route_plan::{Captured, CapturedBody, NotCopied, Pair};
use traffic_split::Arm;

use crate::allowance::Purpose;
use crate::looking::Look;

/// Inquiries at the same time, in the whole process.
pub(crate) const MOST: usize = 256;
/// Those of one migration.
const MOST_OF_ONE: usize = 128;
/// What the pairs that they hold may take, in bytes, and at most as much again what is answered.
const MOST_BYTES: usize = 16 << 20;
/// Whoever was asked and has not answered by then is not waited for: longer than any deadline of a copy.
const PATIENCE: Duration = Duration::from_secs(600);

/// A request that is asked once more.
#[derive(Debug)]
pub(crate) struct Inquiry {
    pub(crate) purpose: Purpose,
    pub(crate) pair: Arc<Pair>,
    pub(crate) endpoint: Endpoint,
    /// What the pair came to.
    pub(crate) look: Look,
    /// The arm that is asked first.
    pub(crate) first: Arm,
    /// When it is asked at the earliest.
    pub(crate) due: Instant,
}

impl Inquiry {
    /// Whether what becomes of the pair depends on it.
    pub(crate) fn is_open_pair(&self) -> bool {
        self.purpose == Purpose::Race
    }
}

/// Somebody is to be asked.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) ticket: u64,
    pub(crate) purpose: Purpose,
    pub(crate) arm: Arm,
    pub(crate) pair: Arc<Pair>,
}

/// Both have answered, or will not.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) inquiry: Inquiry,
    /// By [`Arm::index`].
    pub(crate) answers: [Result<Captured, NotCopied>; 2],
}

/// What follows from an answer.
#[derive(Debug)]
pub(crate) enum Next {
    Ask(Ask),
    Finished(Box<Finished>),
}

#[derive(Debug)]
struct Open {
    inquiry: Inquiry,
    bytes: usize,
    asked: bool,
    /// When it is given up, or when it is due.
    at: Instant,
    answers: [Option<Result<Captured, NotCopied>>; 2],
}

/// All that are open.
#[derive(Debug, Default)]
pub(crate) struct Inquiries {
    open: BTreeMap<u64, Open>,
    by_migration: BTreeMap<Arc<str>, usize>,
    bytes: usize,
    next: u64,
}

impl Inquiries {
    /// Whether there is room for one more about this pair.
    pub(crate) fn has_room(&self, pair: &Pair) -> bool {
        self.open.len() < MOST
            && self.by_migration.get(&pair.asked.migration).is_none_or(|open| *open < MOST_OF_ONE)
            && self.bytes + bytes_of(pair) <= MOST_BYTES
    }

    /// Takes one up, if there is room.
    pub(crate) fn open(&mut self, inquiry: Inquiry) -> Result<(), Inquiry> {
        if !self.has_room(&inquiry.pair) {
            return Err(inquiry);
        }
        let bytes = bytes_of(&inquiry.pair);
        self.bytes += bytes;
        *self.by_migration.entry(inquiry.pair.asked.migration.clone()).or_default() += 1;
        let at = inquiry.due;
        self.open.insert(self.next, Open { inquiry, bytes, asked: false, at, answers: [None, None] });
        self.next += 1;
        Ok(())
    }

    /// The next moment at which there is something to do.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.open.values().map(|open| open.at).min()
    }

    /// Who is to be asked now, and what is given up.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Next> {
        let tickets: Vec<u64> =
            self.open.iter().filter(|(_, open)| open.at <= now).map(|(ticket, _)| *ticket).collect();
        let mut next = Vec::new();
        for ticket in tickets {
            let Some(open) = self.open.get_mut(&ticket) else { continue };
            if open.asked {
                next.extend(self.close(ticket).map(|finished| Next::Finished(Box::new(finished))));
                continue;
            }
            (open.asked, open.at) = (true, now + PATIENCE);
            let (first, pair) = (open.inquiry.first, open.inquiry.pair.clone());
            let purpose = open.inquiry.purpose;
            next.push(Next::Ask(Ask { ticket, purpose, arm: first, pair: pair.clone() }));
            if purpose == Purpose::Race {
                // At the same moment, so that nothing changes between the two.
                next.push(Next::Ask(Ask { ticket, purpose, arm: first.other(), pair }));
            }
        }
        next
    }

    /// An arm has answered, or will not.
    pub(crate) fn answered(
        &mut self,
        ticket: u64,
        arm: Arm,
        answer: Result<Captured, NotCopied>,
    ) -> Option<Next> {
        let open = self.open.get_mut(&ticket)?;
        let bytes = answer.as_ref().map_or(0, bytes_of_answer);
        let fits = self.bytes + bytes <= 2 * MOST_BYTES;
        let answer = if fits { answer } else { Err(NotCopied::Memory) };
        let failed = answer.is_err();
        let place = open.answers.get_mut(arm.index()).filter(|place| place.is_none())?;
        *place = Some(answer);
        if fits {
            open.bytes += bytes;
            self.bytes += bytes;
        }
        let (first, purpose) = (open.inquiry.first, open.inquiry.purpose);
        match (purpose, arm == first) {
            _ if open.answers.iter().all(Option::is_some) => {}
            // Without the one the other says nothing.
            (Purpose::Noise, true) if !failed => {
                return Some(Next::Ask(Ask {
                    ticket,
                    purpose,
                    arm: first.other(),
                    pair: open.inquiry.pair.clone(),
                }));
            }
            (Purpose::Noise, true) => {}
            _ => return None,
        }
        self.close(ticket).map(|finished| Next::Finished(Box::new(finished)))
    }

    /// Gives up all of them, as when the process ends.
    pub(crate) fn give_up(&mut self) -> Vec<Finished> {
        let tickets: Vec<u64> = self.open.keys().copied().collect();
        tickets.into_iter().filter_map(|ticket| self.close(ticket)).collect()
    }

    fn close(&mut self, ticket: u64) -> Option<Finished> {
        let Open { inquiry, bytes, answers, .. } = self.open.remove(&ticket)?;
        self.bytes -= bytes;
        let migration = &inquiry.pair.asked.migration;
        if let Some(open) = self.by_migration.get_mut(migration) {
            *open -= 1;
            if *open == 0 {
                self.by_migration.remove(migration);
            }
        }
        let answers = answers.map(|answer| answer.unwrap_or(Err(NotCopied::Ended)));
        Some(Finished { inquiry, answers })
    }
}

/// What a pair takes in memory, in bytes: its answers, its request, and the little around them.
pub(crate) fn bytes_of(pair: &Pair) -> usize {
    let again = pair.again.as_ref().map_or(0, |again| again.heads.iter().map(|head| head.len()).sum());
    let answers: usize = pair.answers.iter().map(bytes_of_answer).sum();
    let asked = &pair.asked;
    let told = asked.target.len() + asked.host.len() + asked.request_id.len() + asked.fields.len();
    answers + again + told + asked.content.len() + 512
}

fn bytes_of_answer(answer: &Captured) -> usize {
    let body = match &answer.body {
        CapturedBody::Whole(bytes) => bytes.capacity(),
        CapturedBody::Hashed { .. } | CapturedBody::Incomplete(_) => 0,
    };
    body + answer.headers.len() + answer.trailers.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{captured, pair};

    fn inquiry(purpose: Purpose, due: Instant, pair: Pair) -> Inquiry {
        let endpoint = Endpoint::named("GET /a");
        Inquiry { purpose, pair: Arc::new(pair), endpoint, look: Look::default(), first: Arm::New, due }
    }

    fn asked(next: &[Next]) -> Vec<(u64, Arm)> {
        let ask = |next: &Next| match next {
            Next::Ask(ask) => Some((ask.ticket, ask.arm)),
            Next::Finished(_) => None,
        };
        next.iter().filter_map(ask).collect()
    }

    fn finished(next: Option<Next>) -> Finished {
        match next {
            Some(Next::Finished(finished)) => *finished,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_mismatch_is_asked_of_both_at_once_when_it_is_due() {
        let start = Instant::now();
        let mut all = Inquiries::default();
        let due = start + Duration::from_secs(1);
        all.open(inquiry(Purpose::Race, due, pair("shop", "/a", "1", "2"))).unwrap();
        assert_eq!(all.next_at(), Some(due));
        assert!(all.due(start).is_empty());
        assert_eq!(asked(&all.due(due)), [(0, Arm::New), (0, Arm::Old)]);
        assert!(all.due(due).is_empty());
        assert!(all.answered(0, Arm::Old, Ok(captured(200, "1"))).is_none());
        assert!(all.answered(0, Arm::Old, Ok(captured(200, "again"))).is_none(), "answered once");
        let finished = finished(all.answered(0, Arm::New, Ok(captured(200, "2"))));
        assert_eq!(finished.answers, [Ok(captured(200, "1")), Ok(captured(200, "2"))]);
        assert_eq!((all.open.len(), all.bytes, all.by_migration.len()), (0, 0, 0));
        assert!(all.answered(0, Arm::New, Err(NotCopied::Slow)).is_none(), "too late");
    }

    #[test]
    fn a_sampled_request_is_asked_of_one_after_the_other() {
        let start = Instant::now();
        let mut all = Inquiries::default();
        all.open(inquiry(Purpose::Noise, start, pair("shop", "/a", "1", "1"))).unwrap();
        assert_eq!(asked(&all.due(start)), [(0, Arm::New)]);
        let next = all.answered(0, Arm::New, Ok(captured(200, "1"))).unwrap();
        assert_eq!(asked(&[next]), [(0, Arm::Old)]);
        assert!(
            finished(all.answered(0, Arm::Old, Ok(captured(200, "1")))).answers.iter().all(Result::is_ok)
        );
        all.open(inquiry(Purpose::Noise, start, pair("shop", "/a", "1", "1"))).unwrap();
        all.due(start);
        let given_up = finished(all.answered(1, Arm::New, Err(NotCopied::Slow)));
        assert_eq!(given_up.answers, [Err(NotCopied::Ended), Err(NotCopied::Slow)], "old is left alone");
    }

    #[test]
    fn there_are_limits_and_nobody_is_waited_for_for_ever() {
        let start = Instant::now();
        let mut all = Inquiries::default();
        for _ in 0..MOST_OF_ONE {
            all.open(inquiry(Purpose::Race, start, pair("shop", "/a", "1", "2"))).unwrap();
        }
        assert!(all.open(inquiry(Purpose::Race, start, pair("shop", "/a", "1", "2"))).is_err());
        let large = "x".repeat(MOST_BYTES);
        assert!(all.open(inquiry(Purpose::Race, start, pair("other", "/a", &large, "2"))).is_err());
        all.open(inquiry(Purpose::Race, start, pair("other", "/a", "1", "2"))).unwrap();
        assert_eq!(all.due(start).len(), 2 * (MOST_OF_ONE + 1));
        assert!(all.due(start + PATIENCE - Duration::from_secs(1)).is_empty());
        assert_eq!(all.due(start + PATIENCE).len(), MOST_OF_ONE + 1);
        assert_eq!((all.open.len(), all.bytes, all.by_migration.len()), (0, 0, 0));
    }
}
