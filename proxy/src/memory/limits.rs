//! How much memory the process may take: what the operator says, or else four fifths of what its
//! control group allows (v1 and v2), or less where `ulimit` allows less.
//!
//! `RLIMIT_DATA` and `RLIMIT_AS` count address space, of which a process has more than it uses (stacks
//! of threads, what the allocator keeps for later): of what is left of them at the start a part is
//! taken, so that memory is given up before the kernel refuses it.

use std::fs;

/// Of the control group's limit.
const CGROUP_PERCENT: u64 = 80;

/// Of what a limit of address space leaves.
const SPACE_PERCENT: u64 = 60;

/// Address space that threads will take which are not started yet.
const SPACE_RESERVED: u64 = 32 << 20;

/// Limits at or above this are those of a kernel that has none.
const NO_LIMIT: u64 = 1 << 60;

/// The smallest cap: below it the process itself does not fit.
pub const CAP_MIN: u64 = 32 << 20;

/// What the operator says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// As the limits of the process are.
    #[default]
    Auto,
    /// No cap.
    Off,
    /// So many bytes.
    Bytes(u64),
}

impl Wanted {
    /// `auto`, `off` or `0`, or a number of [`bytes()`].
    pub fn parse(text: &str) -> Option<Wanted> {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Some(Wanted::Auto),
            "off" | "0" => Some(Wanted::Off),
            text => {
                let cap = bytes(text).filter(|bytes| *bytes >= CAP_MIN)?;
                Some(Wanted::Bytes(cap))
            }
        }
    }

    /// The cap in bytes.
    pub fn cap(self) -> Option<u64> {
        match self {
            Wanted::Off => None,
            Wanted::Bytes(bytes) => Some(bytes),
            // A limit that is too small for us is a limit all the same.
            Wanted::Auto => found(&|path| fs::read_to_string(path).ok()).map(|c| c.max(CAP_MIN)),
        }
    }
}

/// A number of bytes, with or without a unit (`512MiB`, `2g`).
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The cap that the limits of the process give; `read` reads a file.
fn found(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let cgroup = cgroup(read).map(|limit| limit / 100 * CGROUP_PERCENT);
    [cgroup, space(read)].into_iter().flatten().min()
}

/// The smallest limit of our control group and those that it is in.
fn cgroup(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let groups = read("/proc/self/cgroup")?;
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // In a container the path may be the host's, and only the root is there.
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let group = path[..end].trim_end_matches('/');
            limits.extend(read(&format!("{root}{group}/{file}")));
        }
    }
    let numbers = limits.iter().filter_map(|text| text.trim().parse().ok());
    numbers.filter(|bytes| *bytes < NO_LIMIT).min()
}

/// What the soft limits of data and address space leave room for.
fn space(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let limits = read("/proc/self/limits")?;
    let status = read("/proc/self/status").unwrap_or_default();
    let taken = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
    };
    let room = |line: &str| {
        let (limit, now) = match line.strip_prefix("Max data size") {
            Some(limit) => (limit, "VmData:"),
            None => (line.strip_prefix("Max address space")?, "VmSize:"),
        };
        let soft: u64 = limit.split_whitespace().next()?.parse().ok()?;
        let left = soft
            .saturating_sub(taken(now))
            .saturating_sub(SPACE_RESERVED);
        (soft < NO_LIMIT).then(|| taken("VmRSS:") + left / 100 * SPACE_PERCENT)
    };
    limits.lines().filter_map(room).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: Option<u64>) {
        let read = |path: &str| {
            let file = files.iter().find(|(name, _)| *name == path);
            file.map(|(_, text)| (*text).to_owned())
        };
        assert_eq!(found(&read), expected);
    }

    #[test]
    fn both_kinds_of_control_groups_and_ulimit_are_read() {
        const V2: (&str, &str) = ("/proc/self/cgroup", "0::/pod/box\n");
        const V1: (&str, &str) = (
            "/proc/self/cgroup",
            "3:cpu:/a\n2:memory,x:/docker/b\n0::/\n",
        );
        check(&[], None);
        check(&[V2, ("/sys/fs/cgroup/pod/box/memory.max", "max\n")], None);
        check(
            &[
                V2,
                ("/sys/fs/cgroup/pod/box/memory.max", "1000000\n"),
                ("/sys/fs/cgroup/pod/memory.max", "500000\n"),
            ],
            Some(400_000),
        );
        let v1 = "/sys/fs/cgroup/memory/docker/b/memory.limit_in_bytes";
        check(&[V1, (v1, "1000000")], Some(800_000));
        check(&[V1, (v1, "9223372036854771712")], None);
        let root = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        check(&[V1, (root, "100")], Some(80));
        let limits = "Limit  Soft Limit  Hard Limit Units\n\
            Max data size             134217728            unlimited            bytes\n\
            Max address space         unlimited            unlimited            bytes\n";
        let status = "VmSize:\t  999999 kB\nVmRSS:\t   10240 kB\nVmData:\t   46080 kB\n";
        let room = (10 << 20) + ((128 - 45 - 32) << 20) / 100 * 60;
        let ulimit = [("/proc/self/limits", limits), ("/proc/self/status", status)];
        check(&ulimit, Some(room));
        check(&[V1, (v1, "100"), ("/proc/self/limits", limits)], Some(80));
    }

    #[test]
    fn caps_are_written_as_people_write_them() {
        for (text, expected) in [
            ("auto", Some(Wanted::Auto)),
            ("off", Some(Wanted::Off)),
            ("0", Some(Wanted::Off)),
            ("67108864", Some(Wanted::Bytes(64 << 20))),
            ("256MiB", Some(Wanted::Bytes(256 << 20))),
            ("256 mb", Some(Wanted::Bytes(256 << 20))),
            ("2G", Some(Wanted::Bytes(2 << 30))),
            ("1k", None),
            ("much", None),
            ("12 parsecs", None),
            ("99999999999999T", None),
        ] {
            assert_eq!(Wanted::parse(text), expected, "{text}");
        }
    }
}
