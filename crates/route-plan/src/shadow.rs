//! Which requests are copied to the other arm. Pure: the decision is made here, the data plane carries it out.
//!
//! Users get their answer from one arm, by the split; a copy goes to the other one, and its answer is held against the
//! served one and thrown away. In `shadow` the copies go to new, in `canary` to the arm that did not serve, where the
//! policy says so, and in `full` to old (*reverse shadow*), so that going back stays proven.

use std::fmt;

use traffic_split::{Arm, Assignment, Bucket, Percent, RequestView};

use crate::matching::RouteTable;
use crate::rules::{HostRule, is_same_name};
use crate::snapshot::Phase;

/// What a migration's file says about copies.
#[derive(Clone, Debug)]
pub struct ShadowPolicy {
    /// The share of the keys of the serving arm whose requests are copied: whole users, those that move next first.
    pub percent: Percent,
    /// Which requests are copied while both arms serve users.
    pub canary: CanaryCopies,
    /// Methods whose requests may be executed twice, in capitals. Safe ones unless the operator lists others (RFC 9110
    /// section 9.2.1).
    pub methods: Vec<Box<[u8]>>,
    /// Requests that are never copied although the method is listed. What it leads to means nothing.
    pub except: RouteTable,
    /// Copies in a second, at most, in the whole process.
    pub per_second: u32,
    /// Copies under way at once, at most, in the whole process.
    pub concurrency: u32,
    /// When a copy is sent.
    pub when: When,
    /// How much of a request's content is kept for its copy, in bytes. Requests with more are not copied.
    pub body_bytes: u32,
    /// How much of an answer's content is kept to be compared, in bytes; of more, a length and a hash.
    pub capture_bytes: u32,
    /// How long a copy may take from its start to the last byte of its answer, in milliseconds.
    pub deadline_ms: u32,
    /// The share of requests that would be copied and are not, so that the effect of copying on those that are can be
    /// measured, in millionths of a per cent as [`Percent`] has it.
    pub holdout: Percent,
    /// The share of copies that fail at which the arm counts as down, so that copies are tried only now and then; `None`:
    /// it never does.
    pub max_failures: Option<Percent>,
    /// The host that copies ask for; `None`: as the arm's rules have it for all requests.
    pub host: Option<HostRule>,
    /// What is done with the client's credentials, by header.
    pub credentials: Credentials,
    /// No copies at the moment, because somebody said so or because they did harm.
    pub off: bool,
}

impl Default for ShadowPolicy {
    fn default() -> Self {
        Self {
            percent: Percent::FULL,
            canary: CanaryCopies::default(),
            methods: [b"GET".as_slice(), b"HEAD", b"OPTIONS"].map(Into::into).into(),
            except: RouteTable::default(),
            per_second: 1_000,
            concurrency: 256,
            when: When::default(),
            body_bytes: 64 << 10,
            capture_bytes: 256 << 10,
            deadline_ms: 10_000,
            holdout: Percent::ZERO,
            max_failures: Percent::from_millionths(50_000_000).ok(),
            host: None,
            credentials: Credentials::default(),
            off: false,
        }
    }
}

/// Which requests are copied while both arms serve users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CanaryCopies {
    /// Those that old serves, to new.
    #[default]
    ToNew,
    /// Those of both arms, each to the other one.
    Both,
    /// None.
    None,
}

/// When a copy is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum When {
    /// As soon as all of the request is there, beside the served one.
    #[default]
    With,
    /// Once the served answer is through: old and new never work on one request at once.
    After,
}

/// What is done with `Authorization`, `Proxy-Authorization` and `Cookie` of copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Fields that copies do not carry, in lower case.
    pub remove: Vec<String>,
    /// Fields that copies carry with another value: of a test account, say.
    pub set: Vec<(String, Box<[u8]>)>,
}

impl Credentials {
    /// Whether copies do not carry a field of this name as the client sent it. Letter case makes no difference, nor does
    /// `_` for `-`.
    #[must_use]
    pub fn replaces(&self, name: &[u8]) -> bool {
        let set = self.set.iter().map(|(name, _)| name);
        self.remove.iter().chain(set).any(|known| is_same_name(known.as_bytes(), name))
    }
}

/// What a plan says about the copy of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Copying {
    /// A copy goes to this arm.
    To(Arm),
    /// No copy is made.
    Not(NotCopied),
}

/// Why a request is not copied, or its copy not compared. Each is a label of
/// `crossfade_shadow_dropped_total{migration,reason}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotCopied {
    /// The phase or the policy has no copies for requests that this arm serves.
    Phase,
    /// Copies are switched off at the moment.
    Off,
    /// Its key is beyond the percentage.
    Percent,
    /// It has no key, and not all are to be copied.
    NoKey,
    /// Its method is not listed.
    Method,
    /// The operator left it out.
    Excepted,
    /// It asks for another protocol.
    Upgrade,
    /// It is a copy itself, of this or another crossfade.
    Copy,
    /// It is one of those by which the effect of copying is measured.
    Holdout,
    /// There have been as many copies in this second as there may be.
    Rate,
    /// As many copies are under way as there may be.
    Concurrency,
    /// Those who send copies, or those who compare, have not kept up: their queue is full, or was a moment ago.
    QueueFull,
    /// Copies and captured answers hold as much memory as they may, on their way or while they wait to be compared.
    Memory,
    /// Its content is larger than what is kept.
    TooLarge,
    /// The other arm has no healthy endpoint, or copies to it fail.
    TargetDown,
    /// The copy could not be connected or its answer broke off or was no HTTP.
    Failed,
    /// The copy's deadline passed.
    Slow,
    /// The served request failed, or the other arm answered for it: there is no answer to compare with.
    NotServed,
    /// The client went away before the served answer was through.
    ClientGone,
    /// The process ended.
    Ended,
    /// Comparing all of them takes more processor time than comparing may use.
    Budget,
    /// The answers could not be compared; the comparison says why.
    Incomparable,
}

