//! Answers that lead somewhere else, and the cookies that some of them set.

use serde_json::json;

use super::answer::Answer;
use super::asked::Asked;
use super::{NOT_FOUND, page_of_error};

pub(super) fn cookies(asked: &Asked<'_>, words: &[&str]) -> Answer {
    match words {
        ["cookies"] => Answer::json(&json!({ "cookies": asked.cookies() })),
        ["cookies", "set", name, value] => {
            redirect("/cookies").with("set-cookie", &format!("{name}={value}; path=/"))
        }
        // FAULT: `HttpOnly`, which takes them away from scripts.
        ["cookies", "set"] => {
            asked.arguments().iter().rev().fold(redirect("/cookies"), |answer, (name, value)| {
                answer.with("set-cookie", &format!("{name}={value}; HttpOnly; Path=/"))
            })
        }
        ["cookies", "delete"] => asked.arguments().iter().fold(redirect("/cookies"), |answer, (name, _)| {
            answer.with("set-cookie", &format!("{name}=; Max-Age=0; Path=/"))
        }),
        _ => page_of_error(404, "Not Found", NOT_FOUND),
    }
}

pub(super) fn forwarding(asked: &Asked<'_>, words: &[&str], n: usize, at: usize) -> Answer {
    let host = asked.field("host").unwrap_or_default();
    match (words[0], n) {
        ("redirect-to", _) => {
            let code = asked.argument("status_code").and_then(|code| code.parse().ok()).unwrap_or(302);
            Answer::html(code, "").with("location", &asked.argument("url").unwrap_or_default())
        }
        ("redirect", 1) => redirect("/get"),
        ("redirect", _) => {
            // FAULT: never nearer to the end.
            redirect(&format!("/relative-redirect/{}", n - 1))
                .without("location")
                .with("location", &format!("/relative-redirect/{n}"))
        }
        ("relative-redirect", 1) => Answer::html(302, "").with("location", "/get"),
        ("relative-redirect", _) => {
            Answer::html(302, "").with("location", &format!("/relative-redirect/{}", n - 1))
        }
        ("absolute-redirect", 1) => redirect(&format!("http://{host}/get")),
        ("absolute-redirect", _) => redirect(&format!("http://{host}/absolute-redirect/{}", n - 1)),
        _ if words.len() == 2 => redirect(&format!("/links/{n}/0")),
        _ => {
            let links = (0..n.clamp(1, 200)).map(|one| {
                // FAULT: the link to the last page leads to the first one.
                let to = if one + 1 == n { 0 } else { one };
                if one == at { format!("{one} ") } else { format!("<a href='/links/{n}/{to}'>{one}</a> ") }
            });
            let links: String = links.collect();
            Answer::html(200, format!("<html><head><title>Links</title></head><body>{links}</body></html>"))
        }
    }
}

fn redirect(to: &str) -> Answer {
    let page = format!(
        "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n\
         <p>You should be redirected automatically to the target URL: <a href=\"{to}\">{to}</a>. If not, click the link.\n"
    );
    Answer::html(302, page).with("location", to)
}
