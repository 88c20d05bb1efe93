use std::net::SocketAddr;

use tokio::sync::oneshot;

use super::*;
use crate::event::Actor;
use crate::load;

struct NoListeners;

impl Listeners for NoListeners {
    fn set(&self, _: &[SocketAddr]) -> Result<Vec<Bound>, ListenError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    let text = "[[listener]]\nlisten = \"127.0.0.1:8080\"\n[upstream.a]\nendpoints = [\"http://127.0.0.1:1\"]\n\
                [upstream.b]\nendpoints = [\"http://127.0.0.1:2\"]\n[migration.shop]\nmatch = [{ path = \"/*\" }]\n\
                old = \"a\"\nnew = \"b\"\npercent = 5\n";
    std::fs::write(&path, text).unwrap();
    let mut controller = Controller::new(load(&path).unwrap(), Telemetry::new(1));
    let (status, _) = watch::channel(Arc::new(controller.status()));
    let (paths, _) = watch::channel(controller.paths());
    let outlets = Outlets { listeners: Arc::new(NoListeners), status, paths };
    let mut set = |percent: &str, is_waited_for: bool| {
        let (reply, answer) = oneshot::channel();
        let waiting = is_waited_for.then_some(answer);
        let event = ramp::Event::PercentSet(percent.parse().unwrap());
        let ask = Ask { reply: Some(reply), ..Ask::new("shop", event, Actor::default()) };
        controller.apply(&outlets, Event::Ask(ask));
        drop(waiting);
        controller.book.intents["shop"].standing().asked.to_string()
    };
    assert_eq!(set("50", false), "5", "the caller was told that it took too long");
    assert_eq!(set("50", true), "50");
}

/// A file whose one migration has this name and percentage.
fn file(dir: &std::path::Path, name: &str, percent: u32) -> Loaded {
    let path = dir.join("crossfade.toml");
    let text = format!(
        "[[listener]]\nlisten = \"127.0.0.1:8080\"\n[state]\ndir = \"state\"\n\
         [upstream.a]\nendpoints = [\"http://127.0.0.1:1\"]\n[upstream.b]\nendpoints = [\"http://127.0.0.1:2\"]\n\
         [upstream.c]\nendpoints = [\"http://127.0.0.1:3\"]\n\
         [migration.other]\nmatch = [{{ path = \"/other/*\" }}]\nold = \"a\"\nnew = \"c\"\npercent = {percent}\n\
         {name}"
    );
    std::fs::write(&path, text).unwrap();
    load(&path).unwrap()
}

#[tokio::test]
async fn a_rollback_meets_a_migration_on_its_way_to_another_name_or_out_of_the_file() {
    let shop = |name: &str| {
        format!(
            "[migration.{name}]\nmatch = [{{ path = \"/*\" }}]\nold = \"a\"\nnew = \"b\"\nsalt = \"s\"\npercent = 5\n"
        )
    };
    for (after, now) in [(shop("cart"), Some("cart")), (String::new(), None)] {
        let dir = tempfile::tempdir().unwrap();
        let mut controller = Controller::open(file(dir.path(), &shop("shop"), 5), Telemetry::new(1)).unwrap();
        let (status, _) = watch::channel(Arc::new(controller.status()));
        let (paths, _) = watch::channel(controller.paths());
        let outlets = Outlets { listeners: Arc::new(NoListeners), status, paths };
        // The file also raises a percentage, so it waits for the disk.
        let loaded = file(dir.path(), &after, 50);
        let outlook = crate::reload::read_file(&controller.book, &loaded.checked, jiff::Timestamp::now());
        controller.go_on_with_file(&outlets, loaded, &outlook, Vec::new());
        assert!(controller.is_going_forward());
        let (reply, mut answer) = oneshot::channel();
        let migration = "shop".to_owned();
        let actor = Actor::default();
        controller.apply(&outlets, Event::RollBack { migration, to: None, now: true, actor, reply });
        while !controller.pending.is_empty() {
            let result = next_ack(&mut controller.pending).await;
            controller.acknowledged(&outlets, result);
        }
        let Err(ControlError::Left { name, effects }) = answer.try_recv().unwrap() else {
            panic!("{now:?}: there is no status of a migration that is not in the file")
        };
        let said = ControlError::Left { name, effects }.to_string();
        let expected = "shop left the configuration, or has another name, since this was asked; it was done all the same: \
                        shop: rolled back from 5% to 0%: asked for by a person; ";
        assert!(said.starts_with(expected), "{said}");
        let state = controller.book.state(now.unwrap_or("shop")).unwrap();
        assert_eq!(state.is_present, now.is_some());
        assert!(state.intent.latch.is_some(), "{now:?}: the rollback is lost");
    }
}

