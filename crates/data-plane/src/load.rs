//! How many connections each worker has, so that a few long ones do not all land on one.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One number for each worker; only that worker writes it, the others look at it when they accept.
#[derive(Debug)]
pub(crate) struct Loads(Box<[Load]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Load(AtomicUsize);

impl Loads {
    pub(crate) fn new(workers: usize) -> Loads {
        Loads((0..workers).map(|_| Load::default()).collect())
    }

    /// Worker `own` has one connection more.
    pub(crate) fn opened(&self, own: usize) {
        if let Some(load) = self.0.get(own) {
            load.0.store(load.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// Worker `own` has one connection less.
    pub(crate) fn closed(&self, own: usize) {
        if let Some(load) = self.0.get(own) {
            load.0.store(load.0.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        }
    }

    /// The connections of all workers.
    pub(crate) fn total(&self) -> usize {
        self.0.iter().map(|load| load.0.load(Ordering::Relaxed)).sum()
    }

    /// Who should have a connection that worker `own` has accepted and not yet counted, if not itself: the least
    /// loaded, when `own` has more than that and a quarter on top. So a few long connections are dealt evenly, and
    /// where connections come and go by the thousand none is handed over for a small difference.
    pub(crate) fn better_than(&self, own: usize) -> Option<usize> {
        let mine = self.0.get(own)?.0.load(Ordering::Relaxed);
        let (least, load) = self
            .0
            .iter()
            .map(|load| load.0.load(Ordering::Relaxed))
            .enumerate()
            .min_by_key(|&(_, load)| load)?;
        (mine > load + load / 4).then_some(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_stays_unless_another_worker_has_far_fewer() {
        let loads = Loads::new(2);
        assert_eq!(loads.better_than(0), None);
        loads.opened(0);
        assert_eq!(loads.better_than(0), Some(1), "the second goes to the other");
        assert_eq!(loads.better_than(1), None);
        (0..8).for_each(|_| loads.opened(1));
        (0..9).for_each(|_| loads.opened(0));
        assert_eq!(loads.better_than(0), None, "10 to 8 is even enough");
        loads.opened(0);
        assert_eq!(loads.better_than(0), Some(1));
        assert_eq!(loads.total(), 19);
    }
}
