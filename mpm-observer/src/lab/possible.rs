//! What this machine cannot run: found out by trying before the first run is made.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::PlannedRun;
use crate::{
    httpd::{IdleAccount, THIS_PROGRAM, try_limits, user::ServerUser},
    recording::Skipped,
    resources::RunCgroup,
    scenario::{Mpm, RunPlan, StartAs},
};

/// Tries whatever a run's start depends on: limits, control group, user.
///
/// # Errors
/// What is not possible here, in one line.
pub(super) fn try_out(plan: &RunPlan, user: Option<&ServerUser>) -> Result<(), String> {
    if plan.server.start_as == StartAs::User && user.is_none() {
        return Err("server.start_as = \"user\" needs root, to become that user".into());
    }
    try_limits(&plan.limits, Path::new(THIS_PROGRAM))?;
    // It goes again at once.
    RunCgroup::create(&plan.limits).map_err(|error| error.to_string())?;
    if plan.limits.processes.is_some() {
        IdleAccount::take(user).map_err(|error| error.to_string())?;
    }
    // The load process raises its limit as far as it may.
    client_files(plan, getrlimit(Resource::Nofile).maximum)
}

/// Files that the load process has open beside its connections, at least.
const CLIENT_FILES: u64 = 6;

/// Whether the load process may have all of its connections open at once.
fn client_files(plan: &RunPlan, hard: Option<u64>) -> Result<(), String> {
    let load = &plan.load;
    let held = load.held.as_ref().map_or(0, |held| held.connections);
    let at_once = u64::from(load.concurrency) + u64::from(held);
    let needed = at_once + CLIENT_FILES;
    match hard {
        Some(hard) if hard < needed => Err(format!(
            "the load's {at_once} connections at once, slow clients among them, need {needed} \
             open files, but the hard limit of this process is {hard}: raise it with \
             `ulimit -Hn {needed}`, or ask for fewer"
        )),
        _ => Ok(()),
    }
}

/// Parts the runs into those that can be made and what is skipped, each scenario and MPM once.
/// `why_not` is asked once for each. What holds for all MPMs of a scenario is said once.
pub(super) fn part(
    runs: &[PlannedRun],
    why_not: impl Fn(&RunPlan) -> Result<(), String>,
) -> (Vec<PlannedRun>, Vec<Skipped>) {
    let mut asked: Vec<(&str, Mpm, Result<(), String>)> = Vec::new();
    for PlannedRun { plan, .. } in runs {
        let known =
            |(scenario, mpm, _): &(&str, Mpm, _)| *scenario == plan.scenario && *mpm == plan.mpm;
        if !asked.iter().any(known) {
            asked.push((&plan.scenario, plan.mpm, why_not(plan)));
        }
    }
    let mut skipped: Vec<Skipped> = Vec::new();
    for (scenario, mpm, found) in &asked {
        let Err(why) = found else { continue };
        let of_scenario = || asked.iter().filter(|(other, ..)| other == scenario);
        let alike = of_scenario().all(|(.., other)| other.as_ref().err() == Some(why));
        let entry = Skipped {
            scenario: (*scenario).to_owned(),
            mpm: (!alike).then_some(*mpm),
            why: why.clone(),
        };
        if !skipped.contains(&entry) {
            skipped.push(entry);
        }
    }
    let possible = runs
        .iter()
        .filter(|run| {
            !skipped.iter().any(|skip| {
                skip.scenario == run.plan.scenario && skip.mpm.is_none_or(|mpm| mpm == run.plan.mpm)
            })
        })
        .cloned()
        .collect();
    (possible, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lab::interleaved,
        scenario::{Scenario, Size, builtin},
    };

    #[test]
    fn slow_clients_count_among_the_files_of_the_load() {
        let scenario = builtin()
            .into_iter()
            .find(|scenario| scenario.name == "half-header")
            .unwrap();
        let plan = scenario.plan(Mpm::Event, Size::Quick);
        let held = plan.load.held.as_ref().unwrap().connections;
        let needed = u64::from(plan.load.concurrency + held) + CLIENT_FILES;
        assert_eq!(client_files(&plan, Some(needed)), Ok(()));
        assert_eq!(client_files(&plan, None), Ok(()));
        let error = client_files(&plan, Some(needed - 1)).unwrap_err();
        assert!(
            error.contains(&format!("ulimit -Hn {needed}")) && error.lines().count() == 1,
            "{error}"
        );
    }

    fn runs() -> (Vec<PlannedRun>, String, String) {
        let scenarios: Vec<Scenario> = builtin().into_iter().take(2).collect();
        let runs = interleaved(&scenarios, &Mpm::ALL, Size::Quick, Some(2));
        let names = [0, 1].map(|index| scenarios[index].name.clone());
        let [first, second] = names;
        (runs, first, second)
    }

    #[test]
    fn a_scenario_that_no_mpm_can_run_is_skipped_once_and_the_rest_is_run() {
        let (runs, first, second) = runs();
        let (possible, skipped) = part(&runs, |plan| match plan.scenario == first {
            true => Err("no controller".into()),
            false => Ok(()),
        });
        assert_eq!(possible.len(), 6);
        assert!(possible.iter().all(|run| run.plan.scenario == second));
        let expected = Skipped {
            scenario: first,
            mpm: None,
            why: "no controller".into(),
        };
        assert_eq!(skipped, [expected]);
    }

    #[test]
    fn an_mpm_that_cannot_run_is_skipped_alone() {
        let (runs, first, _) = runs();
        let (possible, skipped) = part(&runs, |plan| {
            match plan.scenario == first && plan.mpm == Mpm::Event {
                true => Err("too low".into()),
                false => Ok(()),
            }
        });
        assert_eq!((possible.len(), skipped.len()), (10, 1));
        assert_eq!(skipped[0].mpm, Some(Mpm::Event));
    }

    #[test]
    fn each_scenario_and_mpm_is_asked_once() {
        let (runs, ..) = runs();
        let asked = std::cell::Cell::new(0);
        part(&runs, |_| {
            asked.set(asked.get() + 1);
            Ok(())
        });
        assert_eq!((runs.len(), asked.get()), (12, 6));
    }
}
