//! The request header by which testers choose an arm.

use ipnet::IpNet;
use route_plan::ForceHeader;

use super::{header_name, proxy};
use crate::diagnostic::{Diagnostic, Sink};
use crate::written::Table;

/// Shorter secrets can be guessed.
const MIN_SECRET: usize = 16;

pub(super) fn force(table: &Table, sink: &mut Sink) -> Option<ForceHeader> {
    let header = table.text("header").and_then(|said| header_name(&said, sink));
    let networks: Vec<IpNet> = proxy::networks(table, "networks", sink);
    let secret = table.text("secret");
    if let Some(said) = &secret {
        let count = said.value.chars().count();
        // The secret itself may come from the environment, and stays out of messages.
        if count < MIN_SECRET {
            let message = format!("a secret of {count} characters can be guessed");
            let diagnostic = Diagnostic::error("weak-secret", &said.spot, message);
            sink.push(diagnostic.expected(format!("at least {MIN_SECRET} characters")));
        } else if !said.value.bytes().all(|b| b.is_ascii_graphic()) {
            let message = "the secret cannot be sent in a header";
            sink.push(
                Diagnostic::error("bad-secret", &said.spot, message)
                    .expected("visible ASCII characters, without spaces"),
            );
        }
    }
    let no_networks = table.texts("networks").is_empty() && !(table.wrote("networks") && sink.has_errors());
    if !table.wrote("secret") && no_networks {
        let diagnostic = Diagnostic::error("open-force", &table.spot, "any client could choose its arm");
        sink.push(diagnostic.expected("`secret`, `networks` or both"));
    }
    let secret = secret.map(|said| said.value.into());
    Some(ForceHeader { header: header?, secret, networks })
}
