//! The TOML schema: text in, checked values or every error at once out.
//!
//! A configuration passes three stages, each a type of its own. *As written*: the text is parsed and read against the
//! schema, a table of fields from which the reader, the defaults and the published JSON Schema all work. *Checked*:
//! every reference is resolved, every value is in its range, and what contradicts itself has been found. *Snapshot*:
//! joined with what is in force at the moment, immutable, ready to run.
//!
//! People fix files faster when they see all that is wrong. So no stage stops at its first error, every value remembers
//! the bytes it was written in, and each [`Diagnostic`] shows them, says what was expected, and names the nearest valid
//! name. A file with an error gives no values at all: the configuration that runs stays as it is.
//!
//! The crate opens no file and reads no environment; it asks for both.
//!
//! ```
//! let text = r#"
//! [[listener]]
//! listen = "0.0.0.0:8080"
//!
//! [upstream.shop-old]
//! endpoints = ["http://10.0.0.11:8080"]
//!
//! [upstream.shop-new]
//! endpoints = ["http://10.0.0.21:8080"]
//!
//! [migration.shop]
//! match = [{ path = "/*" }]
//! old = "shop-old"
//! new = "shop-nwe"
//! percent = 5
//! "#;
//! let outcome = config_file::parse(text, "crossfade.toml", &|_| None, &config_file::NoFiles);
//! assert!(outcome.checked.is_none());
//! let error = &outcome.diagnostics[0];
//! assert_eq!((error.line, error.column), (14, 7));
//! assert_eq!(error.help.as_deref(), Some("did you mean `shop-new`?"));
//! ```

mod check;
mod checked;
mod diagnostic;
mod fields;
mod nearest;
mod outcome;
mod reader;
mod render;
mod scalar;
mod schema;
mod syntax;
mod words;
mod written;

pub use checked::{
    AccessLog, Admin, Checked, CompareConfig, GuardConfig, Listener, Log, LogFormat, LogLevel,
    MigrationConfig, Secret, ShadowConfig, Standing,
};
pub use diagnostic::{Diagnostic, Severity};
pub use outcome::Outcome;
pub use schema::schema;

use diagnostic::Sink;

/// The files that a configuration names and that are read with it.
pub trait Files {
    /// The text of the file at `path`, which is as written: relative paths are relative to the configuration.
    ///
    /// # Errors
    /// Why it cannot be read, as the end of a sentence: "permission denied".
    fn read(&self, path: &str) -> Result<String, String>;
}

/// No files at all: reading one is an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &str) -> Result<String, String> {
        Err("files are not read here".to_owned())
    }
}

/// Reads and checks a configuration.
///
/// `file_name` appears in messages. `env` gives the value of an environment variable, `files` the text of files that
/// the configuration names. Never panics, whatever the text.
#[must_use]
pub fn parse(
    text: &str,
    file_name: &str,
    env: &dyn Fn(&str) -> Option<String>,
    files: &dyn Files,
) -> Outcome {
    let mut sink = Sink::default();
    let (document, errors) = toml::de::DeTable::parse_recoverable(text);
    let checked = syntax::report(&errors, text, &mut sink)
        .then(|| reader::read(document.get_ref(), text, env, &mut sink))
        .and_then(|written| check::check(&written, files, &mut sink));
    Outcome::new(checked, sink.finish(text), file_name, text)
}

/// What names look like, for the JSON Schema; `reader::is_name` is the check itself.
pub(crate) const NAME_PATTERN: &str = "^[a-z0-9_.-]{1,63}$";
