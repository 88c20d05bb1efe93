//! A changed configuration is taken over whole, at once and without a failed request, or not at all.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use test_kit::{Config, Origin, Proxy, Scripted, Wire, eventually, request};

use crate::{origin, rig};

/// Clients that keep asking, each over one connection, and stop at the first thing that is not right.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    fn start(proxy: &Proxy, clients: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..clients)
            .map(|client| {
                let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
                let mut wire = proxy.connect();
                std::thread::spawn(move || {
                    for n in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            break;
                        }
                        wire.try_send(request::get_as("/", &format!("u{client}-{n}")))
                            .map_err(|e| e.to_string())?;
                        let answer = wire.try_response().map_err(|e| format!("request {n}: {e}"))?;
                        if answer.status != 200 || answer.says_close() {
                            return Err(format!("request {n}: {answer:?}"));
                        }
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(())
                })
            })
            .collect();
        Load { stop, done, clients }
    }

    /// Waits until `count` more requests have been answered.
    fn let_pass(&self, count: u64) {
        let wanted = self.done.load(Ordering::SeqCst) + count;
        eventually("the load goes on", || {
            self.done.load(Ordering::SeqCst) >= wanted || self.clients.iter().any(JoinHandle::is_finished)
        });
    }

    fn finish(self) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap().unwrap_or_else(|e| panic!("a client suffered: {e}"));
        }
    }
}

#[test]
fn no_request_fails_while_the_percentage_changes() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr()).workers(2);
    let proxy = Proxy::start(&config);
    let load = Load::start(&proxy, 6);
    for n in 0..25 {
        let reloaded = proxy.reload(config.clone().percent(n * 4));
        assert_eq!(reloaded.code, 0, "{reloaded:?}");
        load.let_pass(30);
    }
    load.finish();
    assert!(old.requests() > 0 && new.requests() > 0);
    assert!(proxy.generation() >= 25.0);
}

#[test]
fn a_reload_is_in_force_when_the_command_ends() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr()).workers(2);
    let proxy = Proxy::start(&config);
    let mut clients: Vec<Wire> = (0..4).map(|_| proxy.connect()).collect();
    for (percent, arm) in [(100, "new"), (0, "old"), (100, "new")] {
        assert_eq!(proxy.reload(config.clone().percent(percent)).code, 0);
        for client in &mut clients {
            assert_eq!(origin(&client.exchange(request::get_as("/", "a"))), arm);
        }
    }
}

#[test]
fn a_request_under_way_ends_under_the_configuration_it_began_with() {
    let (proxy, upstream, mut client) = rig();
    client.send(request::with("POST", "/", &[("content-length", "6")], b"one"));
    let mut wire = upstream.accept();
    wire.request_head();
    let other = Scripted::bind();
    assert_eq!(proxy.reload(Config::single(other.addr())).code, 0);
    client.send("two");
    assert_eq!(wire.exactly(6).unwrap(), b"onetwo");
    wire.send(request::ok("from the first"));
    assert_eq!(client.response().text(), "from the first");
    client.send(request::get("/"));
    let mut wire = other.accept();
    wire.request();
    wire.send(request::ok("from the second"));
    assert_eq!(client.response().text(), "from the second");
}

#[test]
fn a_bad_file_is_refused_as_a_whole() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let good = Config::pair(old.addr(), new.addr());
    let proxy = Proxy::start(&good);
    let before = proxy.generation();
    let bad_files = [
        good.clone().percent(101).to_string(),
        good.clone().migration("prcent = 5").to_string(),
        good.to_string().replace("old = \"shop-old\"", "old = \"shop-olt\""),
        "this is not toml".to_owned(),
        String::new(),
    ];
    for text in bad_files {
        // The percentage beside the mistake must not be taken over either.
        let text = text.replace("percent = 0", "percent = 100");
        let refused = proxy.reload(&text);
        assert_eq!(refused.code, 1, "{refused:?} for\n{text}");
        assert!(!(refused.stderr + &refused.stdout).trim().is_empty(), "a refusal says why");
        assert_eq!(origin(&proxy.connect().exchange(request::get_as("/", "a"))), "old");
        let metrics = proxy.metrics();
        assert_eq!(metrics.count("crossfade_config_last_reload_successful", &[]).to_string(), "0");
        assert!((metrics.count("crossfade_config_generation", &[]) - before).abs() < 0.1);
    }
    assert_eq!(proxy.reload(good.percent(100)).code, 0);
    assert_eq!(proxy.metrics().count("crossfade_config_last_reload_successful", &[]).to_string(), "1");
    assert_eq!(origin(&proxy.connect().exchange(request::get_as("/", "a"))), "new");
}

