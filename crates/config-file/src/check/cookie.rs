//! The cookie that gives anonymous users a key.

use route_plan::{AssignCookie, SameSite};

use super::is_token;
use crate::diagnostic::{Diagnostic, Sink};
use crate::written::Table;

pub(super) fn assign_cookie(table: &Table, sink: &mut Sink) -> Option<AssignCookie> {
    let name = table.text("name")?;
    let secure = table.flag("secure")?;
    let same_site_said = table.text("same_site")?;
    let same_site =
        SameSite::ALL.into_iter().find(|value| value.as_str().eq_ignore_ascii_case(same_site_said.value))?;
    let domain = table.text("domain");
    let path = table.text("path")?;

    if !is_token(name.value) {
        let message = format!("`{}` is not a cookie name", name.value);
        sink.push(
            Diagnostic::error("bad-cookie", &name.spot, message)
                .expected("letters, digits, `-`, `_` and `.`"),
        );
    }
    if !path.value.starts_with('/') || !is_attribute(path.value) {
        let message = format!("`{}` is not a cookie path", path.value);
        sink.push(
            Diagnostic::error("bad-cookie", &path.spot, message).expected("a path that starts with `/`"),
        );
    }
    if let Some(domain) = &domain
        && !(is_attribute(domain.value)
            && domain.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)))
    {
        let message = format!("`{}` is not a cookie domain", domain.value);
        sink.push(Diagnostic::error("bad-cookie", &domain.spot, message).expected("a host name"));
    }
    if same_site == SameSite::None && !secure {
        let message = "browsers refuse a cookie for all sites that is not `secure`";
        let diagnostic = Diagnostic::error("insecure-cookie", &same_site_said.spot, message);
        sink.push(diagnostic.expected("`secure = true` beside it"));
    }
    // RFC 6265bis section 4.1.3.
    let host_bound = name.value.starts_with("__Host-");
    let bound = host_bound || name.value.starts_with("__Secure-");
    if bound && !secure || host_bound && (domain.is_some() || path.value != "/") {
        let message = format!("browsers refuse a cookie called `{}` with these attributes", name.value);
        let expected =
            if host_bound { "`secure = true`, `path = \"/\"` and no `domain`" } else { "`secure = true`" };
        sink.push(Diagnostic::error("insecure-cookie", &name.spot, message).expected(expected));
    }
    Some(AssignCookie {
        name: name.value.to_owned(),
        max_age_s: table.millis("max_age")?.value / 1_000,
        domain: domain.map(|domain| domain.value.to_owned()),
        path: path.value.to_owned(),
        secure,
        same_site,
    })
}

/// What can stand in a cookie's attribute: nothing that would end it.
fn is_attribute(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && b != b';' && b != b',')
}
