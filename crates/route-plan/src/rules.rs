//! What is changed in the heads of one arm's or route's messages, beside what every proxy has to change.

/// Changes to the heads of requests to one upstream, and of its answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The prefix of the path that is replaced.
    pub path_prefix: Option<PathPrefix>,
    /// What the upstream is asked as `Host`.
    pub host: HostRule,
    /// Whether `Location` in answers is led back to what the client knows: the upstream's own authority becomes the
    /// client's, the prefix that was put in is taken out.
    pub location: bool,
    /// Changes to the fields of requests.
    pub request_headers: HeaderRules,
    /// Changes to the fields of answers.
    pub response_headers: HeaderRules,
}

/// A prefix of paths, and what takes its place. Both begin with `/` and end without one; the root is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix {
    /// What the path must begin with, up to the border of a segment.
    pub from: String,
    /// What takes its place.
    pub to: String,
}

/// What an upstream is asked as `Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostRule {
    /// What the client asked for.
    #[default]
    Client,
    /// The endpoint's own host and port.
    Endpoint,
    /// This.
    Fixed(String),
}

/// Changes to fields: first those to remove go, then those to set replace all of their name, then others are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Names of fields to remove, in lower case.
    pub remove: Vec<String>,
    /// Fields that replace all of their name, names as they are to be written.
    pub set: Vec<(String, String)>,
    /// Fields to add beside those of their name.
    pub add: Vec<(String, String)>,
}

impl HeaderRules {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}
