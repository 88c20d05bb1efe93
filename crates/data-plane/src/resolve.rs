//! Names to addresses: one lookup at a time for each endpoint, its answer kept for a few seconds.
//!
//! A lookup blocks a thread, and a resolver that is down blocks it for long. If each connection looked up for itself,
//! lookups would queue without end and go on after nobody waits for them any more.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::sync::Notify;
use tokio::task::spawn_local;

/// How long an answer is used, and how long after a failure the next attempt may come.
const KEPT: Duration = Duration::from_secs(5);

/// The addresses of one name, for one worker.
#[derive(Debug)]
pub(crate) struct Resolver {
    name: String,
    port: u16,
    state: RefCell<State>,
    answered: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The last good answer.
    addresses: Vec<SocketAddr>,
    asked: Option<Instant>,
    failure: Option<(io::ErrorKind, String)>,
    in_flight: bool,
}

impl Resolver {
    pub(crate) fn new(name: &str, port: u16) -> Rc<Resolver> {
        let state = RefCell::default();
        Rc::new(Resolver { name: name.to_owned(), port, state, answered: Notify::new() })
    }

    /// The addresses; the last good ones where the name cannot be looked up at the moment.
    pub(crate) async fn addresses(self: &Rc<Self>) -> io::Result<Vec<SocketAddr>> {
        if self.is_stale() {
            if !std::mem::replace(&mut self.state.borrow_mut().in_flight, true) {
                spawn_local(self.clone().look_up());
            }
            // Nothing else runs on this thread between the look at the state and this, so no answer is missed.
            self.answered.notified().await;
        }
        let state = self.state.borrow();
        match (&state.addresses[..], &state.failure) {
            ([], Some((kind, message))) => Err(io::Error::new(*kind, message.clone())),
            ([], None) => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            (known, _) => Ok(known.to_vec()),
        }
    }

    fn is_stale(&self) -> bool {
        self.state.borrow().asked.is_none_or(|asked| asked.elapsed() >= KEPT)
    }

    async fn look_up(self: Rc<Self>) {
        let found = lookup_host((self.name.as_str(), self.port)).await.map(Vec::from_iter);
        let mut state = self.state.borrow_mut();
        state.in_flight = false;
        state.asked = Some(Instant::now());
        match found {
            Ok(addresses) => (state.addresses, state.failure) = (addresses, None),
            Err(error) => state.failure = Some((error.kind(), error.to_string())),
        }
        drop(state);
        self.answered.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::{Builder, LocalOptions};

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        runtime.expect("a runtime").block_on(test)
    }

    #[test]
    fn many_who_ask_at_once_share_one_lookup() {
        run(async {
            let resolver = Resolver::new("localhost", 80);
            let asking: Vec<_> = (0..50)
                .map(|_| {
                    let resolver = resolver.clone();
                    spawn_local(async move { resolver.addresses().await.map(|all| all.len()) })
                })
                .collect();
            for one in asking {
                assert!(one.await.expect("no panic").expect("localhost has an address") > 0);
            }
            let asked = resolver.state.borrow().asked;
            resolver.addresses().await.expect("known");
            assert_eq!(resolver.state.borrow().asked, asked, "the answer is kept");
        });
    }

    #[test]
    fn a_name_that_is_none_is_an_error_and_is_not_asked_for_again_at_once() {
        run(async {
            let resolver = Resolver::new("nothing.invalid", 80);
            assert!(resolver.addresses().await.is_err());
            let asked = resolver.state.borrow().asked;
            assert!(resolver.addresses().await.is_err());
            assert_eq!(resolver.state.borrow().asked, asked);
        });
    }
}
