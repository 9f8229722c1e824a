//! What is known of the server that is watched, kept up to date by the feed.

use super::{
    findings::findings,
    minute::{Minute, by_state},
    picture::{
        ConnectionsPart, EachPart, ObserverPart, PhasePart, Picture, PortPart, QueuePart,
        RequestsPart, ServerPart, SlotsPart, TaskPart, VERSION, WindowPart,
    },
    window::{Sum, Window},
    words::blocked_in,
    work::Tally,
};
use crate::{
    kernel::{Ports, Record},
    live::{Look, Server, SlotState, TaskLook},
};
use mpm_observer_common::BlockedIn;

/// The model. Its memory is bounded by the tasks that live, whatever the rate.
pub struct Model {
    /// `None`: the window does not slide.
    window_ns: Option<u64>,
    /// The ports that are asked for; none: all of a server's.
    ports: Ports,
    server: Option<Server>,
    ended_ns: Option<u64>,
    window: Window,
    tally: Tally,
    minute: Minute,
    look: Look,
}

impl Model {
    /// One without a server. `window_ns`: how long the window is; `None`: it holds everything.
    #[must_use]
    pub fn new(window_ns: Option<u64>) -> Self {
        Self {
            window_ns,
            ports: Ports::default(),
            server: None,
            ended_ns: None,
            window: Window::new(0, window_ns),
            tally: Tally::default(),
            minute: Minute::default(),
            look: Look::default(),
        }
    }

    /// Only these ports of a server are watched; none: all.
    #[must_use]
    pub fn at_ports(mut self, ports: Ports) -> Self {
        self.ports = ports;
        self
    }

    /// A server is watched from `now_ns` on. What failed in the last minute of the one before is
    /// kept.
    pub fn begin(&mut self, server: &Server, now_ns: u64) {
        self.server = Some(server.clone());
        self.ended_ns = None;
        self.window = Window::new(now_ns, self.window_ns);
        self.tally = Tally::default();
        self.look = Look::default();
    }

    /// The server has ended.
    pub fn end(&mut self, now_ns: u64) {
        self.ended_ns = Some(now_ns);
        self.window.end();
        // Of what it did last, nothing holds any more.
        self.look = Look::default();
    }

