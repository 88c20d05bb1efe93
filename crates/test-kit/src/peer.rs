//! Other people's programs as upstreams.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{Wire, eventually};

/// A program that a test started, killed when dropped.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Peer {
    /// nginx in the foreground, with one process, that answers every request with `name` and in `x-origin`, keeps
    /// connections open for ever and logs nothing.
    ///
    /// # Panics
    /// When nginx is not installed or does not come up.
    #[must_use]
    pub fn nginx(name: &str) -> Self {
        let dir = TempDir::new().expect("a folder for nginx");
        let addr = free_port();
        let at = dir.path().display();
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log stderr error;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 1h; default_type text/plain;\n\
             client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             server {{ listen {addr} backlog=4096; add_header x-origin {name}; return 200 \"{name}\"; }} }}\n"
        );
        let config = dir.path().join("nginx.conf");
        fs::write(&config, text).expect("the folder can be written to");
        let program = installed("nginx").expect("nginx is installed; tests/run installs it");
        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let peer = Peer { child: command.spawn().expect("nginx can be started"), addr, _dir: dir };
        eventually("nginx accepts", || Wire::try_connect(addr).is_ok());
        peer
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A loopback address that was free a moment ago, for programs that do not take port 0.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address")
}

/// Where a program is, in the PATH or in Debian's folders for daemons.
#[must_use]
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}
