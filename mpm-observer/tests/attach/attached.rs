//! A server that runs already, and everything that is seen of it once it is watched.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use mpm_observer::{
    httpd::Role,
    kernel::{Kernel, Options, Watch},
    live::{self, Look, Server, Target},
};
use mpm_observer_common::RequestRecord;

use super::common::watched::{Seen, exchange};

const DEADLINE: Duration = Duration::from_secs(60);

/// A watch of a server that ran before.
pub struct Attached {
    pub server: Server,
    pub watch: Watch,
    pub seen: Seen,
}

impl Attached {
    /// To the server with that process.
    pub fn to(kernel: &Kernel, pid: u32) -> Self {
        let server = live::choose(&Target::Pid(pid)).unwrap().expect("it runs");
        let options = Options::for_port(server.ports());
        let watch = live::attach(kernel, &server, options).unwrap();
        Self {
            server,
            watch,
            seen: Seen::default(),
        }
    }

    /// Takes records until something holds.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.seen.take(&mut self.watch);
            if holds(self) {
                return;
            }
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends requests on connections of their own and waits until their records are there;
    /// returns these. `within` is how the client gets to the server's network.
    pub fn serve(
        &mut self,
        requests: usize,
        client: impl FnOnce() -> Vec<u16>,
    ) -> Vec<RequestRecord> {
        let ports = client();
        assert_eq!(ports.len(), requests);
        let of_these = |seen: &Seen| -> Vec<RequestRecord> {
            let records = seen.requests.iter();
            records
                .filter(|request| ports.contains(&request.remote_port))
                .copied()
                .collect()
        };
        self.until("all requests are seen", |attached| {
            of_these(&attached.seen).len() >= requests
        });
        let records = of_these(&self.seen);
        assert_eq!(records.len(), requests, "each once");
        records
    }

    /// What it does now.
    pub fn look(&self) -> Look {
        let tasks = self.watch.task_states().unwrap();
        let connections = self.watch.connections().unwrap();
        Look::new(
            loadgen::clock::monotonic_ns(),
            &self.server,
            &tasks,
            &connections,
        )
    }

    /// How many tasks have each role.
    pub fn roles(&self) -> BTreeMap<Role, usize> {
        let mut roles = BTreeMap::new();
        for task in self.look().tasks {
            *roles.entry(task.role).or_default() += 1;
        }
        roles
    }

    /// That the books close and nothing was lost.
    pub fn check_books(&mut self) {
        // The server still closes its last connections.
        self.until("the books close", |attached| {
            attached.watch.counters().unwrap().balanced()
        });
        let counters = self.watch.counters().unwrap();
        assert_eq!(counters.lost(), 0, "{counters:?}");
    }
}

/// Sends so many requests, each on a connection of its own; returns the connections' ports.
pub fn requests(addr: SocketAddr, path: &str, count: usize) -> Vec<u16> {
    let one = || {
        let mut stream = TcpStream::connect(addr).unwrap();
        exchange(&mut stream, path, true);
        stream.local_addr().unwrap().port()
    };
    (0..count).map(|_| one()).collect()
}
