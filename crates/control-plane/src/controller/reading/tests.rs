use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use telemetry::Telemetry;
use tokio::time::timeout;

use super::*;
use crate::event::Actor;
use crate::{Bound, Control, Controller, ListenError, Listeners, Settings, load};

const FILE: &str = "
[[listener]]
listen = \"127.0.0.1:8080\"
[upstream.a]
endpoints = [\"http://127.0.0.1:1\"]
[upstream.b]
endpoints = [\"http://127.0.0.1:2\"]
[migration.shop]
match = [{ path = \"/*\" }]
old = \"a\"
new = \"b\"
percent = 5
";

struct NoListeners;

impl Listeners for NoListeners {
    fn set(&self, _: &[SocketAddr]) -> Result<Vec<Bound>, ListenError> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_read_at_once_hold_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    std::fs::write(&path, FILE).unwrap();
    let mut controller = Controller::new(load(&path).unwrap(), Telemetry::new(1));
    let (begun, mut beginning) = tokio::sync::mpsc::channel(8);
    let (release, hung) = sync_channel::<()>(1);
    let hung = Mutex::new(hung);
    controller.reader.source = Arc::new(move |path, known| {
        let _ = begun.try_send(());
        let _ = hung.lock().unwrap().recv();
        read(path, known)
    });
    let settings = Settings { quiet: Duration::from_secs(3600), poll: Duration::from_secs(3600) };
    let Control { handle, .. } = controller.start(Arc::new(NoListeners), settings).await.unwrap();
    let reload = |cause| {
        let handle = handle.clone();
        tokio::spawn(async move { handle.reload(cause).await })
    };
    let first = reload(Cause::Signal);
    let patience = Duration::from_secs(10);
    timeout(patience, beginning.recv()).await.unwrap().unwrap();
    let set = handle.set_percent("shop", "0".parse().unwrap(), Actor::default());
    let changed = timeout(patience, set).await.expect("nothing waits for the file").unwrap();
    assert_eq!(changed.migration.in_force.to_string(), "0");
    release.send(()).unwrap();
    assert!(!timeout(patience, first).await.unwrap().unwrap().unwrap().changed);

    let second = reload(Cause::Signal);
    timeout(patience, beginning.recv()).await.unwrap().unwrap();
    timeout(patience, handle.drain()).await.expect("nor does the end");
    let told = timeout(patience, second).await.unwrap().unwrap();
    assert!(matches!(told, Err(ControlError::Draining)));
    drop(release);
}

#[tokio::test]
async fn those_who_wait_are_bounded_and_share_one_reading() {
    let mut reader = Reader::new();
    let mut answers = Vec::new();
    for _ in 0..=MAX_WAITING {
        let (reply, answer) = tokio::sync::oneshot::channel();
        reader.wish(Wish { cause: Cause::Signal, reply: Some(reply) });
        answers.push(answer);
    }
    assert!(matches!(answers.pop().unwrap().await, Ok(Err(ControlError::Busy))));
    drop(answers.pop());
    let (reply, _answer) = tokio::sync::oneshot::channel();
    reader.wish(Wish { cause: Cause::Signal, reply: Some(reply) });
    reader.begin(Path::new("/nowhere/at/all"), &Content::default());
    let (found, wishes) = reader.next().await;
    assert!(found.is_some_and(|(_, loaded)| loaded.is_err()));
    assert_eq!(wishes.len(), MAX_WAITING, "who went away makes room");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_written_is_no_change_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    std::fs::write(&path, FILE).unwrap();
    let (known, loaded) = load_with_content(&path);
    assert!(loaded.is_ok());
    assert!(is_settled(&path, &known, Duration::from_secs(3600)).await, "nothing is new");
    std::fs::write(&path, format!("{FILE}phase = \"full\"\n")).unwrap();
    assert!(is_settled(&path, &known, Duration::from_millis(1)).await);

    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let (done, next, path) = (Arc::clone(&done), dir.path().join("next"), path.clone());
        std::thread::spawn(move || {
            let mut round = 0_u64;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                std::fs::write(&next, format!("{FILE}# {round}\n")).unwrap();
                std::fs::rename(&next, &path).unwrap();
            }
        })
    };
    let settled = is_settled(&path, &known, Duration::from_millis(100)).await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    assert!(!settled, "it changes all the time");
}
