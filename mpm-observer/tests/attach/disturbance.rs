//! Being watched must not be felt.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use mpm_observer::{httpd::RuntimeDir, scenario::Mpm};

use super::{
    attached::Attached,
    common::{GRACE, Place, alive, small, watched::kernel},
    private::steady,
};

const TIMES: usize = 10;

#[test]
fn attaching_and_detaching_again_and_again_fails_no_request() {
    for mpm in Mpm::ALL {
        let Some(kernel) = kernel() else { return };
        let Some(place) = Place::new() else { return };
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        let (httpd, _) = place.start(&runtime, &small(mpm, "warm", ""));
        let (addr, stop) = (httpd.addr(), AtomicBool::new(false));
        let tasks = httpd.tasks().unwrap();
        let served = thread::scope(|scope| {
            // A request that fails ends its client.
            let clients: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| steady(addr, "/alive.txt", &stop)))
                .collect();
            let done = std::panic::catch_unwind(|| {
                for _ in 0..TIMES {
                    let mut attached = Attached::to(&kernel, httpd.pid());
                    attached.until("something is seen", |attached| {
                        !attached.seen.requests.is_empty()
                    });
                }
            });
            stop.store(true, Ordering::Relaxed);
            let served: Vec<usize> = clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .collect();
            done.unwrap();
            served
        });
        assert!(served.iter().all(|served| *served > TIMES), "{served:?}");
        for task in tasks {
            assert!(alive(task.pid), "{task:?} has ended");
        }
        assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
    }
}
