//! From the feed to the counts.

use std::sync::Arc;

use loadgen::clock::monotonic_ns;

use super::shared::Shared;
use crate::{
    kernel::{Counters, Ports, Record},
    live::{Consumer, Effort, Look, Server},
};

/// The consumer that counts for the metrics.
#[derive(Debug)]
pub struct Feeder {
    shared: Arc<Shared>,
    /// Those that are watched; none: all of the server's.
    ports: Ports,
}

impl Feeder {
    pub(super) const fn new(shared: Arc<Shared>, ports: Ports) -> Self {
        Self { shared, ports }
    }

    /// Counts a record; whether it is of the server: that of the observer's own question to
    /// mod_status is not. To be asked once for each, as the last one of a connection makes that
    /// forgotten.
    pub fn count(&self, record: &Record) -> bool {
        let is_own = match record {
            Record::Request(request) => self.shared.own_connections().is_own(request),
            _ => false,
        };
        let mut metrics = self.shared.metrics();
        if is_own {
            metrics.own_request(record);
        } else {
            metrics.record(record);
        }
        !is_own
    }
}

impl Consumer for Feeder {
    fn begin(&mut self, server: &Server) {
        let ports = match self.ports.is_empty() {
            true => server.ports(),
            false => self.ports,
        };
        let pid = server.process.pid;
        self.shared
            .metrics()
            .begin(server.mpm, pid, ports, monotonic_ns());
        self.shared.set_server(Some(server.clone()));
    }

    fn record(&mut self, record: &Record) {
        self.count(record);
    }

    fn look(&mut self, look: &Look) {
        self.shared.metrics().look(look);
    }

    fn last(&mut self, counters: &Counters, effort: &Effort) {
        self.shared.metrics().last(counters, effort);
    }

    fn end(&mut self) {
        self.shared.set_server(None);
        self.shared.metrics().end();
    }
}
