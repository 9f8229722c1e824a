//! Every query of the dashboards and alert rules, asked of a real Prometheus that watches a server
//! of each MPM while things happen to them.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mpm_observer::{
    dashboards::{Filled, sources},
    prometheus::{Api, Sampled, Target},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    alerts::rules,
    common::{wait_until, watched::exchange},
    selectors::selectors,
    tools::{promtool, text},
    watched::{Fleet, JOB, Watched},
};

/// How long all of it may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);
const FILE: &str = "/alive.txt";

/// Requests on kept connections and on others.
fn ordinary_load(address: SocketAddr) {
    for _ in 0..5 {
        let mut kept = TcpStream::connect(address).unwrap();
        for _ in 0..10 {
            exchange(&mut kept, FILE, false);
        }
        exchange(&mut TcpStream::connect(address).unwrap(), FILE, true);
    }
}

/// A refused call needs a limit that is reached, which the lab's scenarios have and this does not.
const ONLY_WITH_A_LIMIT: &str = "httpd_failed_calls_total";

/// A connection that has had an answer and stays.
fn idle_keep_alive(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    exchange(&mut stream, FILE, false);
    stream
}

/// A connection that has sent `bytes`; `None` if the server's queue takes no more.
fn sender_of(address: SocketAddr, bytes: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()?;
    stream.write_all(bytes.as_bytes()).ok()?;
    Some(stream)
}

/// Its children, or one that serves: the parent's own failures would end the server.
fn a_child(watched: &Watched) -> Option<u32> {
    let tasks = watched.httpd().tasks().ok()?;
    let children = tasks.iter().map(|task| task.pid);
    children.filter(|pid| *pid != watched.httpd().pid()).max()
}

fn crash(watched: &Watched) {
    if let Some(child) = a_child(watched) {
        let _ = kill(Pid::from_raw(child.cast_signed()), Signal::SIGSEGV);
    }
}

/// One round of what can happen to a server, for all servers at once.
fn make_incidents(servers: &[Watched]) {
    for watched in servers {
        ordinary_load(watched.server);
    }
    let idle: Vec<TcpStream> = servers
        .iter()
        .flat_map(|watched| (0..6).map(|_| idle_keep_alive(watched.server)))
        .collect();
    thread::sleep(Duration::from_secs(3));
    drop(idle);

    // All slots wait for the rest of a request, and more clients come than the queue takes.
    let mut stuck = Vec::new();
    for watched in servers {
        stuck.extend((0..10).filter_map(|_| sender_of(watched.server, "GET / HTTP/1.1\r\nHo")));
        let request = format!("GET {FILE} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stuck.extend((0..20).map_while(|_| sender_of(watched.server, &request)));
    }
    thread::sleep(Duration::from_secs(7));
    // Who is closed with bytes unread resets the other side; the last ones are read out.
    for stream in &mut stuck {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
        let _ = stream.read(&mut [0; 512]);
    }
    drop(stuck);

    servers.iter().for_each(crash);
    // Time for another child in its place.
    thread::sleep(Duration::from_secs(2));
}

fn now_s() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs_f64()
}

struct Asked<'a> {
    api: Api,
    began_s: f64,
    filled: &'a Filled,
}

