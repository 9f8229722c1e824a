//! A made-up run whose figures are known beforehand, as rows. Both the unit tests and the
//! integration test of the report use it; `super::observer` is this crate in each.

use std::collections::BTreeMap;

use loadgen::Outcome;

use super::observer::{
    kernel::Counters,
    recording::{
        ClientRow, FORMAT, FailureRow, KernelRow, LiveServer, LoadOutcome, Machine, Manifest,
        MemoryRow, Moment, Origin, SampleRow, StartOutcome, Status, StatusRow, TaskRow,
    },
    scenario::{Mpm, Size, builtin},
};

/// When every made-up load begins, ns.
pub const BEGIN_NS: u64 = 10_000_000_000;

/// What may differ between made-up runs.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Successful requests, at least 2.
    pub ok: u64,
    /// Requests that time out.
    pub failed: u64,
    /// The i-th successful request takes this and i microseconds.
    pub latency_ns: u64,
    /// Length of the load.
    pub load_ns: u64,
    /// Memory of the cgroup.
    pub cgroup_bytes: Option<u64>,
    /// CPU time of httpd's tasks per successful request.
    pub cpu_per_request_ns: u64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            ok: 100,
            failed: 2,
            latency_ns: 1_000_000,
            load_ns: 2_000_000_000,
            cgroup_bytes: Some(26_000_000),
            cpu_per_request_ns: 300_000,
        }
    }
}

/// All rows of a made-up run.
#[derive(Clone, Debug)]
pub struct Rows {
    pub manifest: Manifest,
    pub client: Vec<ClientRow>,
    pub kernel: Vec<KernelRow>,
    pub tasks: Vec<TaskRow>,
    pub samples: Vec<SampleRow>,
    pub memory: Vec<MemoryRow>,
    pub status: Vec<StatusRow>,
    pub failures: Vec<FailureRow>,
}

/// A run of the high-load scenario that came to its end. Of its successful requests the last has
/// no kernel row.
pub fn rows(mpm: Mpm, repetition: u32, figures: &Figures) -> Rows {
    let mut manifest = manifest(mpm, repetition, Status::Complete);
    manifest.plan_mut().expect("a run of the lab").load.requests = figures.ok + figures.failed;
    manifest.load = Some(LoadOutcome {
        began_ns: BEGIN_NS,
        ended_ns: BEGIN_NS + figures.load_ns,
        summary: summary(figures),
    });
    let mut client = Vec::new();
    let mut kernel = Vec::new();
    for i in 1..=figures.ok {
        let port = 20_000 + u16::try_from(i).unwrap();
        let wall_ns = figures.latency_ns + i * 1000;
        let start_ns = BEGIN_NS + (i - 1) * (figures.load_ns - wall_ns) / figures.ok;
        let answered = ClientRow {
            first_byte_ns: start_ns + wall_ns,
            last_byte_ns: start_ns + wall_ns,
            end_ns: start_ns + wall_ns,
            status: 200,
            body_bytes: 1000,
            ..client_row(port, start_ns, Outcome::Ok)
        };
        if i < figures.ok {
            kernel.push(kernel_row(&answered, wall_ns));
        }
        client.push(answered);
    }
    for i in 0..figures.failed {
        let port = 60_000 + u16::try_from(i).unwrap();
        client.push(ClientRow {
            end_ns: BEGIN_NS + figures.load_ns,
            ..client_row(port, BEGIN_NS, Outcome::Timeout)
        });
    }
    client.push(ClientRow {
        reused: true,
        end_ns: BEGIN_NS + 1000,
        ..client_row(65_000, BEGIN_NS, Outcome::StaleKeepAlive)
    });
    Rows {
        manifest,
        client,
        kernel,
        tasks: task_rows(mpm, figures),
        samples: sample_rows(figures),
        memory: memory_rows(),
        status: [true, false]
            .into_iter()
            .map(|answered| StatusRow {
                t_ns: BEGIN_NS + 100_000_000,
                local_port: 30_000,
                answered,
                ..StatusRow::default()
            })
            .collect(),
        failures: Vec::new(),
    }
}

