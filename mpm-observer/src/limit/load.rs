//! What a trial runs: a scenario's load and set-up, with the numbers that the user changes.

use crate::scenario::{Mpm, RunPlan, Scenario, ScenarioError, Size, Start};

/// The load of a trial, if no other is named.
const BUILT_IN: &str = include_str!("load.toml");
/// Requests for each slot in the built-in load.
const REQUESTS_PER_SLOT: u64 = 20;
/// Slots, if nothing else is said.
pub const DEFAULT_SLOTS: u32 = 75;

/// What the user changes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Slots of every MPM.
    pub slots: Option<u32>,
    /// Requests in all.
    pub requests: Option<u64>,
    /// Connections at once.
    pub concurrency: Option<u32>,
}

/// The trials' plans without the limit, one for each MPM. Without a scenario the built-in load is
/// taken: all slots are started at once, and the load begins as soon as httpd answers.
///
/// # Errors
/// In one line, when the numbers contradict each other.
pub fn plans(
    scenario: Option<Scenario>,
    mpms: &[Mpm],
    changes: Changes,
) -> Result<Vec<RunPlan>, String> {
    let built_in = scenario.is_none();
    let mut scenario = match scenario {
        Some(scenario) => scenario,
        None => built_in_scenario().map_err(|error| error.to_string())?,
    };
    let slots = changes.slots.or(built_in.then_some(DEFAULT_SLOTS));
    if let Some(slots) = slots {
        set_slots(&mut scenario, slots)?;
    }
    let numbers = &mut scenario.size.quick;
    if let Some(slots) = slots.filter(|_| built_in) {
        numbers.requests = REQUESTS_PER_SLOT * u64::from(slots);
        numbers.concurrency = slots;
    }
    if let Some(requests) = changes.requests {
        numbers.requests = requests;
        if changes.concurrency.is_none() {
            let at_once = u64::from(numbers.concurrency).min(requests);
            numbers.concurrency = u32::try_from(at_once).unwrap_or(numbers.concurrency);
        }
    }
    if let Some(concurrency) = changes.concurrency {
        numbers.concurrency = concurrency;
    }
    if u64::from(numbers.concurrency) > numbers.requests {
        return Err(format!(
            "{} connections at once are more than the {} requests in all: ask for more requests",
            numbers.concurrency, numbers.requests
        ));
    }
    let wanted: Vec<Mpm> = Mpm::ALL
        .into_iter()
        .filter(|mpm| mpms.contains(mpm) && scenario.server.mpms.contains(mpm))
        .collect();
    if wanted.is_empty() {
        return Err(format!("the scenario {} has no such MPM", scenario.name));
    }
    let plan = |mpm| {
        let mut plan = scenario.plan(mpm, Size::Quick);
        if built_in {
            plan.server.start = Start::Cold;
        }
        plan
    };
    Ok(wanted.into_iter().map(plan).collect())
}

fn built_in_scenario() -> Result<Scenario, ScenarioError> {
    Scenario::parse("limit/load.toml", BUILT_IN)
}

/// Gives every MPM so many slots, whatever the scenario says. Fewer than a child's threads make
/// one child with fewer threads.
fn set_slots(scenario: &mut Scenario, slots: u32) -> Result<(), String> {
    scenario.size.quick.max_request_workers = Some(slots);
    if let Some(prefork) = &mut scenario.server.prefork {
        prefork.max_request_workers = None;
        prefork.server_limit = None;
    }
    for mpm in [Mpm::Worker, Mpm::Event] {
        let threads = scenario.plan(mpm, Size::Quick).server.threads_per_child;
        let own = match mpm {
            Mpm::Worker => &mut scenario.server.worker,
            _ => &mut scenario.server.event,
        };
        let own = own.get_or_insert_default();
        own.max_request_workers = None;
        own.server_limit = None;
        if slots < threads {
            own.threads_per_child = Some(slots);
        } else if !slots.is_multiple_of(threads) {
            return Err(format!(
                "{slots} slots are not a multiple of the {threads} threads of each {mpm} process; \
                 fewer than {threads} make one process"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::builtin;

    #[test]
    fn the_built_in_load_has_a_connection_for_each_slot_and_starts_all_slots_at_once() {
        for plan in plans(None, &Mpm::ALL, Changes::default()).unwrap() {
            assert_eq!(plan.server.max_request_workers, 75);
            assert_eq!(plan.server.start_servers, plan.server.children());
            assert_eq!(plan.server.start, Start::Cold);
            assert_eq!((plan.load.requests, plan.load.concurrency), (1500, 75));
            assert!(!plan.load.keep_alive);
        }
    }

    #[test]
    fn few_slots_are_one_process_and_odd_ones_are_refused() {
        let slots = |slots| Changes {
            slots: Some(slots),
            ..Changes::default()
        };
        let few = plans(None, &[Mpm::Worker], slots(10)).unwrap();
        assert_eq!(few[0].server.children(), 1);
        assert_eq!(few[0].server.threads_per_child, 10);
        assert_eq!((few[0].load.requests, few[0].load.concurrency), (200, 10));
        let error = plans(None, &[Mpm::Prefork], slots(60)).unwrap_err();
        assert!(error.contains("multiple of the 25 threads"), "{error}");
    }

    #[test]
    fn a_scenario_s_own_numbers_stay_unless_they_are_changed() {
        let scenario = || builtin().into_iter().find(|s| s.name == "memory-limit");
        let own = plans(scenario(), &Mpm::ALL, Changes::default()).unwrap();
        assert_eq!((own[0].load.requests, own[0].load.concurrency), (1000, 100));
        let changes = Changes {
            requests: Some(50),
            ..Changes::default()
        };
        let changed = plans(scenario(), &Mpm::ALL, changes).unwrap();
        assert_eq!(
            (changed[0].load.requests, changed[0].load.concurrency),
            (50, 50)
        );
        let changes = Changes {
            requests: Some(50),
            concurrency: Some(60),
            ..Changes::default()
        };
        assert!(plans(scenario(), &Mpm::ALL, changes).is_err());
    }
}
