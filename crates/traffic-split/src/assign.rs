//! From a request to an arm, with the reason.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use crate::{Arm, Bucket, KeySource, Percent, RequestView};

/// Keys that are sent to one arm whatever their bucket: testers to new, a fragile customer to old.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Keys that stay on old.
    pub old: HashSet<Box<[u8]>>,
    /// Keys that go to new.
    pub new: HashSet<Box<[u8]>>,
}

impl Overrides {
    /// The arm that `key` is forced to. A key in both lists stays on old.
    #[must_use]
    pub fn arm_of(&self, key: &[u8]) -> Option<Arm> {
        // Most migrations have no list, and an empty one should not cost a hash.
        if !self.old.is_empty() && self.old.contains(key) {
            Some(Arm::Old)
        } else if !self.new.is_empty() && self.new.contains(key) {
            Some(Arm::New)
        } else {
            None
        }
    }
}

/// What chose the arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The key's bucket against the percentage.
    Bucket,
    /// A list of keys.
    KeyList,
    /// The forcing header.
    ForcedHeader,
    /// No key was found: old.
    NoKey,
}

impl Reason {
    /// The word used in answers of `where`, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Bucket => "bucket",
            Reason::KeyList => "key-list",
            Reason::ForcedHeader => "forced-header",
            Reason::NoKey => "no-key",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The arm of one request or key, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assignment {
    /// Where it goes.
    pub arm: Arm,
    /// What chose that.
    pub reason: Reason,
    /// The key's bucket, also where a list overruled it; `None` without a key and with the forcing header.
    pub bucket: Option<Bucket>,
    /// Which of [`Split::keys`] gave the key; `None` where the key was given directly.
    pub source: Option<usize>,
    /// Whether the key was made up for this request and is to be stored in a cookie.
    pub assigned_cookie: bool,
}

impl Assignment {
    /// Old, because the request has no key.
    pub const NO_KEY: Assignment = Assignment {
        arm: Arm::Old,
        reason: Reason::NoKey,
        bucket: None,
        source: None,
        assigned_cookie: false,
    };

    /// The arm that a forcing header names.
    #[must_use]
    pub const fn forced(arm: Arm) -> Self {
        Assignment { arm, reason: Reason::ForcedHeader, ..Assignment::NO_KEY }
    }

    /// Whether its outcome may be counted as evidence: only where the bucket chose, because only then do the two arms
    /// serve comparable users.
    #[must_use]
    pub const fn is_evidence(&self) -> bool {
        matches!(self.reason, Reason::Bucket)
    }
}

/// How one migration splits its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Sets this migration's buckets apart from all others'. The same salt gives the same buckets.
    pub salt: Box<[u8]>,
    /// Where to look for a key; the first that is present counts.
    pub keys: Vec<KeySource>,
    /// The share of buckets that goes to new.
    pub percent: Percent,
    /// Keys that do not follow their bucket.
    pub overrides: Overrides,
}

impl Split {
    /// The arm of a request: its key's, or old without a key.
    #[must_use]
    pub fn assign(&self, view: &(impl RequestView + ?Sized)) -> Assignment {
        match self.find_key(view) {
            Some((source, key)) => Assignment { source: Some(source), ..self.assign_key(&key) },
            None => Assignment::NO_KEY,
        }
    }

    /// The arm of a key: a list's word, else its bucket's. An empty key is no key.
    #[must_use]
    pub fn assign_key(&self, key: &[u8]) -> Assignment {
        if key.is_empty() {
            return Assignment::NO_KEY;
        }
        let bucket = Bucket::of(&self.salt, key);
        let (arm, reason) = match self.overrides.arm_of(key) {
            Some(arm) => (arm, Reason::KeyList),
            None if bucket.is_new(self.percent) => (Arm::New, Reason::Bucket),
            None => (Arm::Old, Reason::Bucket),
        };
        Assignment { arm, reason, bucket: Some(bucket), source: None, assigned_cookie: false }
    }

