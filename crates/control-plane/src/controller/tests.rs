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
