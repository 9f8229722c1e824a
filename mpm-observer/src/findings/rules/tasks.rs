//! Tasks that were refused: `RLIMIT_NPROC`, `pids.max`, and neither.

use nix::errno::Errno;

use super::{FAILURES, LOG, MANIFEST, Rule, TASKS, number, refused, sentence};
use crate::{
    findings::{
        Change, Remedy,
        evidence::{RunEvidence, StartResult},
        observation::{Claimed, Observation, Seen},
        reached::{Reached, is_fork},
    },
    wording::{children, plural, whole},
};

pub(super) const OF_USER: Rule = Rule {
    name: "tasks-of-the-user",
    looks_for: "clone with EAGAIN with as many tasks of the user as RLIMIT_NPROC allows",
    needs: &[FAILURES, TASKS, LOG],
    observe: observe_user,
    tell: |seen| {
        let at = format!(
            "at {} of {} tasks of user {} (ulimit -u)",
            seen.count("used"),
            seen.count("limit"),
            seen.word("uid")
        );
        tell(seen, &at)
    },
    remedies: |seen| remedies(seen, "processes", "ulimit -u"),
};

pub(super) const OF_CGROUP: Rule = Rule {
    name: "tasks-of-the-cgroup",
    looks_for: "clone with EAGAIN with as many tasks in the control group as pids.max allows",
    needs: &[FAILURES, TASKS, LOG, MANIFEST],
    observe: observe_cgroup,
    tell: |seen| {
        let at = format!(
            "at {} of {} tasks of the control group (pids.max)",
            seen.count("used"),
            seen.count("limit")
        );
        tell(seen, &at)
    },
    remedies: |seen| remedies(seen, "cgroup_tasks", "pids.max"),
};

pub(super) const UNKNOWN: Rule = Rule {
    name: "tasks-refused",
    looks_for: "clone with EAGAIN with neither limit reached",
    needs: &[FAILURES, TASKS, LOG],
    observe: observe_unknown,
    tell: |seen| {
        let at = "and neither RLIMIT_NPROC nor pids.max is seen to have been reached";
        tell(seen, at)
    },
    remedies: super::no_remedy,
};

fn observe_user(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    let refused = refused::refused_at(run, Reached::UserTasks)?;
    let mut seen = refused.observation(run);
    let row = refused.typical;
    seen.word("uid", row.uid.to_string());
    used(&mut seen, run, row.t_ns, row.processes, row.processes_limit);
    Some(seen)
}

fn observe_cgroup(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    let counted = run
        .run
        .manifest
        .cgroup
        .and_then(|counts| counts.pids_refused);
    let mut seen = match refused::refused_at(run, Reached::CgroupTasks) {
        Some(refused) => {
            let mut seen = refused.observation(run);
            let row = refused.typical;
            used(
                &mut seen,
                run,
                row.t_ns,
                row.cgroup_tasks,
                row.cgroup_tasks_limit,
            );
            let recorded = refused.rows.len() as u64;
            if let Some(more) = counted.and_then(|counted| counted.checked_sub(recorded))
                && more > 0
            {
                seen.missing.push(format!(
                    "the control group counted {} more refused calls than were recorded",
                    whole(more)
                ));
            }
            seen
        }
        // The group counted what no probe saw.
        None => {
            let refused = counted.filter(|refused| *refused > 0)?;
            let limit = run.plan()?.limits.cgroup_tasks?;
            let mut seen = Observation::default();
            seen.word("calls", "clone")
                .word("who", "a task of httpd")
                .word("errno", "EAGAIN")
                .figure("times", refused as f64)
                .figure("used", limit as f64)
                .figure("limit", limit as f64);
            seen.start = Some(run.start_result()).filter(|start| *start != StartResult::Whole);
            seen.missing
                .push("no failed call was recorded; the count is the control group's own".into());
            seen
        }
    };
    if let Some(refused) = counted.filter(|refused| *refused > 0) {
        let example = format!("pids.events: {} refused", plural(refused, "task"));
        seen.rests_on(MANIFEST, 1, example);
    }
    Some(seen)
}

fn observe_unknown(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    let refused = refused::refused(run, |row| {
        is_fork(row) && row.errno == Errno::EAGAIN as u32 && Reached::of(row) == Reached::Unknown
    })?;
    let mut seen = refused.observation(run);
    let row = refused.typical;
    let reading = |name: &str, limit: Option<u64>, used: Option<u64>| match (limit, used) {
        (None, _) => format!("{name} was not limited"),
        (Some(limit), None) => format!("{name} was {limit}, its use could not be read"),
        (Some(limit), Some(used)) => format!("{name} was {limit}, with {used} in use"),
    };
    seen.missing.push(format!(
        "which limit it was: {}; {}; kernel.threads-max and kernel.pid_max are not recorded",
        reading("RLIMIT_NPROC", row.processes_limit, row.processes),
        reading("pids.max", row.cgroup_tasks_limit, row.cgroup_tasks),
    ));
    Some(seen)
}

fn used(
    seen: &mut Observation,
    run: &RunEvidence<'_>,
    t_ns: u64,
    used: Option<u64>,
    limit: Option<u64>,
) {
    let own = run
        .run
        .ends
        .iter()
        .filter(|row| row.created_ns <= t_ns && (row.alive || row.exited_ns > t_ns))
        .count() as f64;
    if let (Some(used), Some(limit)) = (used, limit) {
        seen.figure("used", used as f64)
            .figure("limit", limit as f64);
        // Tasks of others that count too.
        seen.figure("others", (used as f64 - own).max(0.0));
    }
}

fn tell(seen: &Seen<'_>, at: &str) -> String {
    let cause = format!("{}, {at}", refused::told(seen));
    sentence(
        &cause,
        &seen.consequences(),
        "httpd came up whole and no request failed",
    )
}

fn remedies(seen: &Seen<'_>, key: &str, name: &str) -> Vec<Remedy> {
    let figures = (seen.plan, seen.middle("limit"), seen.most("others"));
    let (Some(plan), Some(limit), Some(others)) = figures else {
        return Vec::new();
    };
    let server = &plan.server;
    // A threaded child has a listener and the thread that waits for orders besides, and while its
    // threads start one more that starts them.
    let tasks_of_child = match seen.mpm.is_threaded() {
        true => server.threads_per_child + 3,
        false => 1,
    };
    let needed = number(others) + u64::from(1 + server.children() * tasks_of_child);
    let mut remedies = vec![Remedy {
        text: format!(
            "{name} {needed}: the parent and {} of {} each{}.",
            children(server.children()),
            plural(u64::from(tasks_of_child), "task"),
            match number(others) {
                0 => String::new(),
                others => format!(", beside {} of others", plural(others, "task")),
            }
        ),
        change: Some(Change::Limit {
            key: key.into(),
            value: Some(needed),
        }),
    }];
    let room = (limit - others - 1.0).max(0.0) as u32;
    let children = (room / tasks_of_child).min(server.children());
    let slots = children * server.threads_per_child;
    if slots > 0 && slots < server.max_request_workers {
        remedies.push(Remedy {
            text: format!("MaxRequestWorkers {slots}: so many slots fit under this limit."),
            change: Some(Change::MaxRequestWorkers(slots)),
        });
    } else if slots == 0 && seen.mpm.is_threaded() && room > 3 {
        remedies.push(Remedy {
            text: format!(
                "ThreadsPerChild {}: a child of {} threads does not fit under this limit.",
                room - 3,
                server.threads_per_child
            ),
            change: None,
        });
    }
    remedies
}
