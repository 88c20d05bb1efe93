//! What is wrong with the port: each fault with the places in which it has to be found. Whatever else is found, the
//! comparison has invented.

/// A fault of the port.
#[derive(Debug)]
pub(crate) struct Plant {
    /// Its name, by which the traffic says that it meets it.
    pub(crate) name: &'static str,
    /// What is wrong, for people.
    pub(crate) what: &'static str,
    /// Where it is found: the endpoint,
    pub(crate) endpoint: &'static str,
    /// and each place in its answers, with the kind of difference.
    pub(crate) places: &'static [(&'static str, &'static str)],
}

const fn plant(
    name: &'static str,
    what: &'static str,
    endpoint: &'static str,
    places: &'static [(&'static str, &'static str)],
) -> Plant {
    Plant { name, what, endpoint, places }
}

pub(crate) static PLANTS: &[Plant] = &[
    plant("debug", "a member was left in", "GET /get", &[("$.debug", "added")]),
    plant("allow", "`Allow` lacks HEAD", "OPTIONS /get", &[("header:allow", "value")]),
    plant("language", "a field is not told", "GET /headers", &[("$.headers['Accept-Language']", "missing")]),
    plant("list", "a list, not a text", "GET /ip", &[("$.origin", "type")]),
    plant(
        "credentials",
        "a field is missing",
        "GET /user-agent",
        &[("header:access-control-allow-credentials", "missing")],
    ),
    plant("teapot", "200, not 418", "GET /status/{id}", &[("status", "value")]),
    plant(
        "http-only",
        "the cookie is `HttpOnly`",
        "GET /cookies/set",
        &[("header:set-cookie:session", "value")],
    ),
    plant("nearer", "leads to itself", "GET /redirect/{id}", &[("header:location", "value")]),
    plant("gzipped", "false, under gzip", "GET /gzip", &[("$.gzipped", "value")]),
    plant("counted", "counted from 1", "GET /stream/{id}", &[("$[*].id", "value")]),
    plant("counted, of one", "counted from 1", "GET /stream/{id}", &[("$.id", "value")]),
    plant("link", "the last link leads astray", "GET /links/{id}/{id}", &[("body", "value")]),
    plant("public", "`public` is missing", "GET /cache/{id}", &[("header:cache-control", "value")]),
    plant("stale", "a moment that stands still", "GET /cache", &[("header:last-modified", "value")]),
    plant("part", "the wrong part", "GET /range/{id}", &[("body", "value")]),
    plant("order", "values from last to first", "POST /post", &[("$.form.tags", "order")]),
    plant("float", "2^70 as a float", "POST /post", &[("$.json.big", "value")]),
    plant("empty", "no argument without value", "GET /anything/orders/{id}", &[("$.args.note", "missing")]),
    plant("media", "text/xml", "GET /xml", &[("header:content-type", "value")]),
    plant("line", "another line", "GET /robots.txt", &[("body", "value")]),
    plant(
        "weak",
        "200, not 304 for a weak tag",
        "GET /etag/{id}",
        &[("status", "value"), ("header:content-type", "added"), ("body", "added")],
    ),
    plant("trailer", "a trailer too many", "GET /stream-bytes/{id}", &[("trailer:x-checked", "added")]),
];

/// What both servers draw anew for every answer.
pub(crate) static RANDOM: &[(&str, &str, &str)] = &[
    ("GET /uuid", "$.uuid", "value"),
    ("GET /bytes/{id}", "body", "value"),
    ("GET /digest-auth/auth/{id}/{id}", "header:www-authenticate", "value"),
];
