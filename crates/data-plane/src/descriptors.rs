//! How many files the process may have open, and what that means for connections.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything that is not a connection of a client or to an upstream.
const RESERVED: u64 = 64;

/// Raises the limit to what the process may raise it to, and tells how many clients that is enough for: each may need a
/// connection to an upstream beside its own.
pub(crate) fn most_clients() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // If it may not, the limit stays, and counts.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    clients_within(getrlimit(Resource::Nofile).current)
}

fn clients_within(descriptors: Option<u64>) -> usize {
    let Some(descriptors) = descriptors else { return usize::MAX };
    usize::try_from((descriptors.saturating_sub(RESERVED) / 2).max(1)).unwrap_or(usize::MAX)
}

/// The process, or the whole machine, has as many files open as it may.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_room_for_one() {
        let table =
            [(Some(0), 1), (Some(64), 1), (Some(256), 96), (Some(1_048_576), 524_256), (None, usize::MAX)];
        for (descriptors, clients) in table {
            assert_eq!(clients_within(descriptors), clients, "{descriptors:?}");
        }
    }
}
