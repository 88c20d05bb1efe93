//! The same faults, as a usual set of Prometheus rules notices them, beside the guard of the same proxy in a dry run.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use test_kit::{Asked, Wire, eventually, free_port, installed, request};

use crate::{Harm, Rig, count, rate, tell, wanted};

/// All is well for so long before: longer than the rules look back.
const WELL: Duration = Duration::from_secs(80);
/// An alert that takes longer does not come.
const LIMIT: Duration = Duration::from_secs(300);

/// Failures of new beyond 1 %, or its p95 beyond twice old's, over a minute and for a minute.
const RULES: &str = r#"
groups:
- name: canary
  rules:
  - alert: NewFails
    expr: sum(rate(crossfade_failures_total{arm="new"}[1m])) / sum(rate(crossfade_requests_total{arm="new",role="served"}[1m])) > 0.01
    for: 1m
  - alert: NewIsSlow
    expr: >-
      histogram_quantile(0.95, sum by (le) (rate(crossfade_request_duration_seconds_bucket{arm="new",role="served"}[1m])))
      > 2 * histogram_quantile(0.95, sum by (le) (rate(crossfade_request_duration_seconds_bucket{arm="old",role="served"}[1m])))
    for: 1m
"#;

/// `RUNS` for each, 1 by default; `CASE` picks those whose name has it.
#[test]
#[ignore = "figures: 20 minutes; the same faults as Prometheus notices them"]
fn prometheus() {
    let runs = wanted("RUNS", 1);
    let named = std::env::var("CASE").unwrap_or_default();
    tell(format_args!(
        "{} requests/s, scraped and judged every 15 s; {runs} runs each, without fallback",
        rate()
    ));
    tell(
        "| on new | new is | guard, s | users failed | requests for new | firing, s | users failed | requests for new |",
    );
    tell("|---|---|---|---|---|---|---|---|");
    for percent in [5, 50] {
        for harm in Harm::ALL {
            if format!("{percent} % {}", harm.name()).contains(&named) {
                (0..runs).for_each(|_| tell(run(percent, harm)));
            }
        }
    }
}

fn run(percent: u32, harm: Harm) -> String {
    let rig = Rig::start("user", percent, &[], &["[migration.shop.guard]\ndry_run = true"]);
    let prometheus = Prometheus::start(rig.proxy.admin());
    rig.go_on_for(WELL);
    assert_eq!(prometheus.firing(), Vec::<String>::new(), "nothing was wrong");
    assert_eq!(found(&rig), None, "nothing was wrong: {}", rig.proxy.log());
    let fault = Instant::now();
    harm.befall(&rig.twins);
    let (mut guard, mut alert) = (None, None);
    while guard.is_none() || alert.is_none() {
        std::thread::park_timeout(Duration::from_millis(10));
        guard = guard.or_else(|| found(&rig).map(|()| Instant::now()));
        let look = guard.is_some() && alert.is_none();
        alert = alert.or_else(|| {
            prometheus.firing().first().filter(|_| look).cloned().map(|name| (Instant::now(), name))
        });
        assert!(
            fault.elapsed() < LIMIT,
            "{percent} %, {harm:?}: guard {guard:?}, alert {alert:?}, {}",
            prometheus.alerts()
        );
    }
    let (Some(guard), Some((alert, name))) = (guard, alert) else { unreachable!() };
    assert_eq!(name == "NewIsSlow", harm == Harm::Slow, "{name}");
    let asked = rig.load.stop();
    let until = |end: Instant| {
        let asked: Vec<Asked> =
            asked.iter().filter(|one| one.done >= fault && one.sent <= end).copied().collect();
        let (failed, on_new) = (count(&asked, Asked::failed), count(&asked, |one| one.on_new));
        format!("{:.2} | {failed} | {on_new}", (end - fault).as_secs_f64())
    };
    format!("| {percent} % | {} | {} | {} |", harm.name(), until(guard), until(alert))
}

/// Whether the guard has found something.
fn found(rig: &Rig) -> Option<()> {
    rig.proxy.log().contains("would roll back").then_some(())
}

/// A Prometheus that scrapes one proxy, killed when dropped.
struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        let (dir, addr) = (TempDir::new().unwrap(), free_port());
        let config = format!(
            "global: {{ scrape_interval: 15s, evaluation_interval: 15s }}\nrule_files: [rules.yml]\n\
             scrape_configs: [{{ job_name: crossfade, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n"
        );
        fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        fs::write(dir.path().join("rules.yml"), RULES).unwrap();
        let program = installed("prometheus").expect("prometheus is installed; tests/run installs it");
        let child = Command::new(program)
            .args(["--config.file", "prometheus.yml", "--storage.tsdb.path", "data"])
            .arg(format!("--web.listen-address={addr}"))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Prometheus { child, addr, _dir: dir };
        eventually("Prometheus is ready", || Wire::try_connect(addr).is_ok());
        prometheus
    }

    fn alerts(&self) -> Value {
        let ask = request::get_with("/api/v1/alerts", &[("connection", "close")]);
        Wire::connect(self.addr).exchange(ask).json()["data"]["alerts"].clone()
    }

    /// The names of the alerts that fire.
    fn firing(&self) -> Vec<String> {
        let alerts = self.alerts();
        let firing = alerts.as_array().into_iter().flatten().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
