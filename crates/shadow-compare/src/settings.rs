//! What one migration's answers are compared by, taken out of the configuration.

use std::sync::Arc;

use config_file::{Checked, CompareConfig, MigrationConfig};
use response_diff::redact::Redactor;
use response_diff::summary::endpoint::Template;
use response_diff::{Limits, RuleSet};
use xxhash_rust::xxh3::xxh3_64;

use crate::zero::ZeroTolerance;

/// The most that is kept of one answer, in bytes.
const KEPT_BYTES: usize = 24 << 10;

/// The key by which secrets are hidden.
pub(crate) type Key = [u8; 32];

/// What one migration's answers are compared by.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) name: Arc<str>,
    pub(crate) rules: RuleSet,
    /// The same where both answers are old's.
    pub(crate) rules_of_old: RuleSet,
    pub(crate) limits: Limits,
    pub(crate) redactor: Redactor,
    pub(crate) zero_tolerance: ZeroTolerance,
    /// Another one where what was compared before says nothing any more: the rules, or the attempt.
    pub(crate) compares_by: u64,
    /// Another one where samples that were kept are not redacted enough.
    pub(crate) redacts_by: u64,
}

/// What the file says of one migration, before it is made ready: what whoever reads files may do quickly.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) name: Arc<str>,
    compare: CompareConfig,
    compares_by: String,
    redact: Vec<String>,
    zero_tolerance: Vec<String>,
}

impl Draft {
    /// Those of every migration that may have copies.
    pub(crate) fn all(checked: &Checked) -> Vec<Draft> {
        checked.migrations.iter().filter_map(Draft::of).collect()
    }

    fn of(migration: &MigrationConfig) -> Option<Draft> {
        let shadow = migration.shadow.as_ref()?;
        let zero_tolerance = migration.guard.iter().flat_map(|guard| &guard.zero_tolerance);
        Some(Draft {
            name: Arc::from(migration.name.as_str()),
            compare: migration.compare.clone(),
            compares_by: migration.compares_by(),
            redact: shadow.redact.clone(),
            zero_tolerance: zero_tolerance.cloned().collect(),
        })
    }
}

impl Settings {
    /// Makes a draft ready. `None`, and said, where it cannot be, which the check of the file has ruled out.
    pub(crate) fn of(draft: Draft, key: &Key) -> Option<Settings> {
        let Draft { name, compare, compares_by, redact, zero_tolerance } = draft;
        let limits = compare.limits;
        let redactor = Redactor::new(key, &redact, &limits, KEPT_BYTES);
        let redactor = redactor
            .inspect_err(|errors| {
                let first = errors.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(migration = &*name, "nothing is compared of {name}: {first}");
            })
            .ok()?;
        let fingerprint = |text: String| xxh3_64(text.as_bytes());
        Some(Settings {
            name,
            compares_by: fingerprint(compares_by),
            redacts_by: fingerprint(format!("{redact:?}")),
            rules_of_old: compare.rules.of_old_alone(),
            rules: compare.rules,
            limits,
            redactor,
            zero_tolerance: ZeroTolerance::new(zero_tolerance.iter().map(String::as_str)),
        })
    }

    /// The paths that the file has rules for, which are endpoints for that.
    pub(crate) fn templates(&self) -> Vec<Template> {
        self.rules.endpoints().filter_map(|path| Template::parse(path).ok()).collect()
    }
}