    /// Whether a server was watched and has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended_ns.is_some()
    }

    /// The kernel has told something, at `now_ns`.
    pub fn record(&mut self, record: &Record, now_ns: u64) {
        match record {
            Record::Request(request) => self.window.request(now_ns, request),
            Record::Task(task) => {
                let work = self.tally.ended(task);
                self.window.ended(&work);
                self.minute.ended(task);
            }
            Record::Failure(failure) => self.minute.failure(failure),
            Record::Trace(_) => {}
        }
    }

    /// The server was looked at.
    pub fn look(&mut self, look: &Look) {
        let work = self.tally.look(look.at_ns, &look.tasks);
        self.window.look(look, &by_state(look), &work);
        self.minute.look(look);
        self.look = look.clone();
    }

    /// Everything that is shown at `now_ns`.
    #[must_use]
    pub fn picture(&mut self, now_ns: u64) -> Picture {
        let sum = self.window.sum(now_ns);
        let length_ns = now_ns.saturating_sub(sum.from_ns);
        let look = &self.look;
        let queue = look.fullest_queue();
        let limit = |limit: u32| Some(limit).filter(|limit| *limit > 0);
        Picture {
            version: VERSION,
            server: self.server.as_ref().map(|server| ServerPart {
                pid: server.process.pid,
                mpm: server.mpm,
                binary: server.binary.clone(),
                listens: server.listens.clone(),
                watched_ports: match self.ports.is_empty() {
                    true => server.ports().iter().collect(),
                    false => self.ports.iter().collect(),
                },
                ended_for_ns: self
                    .ended_ns
                    .map(|ended_ns| now_ns.saturating_sub(ended_ns)),
            }),
            window: WindowPart {
                from_monotonic_ns: sum.from_ns,
                length_ns,
                covered_ns: sum.covered_ns,
                looks: sum.looks.count,
            },
            slots: slots(look, &sum),
            accept_queue: QueuePart {
                port: queue.map(|queue| queue.port),
                length: queue.map(|queue| queue.length),
                limit: queue.and_then(|queue| limit(queue.limit)),
                queues: look
                    .queues
                    .iter()
                    .map(|queue| PortPart {
                        port: queue.port,
                        length: queue.length,
                        limit: limit(queue.limit),
                    })
                    .collect(),
                longest: sum.looks.longest_queue,
                wait: sum.requests.queue_wait.spread(sum.requests.queued),
                overflows_of_namespace: sum.came.overflows,
            },
            connections: ConnectionsPart::of(&look.connections, look.at_ns, sum.came.established),
            requests: requests(&sum),
            tasks: look
                .tasks
                .iter()
                .filter_map(|task| self.task(task, look.at_ns))
                .collect(),
            findings: findings(&self.minute, now_ns, sum.came.lost),
            observer: ObserverPart {
                cpu_ns: sum.came.observer_cpu_ns,
                cpu_share: share(sum.came.observer_cpu_ns, sum.covered_ns),
                programs_ns: Some(sum.came.programs_ns).filter(|ns| *ns > 0),
                records: sum.came.records,
                lost: sum.came.lost,
                skipped_runs: sum.came.skipped,
            },
        }
    }

    fn task(&self, task: &TaskLook, at_ns: u64) -> Option<TaskPart> {
        let kind = |number: u32| BlockedIn::ALL.get(number as usize).copied();
        Some(TaskPart {
            tid: task.record.pid,
            pid: task.record.tgid,
            role: task.role,
            state: task.slot?,
            blocked_in: task.blocked_in.and_then(kind).map(blocked_in),
            since_ns: at_ns.saturating_sub(task.since_ns),
            client: task.client,
            request_for_ns: match task.request_since_ns {
                0 => None,
                since_ns => Some(at_ns.saturating_sub(since_ns)),
            },
            cpu_share: self.tally.cpu_share(task),
            requests: task.record.totals.requests,
        })
    }
}

fn share(part: u64, of: u64) -> f64 {
    match of {
        0 => 0.0,
        of => part as f64 / of as f64,
    }
}

fn slots(look: &Look, sum: &Sum) -> SlotsPart {
    let now = by_state(look);
    let total: u32 = now.iter().sum();
    let by_state = SlotState::ALL.into_iter().zip(now);
    let idle: u32 = by_state
        .clone()
        .filter(|(state, _)| !state.is_busy())
        .map(|(_, count)| count)
        .sum();
    SlotsPart {
        total,
        busy: total - idle,
        by_state: by_state
            .map(|(state, count)| (state.name(), count))
            .collect(),
        mean_by_state: SlotState::ALL
            .into_iter()
            .map(|state| (state.name(), sum.looks.mean(state)))
            .collect(),
    }
}

