//! A lane: the thread beside a worker that sends copies.
//!
//! It has a runtime, connections, counters and a part of the memory of its own, and shares with its worker a bounded queue
//! and a few numbers. Its thread has a low priority: while the processor has users to serve, copies wait, fall behind
//! their deadline or find the queue full, and are dropped. A thread that takes what is left over needs no other guess at how
//! much that is. It is not the lowest: what holds a lock that a worker needs, of the allocator or of a queue, must not be
//! set aside with it for long.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::cache::Cache;
use migration_glue::copies::{Holds, PROBE_MS, SERVED_WAIT, Turn};
use route_plan::{Captured, Compares, Failure, NotCopied, Observation, Pair, Snapshot};
use rtrb::{Consumer, Producer, RingBuffer};
use telemetry::{LaneCells, Side, SnapshotCell, Telemetry};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_local;
use traffic_split::{Arm, Role};

use super::account::{Track, Tracks};
use super::capture::Held;
use super::job::{CopyLimits, Job, Leased, Lent, Message, Road, ServedBy, WayBack};
use super::lanes::{Door, Lanes, QUESTIONS, Question, TURNED_AWAY};
use super::sending::Outcome;
use crate::buffer::BufferPool;
use crate::prober::BoardReader;
use crate::upstream::UpstreamPool;
use crate::view::Stock;

/// Copies that may wait for the lane.
const JOBS: usize = 512;
/// Questions that one lane asks at the same time.
const QUESTIONS_AT_ONCE: usize = 32;
/// How long copies are left to gather when the last of those that waited is on its way, as long as they follow each other within
/// [`RUSH`]. To wake a thread for each costs the worker as much processor time as half a request.
const GATHER: Duration = Duration::from_millis(1);
const RUSH: Duration = Duration::from_millis(10);
/// How long after each other it looks whether the request has been served; each time twice as long. It is not woken for it,
/// for the same reason.
const SERVED_LOOKS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(16)];
/// How often it looks for connections that have been idle for too long.
const SWEEP: Duration = Duration::from_millis(500);
/// The nice value of the lane's thread (setpriority(2); on Linux it is the thread's own). By it Linux gives the lane a ninth
/// of a worker's share where both want the whole processor, and a turn every 30 ms or so; by 19 it would be one every 200.
const NICE: i32 = 10;

/// The worker's end of its lane. The lane ends when this is dropped.
pub(super) struct LaneEnd {
    pub(super) jobs: mpsc::Sender<Box<Job>>,
    /// What it is done with, to be freed by the worker.
    pub(super) spent: RefCell<Consumer<Box<Job>>>,
    pub(super) cells: Arc<LaneCells>,
}

/// Everything that a lane is started with.
pub(super) struct LaneParts {
    pub(super) index: usize,
    pub(super) workers: u32,
    pub(super) snapshots: Arc<SnapshotCell>,
    pub(super) board: BoardReader,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) tracks: Arc<Tracks>,
    pub(super) compares: Option<Arc<dyn Compares>>,
}

/// The lane itself.
pub(super) struct Lane {
    index: usize,
    /// Where jobs go back to.
    worker: WayBack,
    cells: Arc<LaneCells>,
    tracks: Arc<Tracks>,
    compares: Option<Arc<dyn Compares>>,
    published: RefCell<Cache<Arc<SnapshotCell>, Arc<Snapshot>>>,
    board: RefCell<BoardReader>,
    stock: Stock,
    map: RefCell<Rc<Map>>,
    buffers: Rc<BufferPool>,
    random: RefCell<fastrand::Rng>,
    began: Instant,
}

/// One snapshot's upstreams, with the lane's own connections.
pub(super) struct Map {
    snapshot: Arc<Snapshot>,
    pools: Vec<UpstreamPool>,
}

/// Starts the thread.
pub(super) fn start(parts: LaneParts, lanes: &Lanes) -> io::Result<LaneEnd> {
    let (jobs, waiting) = mpsc::channel(JOBS);
    let (worker, spent) = RingBuffer::new(JOBS);
    let (questions, asked) = mpsc::channel(QUESTIONS);
    let (turned_away, away) = mpsc::channel(TURNED_AWAY);
    let cells = parts.telemetry.lane(parts.index);
    let end = LaneEnd { jobs, spent: RefCell::new(spent), cells };
    let thread = std::thread::Builder::new().name(format!("lane-{}", parts.index)).spawn(move || {
        // Where it may not be lowered, copies compete with users like anybody else, and say so.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!("copies are sent with the priority of users' requests: {error}");
        }
        match crate::accept::runtime(1) {
            Ok(runtime) => runtime.block_on(async {
                let lane = Rc::new(Lane::new(parts, worker));
                let beside =
                    [spawn_local(lane.clone().answer(asked, away)), spawn_local(lane.clone().sweep())];
                lane.run(waiting).await;
                beside.iter().for_each(tokio::task::JoinHandle::abort);
            }),
            Err(error) => tracing::error!("no copies can be sent: {error}"),
        }
    })?;
    lanes.open(Door { questions, turned_away }, thread);
    Ok(end)
}

