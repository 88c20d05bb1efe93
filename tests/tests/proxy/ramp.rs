//! A ramp goes forward on evidence or on a person's word, is held by what it should be held by, and going back works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tempfile::TempDir;
use test_kit::{Config, Fault, FaultyOrigin, Outcome, Proxy, Scripted, Wire, before_long, request};

/// Users that ask one after the other until this is dropped.
pub(crate) struct Users {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Users {
    pub(crate) fn of(proxy: &Proxy) -> Self {
        let (addr, stop) = (proxy.addr(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut client = Wire::connect(addr);
            for user in 0_usize.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                client.exchange(request::get_as("/", &format!("user-{user}")));
            }
        });
        Users { stop, thread: Some(thread) }
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Fails where the proxy was killed under it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

pub(crate) struct Stage {
    old: FaultyOrigin,
    new: FaultyOrigin,
    state: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Stage {
            old: FaultyOrigin::start("old"),
            new: FaultyOrigin::start("new"),
            state: TempDir::new().unwrap(),
        }
    }

    /// With lines for the migration and sections after it.
    pub(crate) fn config(&self, percent: u32, lines: &str, sections: &str) -> Config {
        let state = format!("[state]\ndir = \"{}\"", self.state.path().display());
        // What is judged here is not how fast a busy machine is.
        let guard = "[migration.shop.guard]\nlatency = []";
        let config = Config::pair(self.old.addr(), self.new.addr()).percent(percent);
        let config = config.section(state).section(guard);
        lines.lines().fold(config, Config::migration).section(sections)
    }
}

pub(crate) fn steps(steps: &[(&str, &str)]) -> String {
    let step =
        |(percent, lines): &(&str, &str)| format!("[[migration.shop.ramp]]\npercent = {percent}\n{lines}\n");
    steps.iter().map(step).collect()
}

pub(crate) fn shop(proxy: &Proxy) -> Value {
    proxy.admin_get("/api/v1/migrations/shop").json()
}

pub(crate) fn in_force(proxy: &Proxy) -> f64 {
    shop(proxy)["percent"]["in_force"].as_f64().unwrap()
}

fn waits_for(proxy: &Proxy) -> String {
    shop(proxy)["ramp"]["waits_for"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn kinds(proxy: &Proxy) -> Vec<String> {
    let journal = proxy.admin_get("/api/v1/migrations/shop/journal?limit=1000").json();
    let lines = journal["lines"].as_array().unwrap();
    let kinds = lines.iter().map(|line| line["kind"].as_str().unwrap().to_owned());
    // Whatever the guard says in between.
    kinds.filter(|kind| kind != "verdict").collect()
}

/// What was in force after each line of these kinds.
fn in_force_by_line(proxy: &Proxy, kinds: &[&str]) -> Vec<f64> {
    let journal = proxy.admin_get("/api/v1/migrations/shop/journal?limit=1000").json();
    let lines = journal["lines"].as_array().unwrap();
    let wanted = lines.iter().filter(|line| kinds.contains(&line["kind"].as_str().unwrap()));
    wanted.map(|line| line["state"]["in_force"].as_f64().unwrap()).collect()
}

pub(crate) fn done(outcome: &Outcome) {
    assert_eq!(outcome.code, 0, "{outcome:?}");
}

fn refused(outcome: &Outcome, why: &str) {
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
}

#[test]
fn the_last_step_counts_its_requests_though_nobody_is_compared() {
    let stage = Stage::new();
    let proxy = Proxy::start(&stage.config(0, "", &steps(&[("50", ""), ("100", "min_requests = 50")])));
    let _users = Users::of(&proxy);
    before_long("everybody gets new", || shop(&proxy)["phase"] == "full");
}

#[test]
fn it_goes_from_step_to_step_on_evidence_and_on_a_person_s_word_and_arrives() {
    let stage = Stage::new();
    let ramp = steps(&[("20", ""), ("50", "approve = true\nmin_requests = 200"), ("100", "")]);
    let proxy = Proxy::start(&stage.config(0, "", &ramp));
    let users = Users::of(&proxy);
    before_long("the first step is entered", || in_force(&proxy) >= 20.0);
    before_long("the second step waits for a word", || {
        waits_for(&proxy) == "step 2 is shown to be good; waits for `crossfade advance`"
    });
    assert_eq!(in_force(&proxy), 50.0);
    done(&proxy.command(&["advance", "shop", "--reason", "looks good"]));
    before_long("everybody gets new", || shop(&proxy)["phase"] == "full");
    assert_eq!(in_force(&proxy), 100.0);
    assert!(waits_for(&proxy).starts_with("everybody gets new; old is kept for 1"), "{}", waits_for(&proxy));
    refused(&proxy.command(&["advance", "shop"]), "old is kept for");
    done(&proxy.command(&["advance", "shop", "--force", "--reason", "old is gone"]));
    assert_eq!(shop(&proxy)["phase"], "cleanup");
    drop(users);
    assert_eq!(kinds(&proxy), ["known", "step", "step", "advanced", "step", "arrived", "advanced"]);
    let journal = proxy.admin_get("/api/v1/migrations/shop/journal").json();
    let step = journal["lines"].as_array().unwrap().iter().rfind(|line| line["kind"] == "step").unwrap();
    assert_eq!(step["who"], "the ramp");
    let evidence = &step["data"];
    assert_eq!(evidence["verdict"], "healthy", "{step}");
    // A machine that stops for a moment makes requests of old hang: then less shows that new is as good.
    let least = if evidence["old_failures"] == 0 { 1000 } else { 200 };
    assert!(evidence["new_requests"].as_u64().unwrap() > least, "{step}");
    assert!(evidence["proofs_ln_e"]["error_rate"].as_f64().unwrap() > 4.6, "{step}");
}

#[test]
fn a_rollback_ends_it_and_after_a_resume_it_begins_again() {
    let stage = Stage::new();
    let proxy = Proxy::start(&stage.config(0, "", &steps(&[("20", ""), ("50", "hold = \"1h\"")])));
    let _users = Users::of(&proxy);
    before_long("the second step is entered", || in_force(&proxy) == 50.0);
    stage.new.set(Fault::Status(500));
    before_long("everybody is on old", || in_force(&proxy) == 0.0);
    assert_eq!(waits_for(&proxy), "latched since a rollback, waits for `crossfade resume`");
    // The status tells it a moment after the journal has it.
    before_long("it is verified", || {
        kinds(&proxy).contains(&"verified".to_owned()) && shop(&proxy)["verified"].is_string()
    });
    let verified = shop(&proxy)["verified"].as_str().unwrap().to_owned();
    assert!(
        verified.starts_with("shop: the rollback to 0% is verified: the last request beyond it ended "),
        "{verified}"
    );
    stage.new.set(Fault::Healthy);
    done(&proxy.command(&["resume", "shop", "--reason", "fixed"]));
    before_long("it begins at the first step", || in_force(&proxy) == 20.0);
    before_long("and goes on", || in_force(&proxy) == 50.0);
    done(&proxy.command(&["rollback", "shop"]));
    assert_ne!(shop(&proxy)["verified"], verified, "that was the rollback before");
}

#[test]
fn a_rollback_may_lead_to_the_step_before_and_a_second_one_to_old() {
    let stage = Stage::new();
    let lines = "rollback = { to = \"previous-step\" }";
    let proxy = Proxy::start(&stage.config(0, lines, &steps(&[("20", ""), ("50", "hold = \"1h\"")])));
    let _users = Users::of(&proxy);
    before_long("the second step is entered", || in_force(&proxy) == 50.0);
    done(&proxy.command(&["rollback", "shop"]));
    assert_eq!(in_force(&proxy), 20.0);
    before_long("the share is verified", || kinds(&proxy).contains(&"verified".to_owned()));
    stage.new.set(Fault::Status(500));
    before_long("everybody is on old", || in_force(&proxy) == 0.0);
}

#[test]
fn who_asks_for_the_step_before_gets_that_whatever_the_file_says() {
    let stage = Stage::new();
    let proxy = Proxy::start(&stage.config(0, "", &steps(&[("20", ""), ("50", "hold = \"1h\"")])));
    let _users = Users::of(&proxy);
    before_long("the second step is entered", || in_force(&proxy) == 50.0);
    done(&proxy.command(&["rollback", "shop", "--to", "previous-step"]));
    assert_eq!(in_force(&proxy), 20.0);
}

#[test]
fn users_return_in_parts_where_old_was_scaled_down() {
    let stage = Stage::new();
    let proxy = Proxy::start(&stage.config(50, "rollback = { over = \"2s\" }", ""));
    let users = Users::of(&proxy);
    done(&proxy.command(&["rollback", "shop", "--reason", "slow"]));
    assert!(in_force(&proxy) <= 45.0, "a part is taken back at once");
    before_long("everybody is on old", || in_force(&proxy) == 0.0);
    // A part lasts for less than a busy machine may take to look at it.
    let parts = in_force_by_line(&proxy, &["rolled_back", "part_taken_back"]);
    assert_eq!(parts, [45.0, 40.0, 35.0, 30.0, 25.0, 20.0, 15.0, 10.0, 5.0, 0.0]);
    before_long("it is verified", || {
        kinds(&proxy).contains(&"verified".to_owned()) && shop(&proxy)["verified"].is_string()
    });
    assert_eq!(shop(&proxy)["rollbacks"]["person"], 1, "ten parts are one rollback");
    drop(users);
    done(&proxy.command(&["resume", "shop"]));
    done(&proxy.command(&["rollback", "shop", "--now"]));
    assert_eq!(in_force(&proxy), 0.0);
    assert_eq!(shop(&proxy)["verified"], Value::Null, "what was seen of the one before");
}

#[test]
fn a_drill_takes_everybody_back_for_a_moment() {
    let stage = Stage::new();
    let proxy = Proxy::start(&stage.config(50, "", ""));
    let users = Users::of(&proxy);
    let drill = proxy.command(&["drill", "shop", "--reason", "every Monday"]);
    done(&drill);
    assert!(drill.stdout.contains("shop: the rollback drill went well\n"), "{}", drill.stdout);
    assert!(drill.stdout.contains("shop: old served all "), "{}", drill.stdout);
    assert_eq!(in_force(&proxy), 50.0);
    assert_eq!(kinds(&proxy), ["known", "drill_begun", "drill_ended"]);
    stage.old.set(Fault::Status(500));
    let failed = proxy.command(&["drill", "shop"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stdout.contains("did not go well"), "{}", failed.stdout);
    drop(users);
    done(&proxy.command(&["set", "shop", "0"]));
    refused(&proxy.command(&["drill", "shop"]), "latched or at 0 %, so there is nothing to try in a drill");
}

#[test]
fn a_drill_s_last_word_is_where_users_are_then() {
    let stage = Stage::new();
    let proxy = Proxy::start(&stage.config(50, "", ""));
    let _users = Users::of(&proxy);
    let back = proxy.command(&["drill", "shop"]);
    assert!(back.stdout.contains(" after the decision; back at 50%\n"), "{}", back.stdout);
    let drill = std::thread::scope(|scope| {
        let drill = scope.spawn(|| proxy.command(&["drill", "shop"]));
        before_long("it is under way", || in_force(&proxy) == 0.0);
        let less = json!({ "percent": 30, "who": "alice", "reason": "less" });
        assert_eq!(proxy.admin_post("/api/v1/migrations/shop/percent", &less).status, 200);
        drill.join().unwrap()
    });
    done(&drill);
    let now = "; at 30% now instead of 50%: phase canary: the percent asked for is in force, following the percent; 30 % \
               was asked for by alice (less)\n";
    assert!(drill.stdout.contains(now), "{}", drill.stdout);
    assert!(!drill.stdout.contains("back at"), "{}", drill.stdout);
    assert_eq!(in_force(&proxy), 30.0);
}

#[test]
fn a_drill_is_judged_also_when_whoever_asked_is_gone() {
    let stage = Stage::new();
    let proxy = Proxy::start(&stage.config(0, "", &steps(&[("50", "hold = \"1h\"")])));
    let _users = Users::of(&proxy);
    before_long("the step is entered", || in_force(&proxy) == 50.0);
    let mut client = Wire::connect(proxy.admin());
    let head = "POST /api/v1/migrations/shop/drill HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    client.send(head);
    before_long("it is under way", || kinds(&proxy).contains(&"drill_begun".to_owned()));
    drop(client);
    before_long("it is over", || kinds(&proxy).contains(&"drill_ended".to_owned()));
    assert_eq!(shop(&proxy)["ramp"]["paused"], Value::Null);
}

#[test]
fn a_person_s_word_pauses_it_and_a_resume_goes_on_from_there() {
    let stage = Stage::new();
    let ramp = steps(&[("10", "hold = \"1h\""), ("40", "hold = \"1h\""), ("80", "hold = \"1h\"")]);
    let proxy = Proxy::start(&stage.config(0, "", &ramp));
    before_long("the first step is entered", || in_force(&proxy) == 10.0);
    done(&proxy.command(&["pause", "shop", "--reason", "lunch"]));
    assert_eq!(waits_for(&proxy), "paused, since somebody paused it; waits for `crossfade resume`");
    done(&proxy.command(&["resume", "shop"]));
    done(&proxy.command(&["set", "shop", "50", "--reason", "a test"]));
    assert_eq!(shop(&proxy)["ramp"]["paused"], "intent");
    refused(&proxy.command(&["advance", "shop", "--force", "--reason", "x"]), "paused");
    done(&proxy.command(&["resume", "shop"]));
    before_long("it goes on in the second step", || shop(&proxy)["ramp"]["step"] == 2);
    assert_eq!(in_force(&proxy), 50.0, "nobody is moved by a resume");
    before_long("it is known what it waits for", || waits_for(&proxy).contains("more"));
    refused(
        &proxy.command(&["advance", "shop"]),
        "not ready to advance: the step is to be served for 1 h more",
    );
    done(&proxy.command(&["advance", "shop", "--force", "--reason", "in a hurry"]));
    assert_eq!(in_force(&proxy), 80.0);
    let first = proxy.admin_get("/api/v1/migrations/shop/journal").json()["lines"][1]["seq"].to_string();
    done(&proxy.command(&["undo", "shop", "--to", &first]));
    assert_eq!(in_force(&proxy), 10.0);
    refused(&proxy.command(&["undo", "shop", "--to", "999"]), "there is no line 999 about shop");
}

#[test]
fn while_the_calendar_is_closed_nothing_rises_but_by_force() {
    let stage = Stage::new();
    let closed =
        "[migration.shop.calendar]\nfreezes = [{ from = 2000-01-01, to = 2200-01-01, reason = \"fair\" }]";
    let proxy = Proxy::start(&stage.config(5, "", closed));
    done(&proxy.reload(stage.config(20, "", closed)));
    assert_eq!(in_force(&proxy), 5.0, "a file's increase waits");
    refused(&proxy.command(&["set", "shop", "30"]), "not to be raised during a freeze (fair)");
    done(&proxy.command(&["set", "shop", "2"]));
    assert_eq!(proxy.command(&["set", "shop", "30", "--force"]).code, 2, "force needs a reason");
    done(&proxy.command(&["set", "shop", "6", "--force", "--reason", "the fair is off"]));
    assert_eq!(in_force(&proxy), 6.0);
    done(&proxy.reload(stage.config(25, "", closed)));
    assert_eq!(in_force(&proxy), 6.0);
    done(&proxy.command(&["advance", "shop", "--force", "--reason", "the fair is off"]));
    assert_eq!(in_force(&proxy), 25.0, "what the file asked for, by force");
    done(&proxy.reload(stage.config(30, "", closed)));
    assert_eq!(in_force(&proxy), 25.0);
    done(&proxy.reload(stage.config(30, "", "")));
    before_long("the calendar is open", || in_force(&proxy) == 30.0);
}

#[test]
fn after_too_many_rollbacks_it_goes_forward_by_force_alone() {
    let stage = Stage::new();
    let proxy = Proxy::start(&stage.config(5, "abort = { rollbacks = 2 }", ""));
    done(&proxy.command(&["rollback", "shop"]));
    done(&proxy.command(&["resume", "shop"]));
    done(&proxy.command(&["rollback", "shop"]));
    refused(
        &proxy.command(&["resume", "shop"]),
        "shop is aborted: rolled back 2 times, and `abort.rollbacks` is 2",
    );
    done(&proxy.command(&["resume", "shop", "--force", "--reason", "found the cause"]));
    assert_eq!(in_force(&proxy), 5.0);
    refused(&proxy.command(&["set", "shop", "10"]), "aborted");
    done(&proxy.reload(stage.config(5, "abort = { rollbacks = 2 }\nattempt = 2", "")));
    done(&proxy.command(&["set", "shop", "10"]));
}

#[test]
fn hooks_are_told_and_asked_and_hold_it() {
    let stage = Stage::new();
    let (hook, asked) = (Scripted::bind(), Arc::new(AtomicUsize::new(0)));
    let url = format!("http://{}/hook", hook.addr());
    let seen = Arc::clone(&asked);
    // Announces are taken; of the questions the second is answered with no.
    let _serving = hook.serve(move |mut wire| {
        let question = wire.request();
        let body = String::from_utf8_lossy(&question.body).into_owned();
        assert!(body.contains("\"migration\":\"shop\""), "{body}");
        let answer = if body.contains("ramp.announce") {
            "HTTP/1.1 204 No Content\r\n\r\n"
        } else if seen.fetch_add(1, Ordering::Relaxed) == 0 {
            "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"confirm\": true}"
        } else {
            "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"
        };
        wire.send(answer);
    });
    let hooks = format!("announce = \"{url}\"\nconfirm = \"{url}\"");
    let ramp = steps(&[("20", &hooks), ("50", &hooks)]);
    let proxy = Proxy::start(&stage.config(0, "", &ramp));
    let _users = Users::of(&proxy);
    before_long("the first step is entered", || in_force(&proxy) == 20.0);
    before_long("the second is refused", || waits_for(&proxy).starts_with("the confirm hook says no: "));
    assert_eq!((in_force(&proxy), asked.load(Ordering::Relaxed)), (20.0, 2));
    for (hook, answer, count) in
        [("announce", "yes", 2.0), ("announce", "no", 0.0), ("confirm", "yes", 1.0), ("confirm", "no", 1.0)]
    {
        let labels = [("migration", "shop"), ("hook", hook), ("answer", answer)];
        proxy.wait_metric("crossfade_hook_answers_total", &labels, |counted| counted == count);
    }
    proxy.wait_log("shop: the confirm hook says no: ");
}

#[test]
fn a_yes_is_for_the_step_that_it_was_asked_about_and_for_once() {
    let stage = Stage::new();
    let (hook, asked) = (Scripted::bind(), Arc::new(AtomicUsize::new(0)));
    let (url, seen) = (format!("http://{}/hook", hook.addr()), Arc::clone(&asked));
    let is_reloaded = Arc::new(AtomicBool::new(false));
    let may_answer = Arc::clone(&is_reloaded);
    // The first answer comes when the file asks for another step already; only the second one after it is a yes.
    let _serving = hook.serve(move |mut wire| {
        wire.request();
        let number = seen.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            before_long("the file asks for another step", || may_answer.load(Ordering::Relaxed));
        }
        wire.send(match number {
            0 | 1 => "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"confirm\": true}",
            _ => "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n",
        });
    });
    let config =
        |percent| stage.config(0, "", &steps(&[(percent, &format!("hold = \"1h\"\nconfirm = \"{url}\""))]));
    let proxy = Proxy::start(&config("20"));
    before_long("it is asked about 20", || asked.load(Ordering::Relaxed) == 1);
    done(&proxy.reload(config("60")));
    is_reloaded.store(true, Ordering::Relaxed);
    before_long("it is entered", || in_force(&proxy) > 0.0);
    assert_eq!((in_force(&proxy), asked.load(Ordering::Relaxed)), (60.0, 2), "a yes to 20 is none to 60");
    done(&proxy.command(&["rollback", "shop"]));
    done(&proxy.command(&["resume", "shop"]));
    before_long("it is asked again", || asked.load(Ordering::Relaxed) == 3);
    assert_eq!(in_force(&proxy), 0.0);
}

#[test]
fn of_exclusive_ramps_one_is_within_a_step() {
    let stage = Stage::new();
    let second = "[migration.cart]\nmatch = [{ path = \"/cart/*\" }]\nold = \"shop-old\"\nnew = \"shop-new\"\nexclusive = true\n\
                  [[migration.cart.ramp]]\npercent = 10\n\
                  [migration.last]\nmatch = [{ path = \"/last/*\" }]\nold = \"shop-old\"\nnew = \"shop-new\"\nafter = [\"shop\"]\n\
                  [[migration.last.ramp]]\npercent = 10\n";
    let ramp = steps(&[("20", "hold = \"1h\"")]) + second;
    let proxy = Proxy::start(&stage.config(0, "exclusive = true", &ramp));
    before_long("the first one enters its step", || in_force(&proxy) == 20.0);
    let waits = |name: &str| {
        let status = proxy.admin_get(&format!("/api/v1/migrations/{name}")).json();
        status["ramp"]["waits_for"].as_str().unwrap().to_owned()
    };
    before_long("the other one waits", || {
        waits("cart") == "waits for `shop`, which is within a step of its own"
    });
    assert_eq!(waits("last"), "waits until `shop` has arrived");
    done(&proxy.command(&["pause", "shop"]));
    before_long("now it is its turn", || waits("cart").contains("insufficient"));
    done(&proxy.command(&["phase", "shop", "full"]));
    before_long("the last one may begin", || !waits("last").starts_with("waits until"));
}

#[test]
fn the_plan_says_what_comes_when_and_who_moves() {
    let stage = Stage::new();
    let ramp = steps(&[("20", "hold = \"1h\"\ndrill = true"), ("50", "approve = true"), ("100", "")]);
    let proxy = Proxy::start(&stage.config(0, "", &ramp));
    let users = Users::of(&proxy);
    before_long("the gate's need is known", || {
        let plan = proxy.admin_get("/api/v1/migrations/shop/ramp").json();
        plan["steps"][1]["gate_seconds"].as_f64().is_some()
    });
    drop(users);
    let plan = proxy.command(&["ramp", "shop", "--plan", "--key", "user-1"]);
    done(&plan);
    for words in [
        "shop: step 1 of 3, 20",
        "entered",
        " requests, ",
        "approve",
        "0.2 to 0.5 (30 % of them)",
        "moves with step",
    ] {
        assert!(plan.stdout.contains(words), "{words} is not in\n{}", plan.stdout);
    }
    let plan = proxy.admin_get("/api/v1/migrations/shop/ramp").json();
    let need = plan["steps"][1]["gate_requests"].as_u64().unwrap();
    assert!((1_000..6_000).contains(&need), "{plan}");
}

#[test]
fn where_it_stands_outlives_a_kill() {
    let stage = Stage::new();
    let ramp = steps(&[("10", ""), ("40", "hold = \"1h\""), ("80", "")]);
    let config = stage.config(0, "", &ramp);
    let proxy = Proxy::start(&config);
    let users = Users::of(&proxy);
    before_long("the second step is entered", || in_force(&proxy) == 40.0);
    done(&proxy.command(&["pause", "shop"]));
    drop(users);
    drop(proxy);
    let proxy = Proxy::start(&config);
    let after = shop(&proxy);
    assert_eq!(
        (after["percent"]["in_force"].as_f64(), &after["ramp"]["step"]),
        (Some(40.0), &Value::from(2))
    );
    assert_eq!(after["ramp"]["paused"], "asked", "{after}");
}
