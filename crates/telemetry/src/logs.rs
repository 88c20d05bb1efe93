//! The event log: sentences with numbers, to standard error, through a bounded queue that drops rather than blocks.
//!
//! As JSON each event is one flat object (`timestamp`, `level`, `message`, `target`, then its fields); as text it is
//! one line for people. `Auto` takes text on a terminal and JSON elsewhere.

use std::io::{self, IsTerminal};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// How many lines may wait to be written.
const MAX_WAITING_LINES: usize = 8192;

/// The form of the event log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text when standard error is a terminal, else JSON.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// One line of text each.
    Text,
}

/// Keeps the event log running; dropping it writes what is queued.
#[must_use = "events are lost once the guard is dropped"]
#[derive(Debug)]
pub struct LogGuard {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

impl LogGuard {
    /// The count of lines dropped because the queue was full; for [`crate::Telemetry::watch_event_log`].
    #[must_use]
    pub fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}

/// Starts the event log of the process. `level` is a level (`info`) or a filter in `tracing`'s syntax
/// (`info,data_plane=debug`).
///
/// # Errors
/// When the filter is malformed, or an event log was started before.
pub fn start(level: &str, format: Format) -> Result<LogGuard, String> {
    let filter = EnvFilter::try_new(level).map_err(|error| format!("log level `{level}`: {error}"))?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_WAITING_LINES)
        .lossy(true)
        .thread_name("event-log")
        .finish(io::stderr());
    let dropped = writer.error_counter();
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    let json = match format {
        Format::Auto => !io::stderr().is_terminal(),
        Format::Json => true,
        Format::Text => false,
    };
    let result = if json {
        events.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        events.try_init()
    };
    result.map_err(|error| format!("event log: {error}"))?;
    Ok(LogGuard { dropped, _writer: guard })
}
