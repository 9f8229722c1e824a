//! Memory that a limit of the process refused: `RLIMIT_AS` and `RLIMIT_DATA`.

use super::{FAILURES, LOG, Rule, TASKS, refused, sentence};
use crate::{
    findings::{
        Change, Remedy,
        evidence::RunEvidence,
        observation::{Claimed, Observation, Seen},
        reached::Reached,
        words::mb,
    },
    recording::FailureRow,
};

pub(super) const ADDRESS_SPACE: Rule = Rule {
    name: "address-space",
    looks_for: "mmap, brk or mremap with ENOMEM where use and wish go beyond RLIMIT_AS",
    needs: &[FAILURES, TASKS, LOG],
    observe: observe_address_space,
    tell: |seen| tell(seen, "address space", 'v'),
    remedies: remedies_address_space,
};

pub(super) const DATA: Rule = Rule {
    name: "data",
    looks_for: "mmap, brk or mprotect with ENOMEM where use and wish go beyond RLIMIT_DATA",
    needs: &[FAILURES, TASKS, LOG],
    observe: observe_data,
    tell: |seen| tell(seen, "private writable memory", 'd'),
    remedies: remedies_data,
};

pub(super) const OF_CGROUP: Rule = Rule {
    name: "memory-of-the-cgroup",
    looks_for: "calls with ENOMEM with the control group's memory at its limit, where none was killed",
    needs: &[FAILURES, TASKS, LOG],
    observe: observe_cgroup,
    tell: |seen| {
        let cause = format!(
            "{}, at {} of {} of memory of the control group (memory.max)",
            refused::told(seen),
            seen.mb("used"),
            seen.mb("limit"),
        );
        sentence(&cause, &seen.consequences(), WITHOUT_HARM)
    },
    remedies: super::no_remedy,
};

const WITHOUT_HARM: &str = "httpd came up whole and no request failed";

/// What an arena of glibc's malloc keeps of the address space.
const ARENA_BYTES: f64 = mpm_observer_common::ARENA_BYTES as f64;
const KIB: u64 = 1024;

fn observe_address_space(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    let refused = refused::refused_at(run, Reached::AddressSpace)?;
    let mut seen = refused.observation(run);
    let row = refused.typical;
    if let (Some(used), Some(limit)) = (row.address_space, row.address_space_limit) {
        seen.figure("used", used as f64)
            .figure("limit", limit as f64);
        composition(&mut seen, row, used);
    }
    Some(seen)
}

fn observe_data(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    let refused = refused::refused_at(run, Reached::Data)?;
    let mut seen = refused.observation(run);
    let row = refused.typical;
    if let (Some(used), Some(limit)) = (row.data, row.data_limit) {
        seen.figure("used", used as f64)
            .figure("limit", limit as f64);
        // Of an arena's reservation only what has been made writable is data.
        let stacks = row.thread_stack_bytes.min(used);
        seen.figure("stacks", f64::from(row.thread_stacks))
            .figure("stack_bytes", stacks as f64)
            .figure("rest_bytes", (used - stacks) as f64);
        stack_size(&mut seen, row);
    }
    Some(seen)
}

fn observe_cgroup(run: &RunEvidence<'_>, claimed: &Claimed) -> Option<Observation> {
    let refused = refused::refused_at(run, Reached::CgroupMemory)?;
    // Where the kernel killed for it, that has been told with these.
    let told = |(place, _): &(usize, &FailureRow)| claimed.failures.contains(place);
    if refused.rows.iter().all(told) {
        return None;
    }
    let mut seen = refused.observation(run);
    let row = refused.typical;
    if let (Some(used), Some(limit)) = (row.cgroup_memory, row.cgroup_memory_limit) {
        seen.figure("used", used as f64)
            .figure("limit", limit as f64);
    }
    Some(seen)
}

fn composition(seen: &mut Observation, row: &FailureRow, used: u64) {
    let stacks = row.thread_stack_bytes.min(used);
    let arenas = row.malloc_arena_bytes.min(used - stacks);
    seen.figure("stacks", f64::from(row.thread_stacks))
        .figure("stack_bytes", stacks as f64)
        .figure("arenas", f64::from(row.malloc_arenas))
        .figure("arena_bytes", arenas as f64)
        .figure("rest_bytes", (used - stacks - arenas) as f64);
    stack_size(seen, row);
}

fn stack_size(seen: &mut Observation, row: &FailureRow) {
    if let Some(size) = row
        .thread_stack_bytes
        .checked_div(u64::from(row.thread_stacks))
    {
        seen.figure("stack_size", size as f64);
    }
}

fn tell(seen: &Seen<'_>, what: &str, ulimit: char) -> String {
    let limit = seen.middle("limit").unwrap_or(0.0);
    let mut parts = Vec::new();
    let some = |name| seen.most(name).is_some_and(|most| most > 0.0);
    if some("stacks") {
        let (count, bytes) = (
            seen.plural("stacks", "thread stack"),
            seen.mb("stack_bytes"),
        );
        parts.push(format!("{count} {bytes}"));
    }
    if some("arenas") {
        let (count, bytes) = (
            seen.plural("arenas", "malloc arena"),
            seen.mb("arena_bytes"),
        );
        parts.push(format!("{count} {bytes}"));
    }
    let made_of = if parts.is_empty() {
        String::new()
    } else {
        format!(
            ", of which {}, the rest {}",
            parts.join(", "),
            seen.mb("rest_bytes")
        )
    };
    let cause = format!(
        "{}, at {} of {} of {what} (ulimit -{ulimit} {}){made_of}",
        refused::told(seen),
        seen.mb("used"),
        mb(limit),
        (limit as u64) / KIB,
    );
    sentence(&cause, &seen.consequences(), WITHOUT_HARM)
}

