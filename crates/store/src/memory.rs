//! How much memory this process may use.

use std::path::{Path, PathBuf};

/// The machine's memory, or the limit of the process's control group if that is less.
pub(crate) fn available_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(u64::from(info.mem_unit));
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_files(&groups)
        .iter()
        .filter_map(|file| limit(&std::fs::read_to_string(file).ok()?))
        .fold(machine, u64::min)
}

/// The files that may hold a limit: of the process's group and of all groups above it. In a
/// container the path often is not visible, but its root is the container's own group.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (root, file) = if number == "0" && controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|one| one == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let path = path.trim_start_matches('/');
        for group in Path::new(path).ancestors() {
            files.push(Path::new(root).join(group).join(file));
        }
    }
    files
}

/// Version 2 says `max` for no limit; version 1 has a number that is larger than any memory.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_looked_for_in_both_versions_up_to_the_root() {
        let names = |groups| -> Vec<String> {
            limit_files(groups).iter().map(|file| file.display().to_string()).collect()
        };
        assert_eq!(
            names("0::/kubepods/pod1\n"),
            [
                "/sys/fs/cgroup/kubepods/pod1/memory.max",
                "/sys/fs/cgroup/kubepods/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(names("0::/"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            names("12:cpu,cpuacct:/a\n9:memory:/docker/x\n1:name=systemd:/a"),
            [
                "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ]
        );
        assert!(names("nonsense").is_empty());
    }

    #[test]
    fn no_limit_is_none() {
        for (text, bytes) in [("max\n", None), ("536870912\n", Some(536_870_912)), ("", None)] {
            assert_eq!(limit(text), bytes);
        }
    }
}
