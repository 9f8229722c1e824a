//! The control group that binds a process most, its own or one above.

use std::{fs, path::Path};

use super::{
    hierarchy::{Controller, Hierarchy},
    mountinfo,
};
use crate::resources::LimitUse;

/// Of each controller, the group nearest to its limit; where no group has one, the process's own
/// group. `None` where there is no such controller, or the group cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::resources) struct CgroupUse {
    /// Tasks.
    pub(in crate::resources) tasks: Option<LimitUse>,
    /// Bytes of memory that cannot be had back at once ([`reclaimable`]).
    pub(in crate::resources) memory: Option<LimitUse>,
}

/// Looks at the groups of a process. What a cgroup namespace hides of them is not told: a group
/// that can be seen is not taken for one that cannot.
pub(in crate::resources) fn nearest_limit(pid: u32) -> CgroupUse {
    let Ok(groups) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else {
        return CgroupUse::default();
    };
    let mountinfo = mountinfo();
    let of = |controller| {
        let hierarchies = Hierarchy::with(&mountinfo, controller);
        let (hierarchy, group) = hierarchies.iter().find_map(|hierarchy| {
            let group = group_in(&groups, hierarchy, controller)?;
            Some((hierarchy, hierarchy.below(group, pid)?))
        })?;
        nearest(hierarchy, controller, &group)
    };
    CgroupUse {
        tasks: of(Controller::Tasks),
        memory: of(Controller::Memory),
    }
}

/// The path of a process's group, from the text of `/proc/PID/cgroup`.
fn group_in<'a>(groups: &'a str, hierarchy: &Hierarchy, controller: Controller) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let is_it = match hierarchy.version {
            1 => controllers.split(',').any(|name| name == controller.name()),
            _ => controllers.is_empty(),
        };
        is_it.then_some(path)
    })
}

/// From the group up to the mount.
fn nearest(hierarchy: &Hierarchy, controller: Controller, group: &Path) -> Option<LimitUse> {
    let (used_file, limit_file) = match (controller, hierarchy.version) {
        (Controller::Tasks, _) => ("pids.current", "pids.max"),
        (Controller::Memory, 1) => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
        (Controller::Memory, _) => ("memory.current", "memory.max"),
    };
    let mut nearest: Option<LimitUse> = None;
    for above in group.ancestors() {
        let directory = hierarchy.mount.join(above);
        let Some(used) = number(&directory.join(used_file)) else {
            continue;
        };
        let free = match controller {
            Controller::Tasks => 0,
            Controller::Memory => reclaimable(&directory, hierarchy.version),
        };
        let of_group = LimitUse {
            used: used.saturating_sub(free),
            limit: number(&directory.join(limit_file)).filter(|limit| *limit < UNLIMITED),
        };
        nearest = match nearest {
            Some(nearest) if of_group.ratio() <= nearest.ratio() => Some(nearest),
            _ => Some(of_group),
        };
    }
    nearest
}

/// Bytes of a group's memory that the kernel takes back before it refuses any or kills: pages of
/// files that were not used lately, with which the group of every server that writes a log is full
/// in time. Kubernetes and docker leave out the same; 0 if it is not told.
fn reclaimable(directory: &Path, version: u8) -> u64 {
    // In version 1 the figure without `total_` is of the group alone, without those below it.
    let name = match version {
        1 => "total_inactive_file",
        _ => "inactive_file",
    };
    let text = fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .find_map(|(key, value)| (key == name).then(|| value.trim().parse().ok())?)
        .unwrap_or(0)
}

/// Version 1 has no word for a limit that is not set, but the greatest number of pages in bytes.
const UNLIMITED: u64 = 1 << 62;

/// `None` for `max`, too.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::hierarchy::mount_line;
    use super::*;

    fn hierarchy(version: u8, mount: &Path) -> Hierarchy {
        Hierarchy::all(&mount_line(version, "rw,pids,memory", "/", mount)).remove(0)
    }

    #[test]
    fn the_group_is_that_of_the_controllers_hierarchy() {
        let groups = "5:pids:/a/b\n4:cpu,memory:/c\n0::/d/e\n";
        let hierarchy = |version| hierarchy(version, Path::new("/x"));
        let group = |version, controller| group_in(groups, &hierarchy(version), controller);
        assert_eq!(group(1, Controller::Tasks), Some("/a/b"));
        assert_eq!(group(1, Controller::Memory), Some("/c"));
        assert_eq!(group(2, Controller::Memory), Some("/d/e"));
        assert_eq!(
            group_in("1:cpu:/x\n", &hierarchy(2), Controller::Tasks),
            None
        );
    }

    #[test]
    fn the_group_nearest_to_its_limit_is_told_or_the_own_one() {
        let dir = tempfile::tempdir().unwrap();
        let write = |group: &str, used: &str, limit: &str| {
            let directory = dir.path().join(group);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("pids.current"), used).unwrap();
            fs::write(directory.join("pids.max"), limit).unwrap();
        };
        write("a/b", "3\n", "max\n");
        write("a", "80\n", "max\n");
        let hierarchy = hierarchy(2, dir.path());
        let look = || nearest(&hierarchy, Controller::Tasks, Path::new("a/b"));
        let own = LimitUse {
            used: 3,
            limit: None,
        };
        assert_eq!(look(), Some(own));
        write("a", "80\n", "100\n");
        let above = LimitUse {
            used: 80,
            limit: Some(100),
        };
        assert_eq!(look(), Some(above));
    }

    #[test]
    fn memory_that_holds_files_not_used_lately_is_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let look = |version| {
            let hierarchy = hierarchy(version, dir.path());
            nearest(&hierarchy, Controller::Memory, Path::new("web")).unwrap()
        };
        write("web/memory.current", "1000\n");
        write("web/memory.max", "1000\n");
        let of = |used| LimitUse {
            used,
            limit: Some(1000),
        };
        // Without the file, as in a container that hides it.
        assert_eq!(look(2), of(1000));
        let stat = "anon 90\nfile 900\nactive_file 200\ninactive_file 700\n";
        write("web/memory.stat", stat);
        assert_eq!(look(2), of(300));

        write("web/memory.usage_in_bytes", "1000\n");
        write("web/memory.limit_in_bytes", "1000\n");
        let stat = "cache 9\ninactive_file 8\ntotal_cache 900\ntotal_inactive_file 600\n";
        write("web/memory.stat", stat);
        assert_eq!(look(1), of(400));
        // The counts are not of one moment.
        write("web/memory.stat", "total_inactive_file 1200\n");
        assert_eq!(look(1), of(0));
    }

    #[test]
    fn of_groups_that_hold_files_that_with_the_least_left_is_the_nearest() {
        let dir = tempfile::tempdir().unwrap();
        let write = |group: &str, used: &str, cached: u64| {
            let directory = dir.path().join(group);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("memory.current"), used).unwrap();
            fs::write(directory.join("memory.max"), "1000\n").unwrap();
            let stat = format!("inactive_file {cached}\n");
            fs::write(directory.join("memory.stat"), stat).unwrap();
        };
        write("a/b", "990\n", 900);
        write("a", "995\n", 300);
        let look = nearest(
            &hierarchy(2, dir.path()),
            Controller::Memory,
            Path::new("a/b"),
        );
        let above = LimitUse {
            used: 695,
            limit: Some(1000),
        };
        assert_eq!(look, Some(above));
    }
}