impl Lane {
    fn new(parts: LaneParts, worker: Producer<Box<Job>>) -> Lane {
        let LaneParts { index, workers, snapshots, board, telemetry, tracks, compares } = parts;
        let cells = telemetry.lane(index);
        Lane {
            index,
            worker: Rc::new(RefCell::new(worker)),
            stock: Stock::new(cells.connections.clone(), workers),
            cells,
            tracks,
            compares,
            published: RefCell::new(Cache::new(snapshots)),
            board: RefCell::new(board),
            map: RefCell::new(Rc::new(Map { snapshot: Arc::default(), pools: Vec::new() })),
            buffers: Rc::default(),
            random: RefCell::new(fastrand::Rng::new()),
            began: Instant::now(),
        }
    }

    pub(super) fn cells(&self) -> &Arc<LaneCells> {
        &self.cells
    }

    pub(super) fn buffers(&self) -> &Rc<BufferPool> {
        &self.buffers
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn random_below(&self, limit: usize) -> usize {
        self.random.borrow_mut().usize(..limit)
    }

    pub(super) fn free_descriptors(&self) {
        self.stock.close_idle();
    }

    /// Sends copies until the worker has ended. What is under way then is dropped with the runtime.
    async fn run(self: Rc<Self>, mut waiting: mpsc::Receiver<Box<Job>>) {
        let mut last_at = Instant::now();
        while let Some(job) = waiting.recv().await {
            let is_rush = job.at.saturating_duration_since(last_at) < RUSH;
            last_at = job.at;
            self.begin(job);
            if is_rush {
                last_at = self.gather(&mut waiting).await.unwrap_or(last_at);
            }
        }
    }

    /// Lets go of upstreams that are gone, and of connections that have been idle for too long.
    async fn sweep(self: Rc<Self>) {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            sweep.tick().await;
            self.map();
            self.stock.sweep(self.now_ms());
        }
    }

    /// Takes what has gathered, again and again until that is nothing, and says when the last of it was handed over.
    async fn gather(self: &Rc<Self>, waiting: &mut mpsc::Receiver<Box<Job>>) -> Option<Instant> {
        let mut last_at = None;
        loop {
            tokio::time::sleep(GATHER).await;
            let mut count = 0;
            while let Ok(job) = waiting.try_recv() {
                last_at = Some(job.at);
                self.begin(job);
                count += 1;
            }
            if count == 0 {
                return last_at;
            }
        }
    }

    fn begin(self: &Rc<Self>, job: Box<Job>) {
        self.cells.taken.inc();
        spawn_local(self.clone().carry(job));
    }

    /// Asks for requests once more, so many at a time.
    async fn answer(self: Rc<Self>, mut asked: mpsc::Receiver<Question>, mut away: mpsc::Receiver<Question>) {
        let room = Arc::new(Semaphore::new(QUESTIONS_AT_ONCE));
        loop {
            let question = tokio::select! {
                // Dropped, it is told.
                Some(question) = away.recv() => {
                    drop(question);
                    continue;
                }
                Some(question) = asked.recv(), if room.available_permits() > 0 => question,
                // Somebody has been told: there is room again.
                _ = room.acquire(), if room.available_permits() == 0 => continue,
                else => return,
            };
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let lane = self.clone();
            spawn_local(async move {
                lane.ask(question).await;
                drop(permit);
            });
        }
    }

    /// The upstreams as they are now.
    fn map(&self) -> Rc<Map> {
        let mut published = self.published.borrow_mut();
        let latest = published.load();
        let mut board = self.board.borrow_mut();
        let board_changed = board.has_changed().unwrap_or(false);
        if board_changed || !Arc::ptr_eq(latest, &self.map.borrow().snapshot) {
            let found = board.borrow_and_update().clone();
            let pools = self.stock.pools(latest, &found, self.now_ms());
            *self.map.borrow_mut() = Rc::new(Map { snapshot: latest.clone(), pools });
        }
        self.map.borrow().clone()
    }