    /// The request's key, and the index in [`Split::keys`] of the source that gave it.
    #[must_use]
    pub fn find_key<'a>(&self, view: &'a (impl RequestView + ?Sized)) -> Option<(usize, Cow<'a, [u8]>)> {
        self.find_key_before(view, self.keys.len())
    }

    /// As [`Split::find_key`], among the first `end` sources only.
    #[must_use]
    pub fn find_key_before<'a>(
        &self,
        view: &'a (impl RequestView + ?Sized),
        end: usize,
    ) -> Option<(usize, Cow<'a, [u8]>)> {
        let mut sources = self.keys.iter().take(end).enumerate();
        sources.find_map(|(index, source)| source.find(view).map(|key| (index, key)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{Assignment, Overrides, Reason, Split};
    use crate::{Arm, Bucket, Percent, RequestView};

    /// A request with these headers and a request id.
    struct Headers(&'static [(&'static str, &'static str)]);

    impl RequestView for Headers {
        fn method(&self) -> &[u8] {
            b"GET"
        }

        fn host(&self) -> &[u8] {
            b""
        }

        fn path(&self) -> &[u8] {
            b"/"
        }

        fn query(&self) -> Option<&[u8]> {
            None
        }

        fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
            self.0.iter().filter(|field| field.0 == name).nth(nth).map(|field| field.1.as_bytes())
        }

        fn client_ip(&self) -> IpAddr {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        }

        fn peer_ip(&self) -> IpAddr {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        }

        fn request_id(&self) -> &[u8] {
            b"id-1"
        }
    }

    fn split(keys: &[&str], percent: &str) -> Split {
        Split {
            salt: b"shop"[..].into(),
            keys: keys.iter().map(|key| key.parse().unwrap()).collect(),
            percent: percent.parse().unwrap(),
            overrides: Overrides {
                old: [b"vip"[..].into(), b"both"[..].into()].into(),
                new: [b"tester"[..].into(), b"both"[..].into()].into(),
            },
        }
    }

    #[test]
    fn the_first_present_key_counts() {
        let split = split(&["header:x-user-id", "cookie:sid", "request-id"], "50");
        let table: &[(Headers, usize, &[u8])] = &[
            (Headers(&[("x-user-id", "u1"), ("cookie", "sid=c1")]), 0, b"u1"),
            (Headers(&[("cookie", "sid=c1")]), 1, b"c1"),
            (Headers(&[("x-user-id", ""), ("cookie", "sid=c1")]), 1, b"c1"),
            (Headers(&[("x-user-id", " "), ("cookie", "sid=")]), 2, b"id-1"),
            (Headers(&[]), 2, b"id-1"),
        ];
        for (view, source, key) in table {
            assert_eq!(split.find_key(view), Some((*source, (*key).into())));
            let expected = Assignment { source: Some(*source), ..split.assign_key(key) };
            assert_eq!(split.assign(view), expected);
            assert_eq!(expected.bucket, Some(Bucket::of(b"shop", key)));
            assert!(expected.is_evidence());
        }
        assert_eq!(split.find_key_before(&Headers(&[("cookie", "sid=c1")]), 1), None);
    }

    #[test]
    fn no_key_means_old() {
        for percent in ["0", "50", "100"] {
            let split = split(&["header:x-user-id"], percent);
            assert_eq!(split.assign(&Headers(&[])), Assignment::NO_KEY);
            assert_eq!(split.assign_key(b""), Assignment::NO_KEY);
        }
        assert_eq!(Assignment::NO_KEY.arm, Arm::Old);
        assert!(!Assignment::NO_KEY.is_evidence());
    }

    #[test]
    fn lists_win_over_the_bucket_and_old_over_new() {
        for percent in ["0", "100"] {
            let split = split(&["header:x-user-id"], percent);
            for (key, arm) in [("vip", Arm::Old), ("tester", Arm::New), ("both", Arm::Old)] {
                let assignment = split.assign_key(key.as_bytes());
                assert_eq!((assignment.arm, assignment.reason), (arm, Reason::KeyList), "{key} at {percent}");
                assert_eq!(assignment.bucket, Some(Bucket::of(b"shop", key.as_bytes())));
                assert!(!assignment.is_evidence());
            }
        }
        assert_eq!(Overrides::default().arm_of(b"vip"), None);
    }

    #[test]
    fn full_moves_everybody_else() {
        let mut split = split(&[], "100");
        assert_eq!(split.assign_key(b"u1").arm, Arm::New);
        split.percent = Percent::ZERO;
        assert_eq!(split.assign_key(b"u1").arm, Arm::Old);
        assert_eq!(Assignment::forced(Arm::New).reason.to_string(), "forced-header");
        assert!(!Assignment::forced(Arm::New).is_evidence());
    }
}
