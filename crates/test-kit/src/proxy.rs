//! The real binary, started for one test.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Config, DEADLINE, Metrics, Response, Wire, crossfade_binary, eventually, request};

/// So many lines of the proxy's log are kept for the report of a failure.
const LOG_LINES: usize = 4096;

/// A running `crossfade`, killed when dropped. When the test fails, its log is printed.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    log: Arc<Log>,
    dir: TempDir,
    config: PathBuf,
    listen: Vec<SocketAddr>,
    admin: SocketAddr,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// What it wrote to its output.
    pub stdout: String,
    /// What it wrote beside it.
    pub stderr: String,
}

impl Proxy {
    /// Starts one with this configuration and waits until it listens.
    ///
    /// # Panics
    /// When it does not come up; with its log.
    #[must_use]
    pub fn start(config: &Config) -> Self {
        Self::start_text(&config.to_string())
    }

    /// Starts one with a configuration that is written out.
    ///
    /// # Panics
    /// When it does not come up; with its log.
    #[must_use]
    pub fn start_text(config: &str) -> Self {
        let (dir, path) = written(config);
        Self::start_at(dir, path)
    }

    /// Starts one that may have only so many files and sockets open (`ulimit -n`).
    ///
    /// # Panics
    /// When it does not come up; with its log.
    #[must_use]
    pub fn start_with_descriptors(config: &Config, descriptors: u32) -> Self {
        let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        Self::start_within(config, &["sh", "-c", &script])
    }

    /// Starts one by a command that becomes the command that is appended to it, under the same process id.
    ///
    /// # Panics
    /// When it does not come up; with its log.
    #[must_use]
    pub fn start_within(config: &Config, by: &[&str]) -> Self {
        let (dir, path) = written(&config.to_string());
        let (program, arguments) = by.split_first().expect("a command has a program");
        let mut command = Command::new(program);
        command.args(arguments).arg(crossfade_binary());
        Self::start_by(command, dir, path)
    }

    /// Starts one on a configuration file that is there already, in a folder that it owns from now on.
    ///
    /// # Panics
    /// When it does not come up; with its log.
    #[must_use]
    pub fn start_at(dir: TempDir, config: PathBuf) -> Self {
        Self::start_by(Command::new(crossfade_binary()), dir, config)
    }

    fn start_by(mut command: Command, dir: TempDir, config: PathBuf) -> Self {
        let text = fs::read_to_string(&config).expect("the configuration was written");
        let wanted = text.lines().filter(|line| line.trim() == "[[listener]]").count();
        let mut child = command
            .args(["run", "--config"])
            .arg(&config)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().expect("its stderr is a pipe");
        let collect = {
            let log = Arc::clone(&log);
            move || log.collect(stderr)
        };
        Builder::new().name("proxy-log".to_owned()).spawn(collect).expect("a thread can be started");
        let unbound = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut proxy = Proxy { child, log, dir, config, listen: Vec::new(), admin: unbound };
        let admin = proxy.log.wait_for("admin.bound", 1, &text);
        proxy.admin = admin.first().copied().expect("one address was waited for");
        proxy.listen = proxy.log.wait_for("listen.bound", wanted, &text);
        proxy
    }