fn requests(sum: &Sum) -> RequestsPart {
    let requests = &sum.requests;
    let all_ns = requests.latency.sum_ns();
    let picked_up = sum.came.work.requests;
    let each = |total: u64| total as f64 / picked_up as f64;
    RequestsPart {
        picked_up,
        picked_up_per_s: share(picked_up, sum.covered_ns) * 1e9,
        answered: requests.answered,
        unanswered: requests.unanswered,
        not_whole: requests.touched,
        bytes_in: requests.bytes_in,
        bytes_out: requests.bytes_out,
        latency: requests.latency.spread(requests.measured()),
        phases: requests
            .phases()
            .map(|(phase, sum_ns, spread)| PhasePart {
                phase: phase.name(),
                share: share(sum_ns, all_ns),
                sum_ns,
                spread,
            })
            .collect(),
        each: (picked_up > 0).then(|| EachPart {
            voluntary_switches: each(sum.came.work.voluntary),
            involuntary_switches: each(sum.came.work.involuntary),
            faults: each(sum.came.work.faults),
            on_cpu_ns: each(sum.came.work.on_cpu_ns),
            run_queue_ns: each(sum.came.work.run_queue_ns),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::QueueLook,
        top::made_up::{answered, busy, look, server, task},
    };

    const SECOND_NS: u64 = 1_000_000_000;

    fn watched() -> Model {
        let mut model = Model::new(None);
        model.begin(&server(), SECOND_NS);
        model
    }

    #[test]
    fn a_picture_is_the_last_look_and_the_window_before_it() {
        let mut model = watched();
        for _ in 0..4 {
            model.record(&Record::Request(answered(500)), SECOND_NS);
        }
        model.look(&look(SECOND_NS, vec![task(7), task(8)]));
        let mut serving = busy(7, SlotState::Sending, 2 * SECOND_NS);
        serving.record.totals.requests = 8;
        serving.record.totals.sched.voluntary = 4;
        let mut seen = look(3 * SECOND_NS, vec![serving, task(8)]);
        seen.queues = vec![QueueLook {
            port: 80,
            length: 3,
            limit: 511,
        }];
        model.look(&seen);
        let picture = model.picture(5 * SECOND_NS);
        assert_eq!(picture.window.length_ns, 4 * SECOND_NS);
        assert_eq!((picture.slots.total, picture.slots.busy), (2, 1));
        assert_eq!(picture.slots.now(SlotState::Sending), 1);
        assert!((picture.slots.mean_busy() - 0.5).abs() < 1e-9);
        assert_eq!(picture.accept_queue.length, Some(3));
        assert_eq!(picture.accept_queue.longest, 3);
        assert_eq!(picture.requests.answered, 4);
        assert_eq!(picture.requests.picked_up, 8);
        // In the two seconds between the looks.
        assert_eq!(picture.window.covered_ns, 2 * SECOND_NS);
        assert!((picture.requests.picked_up_per_s - 4.0).abs() < 1e-9);
        let each = picture.requests.each.unwrap();
        assert!((each.voluntary_switches - 0.5).abs() < 1e-9);
        let shares: f64 = picture
            .requests
            .phases
            .iter()
            .map(|phase| phase.share)
            .sum();
        assert!((shares - 1.0).abs() < 1e-9);
        let first = &picture.tasks[0];
        assert_eq!((first.tid, first.since_ns), (7, SECOND_NS));
        assert_eq!(first.request_for_ns, Some(SECOND_NS));
        assert_eq!(picture.tasks[1].request_for_ns, None);
    }

    #[test]
    fn a_server_that_ended_has_no_tasks_and_the_next_one_begins_anew() {
        let mut model = watched();
        let mut seen = look(2 * SECOND_NS, vec![task(7)]);
        seen.queues = vec![QueueLook {
            port: 80,
            length: 0,
            limit: 511,
        }];
        seen.connections.open = 3;
        model.look(&seen);
        model.record(&Record::Request(answered(500)), 2 * SECOND_NS);
        model.end(3 * SECOND_NS);
        let picture = model.picture(5 * SECOND_NS);
        let ended_for_ns = picture.server.unwrap().ended_for_ns;
        assert_eq!(ended_for_ns, Some(2 * SECOND_NS));
        assert!(picture.tasks.is_empty() && model.has_ended());
        assert_eq!((picture.slots.total, picture.connections.open), (0, 0));
        assert_eq!(picture.accept_queue.length, None, "nobody listens");
        model.begin(&server(), 9 * SECOND_NS);
        let picture = model.picture(10 * SECOND_NS);
        assert_eq!(picture.requests.answered, 0);
        assert_eq!(picture.window.length_ns, SECOND_NS);
        assert_eq!(picture.server.unwrap().ended_for_ns, None);
    }

    #[test]
    fn without_a_server_or_a_request_there_are_no_figures_and_no_trouble() {
        let picture = Model::new(Some(10 * SECOND_NS)).picture(5);
        assert!(picture.server.is_none() && picture.requests.each.is_none());
        let text = serde_json::to_value(&picture).unwrap();
        assert_eq!(text["requests"]["latency"]["count"], 0);
        assert_eq!(text["slots"]["by_state"]["keep_alive"], 0);
    }
}
