//! Two scripted services in memory, and time that stands still while somebody works.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use migration_glue::{Dial, Migrated, Observed, Runtime, Shadow, ShadowCounts, Shadowed, Task, Teed};
use route_plan::{Compares, NotCopied, Observation, Pair, ShadowPolicy};
use tower::ServiceExt;
use traffic_split::Arm;

/// One step of a body.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Wait(Duration),
    Error,
    Panic,
    /// Nothing comes any more.
    Hang,
}

pub(crate) fn data(bytes: impl Into<Bytes>) -> Step {
    Step::Data(bytes.into())
}

/// A body that goes by a script.
pub(crate) struct Script {
    steps: VecDeque<Step>,
    waits: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Script {
        Script { steps: steps.into_iter().collect(), waits: None }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        loop {
            if let Some(waits) = &mut self.waits {
                std::task::ready!(waits.as_mut().poll(cx));
                self.waits = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Data(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Trailers(fields)) => return Poll::Ready(Some(Ok(Frame::trailers(fields)))),
                Some(Step::Wait(time)) => self.waits = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Error) => return Poll::Ready(Some(Err("broken off"))),
                Some(Step::Panic) => panic!("the body panics as it was told"),
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.waits.is_none()
    }
}

/// How a service answers.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Vec<Step>,
    pub(crate) manner: Manner,
    /// Before the head.
    pub(crate) after: Duration,
    pub(crate) reads: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    Error,
    Panic,
    /// When it is called, before there is a future.
    PanicAtOnce,
    NeverReady,
    RefusesToBeReady,
    Hang,
}

pub(crate) fn says(body: impl Into<Bytes>) -> Answers {
    Answers {
        status: 200,
        headers: vec![("content-type", "text/plain")],
        body: vec![data(body)],
        manner: Manner::Well,
        after: Duration::ZERO,
        reads: true,
    }
}

impl Answers {
    pub(crate) fn manner(manner: Manner) -> Answers {
        Answers { manner, ..says("never") }
    }
}

/// What a service was asked.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    /// All of the body came.
    pub(crate) is_whole: bool,
}

/// What all have seen, in the order of its end.
pub(crate) type Log = Arc<Mutex<Vec<Seen>>>;

#[derive(Clone)]
pub(crate) struct Scripted {
    answers: Arc<Mutex<Answers>>,
    log: Log,
}

type Answered = Pin<Box<dyn Future<Output = Result<Response<Script>, &'static str>> + Send>>;

impl<B> tower::Service<Request<Teed<B>>> for Scripted
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<Script>;
    type Error = &'static str;
    type Future = Answered;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        match self.answers.lock().unwrap().manner {
            Manner::NeverReady => Poll::Pending,
            Manner::RefusesToBeReady => Poll::Ready(Err("not ready")),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Teed<B>>) -> Answered {
        let (answers, log) = (self.answers.lock().unwrap().clone(), self.log.clone());
        assert!(answers.manner != Manner::PanicAtOnce, "the service panics as it was told");
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let mut seen = Seen { head, body: Bytes::new(), trailers: None, is_whole: false };
            if answers.reads {
                match Box::pin(body).collect().await {
                    Ok(collected) => {
                        seen.trailers = collected.trailers().cloned();
                        seen.body = collected.to_bytes();
                        seen.is_whole = true;
                    }
                    Err(_) => {
                        log.lock().unwrap().push(seen);
                        return Err("the request broke off");
                    }
                }
            }
            log.lock().unwrap().push(seen);
            tokio::time::sleep(answers.after).await;
            match answers.manner {
                Manner::Error => return Err("it fails"),
                Manner::Panic => panic!("the service panics as it was told"),
                Manner::Hang => std::future::pending().await,
                _ => {}
            }
            let mut response = Response::builder().status(StatusCode::from_u16(answers.status).unwrap());
            for (name, value) in answers.headers {
                response = response.header(name, value);
            }
            Ok(response.body(Script::new(answers.body)).unwrap())
        })
    }
}

/// Takes pairs.
#[derive(Default)]
pub(crate) struct Pairs {
    pub(crate) taken: Mutex<Vec<Pair>>,
    pub(crate) is_full: AtomicBool,
    pub(crate) refuses: AtomicBool,
    pub(crate) panics: AtomicBool,
    pub(crate) panics_when_asked: AtomicBool,
}

impl Compares for Pairs {
    fn take(&self, pair: Box<Pair>) -> Result<(), NotCopied> {
        assert!(!self.panics.load(Ordering::Relaxed), "whoever compares panics as it was told");
        if self.refuses.load(Ordering::Relaxed) {
            return Err(NotCopied::QueueFull);
        }
        self.taken.lock().unwrap().push(*pair);
        Ok(())
    }

    fn room(&self) -> Result<(), NotCopied> {
        assert!(!self.panics_when_asked.load(Ordering::Relaxed), "whoever compares panics as it was told");
        if self.is_full.load(Ordering::Relaxed) { Err(NotCopied::Budget) } else { Ok(()) }
    }
}

