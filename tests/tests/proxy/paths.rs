//! No spelling of a path gets around a match: what decides is what is forwarded.

use test_kit::{Config, Proxy, Scripted, request};

/// The path as the most inventive backend may understand it: escapes of ordinary characters undone, runs of slashes
/// taken as one, dot segments resolved. Encoded slashes stay what they are.
fn understood(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let mut plain = String::new();
    let mut rest = path;
    while let Some(c) = rest.chars().next() {
        let decoded = rest.strip_prefix('%').and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok());
        match decoded {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                plain.push(char::from(byte));
                rest = &rest[3..];
            }
            _ => {
                plain.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in plain.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        if segment == ".." {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    format!("/{}", segments.join("/"))
}

#[test]
fn the_decision_is_about_the_path_that_is_forwarded() {
    let (public, guarded) = (Scripted::bind(), Scripted::bind());
    let config = Config::single(public.addr())
        .upstream("guarded", guarded.addr())
        .section("[route.guarded]\nmatch = [{ path = \"/admin/*\" }]\nto = \"guarded\"");
    let proxy = Proxy::start(&config);
    let echo = |name: &'static str| {
        move |mut wire: test_kit::Wire| {
            while let Ok(got) = wire.try_request() {
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nx-origin: {name}\r\ncontent-length: {}\r\n\r\n{}",
                    got.target.len(),
                    got.target
                );
                if wire.try_send(answer).is_err() {
                    return;
                }
            }
        }
    };
    let _serving = (public.serve(echo("public")), guarded.serve(echo("guarded")));

    for target in [
        "/x",
        "/admin",
        "/admin/",
        "/admin/x",
        "/admin/../x",
        "/x/../admin/y",
        "/./admin/y",
        "/admin/./y",
        "/%61dmin/y",
        "/%61%64%6d%69%6E/y",
        "/x/%2e%2e/admin/y",
        "/x/%2E%2e/admin",
        "/x/.%2e/admin",
        "/admin/%2e%2e/x",
        "//admin/y",
        "/x//../admin/y",
        "/x/..//admin/y",
        "///admin",
        "/admin//y",
        "/admin%2fy",
        "/admin%2Fy",
        "/x/..%2fadmin/y",
        "/x%2f..%2fadmin/y",
        "/admin;v=1/y",
        "/admin/..;/x",
        "/admin?next=/../x",
        "/x?/../admin",
        "/ADMIN/y",
        "/admin%20/y",
        "/.admin/y",
        "/.../admin/y",
        "/x/..",
        "/x/.",
        "/%7Euser",
        "/a%2Db",
        "/%25%61dmin",
        "/admin%252fy",
    ] {
        let answer = proxy.connect().exchange(request::get(target));
        if answer.status == 400 {
            continue;
        }
        assert_eq!(answer.status, 200, "{target}");
        let forwarded = answer.text();
        let path = understood(&forwarded);
        let should = if path == "/admin" || path.starts_with("/admin/") { "guarded" } else { "public" };
        assert_eq!(
            crate::origin(&answer),
            should,
            "{target} was forwarded as {forwarded}, which a backend takes for {path}"
        );
        assert_eq!(
            target.split_once('?').map(|(_, query)| query),
            forwarded.split_once('?').map(|(_, query)| query),
            "the query of {target} was touched"
        );
    }
}

#[test]
fn what_cannot_be_understood_is_refused_and_what_is_ordinary_passes_untouched() {
    let serving = Scripted::bind().serve(|mut wire| {
        while let Ok(got) = wire.try_request() {
            if wire.try_send(request::ok(&got.target)).is_err() {
                return;
            }
        }
    });
    let proxy = Proxy::start(&Config::single(serving.addr()));
    for refused in ["/a/%00/b", "/%", "/%4", "/%zz", "/../x", "/a/../../x", "/%2e%2e/x"] {
        assert_eq!(proxy.connect().exchange(request::get(refused)).status, 400, "{refused}");
    }
    for untouched in [
        "/",
        "/a/b/c",
        "/a%20b",
        "/caf%C3%A9",
        "/a+b;c=d,e:f@g&h=i!$'()*",
        "/a?b=%zz&c=|&d=../..//e",
        "/?",
        "/a?",
        "/a/b/",
        "/a%2Fb",
        "/...",
        "/.well-known/x",
        "/a?b=c%2f%2e%2e",
    ] {
        assert_eq!(proxy.connect().exchange(request::get(untouched)).text(), untouched);
    }
}
