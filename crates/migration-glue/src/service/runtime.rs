//! What copies need of the runtime that the service runs on, and the few futures that they are made of.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

/// A future that is run for what it does.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The surroundings of a service that sends copies: where its tasks run and what its time is.
///
/// With tokio, `spawn` is `tokio::spawn` and `sleep` is `tokio::time::sleep`.
pub trait Runtime: Send + Sync + 'static {
    /// Runs the task beside whoever calls, and returns at once. A task that is dropped instead, as at the end of the
    /// runtime, counts as [`route_plan::NotCopied::Ended`].
    fn spawn(&self, task: Task);

    /// Is ready after so long.
    fn sleep(&self, duration: Duration) -> Task;

    /// Monotonic time, the same that [`Runtime::sleep`] goes by.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// The time of day, for the record of a pair.
    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// What was run has panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// Runs a future to its end or its panic, which goes no further.
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

/// Runs a future until the alarm goes off; `None`: it did.
pub(super) async fn before<T>(alarm: &mut Task, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
    })
    .await
}
