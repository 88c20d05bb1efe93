//! A rollback takes everybody back at once, latches, and outlives whatever happens to the process and the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use test_kit::{Config, FaultyOrigin, Load, Outcome, Proxy, Wire, crossfade_binary, eventually, free_port};

/// How many times the process is killed.
const KILLS: usize = 20;

/// A configuration whose state is in `dir`.
fn config(dir: &Path, percent: &str) -> Config {
    Config::pair(free_port(), free_port())
        .percent(percent)
        .section(format!("[state]\ndir = \"{}\"", dir.display()))
}

fn shop(proxy: &Proxy) -> Value {
    let answer = proxy.admin_get("/api/v1/migrations/shop");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// What is asked for, what is in force, and whether it is latched.
fn standing(proxy: &Proxy) -> (f64, f64, bool) {
    let shop = shop(proxy);
    let percent = |kind: &str| shop["percent"][kind].as_f64().unwrap();
    (percent("asked"), percent("in_force"), !shop["latched"].is_null())
}

fn is(found: (f64, f64, bool), asked: u32, in_force: u32, latched: bool) {
    let wanted = (f64::from(asked), f64::from(in_force), latched);
    assert!(found == wanted, "{found:?} instead of {wanted:?}");
}

fn done(outcome: &Outcome) {
    assert_eq!(outcome.code, 0, "{outcome:?}");
}

/// Runs a proxy that is not going to start; what it says on the way.
fn refused(config: &Config) -> String {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(&path, config.to_string()).unwrap();
    let outcome = Outcome::of(Command::new(crossfade_binary()).args(["run", "--config"]).arg(path));
    assert_eq!(outcome.code, 1, "{outcome:?}");
    outcome.stderr
}

#[test]
fn a_rollback_under_load_takes_everybody_back_and_nobody_suffers() {
    let (old, new, state) = (FaultyOrigin::start("old"), FaultyOrigin::start("new"), TempDir::new().unwrap());
    let config = Config::pair(old.addr(), new.addr()).percent(50).workers(2);
    let config = config.migration("abort = { rollbacks = false }");
    let proxy = Proxy::start(&config.section(format!("[state]\ndir = \"{}\"", state.path().display())));
    // More than can be sent before the command ends, however long that takes on a busy machine.
    let load = Load::of("r", 1_000_000).connections(8).within(Duration::from_secs(100)).start(proxy.addr());
    load.reach(1000);
    let back = proxy.command(&["rollback", "shop", "--reason", "errors in the cart"]);
    done(&back);
    let on_new = new.received().len();
    assert!(on_new > 100, "{on_new}");
    assert!(back.stdout.contains("shop: rolled back from 50% to 0%: asked for by "), "{back:?}");
    assert!(
        back.stdout.contains(": errors in the cart") && back.stdout.contains("`crossfade resume shop`"),
        "{back:?}"
    );
    load.reach(load.done() + 2000);
    let report = load.stop();
    report.expect_no_failures("a rollback");
    assert!(new.received().len() <= on_new + 8, "only what was under way may have ended there");
    proxy.wait_log("shop: rolled back from 50% to 0%: asked for by ");
    let rollbacks = || {
        let lines = proxy.admin_get("/api/v1/migrations/shop/journal").json()["lines"].clone();
        let lines = lines.as_array().unwrap().iter().filter(|line| line["kind"] == "rolled_back");
        lines.cloned().collect::<Vec<_>>()
    };
    assert_eq!(rollbacks()[0]["reason"], "errors in the cart");
    let metrics = proxy.metrics();
    for (name, labels) in [
        ("crossfade_latched", &[("migration", "shop")][..]),
        ("crossfade_rollbacks_total", &[("migration", "shop"), ("cause", "person")]),
        ("crossfade_journal_healthy", &[]),
    ] {
        assert_eq!(metrics.count(name, labels).to_string(), "1", "{name}");
    }
    for _ in 0..4 {
        done(&proxy.command(&["resume", "shop"]));
        done(&proxy.command(&["rollback", "shop"]));
    }
    // A busy machine may set the thread aside for longer than that, but not in the midst of each of them.
    let after_us: Vec<_> =
        rollbacks().iter().map(|line| line["data"]["in_force_after_us"].as_u64().unwrap()).collect();
    assert!(after_us.len() == 5 && after_us.iter().any(|us| *us < 10_000), "{after_us:?}");
}

#[test]
fn while_latched_nobody_goes_forward_but_by_a_resume() {
    let state = TempDir::new().unwrap();
    let config = config(state.path(), "25");
    let proxy = Proxy::start(&config);
    done(&proxy.command(&["rollback", "shop", "--reason", "errors"]));
    for command in [["set", "shop", "50"], ["phase", "shop", "full"]] {
        let refused = proxy.command(&command);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(
            refused.stderr.contains("latched at 0 %") && refused.stderr.contains("resume"),
            "{refused:?}"
        );
    }
    let reloaded = proxy.reload(config.clone().percent(40));
    done(&reloaded);
    assert!(reloaded.stdout.contains("40 % is remembered, not in force"), "{reloaded:?}");
    is(standing(&proxy), 40, 0, true);
    for args in [&["status"][..], &["status", "shop"]] {
        let status = proxy.command(args);
        assert!(
            status.stdout.contains("latched at 0 % since ") && status.stdout.contains(": errors"),
            "{status:?}"
        );
    }
    let resumed = proxy.command(&["resume", "shop", "--reason", "fixed"]);
    done(&resumed);
    is(standing(&proxy), 40, 40, false);
    assert_eq!(proxy.command(&["resume", "shop"]).code, 1);
    assert_eq!(proxy.command(&["rollback", "nobody"]).code, 1);
    let history = proxy.command(&["history", "shop"]);
    for words in ["rolled back to 0 % (person)", "25 % -> 0 %", "0 % -> 40 %", "fixed"] {
        assert!(history.stdout.contains(words), "{words}: {history:?}");
    }
    let json: Value = serde_json::from_str(&proxy.command(&["history", "shop", "--json"]).stdout).unwrap();
    let kinds: Vec<_> = json.as_array().unwrap().iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["known", "rolled_back", "file", "resumed"]);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let state = TempDir::new().unwrap();
    let config = config(state.path(), "5");
    let mut proxy = Proxy::start(&config);
    done(&proxy.command(&["set", "shop", "30", "--reason", "fine"]));
    done(&proxy.command(&["rollback", "shop", "--reason", "errors"]));
    let before = shop(&proxy);
    proxy.terminate();
    assert_eq!(proxy.wait(), 0);
    let proxy = Proxy::start(&config);
    let after = shop(&proxy);
    for member in ["why", "latched", "percent", "last_change"] {
        let without = |value: &Value| {
            let mut value = value[member].clone();
            value.as_object_mut().map(|members| members.remove("measured"));
            value
        };
        assert_eq!(without(&before), without(&after), "{member}");
    }
    is(standing(&proxy), 30, 0, true);
    proxy.wait_log("shop: latched at 0 % since");
    drop(proxy);
    let proxy = Proxy::start(&config.percent(6).migration("attempt = 2"));
    is(standing(&proxy), 6, 6, false);
}

