//! Whole-proxy tests: the real binary between real sockets, held to what it promises.
//!
//! * `tests/proxy`: one module for each promise, in seconds. Every test starts a proxy of its own on ports that the
//!   kernel picks.
//! * `tests/two_servers`: httpbin and a port of it that has a list of faults, which comparing is to find, and nothing else.
//! * `tests/budgets.rs`: the sizes, habits and arrows of the source itself.
//! * `tests/figures.rs`: the promises in large numbers, in minutes; run by hand.
//! * `tests/faults`: what upstreams and clients do wrong under load, and that no user sees it; in large numbers by hand.
//! * `tests/guard_figures`: what the guard is worth under load, beside Prometheus; run by hand.
//! * `tests/shadow_figures`: what copies cost users, in time and processor time, beside nginx and Envoy; run by hand.
//!
//! `tests/run` runs all but those that are run by hand, which are ignored tests.