impl NotCopied {
    /// Every reason.
    pub const ALL: [NotCopied; 22] = [
        NotCopied::Phase,
        NotCopied::Off,
        NotCopied::Percent,
        NotCopied::NoKey,
        NotCopied::Method,
        NotCopied::Excepted,
        NotCopied::Upgrade,
        NotCopied::Copy,
        NotCopied::Holdout,
        NotCopied::Rate,
        NotCopied::Concurrency,
        NotCopied::QueueFull,
        NotCopied::Memory,
        NotCopied::TooLarge,
        NotCopied::TargetDown,
        NotCopied::Failed,
        NotCopied::Slow,
        NotCopied::NotServed,
        NotCopied::ClientGone,
        NotCopied::Ended,
        NotCopied::Budget,
        NotCopied::Incomparable,
    ];

    /// The word in metrics, reports and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NotCopied::Phase => "phase",
            NotCopied::Off => "off",
            NotCopied::Percent => "percent",
            NotCopied::NoKey => "no-key",
            NotCopied::Method => "method",
            NotCopied::Excepted => "excepted",
            NotCopied::Upgrade => "upgrade",
            NotCopied::Copy => "copy",
            NotCopied::Holdout => "holdout",
            NotCopied::Rate => "rate",
            NotCopied::Concurrency => "concurrency",
            NotCopied::QueueFull => "queue-full",
            NotCopied::Memory => "memory",
            NotCopied::TooLarge => "too-large",
            NotCopied::TargetDown => "target-down",
            NotCopied::Failed => "failed",
            NotCopied::Slow => "slow",
            NotCopied::NotServed => "not-served",
            NotCopied::ClientGone => "client-gone",
            NotCopied::Ended => "ended",
            NotCopied::Budget => "budget",
            NotCopied::Incomparable => "incomparable",
        }
    }
}

impl fmt::Display for NotCopied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The field by which copies are marked. A request that comes in with it is served and never copied again.
pub const MARK: &str = "crossfade-shadow";

impl ShadowPolicy {
    /// Whether the request is copied, and where to. `assignment` is the one that it is served by, `percent` the share of
    /// keys in force on new; `draw` are random bits, by which requests are held out.
    #[must_use]
    pub fn decide(
        &self,
        phase: Phase,
        percent: Percent,
        assignment: &Assignment,
        view: &(impl RequestView + ?Sized),
        draw: u32,
    ) -> Copying {
        let served = assignment.arm;
        let not = |why: NotCopied| Copying::Not(why);
        let copies = match (phase, served) {
            (Phase::Shadow, Arm::Old) | (Phase::Full, Arm::New) => true,
            // After a rollback from full old serves: new still gets copies, so that the cause stays visible.
            (Phase::Canary | Phase::Full, Arm::Old) => self.canary != CanaryCopies::None,
            (Phase::Canary, Arm::New) => self.canary == CanaryCopies::Both,
            _ => false,
        };
        if !copies {
            return not(NotCopied::Phase);
        }
        if self.off {
            return not(NotCopied::Off);
        }
        if view.header(MARK, 0).is_some() {
            return not(NotCopied::Copy);
        }
        if view.header("upgrade", 0).is_some() || view.method() == b"CONNECT" {
            return not(NotCopied::Upgrade);
        }
        if !self.methods.iter().any(|method| **method == *view.method()) {
            return not(NotCopied::Method);
        }
        if self.percent < Percent::FULL {
            match assignment.bucket {
                None => return not(NotCopied::NoKey),
                Some(bucket) if !self.reaches(bucket, served, percent) => return not(NotCopied::Percent),
                Some(_) => {}
            }
        }
        if self.except.find(view).is_some() {
            return not(NotCopied::Excepted);
        }
        if u64::from(draw) * u64::from(Percent::FULL.millionths())
            < u64::from(self.holdout.millionths()) << 32
        {
            return not(NotCopied::Holdout);
        }
        Copying::To(served.other())
    }

    /// Whether the share reaches this key, in the split's own order: of old's keys first those that move to new next, of
    /// new's first those that moved first. A key that is reached stays so while the percentage on new grows, until it
    /// moves.
    fn reaches(&self, bucket: Bucket, served: Arm, percent: Percent) -> bool {
        let (of, full) = (u64::from(self.percent.millionths()), u64::from(Percent::FULL.millionths()));
        let on_new = u64::from(percent.millionths());
        let edge = match served {
            Arm::Old => on_new + (full - on_new) * of / full,
            Arm::New => on_new * of / full,
        };
        let edge = u32::try_from(edge).ok().and_then(|edge| Percent::from_millionths(edge).ok());
        edge.is_some_and(|edge| bucket.is_new(edge))
    }
}

#[cfg(test)]
mod tests;