/// What a migration must be after what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Model {
    asked: u32,
    latched: bool,
}

impl Model {
    fn after(self, what: What) -> Self {
        match what {
            What::Set(percent) if !self.latched || percent == 0 => Model { asked: percent, ..self },
            What::Set(_) => self,
            What::Rollback => Model { latched: true, ..self },
            What::Resume => Model { latched: false, ..self },
        }
    }

    fn standing(self) -> (f64, f64, bool) {
        let in_force = if self.latched { 0 } else { self.asked };
        (f64::from(self.asked), f64::from(in_force), self.latched)
    }
}

#[derive(Clone, Copy, Debug)]
enum What {
    Set(u32),
    Rollback,
    Resume,
}

impl What {
    fn request(self) -> (&'static str, Value) {
        match self {
            What::Set(percent) => ("/api/v1/migrations/shop/percent", json!({ "percent": percent })),
            What::Rollback => ("/api/v1/migrations/shop/rollback", json!({ "reason": "the test" })),
            What::Resume => ("/api/v1/migrations/shop/resume", json!({})),
        }
    }

    /// Sends it and waits for nothing.
    fn send(self, proxy: &Proxy) -> Wire {
        let (target, body) = self.request();
        let body = body.to_string();
        let mut wire = Wire::connect(proxy.admin());
        wire.send(format!(
            "POST {target} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            proxy.admin(),
            body.len()
        ));
        wire
    }
}

