//! What a scenario's values must fulfil beyond their types. Everything that is wrong is reported,
//! not only the first.

use std::fmt::Display;

use super::check_limits;
use super::error::Problem;
use super::file::{ClaimText, Direction, Expectation, Scenario, Size, Start};
use super::mpm::Mpm;
use super::source::Source;

/// Directives that the lab writes itself: a second one would break the run or its measurement.
const OWN_DIRECTIVES: [&str; 12] = [
    "DefaultRuntimeDir",
    "DocumentRoot",
    "ErrorLog",
    "ErrorLogFormat",
    "Group",
    "Listen",
    "ListenBacklog",
    "MaxRequestWorkers",
    "PidFile",
    "ServerRoot",
    "ThreadsPerChild",
    "User",
];

/// The largest file that is made for a scenario: 1 GiB.
pub(super) const MAX_BODY_BYTES: u64 = 1 << 30;

pub(super) struct Checker<'a, 't> {
    source: &'a Source<'t>,
    problems: Vec<Problem>,
}

impl Checker<'_, '_> {
    pub(super) fn require(&mut self, holds: bool, key: &str, message: impl Display) {
        if !holds {
            self.problems.push(Problem {
                line: self.source.line_of(key),
                key: key.to_owned(),
                message: message.to_string(),
            });
        }
    }

    pub(super) fn within(&mut self, value: u64, low: u64, high: u64, key: &str) {
        self.require(
            (low..=high).contains(&value),
            key,
            format_args!("{value} is not within {low} to {high}"),
        );
    }

    /// Whether the file itself has the key.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.source.has(key)
    }

    pub(super) fn text(&mut self, value: &str, key: &str) {
        let good = !value.trim().is_empty() && !value.contains('\n');
        self.require(good, key, "must be one line of text");
    }
}

/// All that contradicts in a scenario, in no order.
pub(super) fn check(scenario: &Scenario, source: &Source<'_>) -> Vec<Problem> {
    let mut c = Checker {
        source,
        problems: Vec::new(),
    };
    describe(&mut c, scenario);
    load(&mut c, scenario);
    server(&mut c, scenario);
    prefork(&mut c, scenario);
    for mpm in [Mpm::Worker, Mpm::Event] {
        threaded(&mut c, scenario, mpm);
    }
    slots(&mut c, scenario);
    check_limits::limits(&mut c, &scenario.limits);
    check_limits::environment(&mut c, scenario);
    check_limits::held(&mut c, scenario);
    c.problems
}

fn describe(c: &mut Checker<'_, '_>, scenario: &Scenario) {
    let name = &scenario.name;
    let letter = |ch: char| ch.is_ascii_lowercase() || ch.is_ascii_digit();
    c.require(
        name.starts_with(letter) && name.chars().all(|ch| letter(ch) || ch == '-'),
        "name",
        format_args!("`{name}` must be small letters, digits and `-`, beginning with no `-`"),
    );
    c.text(&scenario.title, "title");
    c.text(&scenario.what, "what");
    if let Some(expects) = &scenario.expects {
        expectation(c, scenario, expects, "expects");
    }
    let Some(tutorial) = &scenario.tutorial else {
        return;
    };
    c.require(
        tutorial.section > 0,
        "tutorial.section",
        "sections are counted from 1",
    );
    c.text(&tutorial.command, "tutorial.command");
    expectation(c, scenario, &tutorial.expects, "tutorial.expects");
    for (index, claim) in tutorial.claims.iter().enumerate() {
        c.text(&claim.says, &format!("tutorial.claims[{index}].says"));
        if let Some(metric) = &claim.metric {
            c.text(metric, &format!("tutorial.claims[{index}].metric"));
        }
        if let Some(metric) = &claim.fair_metric {
            c.text(metric, &format!("tutorial.claims[{index}].fair_metric"));
        }
        judged(c, scenario, claim, index);
    }
    c.require(
        tutorial.fair.as_ref() != Some(&scenario.name),
        "tutorial.fair",
        "names this scenario itself; leave it out where the set-up is fair",
    );
}

