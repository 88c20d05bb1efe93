//! Places in which a single difference takes users back.

use response_diff::Difference;
use response_diff::path::Places;

/// The places, as the file names them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ZeroTolerance {
    /// `header:location` and `trailer:grpc-status`, in lower case.
    fields: Vec<String>,
    paths: Option<Places>,
}

impl ZeroTolerance {
    /// Places that have been checked: JSONPaths, `header:NAME`, `trailer:NAME`.
    pub(crate) fn new<'t>(places: impl Iterator<Item = &'t str>) -> Self {
        let (paths, fields): (Vec<&str>, Vec<&str>) = places.partition(|place| place.starts_with('$'));
        let compiled = if paths.is_empty() { None } else { Places::compile(&paths).ok() };
        ZeroTolerance {
            fields: fields.iter().map(|field| field.to_ascii_lowercase()).collect(),
            paths: compiled,
        }
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
