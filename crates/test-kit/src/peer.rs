//! Other people's programs as upstreams.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, setpriority_process};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::{Wire, eventually};

/// Where nginx says how many requests it has answered.
const STATUS: &str = "/.stub-status";

/// A program that a test started, killed when dropped.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    addr: SocketAddr,
    _port: Socket,
    dir: TempDir,
}

impl Peer {
    /// nginx in the foreground, with one process, that answers every request with `name` and in `x-origin`, says in
    /// `x-answers` which request id it answers, keeps connections open for ever and logs nothing.
    ///
    /// # Panics
    /// When nginx is not installed or does not come up.
    #[must_use]
    pub fn nginx(name: &str) -> Self {
        let dir = TempDir::new().expect("a folder for nginx");
        let (addr, port) = reserved_port();
        let at = dir.path().display();
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log stderr error;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 1h; default_type text/plain;\n\
             client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             server {{ listen {addr} backlog=4096; location = {STATUS} {{ stub_status; }}\n\
             location / {{ add_header x-origin {name}; add_header x-answers $http_x_request_id;\n\
             return 200 \"{name}\"; }} }} }}\n"
        );
        fs::write(dir.path().join("nginx.conf"), text).expect("the folder can be written to");
        Peer { child: start_nginx(&dir, addr), addr, _port: port, dir }
    }

    /// Kills it with SIGKILL and waits until it is gone. Its port stays its own.
    ///
    /// # Panics
    /// When the system does not know its own child.
    pub fn kill(&mut self) {
        self.child.kill().expect("an own child can be killed");
        self.child.wait().expect("an own child can be waited for");
    }

    /// Starts it again after [`Peer::kill`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.child = start_nginx(&self.dir, self.addr);
    }

    /// Stops it with SIGSTOP: its connections stand, and the kernel makes more, but nobody answers.
    ///
    /// # Panics
    /// When it is gone.
    pub fn stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("the program runs");
    }

    /// Lets it go on after [`Peer::stop`].
    ///
    /// # Panics
    /// When it is gone.
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("the program runs");
    }

    /// Sets its nice value, for figures in which it stands for a server with a machine of its own: below 0 (root alone may) it
    /// has the processor before those who are measured, above 0 behind them.
    ///
    /// # Panics
    /// When it is gone.
    pub fn set_nice(&self, nice: i32) {
        match setpriority_process(Some(Pid::from_child(&self.child)), nice) {
            Ok(()) | Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {}
            Err(error) => panic!("the program runs: {error}"),
        }
    }

    /// How many requests it has answered since it was started.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn answered(&self) -> u64 {
        let said = Wire::connect(self.addr).exchange(format!("GET {STATUS} HTTP/1.0\r\n\r\n"));
        // "server accepts handled requests", and below it three numbers.
        let counts = said.text().lines().nth(2).map(str::to_owned).unwrap_or_default();
        let requests = counts.split_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok());
        requests.unwrap_or_else(|| panic!("nginx says how many requests it answered: {}", said.text())) - 1
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

fn start_nginx(dir: &TempDir, addr: SocketAddr) -> Child {
    let program = installed("nginx").expect("nginx is installed; tests/run installs it");
    let mut command = Command::new(program);
    command.arg("-p").arg(dir.path()).arg("-c").arg(dir.path().join("nginx.conf"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("nginx can be started");
    eventually("nginx accepts", || Wire::try_connect(addr).is_ok());
    child
}

/// A loopback address that nobody else gets for as long as the socket is kept. Who listens there says `SO_REUSEADDR`,
/// as servers do.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn reserved_port() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    socket.set_reuse_address(true).expect("a socket takes SO_REUSEADDR");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback has a free port");
    let addr = socket.local_addr().ok().and_then(|addr| addr.as_socket()).expect("an IPv4 address");
    (addr, socket)
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