    /// One copy, from its sending to its comparison.
    async fn carry(self: Rc<Self>, job: Box<Job>) {
        let mut job = Leased::new(job, &self.worker);
        let Some(account) = &mut job.account else { return };
        account.pass_to(Side::Lane, NotCopied::Ended);
        let track = account.track().clone();
        let (road, limits, at, key) = (job.road.clone(), job.limits, job.at, job.asked.key);
        self.cells.begun.inc();
        let outcome = if track.is_shut(road.arm) && !job.is_probe {
            Outcome::not_sent(NotCopied::TargetDown)
        } else {
            self.deliver(&road, &mut job.message, limits, at).await
        };
        job.slot = None;
        self.cells.ended.inc();
        let leg = self.observe(&track, &road, &outcome, limits, key);
        let copied = match outcome.answer {
            Ok((captured, held)) => Some((captured, held)),
            Err(why) => {
                job.close(why);
                None
            }
        };
        if copied.is_none() && leg.is_none() {
            return;
        }
        let patience = at + Duration::from_millis(u64::from(limits.deadline_ms)) + SERVED_WAIT;
        if let Err(why) = wait_for(&mut job.served, patience).await {
            return job.close(why);
        }
        let ServedBy::Now(served) = &job.served else { return };
        // Also where there is nothing to compare.
        if let Some(leg) = leg {
            record_both(&track, &served.observation, leg);
        }
        match (copied, served.answer.as_ref().map_err(|why| *why)) {
            (Some((copied, _held)), Ok(served)) => {
                let answers = match road.arm {
                    Arm::Old => [copied, served.clone()],
                    Arm::New => [served.clone(), copied],
                };
                self.hand_over(&mut job, answers);
            }
            (Some(_), Err(why)) => job.close(why),
            (None, _) => {}
        }
    }

    /// Hands both answers over to be compared.
    fn hand_over(&self, job: &mut Job, answers: [Captured; 2]) {
        let again = job.heads.as_ref().map(|heads| heads.again(&mut job.message, job.road.arm));
        let pair = Box::new(Pair { asked: job.asked.clone(), answers, again });
        let Some(account) = job.account.take() else { return };
        match self.compares.as_ref().map(|compares| compares.take(pair)) {
            Some(Ok(())) => account.close_with_pair(),
            Some(Err(why)) => account.close(why),
            // Sent for the sake of the arm alone: there is nobody who compares.
            None => account.close(NotCopied::Incomparable),
        }
    }

    /// Sends a message to where it was decided to go, as long as that is still there.
    async fn deliver(&self, road: &Road, message: &mut Message, limits: CopyLimits, at: Instant) -> Outcome {
        let map = self.map();
        let Some(upstream) = road.upstream() else { return Outcome::not_sent(NotCopied::TargetDown) };
        let place = if Arc::ptr_eq(&map.snapshot, &road.lent.0) {
            Some(upstream)
        } else {
            // Another configuration since: the copy is for the upstream of its own, or for none.
            road.lent.0.upstreams.get(upstream).and_then(|wanted| {
                let is_it =
                    |one: &route_plan::Upstream| one.name == wanted.name && one.endpoints == wanted.endpoints;
                map.snapshot.upstreams.iter().position(is_it)
            })
        };
        match place.and_then(|place| map.pools.get(place)) {
            Some(pool) => self.send(pool, message, limits, at).await,
            None => Outcome::not_sent(NotCopied::TargetDown),
        }
    }

    /// Counts a copy that was sent, and tells what it says of its arm.
    fn observe(
        &self,
        track: &Track,
        road: &Road,
        outcome: &Outcome,
        limits: CopyLimits,
        key: u64,
    ) -> Option<Observation> {
        if !outcome.is_attempt {
            return None;
        }
        let failures = road.lent.0.migrations.get(road.migration).map(|one| &one.failures);
        let judged = match (&outcome.answer, failures) {
            (Ok((captured, _)), Some(failures)) => judge(failures, captured),
            // Its head is all that there is of it.
            (Err(_), Some(_)) => outcome.status.filter(|status| *status >= 500).map(|_| Failure::Status5xx),
            (_, None) => None,
        };
        let is_late = limits
            .fail_after_ms
            .is_some_and(|limit| outcome.to_head > Duration::from_millis(u64::from(limit.get())));
        let leg = Observation {
            arm: Some(road.arm),
            role: Role::Shadow,
            by_bucket: false,
            key,
            status: outcome.status,
            client_status: None,
            covered: false,
            hung: false,
            retried: false,
            to_head: outcome.to_head,
            total: outcome.total,
            failure: outcome.failure.or(judged).or(is_late.then_some(Failure::Late)),
            client_aborted: false,
            drained: false,
        };
        track.traffic.record(track.worker, &leg);
        if let Some(turn) = track.note(road.arm, outcome.failed(), limits.max_failures) {
            self.say(track, road.arm, turn);
        }
        Some(leg)
    }

