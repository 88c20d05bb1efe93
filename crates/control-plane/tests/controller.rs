//! The controller as a whole: real files, real notifications, listeners that only pretend.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail as the test does")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control_plane::{
    Actor, Bound, Cause, Control, ControlError, ControlHandle, Controller, ListenError, Listeners, LoadError,
    Settings, Status, load,
};
use route_plan::Phase;
use telemetry::Telemetry;
use tempfile::TempDir;
use traffic_split::{Arm, Reason};

const DEADLINE: Duration = Duration::from_secs(10);

/// Opens everything but port 1, and remembers what was wanted.
#[derive(Default)]
struct Pretended(Mutex<Vec<SocketAddr>>);

impl Listeners for Pretended {
    fn set(&self, wanted: &[SocketAddr]) -> Result<Vec<Bound>, ListenError> {
        if let Some(&addr) = wanted.iter().find(|addr| addr.port() == 1) {
            return Err(ListenError { addr, message: format!("cannot listen on {addr}: permission denied") });
        }
        *self.0.lock().unwrap() = wanted.to_vec();
        Ok(wanted.iter().map(|&asked| Bound { asked, bound: asked }).collect())
    }
}

struct Running {
    handle: ControlHandle,
    listeners: Arc<Pretended>,
    telemetry: Arc<Telemetry>,
    path: PathBuf,
    _dir: TempDir,
}

fn config(percent: &str) -> String {
    config_at(8080, &format!("percent = {percent}"))
}

