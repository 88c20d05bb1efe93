//! The samples of all groups, each once, however many groups have it.

use std::collections::BTreeMap;

use crate::redact::{Redacted, RedactedDifference};

/// One comparison as a person may look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was, in milliseconds since 1970.
    pub at_ms: u64,
    /// Method and target.
    pub request: Redacted,
    /// The id by which the request is found in the logs of both arms.
    pub request_id: Redacted,
    /// All its differences, those of other groups too.
    pub differences: Vec<RedactedDifference>,
    /// Old's answer.
    pub old: Redacted,
    /// New's answer.
    pub new: Redacted,
}

impl Sample {
    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let side = |side: &Option<Redacted>| side.as_ref().map_or(0, Redacted::len);
        let difference =
            |one: &RedactedDifference| one.path.len() + one.at.len() + side(&one.old) + side(&one.new) + 128;
        let texts = [&self.request, &self.request_id, &self.old, &self.new].map(Redacted::len);
        texts.iter().sum::<usize>() + self.differences.iter().map(difference).sum::<usize>() + 160
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    /// By number; with how many groups' places it has.
    all: BTreeMap<u64, (Sample, usize)>,
    next: u64,
    bytes: usize,
}

impl Samples {
    pub(super) fn restored(next: u64) -> Samples {
        Samples { next, ..Samples::default() }
    }

    pub(super) fn number_from(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// Adds a sample that nobody has yet.
    pub(super) fn add(&mut self, sample: Sample) -> u64 {
        let id = self.next;
        self.next += 1;
        self.insert(id, sample);
        id
    }

    pub(super) fn insert(&mut self, id: u64, sample: Sample) {
        self.bytes += sample.bytes();
        self.next = self.next.max(id.saturating_add(1));
        if let Some((before, _)) = self.all.insert(id, (sample, 0)) {
            self.bytes -= before.bytes();
        }
    }

    pub(super) fn use_one(&mut self, id: u64) {
        if let Some((_, uses)) = self.all.get_mut(&id) {
            *uses += 1;
        }
    }

    pub(super) fn release(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            if let Some((_, uses)) = self.all.get_mut(&id) {
                *uses = uses.saturating_sub(1);
            }
            self.drop_unused(id);
        }
    }

    pub(super) fn drop_unused(&mut self, id: u64) {
        if self.all.get(&id).is_some_and(|(_, uses)| *uses == 0) {
            self.remove(id);
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        if let Some((sample, _)) = self.all.remove(&id) {
            self.bytes -= sample.bytes();
        }
    }

    /// Counts anew who has what, and drops what nobody has.
    pub(super) fn recount(&mut self, used: impl Iterator<Item = u64>) {
        for (_, uses) in self.all.values_mut() {
            *uses = 0;
        }
        for id in used {
            self.use_one(id);
        }
        let unused: Vec<_> = self.all.iter().filter(|(_, (_, uses))| *uses == 0).map(|(id, _)| *id).collect();
        unused.into_iter().for_each(|id| self.remove(id));
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.bytes = 0;
    }

    pub(super) fn get(&self, id: u64) -> Option<&Sample> {
        self.all.get(&id).map(|(sample, _)| sample)
    }

    pub(super) fn oldest_but(&self, id: u64) -> Option<u64> {
        self.all.keys().copied().find(|oldest| *oldest != id)
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Sample)> {
        self.all.iter().map(|(id, (sample, _))| (*id, sample))
    }
}