    fn say(&self, track: &Track, arm: Arm, turn: Turn) {
        let (name, index) = (&track.name, self.index);
        match turn {
            Turn::Opened { failed, of } => tracing::warn!(
                migration = &**name,
                "copies of {name} to {arm} are dropped by worker {index}, but for one in {PROBE_MS} ms: {failed} of the last {of} failed"
            ),
            Turn::Closed => {
                tracing::info!(migration = &**name, "copies of {name} go to {arm} again from worker {index}");
            }
        }
    }

    /// Asks for a request once more.
    async fn ask(&self, question: Question) {
        let map = self.map();
        let migration = map.snapshot.migrations.iter().position(|one| one.name == *question.migration);
        let found = migration.and_then(|at| map.snapshot.migrations.get(at).zip(Some(at)));
        let Some((migration, at)) = found else { return question.tell(Err(NotCopied::Ended)) };
        let Some(policy) = migration.shadow.as_ref().filter(|policy| !policy.off) else {
            return question.tell(Err(NotCopied::Off));
        };
        let limits = CopyLimits {
            capture_bytes: policy.capture_bytes as usize,
            deadline_ms: policy.deadline_ms,
            connect_ms: migration.timeouts.connect_ms,
            max_failures: policy.max_failures,
            fail_after_ms: None,
        };
        let track = self.tracks.of(&question.migration);
        if track.is_shut(question.arm) {
            return question.tell(Err(NotCopied::TargetDown));
        }
        let road = Road { lent: Arc::new(Lent(map.snapshot.clone())), migration: at, arm: question.arm };
        let mut held = Held::nothing(&self.cells);
        if !held.grow(question.head.len()) {
            return question.tell(Err(NotCopied::Memory));
        }
        let mut message = Message::new(question.head.to_vec(), true);
        self.cells.begun.inc();
        let outcome = self.deliver(&road, &mut message, limits, Instant::now()).await;
        self.cells.ended.inc();
        self.observe(&track, &road, &outcome, limits, 0);
        question.tell(outcome.answer.map(|(captured, _held)| captured));
    }
}

fn judge(failures: &route_plan::AnswerFailures, captured: &Captured) -> Option<Failure> {
    failures.judge(captured.status, |name, nth| {
        let mut all = captured.headers.iter().filter(|line| line.0.eq_ignore_ascii_case(name.as_bytes()));
        all.nth(nth).map(|(_, value)| value)
    })
}

/// Both legs of one request, if they are evidence: the bucket chose the arm, and the client stayed.
fn record_both(track: &Track, served: &Observation, copied: Observation) {
    // One that hung is a failure however it ended.
    let failure = served.failure.or(served.hung.then_some(Failure::Late));
    let served = Observation { failure, hung: false, ..*served };
    let says_something = |leg: &Observation| leg.status.is_some() || leg.failure.is_some();
    let is_evidence = served.by_bucket && !served.client_aborted && !served.drained;
    if is_evidence && says_something(&served) && says_something(&copied) {
        track.record_pair([&served, &copied]);
    }
}

/// Waits until it is known what became of the served attempt, which is then in its place.
async fn wait_for(served: &mut ServedBy, until: Instant) -> Result<(), NotCopied> {
    let ServedBy::Later(told) = served else { return Ok(()) };
    let [mut pause, most] = SERVED_LOOKS;
    let known = loop {
        match told.try_recv() {
            Ok(known) => break known,
            // Requests are seen to their end, but for that of the worker.
            Err(TryRecvError::Closed) => return Err(NotCopied::Ended),
            Err(TryRecvError::Empty) if Instant::now() >= until => return Err(NotCopied::NotServed),
            Err(TryRecvError::Empty) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(most);
    };
    *served = ServedBy::Now(known);
    Ok(())
}
