//! Places in which a single difference takes users back.

use response_diff::Difference;
use response_diff::path::Places;

/// The places, as the file names them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ZeroTolerance {
    /// `header:location` and `trailer:grpc-status`, in lower case; names of cookies have case: `header:set-cookie:SID`.
    fields: Vec<String>,
    paths: Option<Places>,
}

impl ZeroTolerance {
    /// Places that have been checked: JSONPaths, `header:NAME`, `trailer:NAME`, `header:set-cookie:NAME`.
    pub(crate) fn new<'t>(places: impl Iterator<Item = &'t str>) -> Self {
        let (paths, fields): (Vec<&str>, Vec<&str>) = places.partition(|place| place.starts_with('$'));
        let compiled = if paths.is_empty() { None } else { Places::compile(&paths).ok() };
        ZeroTolerance { fields: fields.into_iter().map(in_lower_case).collect(), paths: compiled }
    }

    /// Whether a difference is in such a place, inside one, or takes one away with what it is in.
    pub(crate) fn has(&self, difference: &Difference) -> bool {
        if difference.path.starts_with('$') {
            return self.paths.as_ref().is_some_and(|paths| paths.touches(&difference.at, difference.kind));
        }
        let is_in = |field: &String| {
            difference
                .path
                .strip_prefix(field.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        self.fields.iter().any(is_in)
    }
}

/// All of it but the name of a cookie.
fn in_lower_case(place: &str) -> String {
    let cookie = place.match_indices(':').nth(1).map_or(place.len(), |(at, _)| at);
    let (field, cookie) = place.split_at(cookie);
    field.to_ascii_lowercase() + cookie
}

#[cfg(test)]
mod tests {
    use response_diff::Kind;

    use super::*;

    #[test]
    fn fields_have_no_case_and_cookies_do() {
        for (place, path, expected) in [
            ("header:Location", "header:location", true),
            ("header:location", "header:location-x", false),
            ("trailer:grpc-status", "header:grpc-status", false),
            ("header:set-cookie", "header:set-cookie:SID", true),
            ("header:Set-Cookie:SID", "header:set-cookie:SID", true),
            ("header:set-cookie:sid", "header:set-cookie:SID", false),
            ("header:set-cookie:SID", "header:set-cookie:SIDE", false),
            ("$.a", "$.a", true),
            ("$.a", "header:a", false),
        ] {
            let difference = Difference {
                path: path.to_owned(),
                at: path.to_owned(),
                kind: Kind::Value,
                old: None,
                new: None,
                extent: 1,
            };
            let places = ZeroTolerance::new([place].into_iter());
            assert_eq!(places.has(&difference), expected, "{place} {path}");
        }
    }
}
