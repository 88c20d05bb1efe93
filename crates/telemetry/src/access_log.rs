//! The access log: one JSON line for each request, off by default.
//!
//! A worker formats its line into a buffer of its own and goes on; one thread takes the buffers and writes. When
//! that thread does not keep up, because the disk is slow or full, lines are dropped and counted: a request never
//! waits for its log line. Each worker has two buffers, of which the writer holds at most one and only for the
//! moment of a swap, so that the worker always finds one free and lines stay in order.

mod line;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

pub use line::AccessEntry;

use crate::Counter;

/// How many bytes of lines a worker may have waiting in each of its two buffers.
const BUFFER_BYTES: usize = 256 * 1024;
/// A buffer that is fuller than this wakes the writer before its time.
const WAKE_BYTES: usize = BUFFER_BYTES / 4;
/// The longest time that a line waits to be written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file that is appended to and, on [`AccessLog::reopen`], opened anew by its name.
    File(PathBuf),
}

/// The running access log. Dropping it writes what is buffered and ends its thread.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the destination and starts the writer's thread, for `workers` workers.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub fn start(destination: Destination, workers: usize) -> io::Result<(AccessLog, Handle)> {
        let sink = Sink::open(&destination)?;
        let shared = Arc::new(Shared {
            lanes: (0..workers.max(1)).map(|_| Lane::default()).collect(),
            stop: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            lost_lines: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        });
        let writer = Writer { shared: Arc::clone(&shared), destination, sink, spare: buffer() };
        let writer = thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
        let handle = Handle(Some((Arc::clone(&shared), writer.thread().clone())));
        Ok((AccessLog { shared, writer: Some(writer) }, handle))
    }

    /// Opens the file anew by its name, after log rotation has moved it away. Returns at once.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(writer) = &self.writer {
            writer.thread().unpark();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(writer) = self.writer.take() {
            // The writer has no way to panic that would leave anything to be done here.
            let _ = writer.join();
        }
    }
}

/// What workers log through. Cloning is cheap; the handle of a log that is off does nothing.
#[derive(Clone, Debug, Default)]
pub struct Handle(Option<(Arc<Shared>, Thread)>);

impl Handle {
    /// The handle of an access log that is off.
    #[must_use]
    pub fn off() -> Self {
        Handle(None)
    }

    /// Whether lines are wanted at all; to be asked before an entry is put together.
    #[inline]
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Logs one request as worker `worker`, with the present time. Never blocks; drops the line and counts it when
    /// the worker's buffers are full. Allocates nothing.
    pub fn log(&self, worker: usize, entry: &AccessEntry<'_>) {
        let Some((shared, writer)) = &self.0 else { return };
        let Some(lane) = shared.lanes.get(worker) else { return };
        if lane.push(entry) {
            writer.unpark();
        }
    }

    /// Lines that were taken for writing.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.0.as_ref().map_or(0, |(shared, _)| shared.lanes.iter().map(|lane| lane.accepted.get()).sum())
    }

    /// Lines that were dropped because buffers were full or the destination failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |(shared, _)| {
            let full: u64 = shared.lanes.iter().map(|lane| lane.dropped.get()).sum();
            full + shared.lost_lines.load(Ordering::Relaxed)
        })
    }
}

#[derive(Debug)]
struct Shared {
    lanes: Box<[Lane]>,
    stop: AtomicBool,
    reopen: AtomicBool,
    /// Lines that were buffered and then could not be written.
    lost_lines: AtomicU64,
    /// Whether the last write failed, so that a full disk is one event and not one a line.
    failing: AtomicBool,
}

/// One worker's two buffers. The worker prefers the first and takes the second only while the writer swaps the
/// first; the writer empties the first, then the second. So the second never holds anything older than the first.
#[derive(Debug)]
#[repr(align(128))]
struct Lane {
    buffers: [Mutex<Vec<u8>>; 2],
    accepted: Counter,
    dropped: Counter,
}

impl Default for Lane {
    fn default() -> Self {
        Lane {
            buffers: [Mutex::new(buffer()), Mutex::new(buffer())],
            accepted: Counter::new(),
            dropped: Counter::new(),
        }
    }
}

impl Lane {
    /// Whether the writer should be woken.
    fn push(&self, entry: &AccessEntry<'_>) -> bool {
        for buffer in &self.buffers {
            let mut buffer = match buffer.try_lock() {
                Ok(buffer) => buffer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            if buffer.len() + line::MAX_BYTES > BUFFER_BYTES {
                break;
            }
            let before = buffer.len();
            entry.write(jiff::Timestamp::now(), &mut buffer);
            self.accepted.inc();
            return before < WAKE_BYTES && buffer.len() >= WAKE_BYTES;
        }
        self.dropped.inc();
        false
    }
}

fn buffer() -> Vec<u8> {
    Vec::with_capacity(BUFFER_BYTES)
}

#[derive(Debug)]
enum Sink {
    Stdout,
    File(File),
}

impl Sink {
    fn open(destination: &Destination) -> io::Result<Self> {
        match destination {
            Destination::Stdout => Ok(Sink::Stdout),
            Destination::File(path) => {
                OpenOptions::new().append(true).create(true).open(path).map(Sink::File)
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Sink::File(file) => file.write_all(lines),
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    destination: Destination,
    sink: Sink,
    /// Changes places with the buffer that is emptied, so that nothing is allocated.
    spare: Vec<u8>,
}

impl Writer {
    fn run(mut self) {
        loop {
            // Read before the buffers: what was logged before the stop is then written.
            let stop = self.shared.stop.load(Ordering::Acquire);
            self.write_all();
            if stop {
                return;
            }
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            thread::park_timeout(FLUSH_INTERVAL);
        }
    }

    fn write_all(&mut self) {
        let shared = Arc::clone(&self.shared);
        for buffer in shared.lanes.iter().flat_map(|lane| &lane.buffers) {
            {
                let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut *buffer, &mut self.spare);
            }
            if !self.spare.is_empty() {
                self.write_spare();
                self.spare.clear();
            }
        }
    }

    fn write_spare(&mut self) {
        let result = self.sink.write(&self.spare);
        let failed_before = self.shared.failing.swap(result.is_err(), Ordering::Relaxed);
        if let Err(error) = result {
            let lines = self.spare.iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.shared.lost_lines.fetch_add(lines, Ordering::Relaxed);
            if !failed_before {
                tracing::error!(error = %error, "the access log cannot be written, its lines are dropped and counted");
            }
        } else if failed_before {
            tracing::info!("the access log is written again");
        }
    }

    fn reopen(&mut self) {
        match Sink::open(&self.destination) {
            Ok(sink) => self.sink = sink,
            Err(error) => tracing::error!(
                error = %error, destination = ?self.destination,
                "the access log cannot be opened anew and goes on into the file that was open"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