/// Splitmix64: the same numbers for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn what(&mut self) -> What {
        match self.below(4) {
            0 | 1 => What::Set(u32::try_from(self.below(101)).unwrap()),
            2 => What::Rollback,
            _ => What::Resume,
        }
    }
}

#[test]
fn a_killed_process_never_loses_a_latch_that_was_announced_nor_raises_the_percentage() {
    let seed = std::env::var("CROSSFADE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101);
    let kills = std::env::var("CROSSFADE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let (state, mut numbers) = (TempDir::new().unwrap(), Numbers(seed));
    let config = config(state.path(), "5").migration("abort = { rollbacks = false }");
    let mut possible = vec![Model { asked: 5, latched: false }];
    for round in 0..kills {
        let proxy = Proxy::start(&config);
        let found = standing(&proxy);
        let model = possible.iter().find(|model| model.standing() == found);
        let mut model =
            *model.unwrap_or_else(|| panic!("seed {seed} round {round}: {found:?}, not {possible:?}"));
        for _ in 0..numbers.below(3) {
            let what = numbers.what();
            let (target, body) = what.request();
            let answer = proxy.admin_post(target, &body);
            assert!(matches!(answer.status, 200 | 409), "{}", answer.text());
            model = model.after(what);
            assert!(standing(&proxy) == model.standing(), "seed {seed} round {round}: {what:?}, {model:?}");
        }
        if round % 2 == 0 {
            // What was answered holds.
            assert_eq!(What::Rollback.send(&proxy).response().status, 200);
            model = model.after(What::Rollback);
            possible = vec![model];
        } else {
            // What was not answered may hold or not; nothing else may.
            let what = numbers.what();
            let wire = what.send(&proxy);
            std::thread::park_timeout(Duration::from_micros(numbers.below(4000)));
            drop(proxy);
            drop(wire);
            possible = vec![model, model.after(what)];
            continue;
        }
        drop(proxy);
    }
    let text = fs::read_to_string(state.path().join("journal.jsonl")).unwrap();
    let seqs = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap());
    assert!(seqs.eq(1..=text.lines().count() as u64), "the chain is whole");
}

#[test]
fn a_torn_line_is_cut_off_and_damage_is_told() {
    let state = TempDir::new().unwrap();
    let config = config(state.path(), "5");
    let proxy = Proxy::start(&config);
    done(&proxy.command(&["rollback", "shop"]));
    drop(proxy);
    let path = state.path().join("journal.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{{\"seq\":99,\"time\":\"20")).unwrap();
    let proxy = Proxy::start(&config);
    is(standing(&proxy), 5, 0, true);
    eventually("the log tells it", || proxy.log().contains("20 bytes cut off"));
    drop(proxy);
    let damaged = whole.replacen("\"kind\":\"known\"", "\"kind\":\"knows\"", 1);
    fs::write(&path, &damaged).unwrap();
    let said = refused(&config);
    assert!(said.contains("the journal is damaged") && said.contains("line 3"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), damaged, "and nothing is touched");
}

#[test]
fn two_processes_do_not_share_a_state_directory() {
    let state = TempDir::new().unwrap();
    let config = config(state.path(), "5");
    let proxy = Proxy::start(&config);
    let said = refused(&config);
    assert!(said.contains(&format!("in use by process {}", proxy.pid())), "{said}");
    done(&proxy.command(&["set", "shop", "6"]));
    drop(proxy);
    is(standing(&Proxy::start(&config)), 6, 6, false);
}

