//! What one migration's answers are compared by, taken out of the configuration.

use std::sync::Arc;

use config_file::{Checked, MigrationConfig};
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

impl Settings {
    /// Those of every migration that may have copies.
    pub(crate) fn all(checked: &Checked, key: &Key) -> Vec<Settings> {
        checked.migrations.iter().filter_map(|migration| Settings::of(migration, key)).collect()
    }

    fn of(migration: &MigrationConfig, key: &Key) -> Option<Settings> {
        let (shadow, compare) = (migration.shadow.as_ref()?, &migration.compare);
        let limits = compare.limits;
        // The file has been checked, so this is one more look at what is right.
        let redactor = Redactor::new(key, &shadow.redact, &limits, KEPT_BYTES);
        let redactor = redactor
            .inspect_err(|errors| {
                let first = errors.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(
                    migration = migration.name,
                    "nothing is compared of {}: {first}",
                    migration.name
                );
            })
            .ok()?;
        let zero_tolerance = migration.guard.iter().flat_map(|guard| &guard.zero_tolerance);
        let fingerprint = |text: String| xxh3_64(text.as_bytes());
        Some(Settings {
            name: Arc::from(migration.name.as_str()),
            compares_by: fingerprint(format!("{:?} {:?} {}", compare.spec, limits, migration.attempt)),
            redacts_by: fingerprint(format!("{:?}", shadow.redact)),
            rules_of_old: compare.rules.of_old_alone(),
            rules: compare.rules.clone(),
            limits,
            redactor,
            zero_tolerance: ZeroTolerance::new(zero_tolerance.map(String::as_str)),
        })
    }

    /// The paths that the file has rules for, which are endpoints for that.
    pub(crate) fn templates(&self) -> Vec<Template> {
        self.rules.endpoints().filter_map(|path| Template::parse(path).ok()).collect()
    }
}
