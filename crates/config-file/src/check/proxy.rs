//! What holds for the process as a whole.

use std::net::IpAddr;

use ipnet::IpNet;
use route_plan::{ConnectionLimits, RequestIdTrust};
use traffic_split::Percent;

use super::size;
use crate::checked::{AccessLog, Log, LogFormat, LogLevel};
use crate::diagnostic::{Diagnostic, Sink};
use crate::written::{Said, Table};

/// The least that comparing may be given of a processor.
const LEAST_CPU: Percent = match Percent::from_millionths(1_000_000) {
    Ok(percent) => percent,
    Err(_) => Percent::ZERO,
};

pub(super) struct Proxy {
    pub(super) workers: usize,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) copies_from: Vec<IpNet>,
    pub(super) request_id_trust: RequestIdTrust,
    pub(super) connection: ConnectionLimits,
    pub(super) drain_timeout_ms: u64,
    pub(super) compare_cpu: Percent,
    pub(super) access_log: Option<AccessLog>,
}

pub(super) fn proxy(table: &Table, sink: &mut Sink) -> Option<Proxy> {
    let trusted_proxies = networks(table, "trusted_proxies", sink);
    let copies_from = networks(table, "copies_from", sink);
    for (field, message, help) in [
        (
            "trusted_proxies",
            "every client is trusted to say which address it comes from",
            "list only the networks of your own load balancers",
        ),
        (
            "copies_from",
            "every client is trusted to say that its requests are copies",
            "list only the addresses of crossfades in front",
        ),
    ] {
        for said in table.texts(field) {
            if said.value.parse::<IpNet>().is_ok_and(|network| network.prefix_len() == 0) {
                sink.push(Diagnostic::warning("trusts-everyone", &said.spot, message).help(help));
            }
        }
    }
    let (header_bytes, target_bytes) = (table.bytes("header_bytes"), table.bytes("target_bytes"));
    if let (Some(head), Some(target)) = (&header_bytes, &target_bytes)
        && target.value >= head.value
    {
        let spot = if table.wrote("target_bytes") { &target.spot } else { &head.spot };
        let diagnostic =
            Diagnostic::error("limit-order", spot, "the longest request target would not fit into the head");
        sink.push(diagnostic.expected("`target_bytes` below `header_bytes`"));
    }
    let request_id_trust = match table.text("request_id_trust")?.value {
        "trusted-proxies" => RequestIdTrust::TrustedProxies,
        "nobody" => RequestIdTrust::Nobody,
        _ => RequestIdTrust::Everyone,
    };
    let connection = ConnectionLimits {
        connections: size(&table.count("connections")?),
        requests: size(&table.count("requests")?),
        header_bytes: size(&header_bytes?),
        header_count: size(&table.count("header_count")?),
        target_bytes: size(&target_bytes?),
        body_bytes: table.bytes("body_bytes").map(|said| said.value),
        idle_timeout_ms: table.millis("idle_timeout")?.value,
        header_timeout_ms: table.millis("header_timeout")?.value,
        min_rate_bytes: table.bytes("min_rate")?.value,
        lifetime_ms: table.millis("connection_lifetime")?.value,
        requests_per_connection: table.count("connection_requests")?.value,
    };
    let access_log = table.text("access_log").map(|said| match said.value {
        "stdout" => AccessLog::Stdout,
        path => AccessLog::File(path.to_owned()),
    });
    Some(Proxy {
        workers: size(&table.count("workers")?),
        trusted_proxies,
        copies_from,
        request_id_trust,
        connection,
        drain_timeout_ms: table.millis("drain_timeout")?.value,
        compare_cpu: compare_cpu(table, sink)?,
        access_log,
    })
}

/// At least a hundredth of a processor: with none, every copy would be for nothing.
fn compare_cpu(table: &Table, sink: &mut Sink) -> Option<Percent> {
    let said = table.share("compare_cpu")?;
    if said.value < LEAST_CPU {
        let message = format!("`{}` % is out of range", said.value);
        let diagnostic = Diagnostic::error("out-of-range", &said.spot, message).expected("1 % to 100 %");
        sink.push(diagnostic.help("a migration with `shadow = false` compares nothing"));
    }
    Some(said.value)
}

pub(super) fn state_dir(table: &Table) -> Option<String> {
    Some(table.text("dir")?.value.to_owned())
}

pub(super) fn log(table: &Table) -> Option<Log> {
    let level = table.text("level")?.value;
    let level = LogLevel::ALL.into_iter().find(|known| known.as_str() == level)?;
    let format = match table.text("format")?.value {
        "json" => LogFormat::Json,
        "text" => LogFormat::Text,
        _ => LogFormat::Auto,
    };
    Some(Log { level, format })
}

/// A list of networks; a bare address is a network of one.
pub(super) fn networks(table: &Table, field: &str, sink: &mut Sink) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for said in table.texts(field) {
        networks.extend(network(&said, sink));
    }
    networks
}

fn network(said: &Said<&str>, sink: &mut Sink) -> Option<IpNet> {
    if let Ok(address) = said.value.parse::<IpAddr>() {
        return Some(IpNet::from(address));
    }
    match said.value.parse::<IpNet>() {
        Ok(network) if network.addr() == network.network() => Some(network),
        Ok(network) => {
            let message =
                format!("`{}` has bits set behind its prefix of {}", said.value, network.prefix_len());
            let diagnostic = Diagnostic::error("bad-network", &said.spot, message);
            sink.push(diagnostic.expected("the first address of the network").help(format!(
                "write \"{}\" for the network, or \"{}\" for the address alone",
                network.trunc(),
                network.addr()
            )));
            None
        }
        Err(_) => {
            let message = format!("`{}` is not a network", said.value);
            let diagnostic = Diagnostic::error("bad-network", &said.spot, message);
            sink.push(
                diagnostic
                    .expected("a network such as \"10.0.0.0/8\", \"2001:db8::/32\" or a single address"),
            );
            None
        }
    }
}