/// tokio, whose clock a test may stop.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tokio;

impl Runtime for Tokio {
    fn spawn(&self, task: Task) {
        drop(tokio::spawn(task));
    }

    fn sleep(&self, duration: Duration) -> Task {
        Box::pin(tokio::time::sleep(duration))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

pub(crate) type Shop = Shadowed<Scripted, Scripted>;
type Observations = Arc<Mutex<Vec<(Arm, Observation)>>>;

/// A service with a shadow over two scripted ones.
pub(crate) struct Rig {
    pub(crate) shop: Shop,
    pub(crate) dial: Dial,
    pub(crate) pairs: Arc<Pairs>,
    /// By arm.
    pub(crate) seen: [Log; 2],
    pub(crate) observed: Observations,
    answers: [Arc<Mutex<Answers>>; 2],
}

/// What a rig is made of.
pub(crate) struct Setting {
    pub(crate) policy: ShadowPolicy,
    pub(crate) percent: &'static str,
    pub(crate) old: Answers,
    pub(crate) new: Answers,
    pub(crate) memory_bytes: usize,
}

impl Default for Setting {
    fn default() -> Self {
        let methods = [b"GET".as_slice(), b"HEAD", b"POST"].map(Into::into).into();
        Setting {
            policy: ShadowPolicy { methods, ..ShadowPolicy::default() },
            percent: "0",
            old: says("hello"),
            new: says("hello"),
            memory_bytes: Shadow::MEMORY_BYTES,
        }
    }
}

impl Rig {
    pub(crate) fn new(parts: Setting) -> Rig {
        Rig::on(Tokio, parts)
    }

    pub(crate) fn on(runtime: impl Runtime, parts: Setting) -> Rig {
        let Setting { policy, percent, old, new, memory_bytes } = parts;
        let pairs: Arc<Pairs> = Arc::default();
        let seen: [Log; 2] = Default::default();
        let answers = [old, new].map(|answers| Arc::new(Mutex::new(answers)));
        let [old, new] = [Arm::Old, Arm::New]
            .map(Arm::index)
            .map(|at| Scripted { answers: answers[at].clone(), log: seen[at].clone() });
        let observed: Observations = Arc::default();
        let sink = observed.clone();
        let shadow = Shadow::new(policy, runtime, pairs.clone()).memory_bytes(memory_bytes);
        let (shop, dial) = Migrated::new("shop")
            .key("header:x-user-id")
            .percent(percent)
            .observe(move |arm, one| sink.lock().unwrap().push((arm, *one)))
            .over_with_shadow(old, new, shadow)
            .unwrap();
        Rig { shop, dial, pairs, seen, observed, answers }
    }

    /// From now on the service answers like this.
    pub(crate) fn answers_by(&self, arm: Arm, answers: Answers) {
        *self.answers[arm.index()].lock().unwrap() = answers;
    }

    pub(crate) fn counts(&self) -> ShadowCounts {
        self.dial.shadow_counts().unwrap()
    }

    /// Sends a request and takes its whole answer.
    pub(crate) async fn ask(&self, request: Request<Script>) -> Result<(StatusCode, Bytes), &'static str> {
        let response = self.shop.clone().oneshot(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    pub(crate) async fn head_of(&self, request: Request<Script>) -> Response<Observed<Teed<Script>>> {
        self.shop.clone().oneshot(request).await.unwrap()
    }

    /// Waits until so many requests have been counted, and nothing is held for them any more. Time flies meanwhile.
    pub(crate) async fn counted(&self, requests: u64) -> ShadowCounts {
        let all = async {
            loop {
                let counts = self.counts();
                if counts.requests() >= requests && counts.memory_bytes == 0 && counts.under_way == 0 {
                    return counts;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(3_600), all).await;
        waited.unwrap_or_else(|_| panic!("{requests} requests are not counted: {:?}", self.counts()))
    }

    /// The pairs that were handed over.
    pub(crate) fn taken(&self) -> Vec<Pair> {
        self.pairs.taken.lock().unwrap().clone()
    }

    pub(crate) fn seen(&self, arm: Arm) -> Vec<Seen> {
        self.seen[arm.index()].lock().unwrap().clone()
    }
}

pub(crate) fn get() -> Request<Script> {
    Request::get("/cart?page=2").header("x-user-id", "ann").body(Script::new([])).unwrap()
}

pub(crate) fn post(steps: impl IntoIterator<Item = Step>) -> Request<Script> {
    let mut request = get().map(|_| Script::new(steps));
    *request.method_mut() = Method::POST;
    request
}

/// The one reason that was counted, or `None` for the one pair.
pub(crate) fn only(counts: &ShadowCounts) -> Option<NotCopied> {
    assert_eq!(counts.requests(), 1, "one request is counted once: {counts:?}");
    NotCopied::ALL.into_iter().find(|why| counts.dropped_for(*why) == 1)
}