/// A run in which httpd did not come up: each of 100 requests is refused.
pub fn rows_not_started(mpm: Mpm, repetition: u32) -> Rows {
    let mut manifest = manifest(mpm, repetition, Status::NotStarted);
    manifest.plan_mut().expect("a run of the lab").load.requests = 100;
    manifest.start = StartOutcome {
        took_ms: 500,
        failure: Some("no child became healthy".into()),
        log_codes: vec!["AH03104".into(), "AH02324".into()],
        ..StartOutcome::default()
    };
    let refused = |i: u16| ClientRow {
        end_ns: BEGIN_NS + 50_000,
        ..client_row(20_000 + i, BEGIN_NS, Outcome::Refused)
    };
    Rows {
        manifest,
        client: (0..100).map(refused).collect(),
        kernel: Vec::new(),
        tasks: Vec::new(),
        samples: Vec::new(),
        memory: Vec::new(),
        status: Vec::new(),
        failures: Vec::new(),
    }
}

/// The same run as the recording of a live server, whose clients are not known.
pub fn of_live_server(mut rows: Rows) -> Rows {
    let ended_ns = rows.manifest.load.take().map_or(0, |load| load.ended_ns);
    rows.manifest.origin = Origin::Live(Box::new(LiveServer {
        pid: 10,
        ports: vec![8080],
        attached_ns: BEGIN_NS,
        ended_ns,
        ..LiveServer::default()
    }));
    rows.client.clear();
    rows.status.clear();
    rows
}

pub fn manifest(mpm: Mpm, repetition: u32, status: Status) -> Manifest {
    let scenario = builtin()
        .into_iter()
        .find(|scenario| scenario.name == "high-load");
    Manifest {
        format: FORMAT,
        observer_version: "0.0.0".into(),
        status,
        repetition,
        mpm,
        origin: Origin::Lab(Box::new(
            scenario
                .expect("high-load is built in")
                .plan(mpm, Size::Quick),
        )),
        machine: Machine {
            kernel: "6.18.0".into(),
            cpus: 2,
            memory_bytes: 8 << 30,
            memory_cgroup: 1,
        },
        began_unix_s: 1_770_000_000,
        began_subsec_ns: 250_000_000,
        began_ns: BEGIN_NS - 1_000_000_000,
        httpd_version: "Apache/2.4.71 (Debian)".into(),
        httpd_path: "/usr/sbin/apache2".into(),
        httpd_user: "nobody".into(),
        port: 8080,
        server_cpus: vec![0],
        client_cpus: vec![1],
        start: StartOutcome {
            answered: true,
            took_ms: 40,
            all_slots: true,
            ..StartOutcome::default()
        },
        load: None,
        held: None,
        cgroup: None,
        warm_up_requests: 0,
        counters: Counters::default(),
        trace: None,
        absent_programs: Vec::new(),
        stop_ns: 0,
        observer_cpu_ns: 30_000_000,
        server_gone: true,
    }
}

fn summary(figures: &Figures) -> loadgen::Summary {
    let outcomes = BTreeMap::from([
        (Outcome::Ok, figures.ok),
        (Outcome::Timeout, figures.failed),
        (Outcome::StaleKeepAlive, 1),
    ]);
    loadgen::Summary {
        engine: loadgen::EngineKind::Epoll,
        urls: Vec::new(),
        tls_failure: None,
        warm_up_attempts: 0,
        unsent: 0,
        started_ns: BEGIN_NS,
        ended_ns: BEGIN_NS + figures.load_ns,
        wall_ns: figures.load_ns,
        requests: figures.ok + figures.failed,
        outcomes: outcomes.into(),
        stale_retries: 1,
        surplus: 0,
        keep_alive_answers: 0,
        connections_opened: figures.ok,
        bytes_received: 0,
        bytes_body: 0,
        bytes_sent: 0,
        body_min_bytes: Some(1000),
        body_max_bytes: Some(1000),
        server_software: None,
        latencies: loadgen::summary::Latencies::default(),
        threads: vec![loadgen::summary::ThreadSummary {
            thread: 0,
            cpu: Some(1),
            wall_ns: figures.load_ns,
            cpu_ns: figures.load_ns / 4,
            run_delay_ns: None,
            requests: figures.ok,
            begin_late_ns: Some(0),
        }],
        rows: loadgen::summary::RowsSummary::default(),
        stopped_by: None,
    }
}

