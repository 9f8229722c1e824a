//! Limits beside what is used of them.

use super::{
    Exposition, Family,
    family::{as_f64, label},
};
use crate::resources::{LimitUse, LimitsLook};

static OPEN_FILES: Family = Family::gauge(
    "httpd_open_files",
    "Open files of the process that is nearest to its limit",
    "/proc/PID/fd",
);
static OPEN_FILES_LIMIT: Family = Family::gauge(
    "httpd_open_files_limit",
    "Limit of open files of that process (ulimit -n)",
    "/proc/PID/limits",
);
static ADDRESS_SPACE: Family = Family::gauge(
    "httpd_address_space_bytes",
    "Address space of the process that is nearest to its limit",
    "/proc/PID/statm",
);
static ADDRESS_SPACE_LIMIT: Family = Family::gauge(
    "httpd_address_space_limit_bytes",
    "Limit of address space of that process (ulimit -v)",
    "/proc/PID/limits",
);
static USER_TASKS: Family = Family::gauge(
    "httpd_user_tasks",
    "Tasks of the user that the children run as, on the whole machine",
    "/proc",
);
static USER_TASKS_LIMIT: Family = Family::gauge(
    "httpd_user_tasks_limit",
    "Limit of these tasks (ulimit -u of a child)",
    "/proc/PID/limits",
);
static CGROUP_TASKS: Family = Family::gauge(
    "httpd_cgroup_tasks",
    "Tasks of the control group that is nearest to its limit",
    "pids.current",
);
static CGROUP_TASKS_LIMIT: Family = Family::gauge(
    "httpd_cgroup_tasks_limit",
    "Limit of tasks of that group",
    "pids.max",
);
static CGROUP_MEMORY: Family = Family::gauge(
    "httpd_cgroup_memory_bytes",
    "Memory of the control group that is nearest to its limit, without files that were not used lately",
    "memory.current less inactive_file",
);
static CGROUP_MEMORY_LIMIT: Family = Family::gauge(
    "httpd_cgroup_memory_limit_bytes",
    "Limit of memory of that group",
    "memory.max",
);
static RESIDENT: Family = Family::gauge(
    "httpd_resident_memory_bytes",
    "Resident memory of all processes of the server; pages that they share count once for each",
    "/proc/PID/statm",
);
static USED: Family = Family::gauge(
    "httpd_limit_used_ratio",
    "Use divided by limit, 0 to 1; 0 where the limit is not set",
    "as above",
)
.labels(&[label(
    "limit",
    "open_files, address_space, user_tasks, cgroup_tasks, cgroup_memory, accept_queue",
)]);

/// The families, in the order of the documentation.
pub(super) static FAMILIES: &[&Family] = &[
    &OPEN_FILES,
    &OPEN_FILES_LIMIT,
    &ADDRESS_SPACE,
    &ADDRESS_SPACE_LIMIT,
    &USER_TASKS,
    &USER_TASKS_LIMIT,
    &CGROUP_TASKS,
    &CGROUP_TASKS_LIMIT,
    &CGROUP_MEMORY,
    &CGROUP_MEMORY_LIMIT,
    &RESIDENT,
    &USED,
];

/// Writes a look; `queue_used` is the used part of the accept queue.
pub(super) fn write(look: &LimitsLook, queue_used: Option<f64>, to: &mut Exposition) {
    let limits = [
        (&OPEN_FILES, &OPEN_FILES_LIMIT, look.open_files),
        (&ADDRESS_SPACE, &ADDRESS_SPACE_LIMIT, look.address_space),
        (&USER_TASKS, &USER_TASKS_LIMIT, look.user_tasks),
        (&CGROUP_TASKS, &CGROUP_TASKS_LIMIT, look.cgroup_tasks),
        (&CGROUP_MEMORY, &CGROUP_MEMORY_LIMIT, look.cgroup_memory),
    ];
    for (used, limit, look) in limits {
        if let Some(LimitUse {
            used: value,
            limit: bound,
        }) = look
        {
            to.count(used, value);
            to.number(limit, bound.map_or(f64::INFINITY, as_f64));
        }
    }
    to.optional(&RESIDENT, look.resident_bytes.map(as_f64));
    let ratios = [
        ("open_files", look.open_files.map(|of| of.ratio())),
        ("address_space", look.address_space.map(|of| of.ratio())),
        ("user_tasks", look.user_tasks.map(|of| of.ratio())),
        ("cgroup_tasks", look.cgroup_tasks.map(|of| of.ratio())),
        ("cgroup_memory", look.cgroup_memory.map(|of| of.ratio())),
        ("accept_queue", queue_used),
    ];
    for (limit, ratio) in ratios {
        if let Some(ratio) = ratio {
            to.labelled(&USED, [limit.into()], ratio);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::written;

    #[test]
    fn a_limit_that_is_not_set_is_infinite_and_not_used_and_an_unread_one_is_absent() {
        let look = LimitsLook {
            open_files: Some(LimitUse {
                used: 30,
                limit: Some(60),
            }),
            address_space: Some(LimitUse {
                used: 1 << 30,
                limit: None,
            }),
            ..LimitsLook::default()
        };
        let exposition = written(|to| write(&look, Some(0.25), to));
        let get = |name| exposition.get(name, &[]);
        assert_eq!(get("httpd_open_files"), Some(30.0));
        assert_eq!(get("httpd_address_space_limit_bytes"), Some(f64::INFINITY));
        assert_eq!(get("httpd_user_tasks"), None);
        let used = |limit| exposition.get("httpd_limit_used_ratio", &[limit]);
        assert_eq!(used("open_files"), Some(0.5));
        assert_eq!(used("address_space"), Some(0.0));
        assert_eq!(used("accept_queue"), Some(0.25));
        assert_eq!(used("user_tasks"), None);
    }
}
