//! What the controller does with a file that was read: refuses it, or goes on with it as a whole.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use config_file::Checked;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::reading::{Found, Wish};
use super::{Controller, Outlets};
use crate::event;
use crate::handle::{ControlError, Reloaded};
use crate::journal::Health;
use crate::listeners::ListenError;
use crate::reload;
use crate::source::Loaded;

impl Controller {
    /// What a reading found, for all who asked for it; none of them when the files were seen to change.
    pub(super) async fn files_read(&mut self, outlets: &Outlets, found: Option<Found>, wishes: Vec<Wish>) {
        let Some((content, loaded)) = found.filter(|_| !self.draining) else { return };
        self.seen = content;
        match loaded {
            Err(error) => self.answer_reload(outlets, wishes, &Err(ControlError::Config(error))),
            Ok(loaded) if loaded.content == self.content => {
                let result = Ok(self.reloaded(false, Vec::new()));
                self.answer_reload(outlets, wishes, &result);
            }
            Ok(loaded) => self.adopt(outlets, loaded, wishes).await,
        }
    }

    /// Everything that can refuse a file comes first; the listeners are last but one, since they can be taken back.
    async fn adopt(&mut self, outlets: &Outlets, loaded: Loaded, wishes: Vec<Wish>) {
        let outlook = reload::read_file(&self.book, &loaded.checked, Timestamp::now());
        if let Some(reshuffle) = &outlook.reshuffle {
            let refused = Err(ControlError::Reshuffle(reshuffle.to_string()));
            return self.answer_reload(outlets, wishes, &refused);
        }
        if let Err(error) = self.listen(outlets, addresses(&loaded.checked)).await {
            let refused = Err(ControlError::Listen(error.to_string()));
            return self.answer_reload(outlets, wishes, &refused);
        }
        self.go_on_with_file(outlets, loaded, &outlook, wishes);
    }

    /// The end of a reading: counted, told, answered.
    pub(super) fn answer_reload(
        &mut self,
        outlets: &Outlets,
        wishes: Vec<Wish>,
        result: &Result<Reloaded, ControlError>,
    ) {
        outlets.paths.send_replace(self.paths());
        let (mut causes, mut replies) = (Vec::new(), Vec::new());
        for wish in wishes {
            causes.push(wish.cause.to_string());
            replies.extend(wish.reply);
        }
        if causes.is_empty() {
            causes.push(event::Cause::FileChanged.to_string());
        }
        self.record(&causes.join(", "), result);
        self.renew(outlets);
        for reply in replies {
            let _ = reply.send(result.clone());
        }
    }

    pub(super) fn reloaded(&self, changed: bool, effects: Vec<String>) -> Reloaded {
        Reloaded {
            generation: self.generation,
            changed,
            effects,
            needs_restart: self.needs_restart(),
            warnings: self.warnings.clone(),
        }
    }

    pub(super) async fn listen(
        &mut self,
        outlets: &Outlets,
        wanted: Vec<SocketAddr>,
    ) -> Result<(), ListenError> {
        let listeners = Arc::clone(&outlets.listeners);
        let bound = match spawn_blocking(move || listeners.set(&wanted)).await {
            Ok(result) => result?,
            // The runtime is going down; nobody will connect any more.
            Err(_) => return Ok(()),
        };
        for new in bound.iter().filter(|new| !self.bound.contains(new)) {
            tracing::info!(listen.bound = %new.bound, listen.asked = %new.asked, "listening on {}", new.bound);
        }
        for gone in self.bound.iter().filter(|gone| !bound.contains(gone)) {
            tracing::info!(listen.closed = %gone.bound, "no longer listening on {}", gone.bound);
        }
        self.bound = bound;
        Ok(())
    }
}

/// Waits until the journal has something to tell of its health; for ever without one.
pub(super) async fn next_health(health: &mut Option<watch::Receiver<Health>>) -> Health {
    if let Some(teller) = health {
        if teller.changed().await.is_ok() {
            return teller.borrow_and_update().clone();
        }
        // Its thread has ended: whatever is handed in says so from now on.
        *health = None;
    }
    pending().await
}

pub(super) fn addresses(checked: &Checked) -> Vec<SocketAddr> {
    checked.listeners.iter().map(|listener| listener.listen).collect()
}
