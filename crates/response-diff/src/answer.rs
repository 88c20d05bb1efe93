//! One answer, as a comparison sees it.

/// One header or trailer field as it was received: the name in any case, the value without surrounding white space
/// (RFC 9110 section 5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field's name.
    pub name: &'a [u8],
    /// Its value; need not be text.
    pub value: &'a [u8],
}

/// One answer to the request, of either arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The header fields, in the order in which they came.
    pub headers: Vec<Field<'a>>,
    /// The trailer fields.
    pub trailers: Vec<Field<'a>>,
    /// What came of the body.
    pub body: Body<'a>,
}

/// The body of an answer, as far as it was captured. Transfer codings are gone, content codings are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// More than the capture limit: only its length and a hash of all of it were kept, made while it streamed.
    Hashed {
        /// Its length in bytes.
        bytes: u64,
        /// XXH3-128 of its bytes, seed 0.
        hash: u128,
    },
    /// It was not received to its end.
    Incomplete(Incomplete),
}

/// Why a body was not received to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Incomplete {
    /// The client of the served answer went away.
    Client,
    /// The upstream ended it early or failed.
    Upstream,
    /// A deadline passed.
    Slow,
    /// It never ends, such as a stream of events, and was given up after a while.
    Stream,
}

impl<'a> Answer<'a> {
    /// The values of all header fields of this name, in their order. Names are the same whatever their case (RFC 9110
    /// section 5.1).
    pub fn header_values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        let same = |field: &&Field<'a>| field.name.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(same).map(|field| field.value)
    }
}