/// What one whole child takes: the rest, a stack for each thread, and so many arenas.
struct Need {
    rest: f64,
    stacks: f64,
    stack_size: f64,
    limit: f64,
}

impl Need {
    fn of(seen: &Seen<'_>) -> Option<Self> {
        let plan = seen.plan?;
        let threads = f64::from(plan.server.threads_per_child);
        Some(Self {
            rest: seen.most("rest_bytes")?,
            // The threads that serve, the listener, and the one that starts them.
            stacks: if seen.mpm.is_threaded() {
                threads + 2.0
            } else {
                0.0
            },
            stack_size: seen.middle("stack_size").unwrap_or(0.0),
            limit: seen.middle("limit")?,
        })
    }

    fn with(&self, stack_size: f64, arenas: f64) -> f64 {
        self.rest + self.stacks * stack_size + arenas * ARENA_BYTES
    }

    /// Arenas that find room before the stacks do: threads that have begun take theirs while
    /// others are still being started, so what stacks leave free is no room for them.
    fn arenas_first(&self) -> f64 {
        let room = (self.limit - self.rest).max(0.0);
        (room / ARENA_BYTES).floor().min(self.stacks)
    }

    /// The largest stack, a power of two from 128 KiB on, with which a child fits beside
    /// `arenas`.
    fn stack_that_fits(&self, arenas: f64) -> Option<u64> {
        let fits = |size: &u64| {
            let size = *size as f64;
            size < self.stack_size && self.with(size, arenas) <= self.limit
        };
        (17..=22).rev().map(|bits| 1_u64 << bits).find(fits)
    }
}

fn remedies_address_space(seen: &Seen<'_>) -> Vec<Remedy> {
    let mut remedies = Vec::new();
    let Some(need) = Need::of(seen) else {
        return remedies;
    };
    let arenas = seen.most("arenas").unwrap_or(0.0);
    let one_arena = need.with(need.stack_size, 0.0);
    let has_arena_max = seen
        .plan
        .is_some_and(|plan| plan.server.environment.contains_key("MALLOC_ARENA_MAX"));
    if arenas > 0.0 && one_arena <= need.limit && !has_arena_max {
        remedies.push(Remedy {
            text: format!(
                "MALLOC_ARENA_MAX=1 in httpd's environment: without the arenas a whole child \
                 takes {} of {}.",
                mb(one_arena),
                mb(need.limit)
            ),
            change: Some(Change::Environment {
                name: "MALLOC_ARENA_MAX".into(),
                value: "1".into(),
            }),
        });
    }
    remedies.extend(smaller_stacks(seen, &need, need.arenas_first()));
    if need.stacks > 0.0 {
        let whole = need.with(need.stack_size, most_arenas(&need));
        remedies.push(raised(
            "address_space_kb",
            'v',
            whole,
            "of address space for a child with all of its threads, each with an arena",
        ));
    }
    remedies
}

/// One arena for each thread at most, as glibc gives out the first ones.
fn most_arenas(need: &Need) -> f64 {
    need.stacks
}

fn remedies_data(seen: &Seen<'_>) -> Vec<Remedy> {
    let Some(need) = Need::of(seen) else {
        return Vec::new();
    };
    let mut remedies: Vec<Remedy> = smaller_stacks(seen, &need, 0.0).into_iter().collect();
    let whole = need.with(need.stack_size, 0.0);
    if whole > need.limit {
        remedies.push(raised(
            "data_kb",
            'd',
            whole,
            "of private writable memory for a child with all of its threads",
        ));
    }
    remedies
}

fn smaller_stacks(seen: &Seen<'_>, need: &Need, arenas: f64) -> Option<Remedy> {
    let size = need.stack_that_fits(arenas)?;
    let set = |line: &String| line.to_lowercase().starts_with("threadstacksize");
    if seen.plan?.server.extra_directives.iter().any(set) {
        return None;
    }
    let beside = if arenas > 0.0 {
        format!(" beside {arenas:.0} arenas, the most that fit")
    } else {
        String::new()
    };
    Some(Remedy {
        text: format!(
            "ThreadStackSize {size}: with stacks of so many bytes a whole child takes {} of \
             {}{beside}.",
            mb(need.with(size as f64, arenas)),
            mb(need.limit)
        ),
        change: Some(Change::Directive(format!("ThreadStackSize {size}"))),
    })
}

/// A limit with a tenth to spare.
fn raised(key: &str, ulimit: char, bytes: f64, of: &str) -> Remedy {
    let kib = (bytes * 1.1) as u64 / KIB + 1;
    Remedy {
        text: format!(
            "ulimit -{ulimit} {kib}: {} {of}, and a tenth to spare.",
            mb(bytes)
        ),
        change: Some(Change::Limit {
            key: key.into(),
            value: Some(kib),
        }),
    }
}