#[tokio::test]
async fn the_time_served_is_kept_by_one_small_line_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    let ramp = |name: &str| {
        format!(
            "[migration.{name}]\nmatch = [{{ path = \"/{name}/*\" }}]\nold = \"a\"\nnew = \"b\"\nguard = false\npercent = 5\n\
             [[migration.{name}.ramp]]\npercent = 5\nhold = \"1h\"\n[[migration.{name}.ramp]]\npercent = 50\n"
        )
    };
    let ramps = ["cart", "shop"].map(ramp).concat();
    let held = |controller: &Controller, name: &str| {
        controller.book.state(name).unwrap().intent.progress.unwrap().held
    };
    let mut controller = Controller::open(file(dir.path(), &ramps, 5), Telemetry::new(1)).unwrap();
    let (status, _) = watch::channel(Arc::new(controller.status()));
    let (paths, _) = watch::channel(controller.paths());
    let outlets = Outlets { listeners: Arc::new(NoListeners), status, paths };
    let second = Duration::from_secs(1);
    (0..4).for_each(|_| controller.move_ramps(&outlets, second));
    assert!(controller.pending.is_empty(), "not yet");
    controller.noted_at = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    (0..4).for_each(|_| controller.move_ramps(&outlets, second));
    while !controller.pending.is_empty() {
        let result = next_ack(&mut controller.pending).await;
        controller.acknowledged(&outlets, result);
    }
    assert_eq!(controller.recorded["shop"], controller.book.state("shop").unwrap());
    drop(controller);
    let text = std::fs::read_to_string(dir.path().join("state/journal.jsonl")).unwrap();
    let notes: Vec<&str> = text.lines().filter(|line| line.contains("\"kind\":\"held\"")).collect();
    assert_eq!(notes.len(), 1, "{text}");
    assert!(
        notes[0].contains("\"data\":{\"held_s\":{\"cart\":5.0,\"shop\":5.0}}") && notes[0].len() < 250,
        "{}",
        notes[0]
    );
    // A start goes on from there, and finds nothing to be written anew.
    let begun = Instant::now();
    let again = loop {
        match Controller::open(file(dir.path(), &ramps, 5), Telemetry::new(1)) {
            Ok(again) => break again,
            // The thread that wrote lets go of the directory when it has ended.
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(10), "{error}"),
        }
        std::thread::park_timeout(Duration::from_millis(1));
    };
    assert_eq!([held(&again, "cart"), held(&again, "shop")], [5 * second; 2]);
    drop(again);
    let after = std::fs::read_to_string(dir.path().join("state/journal.jsonl")).unwrap();
    assert_eq!(after.lines().count(), text.lines().count() + 1, "{after}");
}

#[tokio::test]
async fn of_exclusive_ramps_one_is_within_a_step_whatever_their_order() {
    let ramp = |name: &str, percent: u32, lines: &str| {
        format!(
            "[migration.{name}]\nmatch = [{{ path = \"/{name}/*\" }}]\nold = \"a\"\nnew = \"b\"\nguard = false\npercent = {percent}\n\
             exclusive = true\n{lines}[[migration.{name}.ramp]]\npercent = 5\nhold = \"1h\"\n[[migration.{name}.ramp]]\npercent = 50\n"
        )
    };
    let closed = "calendar = { freezes = [{ from = 2000-01-01, to = 2200-01-01 }] }\n";
    for (ramps, expected) in [
        // The one that is in its step comes later in the file.
        (
            [ramp("cart", 0, ""), ramp("shop", 5, ""), ramp("till", 0, closed)],
            ["busy: shop", "hold", "busy: shop"],
        ),
        // Two may begin: the first of them does.
        (
            [ramp("cart", 0, ""), ramp("shop", 0, ""), ramp("till", 0, closed)],
            ["enters", "busy: cart", "busy: cart"],
        ),
        // Whoever waits for the calendar keeps nobody else from it.
        ([ramp("cart", 0, closed), ramp("shop", 0, ""), ramp("till", 50, "")], ["closed", "enters", "waits"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut controller = Controller::new(file(dir.path(), &ramps.concat(), 5), Telemetry::new(1));
        let (status, _) = watch::channel(Arc::new(controller.status()));
        let (paths, _) = watch::channel(controller.paths());
        let outlets = Outlets { listeners: Arc::new(NoListeners), status, paths };
        controller.move_ramps(&outlets, Duration::from_millis(200));
        let next = |name: &str| match &controller.climbs[name].next {
            Some(ramp::Next::Do(ramp::Event::StepEntered(0))) => "enters".to_owned(),
            Some(ramp::Next::Wait(ramp::Wait::Busy(other))) => format!("busy: {other}"),
            Some(ramp::Next::Wait(ramp::Wait::Hold { .. })) => "hold".to_owned(),
            Some(ramp::Next::Wait(ramp::Wait::Closed(_))) => "closed".to_owned(),
            _ => "waits".to_owned(),
        };
        assert_eq!(["cart", "shop", "till"].map(next), expected);
    }
}
