//! mod_status's machine-readable page, `/server-status?auto`.

use serde::{Deserialize, Serialize};

/// The counts of one answer. What this httpd or MPM does not give is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Requests served since the start.
    pub total_accesses: Option<u64>,
    /// Kilobytes sent since the start.
    pub total_kbytes: Option<u64>,
    /// Slots that serve.
    pub busy_workers: u32,
    /// Slots that wait for work.
    pub idle_workers: u32,
    /// Child processes; event only.
    pub processes: Option<u32>,
    /// Connections; event only.
    pub connections_total: Option<u32>,
    /// Connections that wait to be written to, held by no thread; event only.
    pub connections_async_writing: Option<u32>,
    /// Idle keep-alive connections, held by no thread; event only.
    pub connections_async_keep_alive: Option<u32>,
    /// Connections that are closing, held by no thread; event only.
    pub connections_async_closing: Option<u32>,
    /// One letter for each slot there may be, as mod_status explains them.
    pub scoreboard: String,
}

impl ServerStatus {
    /// Reads the page. `None` when it lacks the number of busy or of idle slots.
    pub fn parse(page: &str) -> Option<Self> {
        let mut status = ServerStatus::default();
        let (mut busy, mut idle) = (None, None);
        for line in page.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match key {
                "Total Accesses" => status.total_accesses = value.parse().ok(),
                "Total kBytes" => status.total_kbytes = value.parse().ok(),
                "BusyWorkers" => busy = value.parse().ok(),
                "IdleWorkers" => idle = value.parse().ok(),
                "Processes" => status.processes = value.parse().ok(),
                "ConnsTotal" => status.connections_total = value.parse().ok(),
                "ConnsAsyncWriting" => status.connections_async_writing = value.parse().ok(),
                "ConnsAsyncKeepAlive" => status.connections_async_keep_alive = value.parse().ok(),
                "ConnsAsyncClosing" => status.connections_async_closing = value.parse().ok(),
                "Scoreboard" => value.clone_into(&mut status.scoreboard),
                _ => {}
            }
        }
        status.busy_workers = busy?;
        status.idle_workers = idle?;
        Some(status)
    }

    /// Slots that exist at this moment.
    pub fn slots(&self) -> u32 {
        self.busy_workers.saturating_add(self.idle_workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_event_is_read() {
        let status = ServerStatus::parse(
            "127.0.0.1\nServerVersion: Apache/2.4.71 (Debian)\nTotal Accesses: 12\n\
             Total kBytes: 3\nBusyWorkers: 1\nIdleWorkers: 74\nProcesses: 3\nStopping: 0\n\
             ConnsTotal: 5\nConnsAsyncWriting: 0\nConnsAsyncKeepAlive: 4\nConnsAsyncClosing: 0\n\
             Scoreboard: __W_....\n",
        )
        .unwrap();
        assert_eq!(status.slots(), 75);
        assert_eq!(status.total_accesses, Some(12));
        assert_eq!(status.connections_async_keep_alive, Some(4));
        assert_eq!(status.scoreboard, "__W_....");
    }

    #[test]
    fn prefork_has_no_connections_and_garbage_is_no_status() {
        let status = ServerStatus::parse("BusyWorkers: 1\nIdleWorkers: 4\n").unwrap();
        assert_eq!((status.slots(), status.connections_total), (5, None));
        assert_eq!(ServerStatus::parse("<html>Not Found</html>"), None);
        assert_eq!(
            ServerStatus::parse("BusyWorkers: 1\nIdleWorkers: many\n"),
            None
        );
    }
}