fn config_at(port: u16, lines: &str) -> String {
    format!(
        "[[listener]]
listen = \"127.0.0.1:{port}\"
[upstream.a]
endpoints = [\"http://127.0.0.1:2\"]
[upstream.b]
endpoints = [\"http://127.0.0.1:3\"]
[migration.shop]
match = [{{ path = \"/*\" }}]
old = \"a\"
new = \"b\"
key = [\"header:x-user-id\"]
{lines}
"
    )
}

/// Notifications alone: no poll within a test's deadline.
const BY_EVENT: Settings = Settings { quiet: Duration::from_millis(20), poll: Duration::from_secs(3600) };

async fn start_in(dir: TempDir, path: PathBuf, settings: Settings) -> Running {
    let telemetry = Telemetry::new(2);
    let listeners = Arc::new(Pretended::default());
    let controller = Controller::new(load(&path).unwrap(), Arc::clone(&telemetry));
    let Control { handle, .. } = controller.start(listeners.clone(), settings).await.unwrap();
    Running { handle, listeners, telemetry, path, _dir: dir }
}

async fn start(text: &str) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(&path, text).unwrap();
    start_in(dir, path, BY_EVENT).await
}

impl Running {
    async fn when(&self, wanted: impl Fn(&Status) -> bool) -> Arc<Status> {
        tokio::time::timeout(DEADLINE, self.handle.status_when(wanted))
            .await
            .unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {:#?}", self.handle.status()))
            .expect("the controller runs")
    }

    async fn when_asked(&self, percent: &str) -> Arc<Status> {
        self.when(|status| status.migrations[0].asked.to_string() == percent).await
    }

    fn asked(&self) -> String {
        self.handle.status().migrations[0].asked.to_string()
    }

    async fn reload(&self) -> Result<control_plane::Reloaded, ControlError> {
        self.handle.reload(Cause::Signal).await
    }
}

/// As an editor or `mv` does it.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

fn alice() -> Actor {
    Actor { who: "alice".into(), reason: Some("looks good".into()), force: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_with_what_the_file_says() {
    let running = start(&config("5")).await;
    let status = running.handle.status();
    assert!(status.is_ready());
    assert_eq!(status.generation, 1);
    let shop = status.migration("shop").unwrap();
    assert_eq!((shop.asked.to_string(), shop.phase), ("5".to_owned(), Phase::Canary));
    assert_eq!((shop.old.as_str(), shop.new.as_str(), shop.salt.as_str()), ("a", "b", "shop"));
    assert!(
        running.telemetry.scrape().contains("crossfade_percent{migration=\"shop\",kind=\"in_force\"} 5\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_over_the_file_is_noticed() {
    let running = start(&config("5")).await;
    replace(&running.path, &config("10"));
    running.when_asked("10").await;
    fs::write(&running.path, config("15")).unwrap();
    running.when_asked("15").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_configmap_is_noticed_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let version = |name: &str, percent: &str| {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("crossfade.toml"), config(percent)).unwrap();
    };
    let swap = |to: &str| {
        symlink(to, dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
    };
    version("..1", "5");
    swap("..1");
    let path = dir.path().join("crossfade.toml");
    symlink("..data/crossfade.toml", &path).unwrap();
    version("..2", "10");
    version("..3", "15");
    let root = dir.path().to_owned();
    let running = {
        let swap_to = |to: &str| {
            symlink(to, root.join("..data_tmp")).unwrap();
            fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        };
        let running = start_in(dir, path, BY_EVENT).await;
        swap_to("..2");
        running.when_asked("10").await;
        fs::remove_dir_all(root.join("..1")).unwrap();
        swap_to("..3");
        running
    };
    running.when_asked("15").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_into_another_directory_is_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("real.toml");
    fs::write(&target, config("5")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    symlink(&target, &path).unwrap();
    let running = start_in(dir, path, BY_EVENT).await;
    replace(&target, &config("10"));
    running.when_asked("10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_list_is_part_of_the_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(dir.path().join("testers"), "alice\n").unwrap();
    fs::write(&path, config_at(8080, "[migration.shop.override]\nnew_file = \"testers\"")).unwrap();
    let running = start_in(dir, path, BY_EVENT).await;
    let place = |key: &str| running.handle.where_key("shop", key.as_bytes()).unwrap();
    assert_eq!((place("alice").arm, place("alice").reason), (Arm::New, Reason::KeyList));
    assert_eq!(place("bob").arm, Arm::Old);
    replace(&running.path.with_file_name("testers"), "bob\n");
    running.when(|status| status.generation == 2).await;
    assert_eq!((place("bob").arm, place("alice").arm), (Arm::New, Arm::Old));
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_alone_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(&path, config("5")).unwrap();
    let settings = Settings { quiet: Duration::from_millis(1), poll: Duration::from_millis(20) };
    let running = start_in(dir, path, settings).await;
    // A hard link to the same file in a directory that nobody watches.
    let elsewhere = tempfile::tempdir_in(running.path.parent().unwrap().parent().unwrap()).unwrap();
    let alias = elsewhere.path().join("alias");
    fs::hard_link(&running.path, &alias).unwrap();
    for percent in ["10", "15", "20"] {
        fs::write(&alias, config(percent)).unwrap();
        running.when_asked(percent).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_is_no_reload_and_an_unchanged_file_no_intent() {
    let running = start(&config("5")).await;
    running.handle.set_percent("shop", "25".parse().unwrap(), alice()).await.unwrap();
    fs::write(&running.path, config("5")).unwrap();
    let reloaded = running.reload().await.unwrap();
    assert!(!reloaded.changed && reloaded.effects.is_empty());
    assert_eq!(running.asked(), "25");
    // Another timeout is a change, and still no intent.
    replace(&running.path, &(config("5") + "[migration.shop.timeouts]\nconnect = \"1s\"\n"));
    let status = running.when(|status| status.reload.counts.applied == 1).await;
    assert_eq!(status.migrations[0].asked.to_string(), "25");
    assert_eq!(status.reload.counts.unchanged, 1, "the touch itself caused no reading");
    replace(&running.path, &config("10"));
    let status = running.when_asked("10").await;
    assert_eq!(status.migrations[0].why.split("; ").last(), Some("10 % was asked for by the file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_refused_whole_and_what_runs_stays() {
    let running = start(&config("5")).await;
    replace(&running.path, &(config("50") + "nonsense = 1\n"));
    let status = running.when(|status| status.reload.counts.refused == 1).await;
    assert_eq!((status.generation, running.asked().as_str()), (1, "5"));
    assert!(status.reload.last_error.as_ref().unwrap().contains("nonsense"));
    assert!(running.telemetry.scrape().contains("crossfade_config_last_reload_successful 0\n"));
    let error = running.reload().await.unwrap_err();
    let ControlError::Config(LoadError::Bad(bad)) = error else { panic!("{error:?}") };
    assert_eq!(bad.problems.len(), 1);
    // Its repair is a reading like any other.
    replace(&running.path, &config("50"));
    let status = running.when_asked("50").await;
    assert!(status.reload.last_successful && status.reload.last_error.is_none());
    fs::remove_file(&running.path).unwrap();
    assert!(matches!(running.reload().await, Err(ControlError::Config(LoadError::Unreadable { .. }))));
    assert!(running.handle.status().is_ready());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_cannot_be_opened_refuses_the_file() {
    let running = start(&config("5")).await;
    replace(&running.path, &config_at(1, "percent = 50"));
    let error = running.reload().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot listen on 127.0.0.1:1: permission denied");
    assert_eq!(running.asked(), "5");
    replace(&running.path, &config_at(8081, "percent = 50"));
    running.when_asked("50").await;
    assert_eq!(*running.listeners.0.lock().unwrap(), ["127.0.0.1:8081".parse().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_salt_in_mid_migration_needs_saying_so() {
    let running = start(&config("5")).await;
    replace(&running.path, &config_at(8080, "percent = 5\nsalt = \"other\""));
    let Err(ControlError::Reshuffle(said)) = running.reload().await else { panic!("not refused") };
    assert!(said.contains("reshuffle = true"), "{said}");
    assert_eq!(running.handle.status().migrations[0].salt, "shop");
    replace(&running.path, &config_at(8080, "percent = 5\nsalt = \"other\"\nreshuffle = true"));
    running.when(|status| status.migrations[0].salt == "other").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_s_word_is_in_force_when_the_answer_comes() {
    let running = start(&config("0")).await;
    let changed = running.handle.set_percent("shop", "100".parse().unwrap(), alice()).await.unwrap();
    assert_eq!(changed.generation, 2);
    assert_eq!(changed.migration.phase, Phase::Canary);
    let place = running.handle.where_key("shop", b"u1").unwrap();
    assert_eq!((place.arm, place.percent.to_string().as_str()), (Arm::New, "100"));
    assert!(changed.migration.why.ends_with("100 % was asked for by alice (looks good)"));
    let changed = running.handle.set_phase("shop", Phase::Shadow, alice()).await.unwrap();
    assert_eq!(changed.migration.in_force.to_string(), "0");
    assert_eq!(changed.migration.asked.to_string(), "100");
    assert_eq!(running.handle.where_key("shop", b"u1").unwrap().arm, Arm::Old);
    let again = running.handle.set_phase("shop", Phase::Shadow, alice()).await.unwrap();
    assert!(again.effects.is_empty() && again.generation == changed.generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_are_answered_with_the_known_ones() {
    let running = start(&config("0")).await;
    let error = running.handle.set_percent("shpo", "1".parse().unwrap(), alice()).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no migration `shpo`; there are: shop");
    assert!(running.handle.where_key("shpo", b"u1").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_takes_no_more_changes() {
    let running = start(&config("5")).await;
    running.handle.drain().await;
    assert!(!running.handle.status().is_ready());
    assert!(matches!(running.reload().await, Err(ControlError::Draining)));
    let set = running.handle.set_percent("shop", "1".parse().unwrap(), alice()).await;
    assert!(matches!(set, Err(ControlError::Draining)));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_last_handle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(&path, config("5")).unwrap();
    let controller = Controller::new(load(&path).unwrap(), Telemetry::new(1));
    let Control { handle, task } = controller.start(Arc::new(Pretended::default()), BY_EVENT).await.unwrap();
    drop(handle);
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_reloads_in_a_row_each_have_their_effect() {
    let running = start(&config("0")).await;
    for round in 1..=100_u32 {
        let percent = (round * 7 % 101).to_string();
        replace(&running.path, &config(&percent));
        running.reload().await.unwrap();
        assert_eq!(running.asked(), percent, "round {round}");
        assert_eq!(running.handle.where_key("shop", b"u1").unwrap().percent.to_string(), percent);
    }
}

/// The same without the migration, and with it under another name.
fn without() -> String {
    config("5").split("[migration.shop]").next().unwrap().to_owned()
        + "[route.rest]\nmatch = [{ path = \"/*\" }]\nto = \"a\"\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_outlives_a_file_without_the_migration() {
    let running = start(&config("5")).await;
    running.handle.set_percent("shop", "0".parse().unwrap(), alice()).await.unwrap();
    replace(&running.path, &without());
    running.when(|status| status.migrations.is_empty()).await;
    replace(&running.path, &config("5"));
    let status = running.when(|status| !status.migrations.is_empty()).await;
    assert_eq!(status.migrations[0].in_force.to_string(), "0");
    assert!(status.migrations[0].why.ends_with("0 % was asked for by alice (looks good)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_keeps_what_was_set_and_by_whom() {
    let running = start(&config("5")).await;
    running.handle.set_percent("shop", "50".parse().unwrap(), alice()).await.unwrap();
    let renamed =
        config_at(8080, "percent = 5\nsalt = \"shop\"").replace("migration.shop", "migration.store");
    replace(&running.path, &renamed);
    let status = running.when(|status| status.migration("store").is_some()).await;
    let store = status.migration("store").unwrap();
    assert_eq!(store.in_force.to_string(), "50");
    assert!(store.why.ends_with("50 % was asked for by alice (looks good)"), "{}", store.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_word_is_told_of_who_said_it() {
    let running = start(&config("5")).await;
    running.handle.set_percent("shop", "25".parse().unwrap(), alice()).await.unwrap();
    let bob = Actor { who: "bob".into(), reason: None, force: false };
    let changed = running.handle.set_phase("shop", Phase::Shadow, bob).await.unwrap();
    let shop = changed.migration;
    assert_eq!(
        shop.why,
        "phase shadow: all users get old, from bob; 25 % was asked for by alice (looks good)"
    );
    assert_eq!(shop.last_change.unwrap().who, "bob");
}
