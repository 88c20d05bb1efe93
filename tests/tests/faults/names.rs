//! Names of upstreams that change, or that nobody knows any more.
//!
//! The proxy gets a hosts file of its own, in a mount namespace, which only root may make; elsewhere these tests pass
//! without looking.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use test_kit::{Fault, FaultyOrigin, Load, Proxy, eventually, request};

use crate::{fallbacks, falling_back, routed};

/// A hosts file that only one proxy sees.
struct Hosts {
    _dir: TempDir,
    path: PathBuf,
}

impl Hosts {
    /// `None` where nobody may mount.
    fn new(address: &str) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("hosts");
        let hosts = Hosts { _dir: dir, path };
        hosts.write(address);
        let mut tried = Command::new("unshare");
        tried.args(["--mount", "sh", "-c", &hosts.mount()]).stdin(Stdio::null()).stderr(Stdio::null());
        tried.status().is_ok_and(|status| status.success()).then_some(hosts)
    }

    /// From now on `shop.test` has this address; none, when it is empty.
    fn write(&self, address: &str) {
        // In place, since the mount is of the file and not of its name.
        let line = if address.is_empty() { String::new() } else { format!("{address} shop.test\n") };
        fs::write(&self.path, format!("127.0.0.1 localhost\n{line}")).unwrap();
    }

    fn mount(&self) -> String {
        format!("mount --bind '{}' /etc/hosts", Path::display(&self.path))
    }

    fn start(&self, config: &test_kit::Config) -> Proxy {
        let script = format!("{} && exec \"$0\" \"$@\"", self.mount());
        Proxy::start_within(config, &["unshare", "--mount", "sh", "-c", &script])
    }
}

/// The same port at two loopback addresses.
fn two() -> (FaultyOrigin, FaultyOrigin, u16) {
    let a = FaultyOrigin::start("a");
    let port = a.addr().port();
    let b = FaultyOrigin::start_at("b", SocketAddr::from(([127, 0, 0, 2], port)));
    (a, b, port)
}

/// The config of a route to `shop.test`, whose names are looked up again often.
fn by_name(port: u16) -> test_kit::Config {
    let text = routed(&[SocketAddr::from(([127, 0, 0, 1], 9))], &[]);
    text.section(format!("[upstream.by-name]\nendpoints = [\"http://shop.test:{port}\"]"))
        .section("[route.by-name]\nmatch = [{ path = \"/items\" }]\nto = \"by-name\"")
}

/// A name that moves to another address takes its requests with it, and nobody notices.
#[test]
fn a_name_that_moves_is_followed() {
    let Some(hosts) = Hosts::new("127.0.0.1") else { return };
    let (a, b, port) = two();
    let proxy = hosts.start(&by_name(port));
    let mut client = proxy.connect();
    assert_eq!(client.exchange(request::get("/items")).fields.get("x-origin"), Some("a"));
    hosts.write("127.0.0.2");
    eventually("requests go to the new address", || {
        let answer = client.exchange(request::get("/items"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.fields.get("x-origin") == Some("b")
    });
    let report = Load::of("moved", 500).run(proxy.addr());
    report.expect_no_failures("the name has moved");
    assert_eq!(report.served("b"), 500, "{report}");
    drop((a, b));
}

/// When nobody knows the name any more, the last address is kept.
#[test]
fn a_name_that_is_lost_keeps_its_last_address() {
    let Some(hosts) = Hosts::new("127.0.0.1") else { return };
    let (a, _b, port) = two();
    let proxy = hosts.start(&by_name(port));
    assert_eq!(proxy.get("/items").status, 200);
    hosts.write("");
    let loading = Load::of("lost", 4000).connections(4).start(proxy.addr());
    // New connections, again and again, while the name is looked up in vain.
    a.set(Fault::ClosedAfter(std::time::Duration::ZERO));
    loading.finish().expect_no_failures("the name is known to nobody now");
    eventually("a lookup has failed", || proxy.log().contains("shop.test"));
    assert_eq!(proxy.get("/items").status, 200);
}

/// New whose name nobody ever knew was never reached: old answers.
#[test]
fn a_name_that_nobody_knows_falls_back() {
    let old = FaultyOrigin::start("old");
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let config = falling_back(old.addr(), nobody).to_string();
    let config = config.replace(&format!("http://{nobody}"), "http://no-such-host.invalid:80");
    let proxy = Proxy::start_text(&config);
    let report = Load::of("nobody", 200).run(proxy.addr());
    report.expect_no_failures("nobody knows new");
    assert_eq!(report.served("old"), 200);
    assert!(!fallbacks(&proxy).is_empty());
}