fn client_row(port: u16, start_ns: u64, outcome: Outcome) -> ClientRow {
    ClientRow {
        measured: true,
        local_addr: "127.0.0.1".into(),
        local_port: port,
        remote_addr: "127.0.0.1".into(),
        remote_port: 8080,
        start_ns,
        connect_start_ns: start_ns,
        connected_ns: start_ns + 20_000,
        sent_ns: start_ns + 25_000,
        outcome: outcome.name().into(),
        ..ClientRow::default()
    }
}

/// The kernel's view of a request of this length: what is not in another phase is blocked time.
fn kernel_row(client: &ClientRow, wall_ns: u64) -> KernelRow {
    let arrival_ns = client.start_ns + 40_000;
    KernelRow {
        local_addr: "127.0.0.1".into(),
        local_port: 8080,
        remote_addr: "127.0.0.1".into(),
        remote_port: client.local_port,
        established_ns: arrival_ns,
        queued_ns: arrival_ns,
        arrival_ns,
        accepted_ns: arrival_ns + 100_000,
        pickup_ns: arrival_ns + 300_000,
        last_send_ns: client.last_byte_ns - 40_000,
        on_cpu_ns: 150_000,
        woken_wait_ns: 30_000,
        preempted_ns: 20_000,
        blocked_futex_ns: wall_ns - 580_000,
        ..KernelRow::default()
    }
}

/// A parent, two tasks that accept and, in the threaded MPMs, one that serves.
fn task_rows(mpm: Mpm, figures: &Figures) -> Vec<TaskRow> {
    let (acceptor, server) = match mpm {
        Mpm::Prefork => ("child", "child"),
        Mpm::Worker | Mpm::Event => ("listener", "worker"),
    };
    let task = |tid: u32, role: &str| TaskRow {
        tid,
        pid: tid,
        role: role.into(),
        created_ns: 1,
        ..TaskRow::default()
    };
    let ok = figures.ok;
    let work = TaskRow {
        on_cpu_ns: figures.cpu_per_request_ns * ok,
        voluntary: ok * 3 / 2,
        involuntary: ok / 4,
        faults_user: ok / 10,
        faults_kernel: ok,
        accepts_again: ok * 7 / 100,
        ..task(20, server)
    };
    let accepting = |tid, accepts| TaskRow {
        accepts,
        ..task(tid, acceptor)
    };
    let mut ends = vec![
        task(10, "parent"),
        accepting(30, ok * 3 / 5),
        accepting(31, ok - ok * 3 / 5),
        work,
    ];
    let mut all = Vec::new();
    for row in &mut ends {
        all.push(TaskRow {
            moment: Moment::LoadBegin,
            ..task(row.tid, &row.role)
        });
        row.moment = Moment::LoadEnd;
        all.push(row.clone());
    }
    all
}

fn sample_rows(figures: &Figures) -> Vec<SampleRow> {
    let sample = |t_ns, accept_queue, counted: u64| SampleRow {
        t_ns,
        processes: 76,
        tasks: 76,
        accept_queue: Some(accept_queue),
        accept_queue_limit: Some(511),
        listen_overflows: 10 + 4 * counted,
        listen_drops: 20 + 5 * counted,
        cgroup_bytes: figures.cgroup_bytes,
        ..SampleRow::default()
    };
    let end_ns = BEGIN_NS + figures.load_ns;
    vec![
        sample(BEGIN_NS - 50_000_000, 0, 0),
        sample(BEGIN_NS + figures.load_ns / 4, 30, 1),
        sample(BEGIN_NS + figures.load_ns / 2, 20, 1),
        sample(end_ns + 50_000_000, 0, 1),
    ]
}

fn memory_rows() -> Vec<MemoryRow> {
    let row = |role: &str, processes, [pss, uss, rss, mapped]: [u64; 4]| MemoryRow {
        t_ns: BEGIN_NS + 600_000,
        role: role.into(),
        processes,
        tasks: processes,
        pss_bytes: pss * 1_000_000,
        uss_bytes: uss * 1_000_000,
        rss_bytes: rss * 1_000_000,
        virtual_bytes: mapped * 1_000_000,
    };
    vec![
        row("parent", 1, [1, 1, 5, 10]),
        row("child", 75, [19, 15, 315, 890]),
    ]
}