fn expectation(c: &mut Checker<'_, '_>, scenario: &Scenario, expects: &Expectation, key: &str) {
    c.text(&expects.overall, &format!("{key}.overall"));
    for mpm in Mpm::ALL {
        let Some(text) = expects.of(mpm) else {
            continue;
        };
        let key = format!("{key}.{mpm}");
        c.text(text, &key);
        c.require(
            scenario.server.mpms.contains(&mpm),
            &key,
            format_args!("{mpm} is not in server.mpms"),
        );
    }
}

/// A statement that is judged needs to say who differs, how, and in what.
fn judged(c: &mut Checker<'_, '_>, scenario: &Scenario, claim: &ClaimText, index: usize) {
    let key = |name: &str| format!("tutorial.claims[{index}].{name}");
    let mpms = &scenario.server.mpms;
    c.require(
        claim.fair_metric.is_none() || claim.metric.is_some(),
        &key("fair_metric"),
        "needs a `metric`: what the tutorial measures",
    );
    if let Some(subject) = claim.subject {
        c.require(
            claim.direction.is_some(),
            &key("subject"),
            "needs a `direction`: more, less or fails",
        );
        c.require(
            mpms.contains(&subject),
            &key("subject"),
            format_args!("{subject} is not in server.mpms"),
        );
    }
    for (place, other) in claim.against.iter().enumerate() {
        let key = key(&format!("against[{place}]"));
        c.require(
            mpms.contains(other) && claim.subject != Some(*other),
            &key,
            format_args!("{other} is not another of server.mpms"),
        );
        c.require(
            !claim.against[..place].contains(other),
            &key,
            format_args!("names {other} twice"),
        );
    }
    let Some(direction) = claim.direction else {
        for (name, given) in [
            ("by_percent", claim.by_percent.is_some()),
            ("margin_percent", claim.margin_percent.is_some()),
            ("against", !claim.against.is_empty()),
        ] {
            c.require(
                !given,
                &key(name),
                "needs a `direction`: more, less or fails",
            );
        }
        return;
    };
    c.require(
        claim.subject.is_some(),
        &key("direction"),
        "needs a `subject`: the MPM that is said to differ",
    );
    c.require(
        direction == Direction::Fails || claim.metric.is_some(),
        &key("direction"),
        "needs a `metric`: what there is more or less of",
    );
    if let Some(margin) = claim.margin_percent {
        c.within(margin.into(), 1, 50, &key("margin_percent"));
    }
    if let Some(least) = claim.by_percent {
        // A share of failed requests has no more than 100 points.
        let most = if direction == Direction::Fails {
            100
        } else {
            100_000
        };
        c.within(least.into(), 1, most, &key("by_percent"));
        c.require(
            least >= claim.margin(),
            &key("by_percent"),
            format_args!(
                "{least} is within the margin of {} in which a difference counts as none",
                claim.margin()
            ),
        );
    }
}

/// Open in both sizes or in none: else the two would measure different things.
fn schedule(c: &mut Checker<'_, '_>, scenario: &Scenario) {
    let sizes = [Size::Full, Size::Quick];
    let is_open = |size| scenario.numbers(size).requests_per_s.is_some();
    for size in sizes {
        let numbers = scenario.numbers(size);
        let key = format!("size.{size}.requests_per_s");
        let Some(requests_per_s) = numbers.requests_per_s else {
            c.require(
                !sizes.into_iter().any(is_open),
                &key,
                "is missing: a scenario is an open loop in both sizes or in none",
            );
            continue;
        };
        c.within(requests_per_s.into(), 1, 1_000_000, &key);
        let takes_s = numbers.requests / u64::from(requests_per_s.max(1));
        c.require(
            takes_s < u64::from(numbers.max_duration_s),
            &key,
            format_args!(
                "{} requests at {requests_per_s} each second take {takes_s} s, and the load is \
                 cut off after {} s",
                numbers.requests, numbers.max_duration_s
            ),
        );
    }
    c.require(
        !c.is_given("load.arrivals") || sizes.into_iter().any(is_open),
        "load.arrivals",
        "only in an open loop: it needs requests_per_s in the sizes",
    );
    c.within(scenario.load.warm_up_s.into(), 0, 3600, "load.warm_up_s");
}

