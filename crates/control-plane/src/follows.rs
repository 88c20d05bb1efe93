//! The border to whoever else goes by the configuration in force.

use std::fmt;
use std::sync::Arc;

use config_file::Checked;

/// Goes by the configuration in force. Implemented where answers are compared, which this crate does not know.
pub trait Follows: Send + Sync {
    /// This configuration has come into force. Never blocks.
    fn follow(&self, checked: &Checked);

    /// What was compared of this migration so far says nothing any more: somebody said so, or copies have begun. Never
    /// blocks.
    fn begin_anew(&self, migration: &str);
}

/// All who follow.
#[derive(Clone, Default)]
pub(crate) struct Followers(Vec<Arc<dyn Follows>>);

impl fmt::Debug for Followers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} followers", self.0.len())
    }
}

impl Followers {
    /// From now on this one too; it begins with the configuration in force.
    pub(crate) fn join(&mut self, follows: Arc<dyn Follows>, checked: &Checked) {
        follows.follow(checked);
        self.0.push(follows);
    }

    pub(crate) fn follow(&self, checked: &Checked) {
        self.0.iter().for_each(|follows| follows.follow(checked));
    }

    pub(crate) fn begin_anew(&self, migration: &str) {
        self.0.iter().for_each(|follows| follows.begin_anew(migration));
    }
}
