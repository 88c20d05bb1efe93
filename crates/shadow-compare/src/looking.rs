//! Two captured answers held against each other.

use response_diff::{Answer, Body, Difference, Field, Incomplete, Limits, NotCompared, Rules, Seen};
use route_plan::{Asked, Captured, CapturedBody, FieldLines, NotCopied};

/// What holding two answers against each other came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Look {
    pub(crate) differences: Vec<Difference>,
    /// What could not be looked at, if anything: what differs there is not known.
    pub(crate) unseen: Option<NotCompared>,
    /// Of each difference, whether it is in a place where none may be.
    pub(crate) intolerable: Vec<bool>,
    /// Whether all differences are listed, not only as many as the limit allows.
    pub(crate) complete: bool,
}

/// Holds what old answered to a request against what new answered.
pub(crate) fn look(asked: &Asked, old: &Captured, new: &Captured, rules: &Rules, limits: &Limits) -> Look {
    let look = if *asked.method == *b"HEAD" { response_diff::look_at_heads } else { response_diff::look };
    let Seen { differences, unseen, complete } = look(&answer(old), &answer(new), rules, limits);
    Look { differences, unseen, complete, intolerable: Vec::new() }
}

/// A captured answer as comparisons see it.
pub(crate) fn answer(captured: &Captured) -> Answer<'_> {
    Answer {
        status: captured.status,
        headers: fields(&captured.headers),
        trailers: fields(&captured.trailers),
        body: match &captured.body {
            CapturedBody::Whole(bytes) => Body::Whole(bytes),
            CapturedBody::Hashed { bytes, hash } => Body::Hashed { bytes: *bytes, hash: *hash },
            CapturedBody::Incomplete(NotCopied::ClientGone) => Body::Incomplete(Incomplete::Client),
            CapturedBody::Incomplete(NotCopied::Slow) => Body::Incomplete(Incomplete::Slow),
            CapturedBody::Incomplete(_) => Body::Incomplete(Incomplete::Upstream),
        },
    }
}

fn fields(lines: &FieldLines) -> Vec<Field<'_>> {
    lines.iter().map(|(name, value)| Field { name, value }).collect()
}
