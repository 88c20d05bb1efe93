//! What a comparison comes to.

use std::fmt;

/// What holding two answers against each other came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// They are the same by the rules.
    Match,
    /// They differ in these places. Never empty; at most as many as the limits allow.
    Mismatch(Vec<Difference>),
    /// They could not be compared, which is never a match.
    NotCompared(NotCompared),
}

/// All that was seen when two answers were held against each other, for whoever has a use for more than the verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Where they differ; at most as many as the limits allow.
    pub differences: Vec<Difference>,
    /// Why a part of them could not be compared, if one could not. What differs there is not known.
    pub unseen: Option<NotCompared>,
    /// Whether all differences are listed: nothing was unseen, and there are fewer than the limits allow.
    pub complete: bool,
}

impl From<Seen> for Comparison {
    /// A proven difference stays one, whatever could not be compared beside it.
    fn from(seen: Seen) -> Self {
        match seen.unseen {
            _ if !seen.differences.is_empty() => Comparison::Mismatch(seen.differences),
            Some(why) => Comparison::NotCompared(why),
            None => Comparison::Match,
        }
    }
}

/// One place in which two answers differ.
///
/// The texts are from the answers and not redacted: a difference may be counted as it is, but is stored, logged or shown
/// only after redaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The place, so that the same place in other answers has the same name: `status`, `header:content-type`,
    /// `trailer:grpc-status`, `body`, or a JSON path in which every index is `*`: `$.items[*].price`.
    pub path: String,
    /// The place in this answer: `$.items[3].price`.
    pub at: String,
    /// In which way.
    pub kind: Kind,
    /// What old has there, shortened; `None` where it has nothing.
    pub old: Option<String>,
    /// What new has there, shortened; `None` where it has nothing.
    pub new: Option<String>,
    /// How much differs, at least 1: 1 for a value, for a line of text or for bytes one for each 32 bytes of it that
    /// differ.
    pub extent: u32,
}

/// In which way two answers differ in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Only old has it.
    Missing,
    /// Only new has it.
    Added,
    /// Both have it, of different types: `"1"` and `1`.
    Type,
    /// Both have it, of the same type, and it differs.
    Value,
    /// The same elements in another order.
    Order,
    /// Arrays or bodies of different lengths, where no better word can be said.
    Length,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Missing, Kind::Added, Kind::Type, Kind::Value, Kind::Order, Kind::Length];

    /// The word in reports, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Added => "added",
            Kind::Type => "type",
            Kind::Value => "value",
            Kind::Order => "order",
            Kind::Length => "length",
        }
    }

    /// The kind when old and new change places.
    #[must_use]
    pub const fn mirrored(self) -> Kind {
        match self {
            Kind::Missing => Kind::Added,
            Kind::Added => Kind::Missing,
            same => same,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why two answers could not be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotCompared {
    /// A body did not come to its end.
    Incomplete,
    /// Of a body only length and hash are left, and they cannot tell: its coding hides what it holds, or what it holds
    /// can be the same although the bytes are not, as in JSON.
    CaptureLimit,
    /// A body is coded in a way that is not known, or badly.
    Encoding,
    /// A body decodes to more than the limit.
    DecodedSize,
    /// A body nests deeper than the limit.
    Depth,
    /// A body has more values than the limit.
    Nodes,
    /// Holding one against the other would take more steps than the limit, such as unordered arrays of thousands of
    /// objects.
    Work,
}

impl NotCompared {
    /// Every reason.
    pub const ALL: [NotCompared; 7] = [
        NotCompared::Incomplete,
        NotCompared::CaptureLimit,
        NotCompared::Encoding,
        NotCompared::DecodedSize,
        NotCompared::Depth,
        NotCompared::Nodes,
        NotCompared::Work,
    ];

    /// The word in reports, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NotCompared::Incomplete => "incomplete",
            NotCompared::CaptureLimit => "capture-limit",
            NotCompared::Encoding => "encoding",
            NotCompared::DecodedSize => "decoded-size",
            NotCompared::Depth => "depth",
            NotCompared::Nodes => "nodes",
            NotCompared::Work => "work",
        }
    }
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
