//! The process as the kernel sees it, from `/proc/self`. What cannot be read is left out, never guessed.

use std::fs;

/// Figures of this process, each `None` where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ProcessFacts {
    pub(crate) cpu_s: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) start_unix_s: Option<f64>,
    pub(crate) open_fds: Option<u64>,
    pub(crate) max_fds: Option<u64>,
}

impl ProcessFacts {
    /// Reads them: four small files and one directory.
    pub(crate) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let mut facts = from_stat(
            &stat,
            boot_unix_s(&system),
            rustix::param::clock_ticks_per_second(),
            rustix::param::page_size() as u64,
        );
        facts.open_fds = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
        facts.max_fds = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))
            .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
        facts
    }
}

/// `/proc/PID/stat`, proc_pid_stat(5). The second field is the program's name in parentheses and may itself hold
/// spaces and parentheses, so fields are counted from the last closing one: there field 3 begins.
fn from_stat(stat: &str, boot_unix_s: Option<f64>, ticks_per_s: u64, page_bytes: u64) -> ProcessFacts {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
    let seconds = |ticks: u64| ticks as f64 / ticks_per_s.max(1) as f64;
    ProcessFacts {
        cpu_s: field(14).zip(field(15)).map(|(user, system)| seconds(user + system)),
        threads: field(20),
        start_unix_s: boot_unix_s.zip(field(22)).map(|(boot, ticks)| boot + seconds(ticks)),
        virtual_bytes: field(23),
        resident_bytes: field(24).map(|pages| pages * page_bytes),
        ..ProcessFacts::default()
    }
}

fn boot_unix_s(system: &str) -> Option<f64> {
    system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_nothing() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 7 0 300 4096 2 0";
        let facts = from_stat(stat, Some(1000.0), 100, 4096);
        assert_eq!(facts.cpu_s, Some(2.0));
        assert_eq!(facts.threads, Some(7));
        assert_eq!(facts.start_unix_s, Some(1003.0));
        assert_eq!(facts.virtual_bytes, Some(4096));
        assert_eq!(facts.resident_bytes, Some(8192));
    }

    #[test]
    fn nothing_is_made_up() {
        assert_eq!(from_stat("", None, 100, 4096), ProcessFacts::default());
        assert_eq!(from_stat("1 (x) S", Some(1.0), 100, 4096), ProcessFacts::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_readable() {
        let facts = ProcessFacts::read();
        assert!(facts.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(facts.open_fds.is_some_and(|count| count >= 1));
        assert!(facts.max_fds.is_some() && facts.threads.is_some() && facts.start_unix_s.is_some());
    }
}