/// A file system of its own, so small that it can be filled. Only root can have one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(dir.path());
        (Outcome::of(&mut mount).code == 0).then_some(SmallDisk(dir))
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.filler()).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    }

    /// Fills it under a proxy at 5 %, until that can write nothing more: the percent then, and what it said last.
    fn fill_under(&self, proxy: &Proxy) -> (u32, Outcome) {
        self.fill();
        // What is left of the last page may still take a line or two.
        let mut asked = 5;
        loop {
            let set = proxy.command(&["set", "shop", &(asked + 1).to_string()]);
            if set.code != 0 {
                return (asked, set);
            }
            asked += 1;
            assert!(asked < 100, "the disk is never full");
        }
    }

    fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(self.0.path());
        done(&Outcome::of(&mut mount));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Outcome::of(Command::new("umount").arg("-l").arg(self.0.path()));
    }
}

#[test]
fn a_full_disk_stops_what_goes_forward_and_no_rollback() {
    let Some(disk) = SmallDisk::mount() else {
        println!("no file system can be mounted here (root can): not checked");
        return;
    };
    let config = config(&disk.0.path().join("state"), "5");
    let proxy = Proxy::start(&config);
    let (asked, refused) = disk.fill_under(&proxy);
    assert!(refused.code == 1 && refused.stderr.contains("No space left on device"), "{refused:?}");
    assert_eq!(proxy.metrics().count("crossfade_journal_healthy", &[]).to_string(), "0");
    let begun = Instant::now();
    let back = proxy.command(&["rollback", "shop", "--reason", "errors"]);
    done(&back);
    assert!(back.stdout.contains("NOT in the journal"), "{back:?}");
    // No disk is waited for for more than 3 s.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    is(standing(&proxy), asked, 0, true);
    assert_eq!(proxy.command(&["resume", "shop"]).code, 1, "a resume is a step forward");
    let status = proxy.command(&["status"]);
    assert!(status.stdout.contains("ALERT: the journal in "), "{status:?}");
    let (config, asked) = (config.percent(60), 60);
    proxy.rewrite(&config);
    proxy.wait_log("the file is read again when the journal can be written");
    disk.empty();
    proxy.wait_metric("crossfade_journal_healthy", &[], |healthy| healthy > 0.5);
    eventually("the file that was refused is in force", || {
        shop(&proxy)["percent"]["asked"] == f64::from(asked)
    });
    is(standing(&proxy), asked, 0, true);
    drop(proxy);

    let proxy = Proxy::start(&config);
    is(standing(&proxy), asked, 0, true);
    done(&proxy.command(&["resume", "shop"]));
    drop(proxy);
    // A start on a disk that cannot be written serves what was written, and goes no further.
    disk.remount("ro");
    let proxy = Proxy::start(&config.clone().percent(90));
    is(standing(&proxy), asked, asked, false);
    // It is tried once more when the file is first looked at, and in vain.
    proxy.wait_log("reload asked for by a changed file refused");
    done(&proxy.command(&["rollback", "shop"]));
    is(standing(&proxy), asked, 0, true);
    disk.remount("rw");
    proxy.wait_metric("crossfade_journal_healthy", &[], |healthy| healthy > 0.5);
    eventually("what the file asks for is taken up", || shop(&proxy)["percent"]["asked"] == 90.0);
    is(standing(&proxy), 90, 0, true);
    drop(proxy);
    is(standing(&Proxy::start(&config.percent(90))), 90, 0, true);
}

#[test]
fn whoever_speaks_last_is_not_overruled_by_a_file_that_was_refused_before() {
    let Some(disk) = SmallDisk::mount() else {
        println!("no file system can be mounted here (root can): not checked");
        return;
    };
    let config = config(&disk.0.path().join("state"), "5");
    let proxy = Proxy::start(&config);
    let (asked, _) = disk.fill_under(&proxy);
    let config = config.percent(60);
    proxy.rewrite(&config);
    proxy.wait_log("the file is read again when the journal can be written");
    is(standing(&proxy), asked, asked, false);
    done(&proxy.command(&["set", "shop", "1"]));
    proxy.wait_log("has changed it since the file was refused");
    disk.empty();
    proxy.wait_metric("crossfade_journal_healthy", &[], |healthy| healthy > 0.5);
    is(standing(&proxy), 1, 1, false);
    done(&proxy.reload(&config));
    is(standing(&proxy), 60, 60, false);
}
