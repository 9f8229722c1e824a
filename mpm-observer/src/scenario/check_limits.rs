//! What limits, environment and slow clients must fulfil beyond their types.

use super::check::{Checker, MAX_BODY_BYTES};
use super::file::{HeldKind, Scenario, Size};
use super::limits::Limits;

/// The most tasks that Linux can number (`PID_MAX_LIMIT`); `pids.max` takes no more.
const MAX_TASKS: u64 = 4_194_304;
/// The most memory in units of 1024 bytes that fits the kernel's signed numbers.
const MAX_KB: u64 = (i64::MAX / 1024) as u64;
/// Variables that the lab sets itself, so that runs are alike.
const OWN_VARIABLES: [&str; 3] = ["PATH", "LC_ALL", "TZ"];
/// How long a slow reader must have something to read beyond the load: the time before it.
const MARGIN_S: u64 = 60;

/// Each limit is a number that the kernel takes.
pub(super) fn limits(c: &mut Checker<'_, '_>, limits: &Limits) {
    let of_group = [
        ("cgroup_tasks", limits.cgroup_tasks, MAX_TASKS),
        ("cgroup_memory_kb", limits.cgroup_memory_kb, MAX_KB),
    ]
    .into_iter()
    .filter_map(|(key, value, most)| value.map(|value| (key, value, most)));
    let of_process = limits.iter().map(|limit| {
        let most = if limit.key.ends_with("_kb") {
            MAX_KB
        } else {
            i64::MAX as u64
        };
        (limit.key, limit.value, most)
    });
    for (key, value, most) in of_process.chain(of_group) {
        let key = format!("limits.{key}");
        c.require(
            value > 0,
            &key,
            "must be more than 0; leave the key out for no limit",
        );
        c.require(
            value <= most,
            &key,
            format_args!("{value} is more than the kernel can count ({most})"),
        );
    }
}

/// Names of variables are those that a shell takes, and not the lab's own.
pub(super) fn environment(c: &mut Checker<'_, '_>, scenario: &Scenario) {
    for (name, value) in &scenario.server.environment {
        let key = format!("server.environment.{name}");
        let letter = |ch: char| ch.is_ascii_alphabetic() || ch == '_';
        c.require(
            name.starts_with(letter) && name.chars().all(|ch| letter(ch) || ch.is_ascii_digit()),
            &key,
            format_args!("`{name}` must be letters, digits and `_`, beginning with no digit"),
        );
        c.require(
            !OWN_VARIABLES.contains(&name.as_str()),
            &key,
            format_args!("{name} is set by the lab itself"),
        );
        c.require(
            !value.contains(['\n', '\0']),
            &key,
            "must be one line of text",
        );
    }
}

/// Slow clients can stay in their state until the load ends.
pub(super) fn held(c: &mut Checker<'_, '_>, scenario: &Scenario) {
    let Some(held) = &scenario.load.held else {
        return;
    };
    c.within(held.connections.into(), 1, 20_000, "load.held.connections");
    if held.kind == HeldKind::HalfHeader {
        c.require(
            scenario.server.timeout_s >= 2,
            "server.timeout_s",
            "must be at least 2 with half a head, of which a byte comes every second",
        );
    }
    if held.kind != HeldKind::SlowReader {
        for key in ["load.held.bytes_per_s", "load.held.body_bytes"] {
            let given = c.is_given(key);
            c.require(
                !given,
                key,
                "only for a slow reader, which alone reads a file of its own",
            );
        }
        return;
    }
    c.require(
        held.bytes_per_s > 0,
        "load.held.bytes_per_s",
        "must be more than 0",
    );
    c.within(held.body_bytes, 1, MAX_BODY_BYTES, "load.held.body_bytes");
    let longest_s = [Size::Full, Size::Quick]
        .map(|size| u64::from(scenario.numbers(size).max_duration_s))
        .into_iter()
        .max()
        .unwrap_or_default()
        .saturating_add(MARGIN_S);
    let read = u64::from(held.bytes_per_s).saturating_mul(longest_s);
    c.require(
        held.body_bytes > read,
        "load.held.body_bytes",
        format_args!(
            "{} bytes are read before the load ends: {} a second for up to {longest_s} s are \
             {read}",
            held.body_bytes, held.bytes_per_s
        ),
    );
}
