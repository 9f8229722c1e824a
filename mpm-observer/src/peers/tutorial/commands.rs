//! The six commands: one table.

use serde::{Deserialize, Serialize};

use crate::scenario::{Mpm, RunPlan, Scenario, Size, builtin};

/// Who puts the load on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// ApacheBench.
    Ab,
    /// The project's own, with ab's flags.
    Loadgen,
}

impl Tool {
    /// Its name, and that of its program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ab => "ab",
            Self::Loadgen => "loadgen",
        }
    }
}

/// A command of the tutorial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The number of the tutorial's section.
    pub number: u32,
    /// The built-in scenario that has its httpd and its numbers.
    pub scenario: &'static str,
    /// The command itself.
    pub line: &'static str,
    /// Whether CPU and memory of the server are looked at meanwhile.
    pub watched: bool,
}

/// All of them.
pub const COMMANDS: [Command; 6] = [
    Command {
        number: 1,
        scenario: "high-load",
        line: "ab -n 10000 -c 1000 http://localhost/",
        watched: false,
    },
    Command {
        number: 2,
        scenario: "keep-alive",
        line: "ab -n 5000 -c 500 -k http://localhost/",
        watched: false,
    },
    Command {
        number: 3,
        scenario: "large-file",
        line: "ab -n 1000 -c 100 http://localhost/10mb.bin",
        watched: false,
    },
    Command {
        number: 4,
        scenario: "memory-limit",
        line: "ulimit -v 500000; ab -n 1000 -c 100 http://localhost/",
        watched: false,
    },
    Command {
        number: 5,
        scenario: "high-load",
        line: "ab -n 10000 -c 1000 http://localhost/",
        watched: true,
    },
    Command {
        number: 6,
        scenario: "overload-tutorial",
        line: "ab -n 5000 -c 500 http://localhost/",
        watched: false,
    },
];

impl Command {
    /// The httpd and the load, in the tutorial's size.
    ///
    /// # Panics
    /// Never: a test holds that the scenario is built in.
    #[must_use]
    pub fn plan(&self, mpm: Mpm) -> RunPlan {
        let named = |scenario: &Scenario| scenario.name == self.scenario;
        let scenario = builtin().into_iter().find(named);
        scenario
            .unwrap_or_else(|| unreachable!("{} is built in", self.scenario))
            .plan(mpm, Size::Full)
    }

    /// ab's arguments without the URL, which are loadgen's too.
    #[must_use]
    pub fn arguments(plan: &RunPlan) -> Vec<String> {
        let load = &plan.load;
        let mut arguments = vec![
            "-n".to_owned(),
            load.requests.to_string(),
            "-c".to_owned(),
            load.concurrency.to_string(),
        ];
        if load.keep_alive {
            arguments.push("-k".to_owned());
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_have_the_numbers_of_the_tutorials_lines() {
        for (command, number) in COMMANDS.iter().zip(1..) {
            assert_eq!(command.number, number);
            for mpm in Mpm::ALL {
                let arguments = Command::arguments(&command.plan(mpm)).join(" ");
                assert!(
                    command.line.contains(&format!("ab {arguments} http")),
                    "{}: {arguments}",
                    command.line
                );
            }
        }
    }

    #[test]
    fn the_limit_of_the_fourth_is_set_for_httpd() {
        let plan = COMMANDS[3].plan(Mpm::Prefork);
        let limits: Vec<u64> = plan.limits.iter().map(|limit| limit.value).collect();
        assert_eq!(limits, [500_000]);
        assert_eq!(COMMANDS[2].plan(Mpm::Event).load.body_bytes, 10 << 20);
    }
}
