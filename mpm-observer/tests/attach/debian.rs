//! A plain Debian httpd, from its package's configuration.

use std::{
    collections::{BTreeMap, HashSet},
    net::{Ipv4Addr, SocketAddr},
};

use mpm_observer::{
    httpd::{Role, descendants},
    kernel::Ports,
    live,
    scenario::Mpm,
};

use super::{
    attached::{Attached, requests},
    common::{
        alive,
        debian::{DebianHttpd, Differently},
        wait_until,
        watched::kernel,
    },
};

const REQUESTS: usize = 20;

fn served(attached: &mut Attached, httpd: &DebianHttpd) -> Vec<mpm_observer_common::RequestRecord> {
    attached.serve(REQUESTS, || {
        let network = httpd.network();
        network.within(|| requests(httpd.addr(), "/", REQUESTS))
    })
}

fn a_plain_one_is_followed_over_a_graceful_restart(mpm: Mpm) {
    let Some(kernel) = kernel() else { return };
    let Some(httpd) = DebianHttpd::start(mpm) else {
        return;
    };
    let mut attached = Attached::to(&kernel, httpd.pid());
    assert_eq!(attached.server.mpm, mpm);
    assert_eq!(attached.server.ports(), Ports::from(80));
    served(&mut attached, &httpd);
    let role_of = |attached: &Attached, role: Role| attached.roles().get(&role).copied();
    assert_eq!(role_of(&attached, Role::Parent), Some(1));
    if mpm != Mpm::Prefork {
        assert!(role_of(&attached, Role::Listener) >= Some(1));
        assert!(role_of(&attached, Role::Worker) >= Some(1));
    }

    let old: HashSet<u32> = descendants(httpd.pid()).unwrap().into_iter().collect();
    httpd.graceful();
    wait_until("the children are new ones", || {
        let now = descendants(httpd.pid()).unwrap();
        !now.is_empty() && old.iter().all(|pid| !alive(*pid))
    });
    let again = live::servers().unwrap();
    assert!(again.contains(&attached.server), "{again:?}");
    for record in served(&mut attached, &httpd) {
        assert_ne!(record.first_task, 0);
        assert!(!old.contains(&record.first_task), "{record:?}");
    }
    attached.until("the old children's ends are seen", |attached| {
        let ended: HashSet<u32> = attached.seen.tasks.iter().map(|task| task.pid).collect();
        old.is_subset(&ended)
    });
    attached.check_books();
    httpd.stop();
}

#[test]
fn a_plain_prefork_is_followed_over_a_graceful_restart() {
    a_plain_one_is_followed_over_a_graceful_restart(Mpm::Prefork);
}

#[test]
fn a_plain_worker_is_followed_over_a_graceful_restart() {
    a_plain_one_is_followed_over_a_graceful_restart(Mpm::Worker);
}

#[test]
fn a_plain_event_is_followed_over_a_graceful_restart() {
    a_plain_one_is_followed_over_a_graceful_restart(Mpm::Event);
}

#[test]
fn tasks_of_a_pid_namespace_have_the_numbers_of_the_initial_one() {
    for mpm in Mpm::ALL {
        let Some(kernel) = kernel() else { return };
        let inside = Differently {
            pid_namespace: true,
            ..Differently::default()
        };
        let Some(httpd) = DebianHttpd::start_as(mpm, inside) else {
            return;
        };
        let mut attached = Attached::to(&kernel, httpd.pid());
        assert_eq!(attached.server.process.pid, httpd.pid());
        assert_eq!(attached.server.inner_pid().unwrap(), 1);
        let tasks: HashSet<u32> = attached
            .server
            .tasks()
            .unwrap()
            .iter()
            .map(|task| task.tid)
            .collect();
        for record in served(&mut attached, &httpd) {
            for task in [record.acceptor, record.first_task, record.last_task] {
                assert!(tasks.contains(&task), "{task} of {tasks:?}: {record:?}");
            }
        }
        httpd.stop();
    }
}

#[test]
fn several_ports_are_watched_at_once() {
    const OTHERS: [u16; 2] = [8080, 443];
    let Some(kernel) = kernel() else { return };
    let more = Differently {
        ports: &OTHERS,
        ..Differently::default()
    };
    let Some(httpd) = DebianHttpd::start_as(Mpm::Event, more) else {
        return;
    };
    let mut attached = Attached::to(&kernel, httpd.pid());
    let all = [80, 443, 8080];
    assert_eq!(attached.server.ports(), Ports::new(all));
    let records = attached.serve(2 * REQUESTS + 1, || {
        let on = |port, count| {
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            httpd.network().within(|| requests(addr, "/", count))
        };
        [on(80, REQUESTS), on(8080, REQUESTS), on(443, 1)].concat()
    });
    let mut by_port: BTreeMap<u16, usize> = BTreeMap::new();
    for record in records {
        *by_port.entry(record.local_port).or_default() += 1;
    }
    assert_eq!(
        by_port,
        BTreeMap::from([(80, REQUESTS), (443, 1), (8080, REQUESTS)])
    );
    attached.check_books();
    httpd.stop();
}

#[test]
fn two_on_the_same_port_are_told_apart() {
    let Some(kernel) = kernel() else { return };
    let Some(one) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let Some(other) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let mut attached = Attached::to(&kernel, one.pid());
    let load = |httpd: &DebianHttpd| {
        let network = httpd.network();
        network.within(|| requests(httpd.addr(), "/", REQUESTS))
    };
    load(&other);
    served(&mut attached, &one);
    load(&other);
    assert_eq!(attached.seen.requests.len(), REQUESTS);
    let counters = attached.watch.counters().unwrap();
    assert_eq!(counters.conns_established, REQUESTS as u64);
    let own: HashSet<u32> = attached
        .look()
        .tasks
        .iter()
        .map(|task| task.record.tgid)
        .collect();
    let mut expected: HashSet<u32> = descendants(one.pid()).unwrap().into_iter().collect();
    expected.insert(one.pid());
    assert_eq!(own, expected);
    one.stop();
    other.stop();
}