#[test]
fn the_refusal_names_line_and_nearest_name() {
    let (proxy, upstream, _client) = rig();
    let text = Config::single(upstream.addr()).to_string().replace("percent = 0", "prcent = 0");
    let line = text.lines().position(|line| line.starts_with("prcent")).unwrap() + 1;
    let refused = proxy.reload(&text);
    let said = refused.stderr + &refused.stdout;
    assert_eq!(refused.code, 1, "{said}");
    assert!(said.contains(&format!(":{line}:")), "line {line} is not in\n{said}");
    assert!(said.contains("`percent`"), "the nearest name is not in\n{said}");
}

#[test]
fn a_renamed_file_is_noticed() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr());
    let proxy = Proxy::start(&config);
    for (percent, arm) in [(100, "new"), (0, "old"), (100, "new")] {
        proxy.rewrite(config.clone().percent(percent));
        eventually("the renamed file is in force", || {
            origin(&proxy.connect().exchange(request::get_as("/", "a"))) == arm
        });
    }
}

#[test]
fn a_file_written_in_place_is_noticed() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr());
    let proxy = Proxy::start(&config);
    fs::write(proxy.dir().join("crossfade.toml"), config.percent(100).to_string()).unwrap();
    eventually("the file is in force", || {
        origin(&proxy.connect().exchange(request::get_as("/", "a"))) == "new"
    });
}

#[test]
fn a_swapped_config_map_is_noticed() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr());
    let dir = TempDir::new().unwrap();
    // As the kubelet lays a volume out: the file is a link through `..data`, which is swapped by a rename.
    let publish = |version: usize, config: &Config| {
        let folder = format!("..2024_{version}");
        fs::create_dir(dir.path().join(&folder)).unwrap();
        fs::write(dir.path().join(&folder).join("crossfade.toml"), config.to_string()).unwrap();
        symlink(&folder, dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
        if let Some(before) = version.checked_sub(1) {
            drop(fs::remove_dir_all(dir.path().join(format!("..2024_{before}"))));
        }
    };
    publish(0, &config);
    let path = dir.path().join("crossfade.toml");
    symlink("..data/crossfade.toml", &path).unwrap();
    let root = dir.path().to_owned();
    let outer = TempDir::new().unwrap();
    let proxy = Proxy::start_at(outer, path);
    for (version, percent, arm) in [(1, 100, "new"), (2, 0, "old"), (3, 100, "new")] {
        publish(version, &config.clone().percent(percent));
        eventually("the swapped file is in force", || {
            origin(&proxy.connect().exchange(request::get_as("/", "a"))) == arm
        });
    }
    assert!(root.exists());
}

#[test]
fn a_hang_up_reloads() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr());
    let mut proxy = Proxy::start(&config);
    proxy.rewrite(config.percent(100));
    proxy.hang_up();
    eventually("the file is in force", || {
        origin(&proxy.connect().exchange(request::get_as("/", "a"))) == "new"
    });
    assert!(proxy.is_running());
}

#[test]
fn a_file_that_did_not_change_is_no_new_intent() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr()).percent(0);
    let proxy = Proxy::start(&config);
    let set =
        proxy.admin_post("/api/v1/migrations/shop/percent", &json!({ "percent": 100, "reason": "test" }));
    assert!((200..300).contains(&set.status), "{}", set.text());
    assert_eq!(proxy.reload(format!("# a comment\n{config}")).code, 0);
    let who = |proxy: &Proxy| origin(&proxy.connect().exchange(request::get_as("/", "a"))).to_owned();
    assert_eq!(who(&proxy), "new", "a reload took back what a person had set");
    assert_eq!(proxy.reload(config.clone().percent(50)).code, 0);
    assert_eq!(proxy.reload(config.percent(0)).code, 0);
    assert_eq!(who(&proxy), "old", "the last intent wins");
}

