//! Every metric that crossfade exposes: name, type, labels, meaning. Nothing is exposed that is not declared here.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>: one prefix, base units, `_total` for counters. Label
//! values come from the configuration or from lists fixed in the program, never from a request.

/// The type of a metric, as the exposition format has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound, with their sum.
    Histogram,
}

/// The declaration of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name as it is exposed.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*
        /// All metrics, in the order of their declaration.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    REQUESTS: Counter "crossfade_requests_total" ["migration", "arm", "role", "code_class"]
        "Attempts of migrations by the class of the status that the client was given; where old answered instead, of new's own.";
    REQUEST_DURATION: Histogram "crossfade_request_duration_seconds" ["migration", "arm", "role"]
        "Time from the start of the attempt, or from the end of the request's body if later, to the head of the answer or to the failure.";
    FAILURES: Counter "crossfade_failures_total" ["migration", "arm", "role", "reason"]
        "Attempts that failed on the upstream's side.";
    CLIENT_ABORTS: Counter "crossfade_client_aborts_total" ["migration", "arm"]
        "Requests whose client went away before its answer was complete.";
    BUCKETED_REQUESTS: Counter "crossfade_bucketed_requests_total" ["migration", "arm"]
        "Requests whose arm was chosen by the bucket of their key.";
    KEYLESS_REQUESTS: Counter "crossfade_keyless_requests_total" ["migration"]
        "Requests that had none of the migration's keys and went to old.";
    EVIDENCE_REQUESTS: Counter "crossfade_evidence_requests_total" ["migration", "arm"]
        "Requests that new is judged by: the bucket chose their arm, and their client stayed for the end.";
    EVIDENCE_FAILURES: Counter "crossfade_evidence_failures_total" ["migration", "arm"]
        "Those that failed, repeated failures of one key left out; one that hangs counts as soon as it does.";
    FALLBACKS: Counter "crossfade_fallbacks_total" ["migration", "reason"]
        "Requests that old answered after new failed them, by what new failed with.";
    FALLBACKS_WITHHELD: Counter "crossfade_fallbacks_withheld_total" ["migration", "reason"]
        "Failures of new that were passed on although the migration falls back, by why old was not asked.";
    COMPARISONS: Counter "crossfade_comparisons_total" ["migration", "result"]
        "Comparisons of the answers of copied requests, by what they came to; noise and races say nothing about new.";
    ASKED_AGAIN: Counter "crossfade_asked_again_total" ["migration", "purpose"]
        "Requests that were sent to an arm once more, to learn what is noise or to tell a race: for each to old one to new.";
    COMPARE_WAITING: Gauge "crossfade_compare_waiting" []
        "Pairs of answers that wait to be compared now.";
    COMPARE_LET_IN: Gauge "crossfade_compare_let_in" []
        "Share of requests whose answers there is processor time for, 0 to 1; others are not copied.";
    COMPARE_CPU: Counter "crossfade_compare_cpu_seconds_total" []
        "Processor time that comparing has used; proxy.compare_cpu limits it.";
    COMPARE_KEPT: Counter "crossfade_compare_kept_total" ["result"]
        "Times that what comparing found of a migration was written to the state directory, or could not be.";
    SHADOW_DROPPED: Counter "crossfade_shadow_dropped_total" ["migration", "reason"]
        "Requests of migrations with a shadow that were not copied, or whose copy was not compared, by why; with those compared, all of them.";
    SHADOW_PAIRS: Counter "crossfade_shadow_pairs_total" ["migration"]
        "Copied requests whose two answers were handed over to be compared.";
    SHADOW_SERVED_DURATION: Histogram "crossfade_shadow_served_duration_seconds" ["migration", "copied"]
        "Time to the head of served answers, of requests that were to be copied and of those held out from it by chance: their difference is what copying does to users.";
    SHADOW_UNDER_WAY: Gauge "crossfade_shadow_copies_under_way" []
        "Copies that are being sent or answered now.";
    SHADOW_QUEUED: Gauge "crossfade_shadow_copies_queued" []
        "Copies that wait to be sent now.";
    SHADOW_MEMORY: Gauge "crossfade_shadow_memory_bytes" []
        "Memory that copies and captured answers hold now.";
    SHADOW_MEMORY_LIMIT: Gauge "crossfade_shadow_memory_limit_bytes" []
        "As much memory as copies and captured answers may hold.";
    SHADOW_ON: Gauge "crossfade_shadow_on" ["migration"]
        "1 while requests are copied, 0 while the shadow is switched off or the phase has no copies; absent without a shadow.";
    MATCH_RATE: Gauge "crossfade_match_rate" ["migration"]
        "Share of comparisons that match, 0 to 1, since they began to count anew; noise and races are left out.";
    MATCH_RATE_AT_LEAST: Gauge "crossfade_match_rate_at_least" ["migration"]
        "What the share of comparisons that match is at least, 0 to 1, with a confidence of 99 %, however often one looks.";
    DRAINED: Counter "crossfade_drained_total" ["migration", "kind"]
        "Tunnels and streams on new that were closed because their users had been back on old for drain_after_rollback.";
    PERCENT: Gauge "crossfade_percent" ["migration", "kind"]
        "Share of new in per cent: as asked for, in force, and measured over the latest bucketed requests.";
    PHASE: Gauge "crossfade_phase" ["migration", "phase"]
        "1 for the phase that the migration is in, else 0.";
    VERDICT: Gauge "crossfade_verdict" ["migration", "verdict"]
        "1 for what the guard says of new, else 0.";
    GUARD_LN_EVIDENCE: Gauge "crossfade_guard_ln_evidence" ["migration"]
        "Natural logarithm of the guard's evidence that new is worse: at 0 it takes the users back, for slowness once that has lasted; absent while there is nothing to judge by.";
    GUARD_LOOK_INTERVAL: Histogram "crossfade_guard_look_interval_seconds" []
        "Time between two looks of the guards at what was counted, due every 50 ms: by so much a decision may come after the request that it rests on.";
    LATCHED: Gauge "crossfade_latched" ["migration"]
        "1 while a rollback caps the migration's percent, else 0.";
    ROLLBACKS: Counter "crossfade_rollbacks_total" ["migration", "cause"]
        "Rollbacks by what asked for them: a person, or the guard by the metric that was breached.";
    RAMP_STEP: Gauge "crossfade_ramp_step" ["migration"]
        "The step that the ramp is in, from 1; 0 before the first; absent without a ramp.";
    RAMP_STEPS: Gauge "crossfade_ramp_steps" ["migration"]
        "How many steps the ramp has; absent without one.";
    RAMP_PAUSED: Gauge "crossfade_ramp_paused" ["migration"]
        "1 while the ramp does not move until somebody resumes, else 0; absent without a ramp.";
    HOOK_ANSWERS: Counter "crossfade_hook_answers_total" ["migration", "hook", "answer"]
        "Answers of the hooks of ramps: yes, or no, which is also none, a late one and one that is not understood.";
    JOURNAL_HEALTHY: Gauge "crossfade_journal_healthy" []
        "1 while the journal can be written, 0 while it cannot, so that nothing goes forward; absent without a journal.";
    ROUTE_REQUESTS: Counter "crossfade_route_requests_total" ["route", "code_class"]
        "Requests of plain routes by the class of the status that the client was given.";
    ROUTE_REQUEST_DURATION: Histogram "crossfade_route_request_duration_seconds" ["route"]
        "Time to the head of the answer or to the failure on plain routes, measured as crossfade_request_duration_seconds.";
    ROUTE_FAILURES: Counter "crossfade_route_failures_total" ["route", "reason"]
        "Attempts on plain routes that failed on the upstream's side.";
    ROUTE_CLIENT_ABORTS: Counter "crossfade_route_client_aborts_total" ["route"]
        "Requests of plain routes whose client went away before its answer was complete.";
    TRAFFIC_NAMES_OVERFLOWED: Counter "crossfade_traffic_names_overflowed_total" []
        "Migrations and routes that share the overflow counters because too many names were seen.";
    REQUESTS_STARTED: Counter "crossfade_requests_started_total" []
        "Requests whose head was complete and valid, on all routes and none.";
    REQUESTS_UNMATCHED: Counter "crossfade_requests_unmatched_total" []
        "Requests that no migration and no route matches, answered with 404.";
    REQUESTS_REFUSED: Counter "crossfade_requests_refused_total" ["reason"]
        "Requests that crossfade refused itself, such as malformed ones.";
    CONNECTIONS_ACCEPTED: Counter "crossfade_connections_accepted_total" []
        "Client connections accepted and served.";
    CONNECTIONS_TURNED_AWAY: Counter "crossfade_connections_turned_away_total" []
        "Client connections closed at once because a limit was reached.";
    CONNECTIONS_HANDED_OVER: Counter "crossfade_connections_handed_over_total" []
        "Accepted connections handed to a less loaded worker.";
    CONNECTIONS_OPEN: Gauge "crossfade_connections_open" []
        "Client connections open now.";
    TUNNELS_OPENED: Counter "crossfade_tunnels_opened_total" []
        "Upgraded connections (WebSocket and the like) that began.";
    TUNNELS_OPEN: Gauge "crossfade_tunnels_open" []
        "Upgraded connections open now.";
    CLIENT_RECEIVED_BYTES: Counter "crossfade_client_received_bytes_total" []
        "Bytes received from clients, heads and framing included.";
    CLIENT_SENT_BYTES: Counter "crossfade_client_sent_bytes_total" []
        "Bytes sent to clients, heads and framing included.";
    UPSTREAM_CONNECTS: Counter "crossfade_upstream_connects_total" []
        "Connections opened to upstreams.";
    UPSTREAM_REUSES: Counter "crossfade_upstream_reuses_total" []
        "Attempts that reused an idle connection to their upstream.";
    UPSTREAM_STALE: Counter "crossfade_upstream_stale_total" []
        "Reused connections that the upstream turned out to have closed.";
    UPSTREAM_RETRIES: Counter "crossfade_upstream_retries_total" []
        "Attempts that were made again at the same upstream.";
    UPSTREAM_RETRIES_WITHHELD: Counter "crossfade_upstream_retries_withheld_total" []
        "Attempts that were not made again because the budget for retries was used up.";
    UPSTREAM_EJECTIONS: Counter "crossfade_upstream_ejections_total" []
        "Times that a worker left an endpoint out because it failed requests.";
    UPSTREAM_TURNED_AWAY: Counter "crossfade_upstream_turned_away_total" []
        "Attempts that were turned away because the limits of their upstream were reached.";
    UPSTREAM_HEALTHY: Gauge "crossfade_upstream_healthy" ["upstream", "endpoint"]
        "1 for an address of an upstream that its health check finds healthy or that has none, else 0.";
    UPSTREAM_CONNECTIONS_OPEN: Gauge "crossfade_upstream_connections_open" []
        "Connections to upstreams open now.";
    WORKERS: Gauge "crossfade_workers" []
        "Worker threads.";
    LISTENERS: Gauge "crossfade_listeners" []
        "Addresses listened on for clients.";
    DRAINING: Gauge "crossfade_draining" []
        "1 while the process drains, else 0.";
    CONFIG_GENERATION: Gauge "crossfade_config_generation" []
        "Number of the snapshot in force: 1 at the start, one more with each applied reload and each change by a person.";
    CONFIG_LAST_RELOAD_SUCCESSFUL: Gauge "crossfade_config_last_reload_successful" []
        "1 when the last attempt to read the configuration was applied, else 0.";
    CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP: Gauge "crossfade_config_last_reload_success_timestamp_seconds" []
        "When a configuration was last applied, in seconds since 1970.";
    CONFIG_RELOADS: Counter "crossfade_config_reloads_total" ["result"]
        "Attempts to read the configuration by how they ended.";
    ACCESS_LOG_LINES: Counter "crossfade_access_log_lines_total" []
        "Lines handed to the access log's writer.";
    ACCESS_LOG_DROPPED: Counter "crossfade_access_log_dropped_total" []
        "Access log lines dropped because the writer did not keep up or failed.";
    LOG_DROPPED: Counter "crossfade_log_dropped_total" []
        "Event log lines dropped because the writer did not keep up.";
    BUILD_INFO: Gauge "crossfade_build_info" ["version", "rust_version"]
        "Always 1; the labels say what is running.";
    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "User and system time of the process in seconds.";
    PROCESS_RESIDENT_MEMORY: Gauge "process_resident_memory_bytes" []
        "Resident memory in bytes.";
    PROCESS_VIRTUAL_MEMORY: Gauge "process_virtual_memory_bytes" []
        "Virtual memory in bytes.";
    PROCESS_OPEN_FDS: Gauge "process_open_fds" []
        "Open file descriptors.";
    PROCESS_MAX_FDS: Gauge "process_max_fds" []
        "Limit of open file descriptors.";
    PROCESS_THREADS: Gauge "process_threads" []
        "Threads of the process.";
    PROCESS_START_TIME: Gauge "process_start_time_seconds" []
        "When the process started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut seen = std::collections::HashSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "{} is declared twice", metric.name);
            assert!(metric.name.starts_with("crossfade_") || metric.name.starts_with("process_"));
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
