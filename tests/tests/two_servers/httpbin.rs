//! Old: the real httpbin, a Flask application, in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The interpreter that sees Debian's Python packages.
const PYTHON: &str = "/usr/bin/python3";

/// One thread, since httpbin seeds one generator for all of its requests: with more of them it would give other bytes for
/// the same seed now and then. Forwarded fields are kept, as any other server for it does. Behind an answer to HEAD that
/// has a length, waitress ends the connection without having said so, and a POST may be on its way there by then.
const SCRIPT: &str = "
import logging, httpbin
from waitress.server import create_server

def app(environ, start_response):
    def start(status, headers, exc_info=None):
        if environ['REQUEST_METHOD'] == 'HEAD':
            headers = [header for header in headers if header[0].lower() != 'content-length']
        return start_response(status, headers, exc_info)
    return httpbin.app(environ, start)

logging.getLogger('waitress.queue').setLevel(logging.ERROR)
server = create_server(app, host='127.0.0.1', port=0, threads=1, clear_untrusted_proxy_headers=False)
print(server.effective_port, httpbin.core.tmpl_dir, sep='\\n', flush=True)
server.run()
";

/// A running httpbin, killed when dropped.
#[derive(Debug)]
pub(crate) struct Httpbin {
    child: Child,
    addr: SocketAddr,
    templates: PathBuf,
    _said: BufReader<ChildStdout>,
}

impl Httpbin {
    /// Starts it on a loopback port that the kernel picks.
    pub(crate) fn start() -> Self {
        let mut child = Command::new(PYTHON)
            .args(["-I", "-c", SCRIPT])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{PYTHON}: {e}"));
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let (port, templates) = (line(), PathBuf::from(line()));
        let Ok(port) = port.parse() else {
            drop(child.kill());
            drop(child.wait());
            panic!("python3-httpbin and python3-waitress are not installed; tests/run installs them");
        };
        Httpbin { child, addr: SocketAddr::from(([127, 0, 0, 1], port)), templates, _said: said }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its pages and pictures are, which are data that a port takes over as they are.
    pub(crate) fn templates(&self) -> &PathBuf {
        &self.templates
    }
}

impl Drop for Httpbin {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