fn load(c: &mut Checker<'_, '_>, scenario: &Scenario) {
    schedule(c, scenario);
    c.within(scenario.load.timeout_s.into(), 1, 3600, "load.timeout_s");
    c.within(
        scenario.load.body_bytes,
        1,
        MAX_BODY_BYTES,
        "load.body_bytes",
    );
    for size in [Size::Full, Size::Quick] {
        let numbers = scenario.numbers(size);
        let key = |name: &str| format!("size.{size}.{name}");
        c.require(
            numbers.requests > 0,
            &key("requests"),
            "must be more than 0",
        );
        c.within(numbers.concurrency.into(), 1, 20_000, &key("concurrency"));
        c.require(
            numbers.requests == 0 || u64::from(numbers.concurrency) <= numbers.requests,
            &key("concurrency"),
            format_args!(
                "{} connections at once are more than the {} requests in all",
                numbers.concurrency, numbers.requests
            ),
        );
        c.within(numbers.repetitions.into(), 1, 1000, &key("repetitions"));
        c.within(
            numbers.max_duration_s.into(),
            1,
            86_400,
            &key("max_duration_s"),
        );
    }
}

fn server(c: &mut Checker<'_, '_>, scenario: &Scenario) {
    let server = &scenario.server;
    c.require(!server.mpms.is_empty(), "server.mpms", "names no MPM");
    for (index, mpm) in server.mpms.iter().enumerate() {
        c.require(
            !server.mpms[..index].contains(mpm),
            &format!("server.mpms[{index}]"),
            format_args!("names {mpm} twice"),
        );
    }
    c.within(
        server.keep_alive_timeout_s.into(),
        1,
        3600,
        "server.keep_alive_timeout_s",
    );
    c.within(server.timeout_s.into(), 1, 3600, "server.timeout_s");
    c.within(
        server.listen_backlog.into(),
        1,
        65_535,
        "server.listen_backlog",
    );
    for (index, line) in server.extra_directives.iter().enumerate() {
        let key = format!("server.extra_directives[{index}]");
        c.text(line, &key);
        let directive = line.split_whitespace().next().unwrap_or_default();
        c.require(
            !OWN_DIRECTIVES
                .iter()
                .any(|own| own.eq_ignore_ascii_case(directive)),
            &key,
            format_args!("{directive} is set by the lab itself"),
        );
    }
    for (mpm, present) in [
        (Mpm::Prefork, server.prefork.is_some()),
        (Mpm::Worker, server.worker.is_some()),
        (Mpm::Event, server.event.is_some()),
    ] {
        c.require(
            !present || server.mpms.contains(&mpm),
            &format!("server.{mpm}"),
            format_args!("{mpm} is not in server.mpms"),
        );
    }
}

/// Settings of how more children are started make no sense when all are started at once.
fn cold_only(c: &mut Checker<'_, '_>, scenario: &Scenario, section: &str, keys: &[(&str, bool)]) {
    for (key, given) in keys {
        c.require(
            !given || scenario.server.start == Start::Cold,
            &format!("{section}.{key}"),
            "only for server.start = \"cold\"; a warm start has all slots from the first",
        );
    }
}

fn prefork(c: &mut Checker<'_, '_>, scenario: &Scenario) {
    let Some(own) = &scenario.server.prefork else {
        return;
    };
    let section = "server.prefork";
    cold_only(
        c,
        scenario,
        section,
        &[
            ("start_servers", own.start_servers.is_some()),
            ("min_spare_servers", own.min_spare_servers.is_some()),
            ("max_spare_servers", own.max_spare_servers.is_some()),
        ],
    );
    for size in [Size::Full, Size::Quick] {
        let plan = scenario.plan(Mpm::Prefork, size).server;
        children(
            c,
            section,
            own.server_limit,
            own.start_servers,
            plan.max_request_workers,
        );
    }
    let min = own
        .min_spare_servers
        .map(|value| ("min_spare_servers", value));
    let max = own
        .max_spare_servers
        .map(|value| ("max_spare_servers", value));
    let plan = scenario.plan(Mpm::Prefork, Size::Full).server;
    spare(c, section, min, max, (plan.min_spare, plan.max_spare), 1);
}

