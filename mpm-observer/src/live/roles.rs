//! The roles of a running server's tasks.

use std::collections::{HashMap, HashSet};

use mpm_observer_common::{BlockedIn, TaskState};

use super::{
    Server,
    doing::{Doing, Wait},
};
use crate::httpd::{Facts, Role, role};

/// The role of each task, from what it did since it is followed and from what it does. Of a child's
/// threads of which none shows that it listens, it is the one that was made last: httpd starts its
/// listener once there are workers.
pub(super) fn roles(server: &Server, tasks: &[TaskState], doings: &[Doing]) -> Vec<Role> {
    let mut roles: Vec<Role> = tasks
        .iter()
        .zip(doings)
        .map(|(state, doing)| one(server, state, *doing))
        .collect();
    let has_listener: HashSet<u32> = tasks
        .iter()
        .zip(&roles)
        .filter(|(_, role)| **role == Role::Listener)
        .map(|(state, _)| state.record.tgid)
        .collect();
    let mut last: HashMap<u32, usize> = HashMap::new();
    for (place, state) in tasks.iter().enumerate() {
        let (pid, tid) = (state.record.tgid, state.record.pid);
        if roles[place] != Role::Thread || has_listener.contains(&pid) {
            continue;
        }
        let newest = last.entry(pid).or_insert(place);
        if tasks[*newest].record.pid < tid {
            *newest = place;
        }
    }
    for (pid, place) in last {
        let tid = tasks[place].record.pid;
        let is_last = tasks
            .iter()
            .filter(|state| state.record.tgid == pid)
            .all(|state| state.record.pid <= tid);
        if is_last {
            roles[place] = Role::Listener;
        }
    }
    roles
}

fn one(server: &Server, state: &TaskState, doing: Doing) -> Role {
    let by_deeds = role(Facts::of(
        &state.record,
        server.mpm,
        Some(server.process.pid),
    ));
    // A worker that has served nobody yet waits in a queue.
    let listens = matches!(
        doing,
        Doing::Blocked(
            Wait::Accept | Wait::Events | Wait::In(BlockedIn::Poll | BlockedIn::Receive)
        )
    );
    match by_deeds {
        Role::Thread if listens => Role::Listener,
        role => role,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use mpm_observer_common::{OffCpu, TaskFlags};

    use super::*;
    use crate::{httpd::ProcessId, scenario::Mpm};

    const FIRST: u32 = 10;
    const CHILD: u32 = 20;

    fn server(mpm: Mpm) -> Server {
        Server {
            process: ProcessId {
                pid: FIRST,
                start_ticks: 1,
            },
            binary: PathBuf::from("/usr/sbin/apache2"),
            mpm,
            listens: Vec::new(),
        }
    }

    fn task(pid: u32, tid: u32) -> TaskState {
        let mut state = TaskState::begin(1);
        state.record.tgid = pid;
        state.record.pid = tid;
        state.record.parent_tgid = FIRST;
        if pid != tid {
            state.record.flags |= TaskFlags::THREAD;
            state.record.parent_tgid = pid;
        }
        state
    }

    fn futex() -> Doing {
        Doing::Blocked(Wait::In(BlockedIn::Futex))
    }

    #[test]
    fn a_listener_shows_by_its_call_before_it_has_accepted() {
        let tasks = [
            task(FIRST, FIRST),
            task(CHILD, CHILD),
            task(CHILD, 21),
            task(CHILD, 22),
        ];
        for listening in [
            Wait::Accept,
            Wait::Events,
            Wait::In(BlockedIn::Poll),
            Wait::In(BlockedIn::Receive),
        ] {
            let doings = [futex(), futex(), Doing::Blocked(listening), futex()];
            let roles = roles(&server(Mpm::Worker), &tasks, &doings);
            let expected = [Role::Parent, Role::Child, Role::Listener, Role::Thread];
            assert_eq!(roles, expected, "{listening:?}");
        }
    }

    #[test]
    fn where_none_shows_it_the_last_thread_of_each_child_listens() {
        let tasks = [
            task(CHILD, 23),
            task(CHILD, 22),
            task(30, 32),
            task(30, 33),
            task(CHILD, CHILD),
        ];
        let roles = roles(&server(Mpm::Worker), &tasks, &[futex(); 5]);
        let expected = [
            Role::Listener,
            Role::Thread,
            Role::Thread,
            Role::Listener,
            Role::Child,
        ];
        assert_eq!(roles, expected);
    }

    #[test]
    fn a_thread_made_before_one_that_served_does_not_listen() {
        let mut served = task(CHILD, 23);
        served.record.totals.requests = 1;
        let tasks = [task(CHILD, 22), served];
        let roles = roles(&server(Mpm::Event), &tasks, &[futex(); 2]);
        assert_eq!(roles, [Role::Thread, Role::Worker]);
    }

    #[test]
    fn no_thread_of_another_program_is_a_listener() {
        let mut program = [task(CHILD, CHILD), task(CHILD, 21), task(CHILD, 22)];
        for state in &mut program {
            state.record.flags |= TaskFlags::OTHER_PROGRAM;
        }
        let doings = [futex(), Doing::Blocked(Wait::Events), futex()];
        let roles = roles(&server(Mpm::Event), &program, &doings);
        assert_eq!(roles, [Role::Helper; 3]);
    }

    #[test]
    fn preforks_children_have_no_listener() {
        let mut accepts = task(CHILD, CHILD);
        accepts.off_cpu = OffCpu::Blocked as u32;
        let doings = [Doing::Blocked(Wait::Accept)];
        let roles = roles(&server(Mpm::Prefork), &[accepts], &doings);
        assert_eq!(roles, [Role::Child]);
    }
}