    /// Where it accepts clients: the first listener.
    ///
    /// # Panics
    /// When the configuration has none.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        *self.listen.first().expect("the configuration has a listener")
    }

    /// Every address that it ever said it listens on, in the order of the log.
    #[must_use]
    pub fn bound(&self) -> Vec<SocketAddr> {
        self.log.addresses("listen.bound")
    }

    /// Where the admin API is.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder that holds its configuration.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it logged so far. A line comes a moment after what it tells of: see [`Proxy::wait_log`].
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits until its log has these words.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_log(&self, words: &str) {
        eventually(&format!("{words:?} is in the log"), || self.log().contains(words));
    }

    /// A new client connection.
    #[must_use]
    pub fn connect(&self) -> Wire {
        Wire::connect(self.addr())
    }

    /// One GET over a connection of its own.
    #[must_use]
    pub fn get(&self, target: &str) -> Response {
        self.connect().exchange(request::get_with(target, &[("connection", "close")]))
    }

    /// GET on the admin API.
    #[must_use]
    pub fn admin_get(&self, target: &str) -> Response {
        self.admin_request("GET", target, None)
    }

    /// POST of JSON on the admin API.
    #[must_use]
    pub fn admin_post(&self, target: &str, body: &Value) -> Response {
        self.admin_request("POST", target, Some(body))
    }

    /// What `/metrics` says now.
    ///
    /// # Panics
    /// When it does not answer 200.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let answer = self.admin_get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics::parse(&answer.text())
    }

    /// Waits until a metric's sum satisfies `wanted`. What is not there is not taken for 0: a proxy that has just been
    /// started does not tell of its endpoints yet.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_metric(&self, name: &str, labels: &[(&str, &str)], wanted: impl Fn(f64) -> bool) {
        eventually(&format!("{name}{labels:?} is as wanted"), || {
            self.metrics().sum(name, labels).is_some_and(&wanted)
        });
    }

    /// The number of the configuration in force.
    #[must_use]
    pub fn generation(&self) -> f64 {
        self.metrics().count("crossfade_config_generation", &[])
    }

    /// Puts another configuration in place of the file, as a whole, and tells nobody.
    ///
    /// # Panics
    /// When the folder cannot be written to.
    pub fn rewrite(&self, config: impl std::fmt::Display) {
        let written = self.dir.path().join(".crossfade.toml.new");
        fs::write(&written, config.to_string()).expect("the folder can be written to");
        fs::rename(&written, &self.config).expect("a file can be renamed within its folder");
    }

    /// Puts another configuration in place and has `crossfade reload` take it over.
    pub fn reload(&self, config: impl std::fmt::Display) -> Outcome {
        self.rewrite(config);
        self.command(&["reload"])
    }

    /// Runs the command line against this proxy's admin API.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Outcome {
        let mut command = Command::new(crossfade_binary());
        command
            .args(args)
            .env("CROSSFADE_ADMIN", format!("http://{}", self.admin))
            .current_dir(self.dir.path());
        Outcome::of(&mut command)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the proxy runs until this handle is dropped");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Waits until the process has ended, and until all that it logged is in [`Proxy::log`]; answers its exit code.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait(&mut self) -> i32 {
        let mut ended = None;
        eventually("the proxy ends", || {
            ended = self.child.try_wait().expect("an own child can be waited for");
            ended.is_some()
        });
        // The thread that reads the log may be behind.
        eventually("the proxy's log ends", || self.log.has_ended());
        ended.map_or(-1, code)
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When the system does not know its own child.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("an own child can be waited for").is_none()
    }

    /// Sends SIGUSR1: logs are opened anew.
    pub fn reopen_logs(&self) {
        self.signal(Signal::USR1);
    }

    /// The most memory that it ever had in use (`VmHWM`), in bytes.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that it has in use (`VmRSS`), in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// How many file descriptors it has open.
    ///
    /// # Panics
    /// When the process is gone.
    #[must_use]
    pub fn open_descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the proxy runs").count()
    }

    fn memory(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the proxy runs");
        let value =
            status.lines().find_map(|found| found.strip_prefix(line)).expect("Linux says this of a process");
        let kib = value.trim().trim_end_matches("kB").trim();
        kib.parse::<u64>().expect("the kernel writes a number of kB") * 1024
    }

    fn admin_request(&self, method: &str, target: &str, body: Option<&Value>) -> Response {
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            self.admin,
            body.len()
        );
        Wire::connect(self.admin).exchange(head + &body)
    }
}

/// A folder with a configuration in it.
fn written(config: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().expect("a folder for the configuration");
    let path = dir.path().join("crossfade.toml");
    fs::write(&path, config).expect("the folder can be written to");
    (dir, path)
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            #[allow(clippy::print_stderr, reason = "the test runner shows it beside the failure")]
            {
                eprintln!("---- log of the proxy ----\n{}", self.log.text());
            }
        }
    }
}

impl Outcome {
    /// Runs a command to its end, without input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("the command can be started");
        Outcome {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    last: VecDeque<String>,
    bound: Vec<(&'static str, SocketAddr)>,
    ended: bool,
}

impl Log {
    fn collect(&self, stderr: impl Read) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let event = serde_json::from_str(&line).unwrap_or(Value::Null);
            let mut lines = self.lock();
            for field in ["listen.bound", "admin.bound"] {
                if let Some(addr) = address(&event, field) {
                    lines.bound.push((field, addr));
                }
            }
            if lines.last.len() == LOG_LINES {
                lines.last.pop_front();
            }
            lines.last.push_back(line);
            self.grown.notify_all();
        }
        self.lock().ended = true;
        self.grown.notify_all();
    }

    /// Waits for `count` addresses in this field.
    fn wait_for(&self, field: &str, count: usize, config: &str) -> Vec<SocketAddr> {
        let started = Instant::now();
        let mut lines = self.lock();
        loop {
            let found = lines.addresses(field);
            if found.len() >= count {
                return found;
            }
            let left = DEADLINE.saturating_sub(started.elapsed());
            if lines.ended || left.is_zero() {
                drop(lines);
                panic!("no {field} in the proxy's log:\n{}\n---- configuration ----\n{config}", self.text());
            }
            lines = self.grown.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn addresses(&self, field: &str) -> Vec<SocketAddr> {
        self.lock().addresses(field)
    }

    /// Whether all of it has been read.
    fn has_ended(&self) -> bool {
        self.lock().ended
    }

    fn text(&self) -> String {
        self.lock().last.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn addresses(&self, field: &str) -> Vec<SocketAddr> {
        self.bound.iter().filter(|(name, _)| *name == field).map(|(_, addr)| *addr).collect()
    }
}

/// The address in a field of a JSON log line, flattened or below `fields`.
fn address(event: &Value, field: &str) -> Option<SocketAddr> {
    let value = event.get(field).or_else(|| event.get("fields").and_then(|fields| fields.get(field)))?;
    value.as_str()?.parse().ok()
}