fn threaded(c: &mut Checker<'_, '_>, scenario: &Scenario, mpm: Mpm) {
    let own = match mpm {
        Mpm::Worker => &scenario.server.worker,
        _ => &scenario.server.event,
    };
    let Some(own) = own else { return };
    let section = format!("server.{mpm}");
    if let Some(threads) = own.threads_per_child {
        // httpd's own hard limit is 20000 (ThreadLimit).
        c.within(
            threads.into(),
            1,
            20_000,
            &format!("{section}.threads_per_child"),
        );
    }
    cold_only(
        c,
        scenario,
        &section,
        &[
            ("start_servers", own.start_servers.is_some()),
            ("min_spare_threads", own.min_spare_threads.is_some()),
            ("max_spare_threads", own.max_spare_threads.is_some()),
        ],
    );
    let plan = scenario.plan(mpm, Size::Full).server;
    for size in [Size::Full, Size::Quick] {
        let plan = scenario.plan(mpm, size).server;
        children(
            c,
            &section,
            own.server_limit,
            own.start_servers,
            plan.children(),
        );
    }
    let min = own
        .min_spare_threads
        .map(|value| ("min_spare_threads", value));
    let max = own
        .max_spare_threads
        .map(|value| ("max_spare_threads", value));
    let resolved = (plan.min_spare, plan.max_spare);
    spare(c, &section, min, max, resolved, plan.threads_per_child);
}

/// Checks the number of processes against those that the slots need.
fn children(
    c: &mut Checker<'_, '_>,
    section: &str,
    server_limit: Option<u32>,
    start_servers: Option<u32>,
    needed: u32,
) {
    let mut once = |holds: bool, name: &str, message: String| {
        let key = format!("{section}.{name}");
        // Both sizes are checked, and both may fail for the same reason.
        if !c.problems.iter().any(|problem| problem.key == key) {
            c.require(holds, &key, message);
        }
    };
    if let Some(limit) = server_limit {
        once(
            limit >= needed,
            "server_limit",
            format!("{limit} is less than the {needed} processes that the slots need"),
        );
    }
    if let Some(start) = start_servers {
        once(start > 0, "start_servers", "must be more than 0".to_owned());
        once(
            start <= needed,
            "start_servers",
            format!("{start} is more than the {needed} processes that the slots allow"),
        );
    }
}

/// Checks spare settings: httpd silently raises a maximum that is less than the minimum and `step`.
fn spare(
    c: &mut Checker<'_, '_>,
    section: &str,
    min: Option<(&str, u32)>,
    max: Option<(&str, u32)>,
    (resolved_min, resolved_max): (u32, u32),
    step: u32,
) {
    if let Some((name, value)) = min {
        c.require(
            value > 0,
            &format!("{section}.{name}"),
            "must be more than 0",
        );
    }
    let Some((name, _)) = max.or(min) else { return };
    c.require(
        resolved_max >= resolved_min.saturating_add(step),
        &format!("{section}.{name}"),
        format_args!(
            "at most {resolved_max} spare is less than the minimum {resolved_min} and {step} more"
        ),
    );
}

/// Checks the number of slots, wherever it was given.
fn slots(c: &mut Checker<'_, '_>, scenario: &Scenario) {
    for mpm in scenario.mpms() {
        for size in [Size::Full, Size::Quick] {
            let (slots, key) = scenario.slots_with_key(mpm, size);
            if c.problems.iter().any(|problem| problem.key == key) {
                continue;
            }
            c.within(slots.into(), 1, 20_000, &key);
            let threads = scenario.plan(mpm, size).server.threads_per_child;
            c.require(
                slots % threads == 0,
                &key,
                format_args!(
                    "{slots} is not a multiple of the {threads} threads of each {mpm} process"
                ),
            );
        }
    }
}