#[test]
fn users_are_not_moved_back_by_accident() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr()).percent(50);
    let proxy = Proxy::start(&config);
    for line in ["salt = \"another\"", "key = [\"cookie:session\"]"] {
        let refused = proxy.reload(config.clone().migration(line));
        assert_eq!(refused.code, 1, "{line}: {refused:?}");
        assert!((refused.stderr + &refused.stdout).contains("reshuffle"), "{line}");
        let meant = proxy.reload(config.clone().migration(line).migration("reshuffle = true"));
        assert_eq!(meant.code, 0, "{line}: {meant:?}");
        assert_eq!(proxy.reload(config.clone().migration("reshuffle = true")).code, 0);
        assert_eq!(proxy.reload(&config).code, 0);
    }
}

#[test]
fn listeners_come_and_go() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr());
    let proxy = Proxy::start(&config);
    let mut kept = proxy.connect();
    let load = Load::start(&proxy, 2);
    assert_eq!(kept.exchange(request::get("/")).status, 200);

    assert_eq!(proxy.reload(config.clone().listener("127.0.0.2:0")).code, 0);
    eventually("the second listener is told", || {
        proxy.bound().iter().any(|addr| addr.ip().to_string() == "127.0.0.2")
    });
    let second = *proxy.bound().iter().find(|addr| addr.ip().to_string() == "127.0.0.2").unwrap();
    let mut on_second = Wire::connect(second);
    assert_eq!(on_second.exchange(request::get("/")).status, 200);
    load.let_pass(20);

    assert_eq!(proxy.reload(&config).code, 0);
    eventually("the second listener is gone", || Wire::try_connect(second).is_err());
    assert_eq!(kept.exchange(request::get("/")).status, 200, "the first listener's connections stay");
    load.let_pass(20);
    load.finish();
}

#[test]
fn a_listener_that_cannot_be_bound_refuses_the_file() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let taken = Scripted::bind();
    let config = Config::pair(old.addr(), new.addr());
    let proxy = Proxy::start(&config);
    let refused = proxy.reload(config.percent(100).listener(&taken.addr().to_string()));
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(
        origin(&proxy.connect().exchange(request::get_as("/", "a"))),
        "old",
        "half of a file was taken over"
    );
}

#[test]
fn upstreams_move() {
    let (first, second) = (Origin::start("first"), Origin::start("second"));
    let proxy = Proxy::start(&Config::single(first.addr()));
    let mut client = proxy.connect();
    assert_eq!(origin(&client.exchange(request::get("/"))), "first");
    assert_eq!(proxy.reload(Config::single(second.addr())).code, 0);
    assert_eq!(origin(&client.exchange(request::get("/"))), "second");
    drop(first);
    assert_eq!(origin(&client.exchange(request::get("/"))), "second");
}

#[test]
fn a_swarm_of_reloads_settles() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr());
    let mut proxy = Proxy::start(&config);
    for n in 0..40 {
        proxy.rewrite(config.clone().percent(n));
        proxy.hang_up();
    }
    proxy.rewrite(config.percent(100));
    proxy.hang_up();
    eventually("the last file is in force", || {
        origin(&proxy.connect().exchange(request::get_as("/", "a"))) == "new"
    });
    let settled = proxy.generation();
    std::thread::park_timeout(Duration::from_millis(300));
    assert!((proxy.generation() - settled).abs() < 2.5, "reloads go on without a change");
    assert!(proxy.is_running());
}

#[test]
fn a_key_list_that_cannot_be_read_holds_up_nothing() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr()).percent(100);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(dir.path().join("testers"), "alice\n").unwrap();
    let text = config.section("[migration.shop.override]\nnew_file = \"testers\"").to_string();
    fs::write(&path, text).unwrap();
    let mut proxy = Proxy::start_at(dir, path);
    // A pipe that nobody writes into stands for a mount that hangs.
    let pipe = proxy.dir().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::rename(pipe, proxy.dir().join("testers")).unwrap();
    proxy.hang_up();
    eventually("the pipe is refused", || proxy.log().contains("not a regular file"));
    assert_eq!(proxy.command(&["set", "shop", "0"]).code, 0);
    assert_eq!(origin(&proxy.connect().exchange(request::get_as("/", "bob"))), "old");
    proxy.terminate();
    assert_eq!(proxy.wait(), 0);
}
