//! How much memory this process may use: what its control groups allow, in version 1 and 2 of them
//! (cgroups(7)), and what the machine has.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The least of all limits on this process, in bytes; `None` where the system tells none.
pub(crate) fn memory_limit() -> Option<u64> {
    limit_under(Path::new("/"))
}

/// The same, with another root folder.
fn limit_under(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let machine = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let limits = mounts.lines().filter_map(Mount::parse).flat_map(|mount| {
        let mine = groups.lines().filter_map(|line| mount.group_of(line));
        mine.filter_map(|group| mount.limit_of(root, &group))
            .collect::<Vec<_>>()
    });
    limits.chain(total(&machine)).min()
}

/// A mounted hierarchy that limits memory.
struct Mount {
    /// The group that is seen at its top.
    top: PathBuf,
    point: PathBuf,
    /// The file with the limit; it differs between the versions.
    file: &'static str,
}

impl Mount {
    /// A line of `mountinfo` (`proc_pid_mountinfo(5)`), if it is such a mount.
    fn parse(line: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (top, point) = (fields.next()?, fields.next()?);
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        let file = match kind {
            "cgroup2" => "memory.max",
            "cgroup" if options.split(',').any(|option| option == "memory") => {
                "memory.limit_in_bytes"
            }
            _ => return None,
        };
        Some(Self {
            top: unescaped(top).into(),
            point: unescaped(point).into(),
            file,
        })
    }

    /// This process's group in the hierarchy, from a line of `/proc/self/cgroup`.
    fn group_of(&self, line: &str) -> Option<PathBuf> {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let fits = match self.file {
            "memory.max" => number == "0" && controllers.is_empty(),
            _ => controllers.split(',').any(|name| name == "memory"),
        };
        fits.then(|| path.into())
    }

    /// The least limit of the group and those above it, as far as they can be seen from here.
    fn limit_of(&self, root: &Path, group: &Path) -> Option<u64> {
        // A container sees its own group as the top, whatever it is called outside.
        let below = group.strip_prefix(&self.top).unwrap_or(Path::new(""));
        let leaves = |part| matches!(part, Component::ParentDir);
        let below = if below.components().any(leaves) {
            Path::new("")
        } else {
            below
        };
        let point = root.join(self.point.strip_prefix("/").unwrap_or(&self.point));
        let folders = below.ancestors().map(|folder| point.join(folder));
        let limits = folders.filter_map(|folder| fs::read_to_string(folder.join(self.file)).ok());
        // `max`, and what is no number, limits nothing.
        limits.filter_map(|text| text.trim().parse().ok()).min()
    }
}

/// The memory of the machine, from `/proc/meminfo`.
fn total(machine: &str) -> Option<u64> {
    let line = machine
        .lines()
        .find_map(|it| it.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Blanks in paths are octal there.
fn unescaped(path: &str) -> String {
    path.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str =
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";

    const UNLIMITED: &str = "9223372036854771712\n";

    /// The limit on a system of one mebibyte, with these groups, mounts and limits.
    fn limit(case: &str, groups: &str, mounts: &str, limits: &[(&str, &str)]) -> Option<u64> {
        let name = format!("mcp-cgroup-{}-{case}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/self/cgroup", groups);
        write("proc/self/mountinfo", mounts);
        write("proc/meminfo", "MemTotal:  1024 kB\nMemFree: 1 kB\n");
        for (path, text) in limits {
            write(&format!("sys/fs/cgroup/{path}"), text);
        }
        let limit = limit_under(&root);
        fs::remove_dir_all(&root).unwrap();
        limit
    }

    #[test]
    fn the_least_limit_of_version_2_counts() {
        let own = |text| vec![("memory.max", text)];
        for (case, groups, limits, expected) in [
            ("v2", "0::/\n", own("4096\n"), 4096),
            ("v2-max", "0::/\n", own("max\n"), 1 << 20),
            ("v2-more", "0::/\n", own("2097152\n"), 1 << 20),
            ("v2-outside", "0::/../../x\n", own("6000\n"), 6000),
            ("v2-renamed", "0::/elsewhere\n", own("500\n"), 500),
            (
                "v2-nested",
                "0::/a.slice/b.scope\n",
                vec![
                    ("a.slice/memory.max", "5000\n"),
                    ("a.slice/b.scope/memory.max", "max\n"),
                ],
                5000,
            ),
        ] {
            assert_eq!(limit(case, groups, V2, &limits), Some(expected), "{case}");
        }
    }

    #[test]
    fn the_least_limit_of_version_1_counts() {
        let file = |folder| format!("memory/{folder}memory.limit_in_bytes");
        let (top, above, own) = (file(""), file("p/"), file("p/q/"));
        let nested = [(&*top, UNLIMITED), (&above, "7000\n"), (&own, "8000\n")];
        let groups = "8:pids:/\n4:memory:/p/q\n0::/\n";
        assert_eq!(limit("v1", groups, V1, &nested), Some(7000));
        let unlimited = limit("v1-max", "4:memory:/\n", V1, &[(&top, UNLIMITED)]);
        assert_eq!(unlimited, Some(1 << 20));
        let mount = V1.replace(" / ", " /docker/ab ");
        let groups = "4:cpu,memory:/docker/ab\n";
        let contained = limit("v1-docker", groups, &mount, &[(&top, "9000\n")]);
        assert_eq!(contained, Some(9000));
        // Both versions at once, as systemd's hybrid mode has them.
        let hybrid = format!("{V1}\n{}", V2.replace("/cgroup rw", "/cgroup/unified rw"));
        let limits = [(&*top, "300\n"), ("unified/memory.max", "200\n")];
        let both = limit("both", "4:memory:/\n0::/\n", &hybrid, &limits);
        assert_eq!(both, Some(200));
    }

    #[test]
    fn what_cannot_be_read_limits_nothing() {
        assert_eq!(
            limit("broken", ":\n", "1 2 - \n - cgroup2", &[]),
            Some(1 << 20)
        );
        assert_eq!(limit_under(Path::new("/nonexistent")), None);
    }
}
