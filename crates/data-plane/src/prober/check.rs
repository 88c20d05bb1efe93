//! One address's health: asks again and again, and says so when the answer has changed often enough in a row.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http1_codec::{Limits, ResponseHead};
use route_plan::{HealthCheck, Probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Finding;
use crate::board::Place;
use crate::descriptors::is_out_of_descriptors;

/// Most bytes of an answer's head that are read.
const HEAD_BYTES: usize = 16 * 1024;

/// Good or bad answers in a row. An address is healthy until it is shown not to be.
#[derive(Debug)]
struct Record {
    healthy: bool,
    against: u32,
}

impl Record {
    /// Takes note of an answer. `true` when it changes the verdict.
    fn note(&mut self, good: bool, check: &HealthCheck) -> bool {
        if good == self.healthy {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let needed = if self.healthy { check.unhealthy_after } else { check.healthy_after };
        let changes = self.against >= needed;
        if changes {
            *self = Record { healthy: good, against: 0 };
        }
        changes
    }
}

/// Asks for as long as it is not ended from outside.
pub(super) async fn run(
    place: Place,
    address: SocketAddr,
    check: HealthCheck,
    healthy: bool,
    findings: mpsc::Sender<Finding>,
) {
    let mut record = Record { healthy, against: 0 };
    loop {
        let patience = Duration::from_millis(check.timeout_ms);
        let answer = match timeout(patience, ask(&place, address, &check.probe)).await {
            Ok(answer) => answer,
            Err(_) => Err(Why::Bad(format!("no answer within {} ms", check.timeout_ms))),
        };
        let bad = match answer {
            Ok(()) => None,
            Err(Why::Bad(why)) => Some(why),
            Err(Why::NotAsked) => {
                sleep(spread(check.interval_ms)).await;
                continue;
            }
        };
        if record.note(bad.is_none(), &check) {
            tell(&place, address, &check, bad.as_deref());
            let finding = Finding::Health(place.clone(), address, tokio::task::id(), record.healthy);
            if findings.send(finding).await.is_err() {
                return;
            }
        }
        sleep(spread(check.interval_ms)).await;
    }
}

/// The interval give or take a tenth, so that many checks do not fall together.
fn spread(interval_ms: u64) -> Duration {
    let tenth = interval_ms / 10;
    Duration::from_millis(interval_ms - tenth + fastrand::u64(0..=2 * tenth))
}

fn tell(place: &Place, address: SocketAddr, check: &HealthCheck, bad: Option<&str>) {
    let upstream = &place.0;
    match bad {
        None => tracing::info!(
            "{upstream}: {address} is healthy again: checks answered well in a row {} (needed {})",
            check.healthy_after,
            check.healthy_after
        ),
        Some(why) => tracing::warn!(
            "{upstream}: {address} is unhealthy: checks failed in a row {} (limit {}), the last: {why}",
            check.unhealthy_after,
            check.unhealthy_after
        ),
    }
}

/// Why an answer is not a good one.
#[derive(Debug)]
enum Why {
    Bad(String),
    /// There was no descriptor to ask with, which says nothing of the endpoint.
    NotAsked,
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Why {
        if is_out_of_descriptors(&error) { Why::NotAsked } else { Why::Bad(error.to_string()) }
    }
}

async fn ask(place: &Place, address: SocketAddr, probe: &Probe) -> Result<(), Why> {
    let mut stream = TcpStream::connect(address).await?;
    let Probe::Http { path, host } = probe else { return Ok(()) };
    let host = host.as_deref().unwrap_or(&place.1.authority);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: crossfade-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut received = Vec::with_capacity(1024);
    let mut head = ResponseHead::new();
    let limits = Limits { head_bytes: HEAD_BYTES, ..Limits::default() };
    loop {
        let invalid = |reject| Why::Bad(format!("no valid answer: {reject}"));
        if head.parse(&received, &limits).map_err(invalid)? {
            match head.status() {
                // Interim answers, behind which the final one may be here already.
                100..200 => {
                    received.drain(..head.head_len());
                    head.reset();
                    continue;
                }
                200..400 => return Ok(()),
                status => return Err(Why::Bad(format!("status {status}"))),
            }
        }
        if (&mut stream).take(4096).read_buf(&mut received).await? == 0 {
            return Err(Why::Bad("the connection ended before an answer".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_changes_after_enough_in_a_row() {
        let check = HealthCheck {
            probe: Probe::Tcp,
            interval_ms: 1_000,
            timeout_ms: 100,
            unhealthy_after: 3,
            healthy_after: 2,
        };
        let mut record = Record { healthy: true, against: 0 };
        let mut verdicts = Vec::new();
        for good in [false, false, true, false, false, false, true, false, true, true, true] {
            record.note(good, &check);
            verdicts.push(record.healthy);
        }
        let expected = [true, true, true, true, true, false, false, false, false, true, true];
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn checks_are_spread_around_their_interval() {
        for interval_ms in [0, 1, 100, 2_000] {
            for _ in 0..100 {
                let ms = u64::try_from(spread(interval_ms).as_millis()).unwrap();
                assert!(ms >= interval_ms - interval_ms / 10 && ms <= interval_ms + interval_ms / 10);
            }
        }
    }
}
