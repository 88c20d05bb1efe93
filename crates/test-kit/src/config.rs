//! Configurations for the proxy under test.

use std::fmt;
use std::net::SocketAddr;

/// Where nothing ever listens: an upstream that a test names but never uses.
const UNUSED: &str = "127.0.0.1:9";

/// Writes a configuration: one listener, the admin API, one migration named `shop` for every path, one worker.
///
/// All lines that a test adds are the file's own syntax, so that a reader sees what an operator would write.
#[derive(Clone, Debug)]
pub struct Config {
    old: String,
    new: String,
    listeners: Vec<String>,
    admin: Vec<String>,
    proxy: Vec<String>,
    migration: Vec<String>,
    rest: Vec<String>,
    path: String,
    percent: String,
    workers: usize,
}

impl Config {
    /// All traffic goes to one upstream: a migration at 0 %.
    #[must_use]
    pub fn single(upstream: SocketAddr) -> Self {
        Self::between(upstream.to_string(), UNUSED.to_owned())
    }

    /// A migration from `old` to `new`, at 0 % until [`Config::percent`] says otherwise.
    #[must_use]
    pub fn pair(old: SocketAddr, new: SocketAddr) -> Self {
        Self::between(old.to_string(), new.to_string())
    }

    fn between(old: String, new: String) -> Self {
        Config {
            old,
            new,
            listeners: vec!["127.0.0.1:0".to_owned()],
            admin: Vec::new(),
            proxy: Vec::new(),
            migration: Vec::new(),
            rest: Vec::new(),
            path: "/*".to_owned(),
            percent: "0".to_owned(),
            workers: 1,
        }
    }

    /// The share that goes to new.
    #[must_use]
    pub fn percent(mut self, percent: impl fmt::Display) -> Self {
        self.percent = percent.to_string();
        self
    }

    /// The path pattern of the migration.
    #[must_use]
    pub fn path(mut self, pattern: &str) -> Self {
        pattern.clone_into(&mut self.path);
        self
    }

    /// The number of worker threads.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// One more listener.
    #[must_use]
    pub fn listener(mut self, addr: &str) -> Self {
        self.listeners.push(addr.to_owned());
        self
    }

    /// A line for `[admin]`.
    #[must_use]
    pub fn admin(mut self, line: impl Into<String>) -> Self {
        self.admin.push(line.into());
        self
    }

    /// A line for `[proxy]`.
    #[must_use]
    pub fn proxy(mut self, line: impl Into<String>) -> Self {
        self.proxy.push(line.into());
        self
    }

    /// A line for `[migration.shop]`.
    #[must_use]
    pub fn migration(mut self, line: impl Into<String>) -> Self {
        self.migration.push(line.into());
        self
    }

    /// Whole sections, written at the end.
    #[must_use]
    pub fn section(mut self, text: impl Into<String>) -> Self {
        self.rest.push(text.into());
        self
    }

    /// A named upstream.
    #[must_use]
    pub fn upstream(self, name: &str, addr: SocketAddr) -> Self {
        self.section(format!("[upstream.{name}]\nendpoints = [\"http://{addr}\"]"))
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[admin]\nlisten = \"127.0.0.1:0\"")?;
        self.admin.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "\n[proxy]\nworkers = {}", self.workers)?;
        self.proxy.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        for listener in &self.listeners {
            writeln!(f, "\n[[listener]]\nlisten = \"{listener}\"")?;
        }
        writeln!(f, "\n[upstream.shop-old]\nendpoints = [\"http://{}\"]", self.old)?;
        writeln!(f, "\n[upstream.shop-new]\nendpoints = [\"http://{}\"]", self.new)?;
        writeln!(f, "\n[migration.shop]\nmatch = [{{ path = \"{}\" }}]", self.path)?;
        writeln!(f, "old = \"shop-old\"\nnew = \"shop-new\"\npercent = {}", self.percent)?;
        self.migration.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        self.rest.iter().try_for_each(|text| writeln!(f, "\n{text}"))
    }
}