impl Asked<'_> {
    /// What an expression gave since the begin.
    fn answer(&self, expression: &str) -> Vec<Sampled> {
        let mut series = self
            .api
            .query_range(expression, (self.began_s, now_s()), 1.0)
            .unwrap_or_else(|error| panic!("{error}"));
        series.retain(|series| series.points.iter().any(|(_, value)| !value.is_nan()));
        series
    }

    /// What of the dashboards has given nothing so far.
    fn empty_queries(&self) -> Vec<String> {
        let mut empty = Vec::new();
        for source in sources().unwrap() {
            for panel in source.panels() {
                for query in &panel.queries {
                    let expression = query.for_prometheus(self.filled);
                    if expression.contains(ONLY_WITH_A_LIMIT) {
                        continue;
                    }
                    let series = self.answer(&expression);
                    let labels = labels_of(&query.legend);
                    let lacks = labels.iter().find(|label| {
                        series
                            .iter()
                            .all(|s| s.labels.get(**label).is_none_or(String::is_empty))
                    });
                    let what = format!("{}, {}: {expression}", source.name, panel.title);
                    match lacks {
                        _ if series.is_empty() => empty.push(what),
                        Some(label) => empty.push(format!("{what}: no label {label}")),
                        None => {}
                    }
                    // A line for each MPM where they are compared.
                    if labels == ["mpm"] && !series.is_empty() && series.len() < 3 {
                        empty.push(format!("comparing {}: not all MPMs", panel.title));
                    }
                }
            }
        }
        empty
    }

    /// What of the alert rules' series has never been there.
    fn empty_selectors(&self) -> Vec<String> {
        let mut empty = Vec::new();
        for rule in rules() {
            let found = selectors(&rule.expr);
            assert!(!found.is_empty(), "{}", rule.alert);
            for selector in found {
                if selector != ONLY_WITH_A_LIMIT && self.answer(&selector).is_empty() {
                    empty.push(format!("{}: {selector}", rule.alert));
                }
            }
        }
        empty
    }
}

/// The labels that a legend names.
fn labels_of(legend: &str) -> Vec<&str> {
    let parts = legend.split("{{").skip(1);
    parts
        .filter_map(|part| part.split_once("}}"))
        .map(|(label, _)| label.trim())
        .collect()
}

#[test]
fn every_query_of_dashboards_and_alerts_has_data_under_each_mpm() {
    let Some(fleet) = Fleet::start() else { return };
    let filled = Filled {
        job: JOB.into(),
        instance: ".+".into(),
        rate_interval: "4s".into(),
        range: "5m".into(),
    };
    let asked = Asked {
        api: fleet.prometheus.api(),
        began_s: now_s(),
        filled: &filled,
    };
    let began = Instant::now();
    // What is rare, such as a death, need not be seen in the first round.
    let missing = loop {
        make_incidents(&fleet.servers);
        let missing = [asked.empty_queries(), asked.empty_selectors()].concat();
        if missing.is_empty() || began.elapsed() > DEADLINE {
            break missing;
        }
    };
    assert!(missing.is_empty(), "without data:\n{}", missing.join("\n"));

    // A scrape that comes late is an error until the next one.
    wait_until("all observers are up", || {
        let targets = asked.api.targets().unwrap();
        let is_up = |target: &Target| (&*target.health, &*target.last_error) == ("up", "");
        targets.len() == fleet.servers.len() && targets.iter().all(is_up)
    });
    let groups = asked.api.rules().unwrap();
    let groups = groups["groups"].as_array().unwrap();
    let evaluated = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let evaluated: Vec<_> = evaluated.collect();
    assert_eq!(evaluated.len(), rules().len());
    for rule in evaluated {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    // A child of each has died, and the accept queue of each was full: these alerts do not wait.
    for alert in ["HttpdChildrenDying", "HttpdAcceptQueueOverflowing"] {
        let firing = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}");
        wait_until(&format!("{alert} has fired for all"), || {
            let series = asked.answer(&firing);
            let instances: BTreeSet<_> = series.iter().map(|s| &s.labels["instance"]).collect();
            instances.len() == fleet.servers.len()
        });
    }

    let exported = fleet.servers.iter().map(Watched::exported);
    exported.for_each(|metrics| promtool_finds_nothing_wrong(&metrics));
}

/// Names that are taken over from apache_exporter are as they are there.
fn promtool_finds_nothing_wrong(metrics: &str) {
    let Some(promtool) = promtool() else { return };
    let own: String = metrics
        .lines()
        .filter(|line| !line.contains("apache_") && *line != "# EOF")
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(own.as_bytes())
        .unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}
