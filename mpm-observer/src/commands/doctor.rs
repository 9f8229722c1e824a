//! `mpm-observer doctor`

use std::path::{Path, PathBuf};

use clap::Args;
use nix::unistd::geteuid;

use super::exit::{CommandResult, Exit};
use crate::{
    httpd::{Installation, user},
    kernel::{Hook, Kernel, KernelTypes, PROBES, Program, Release, Tier, Watch, needed},
    live::require_initial_pid_namespace,
    resources::{memory_cgroup_version, tasks_cgroup_version},
    scenario::Mpm,
};

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// The httpd to look at [default: the one installed]
    #[arg(long, value_name = "PATH")]
    httpd: Option<PathBuf>,
}

/// What was found; the worst of all decides the exit code.
#[derive(Default)]
struct Findings {
    missing: u32,
}

impl Findings {
    fn line(&mut self, good: bool, what: &str, found: &str) {
        let mark = if good { "ok     " } else { "MISSING" };
        self.missing += u32::from(!good);
        println!("{mark}  {what:22} {found}");
    }

    fn note(what: &str, found: &str) {
        println!("-        {what:22} {found}");
    }
}

/// Runs it.
pub(super) fn run(arguments: &DoctorArguments) -> CommandResult {
    let mut findings = Findings::default();
    let root = geteuid().is_root();
    let release = Release::running();
    Findings::note("kernel", &kernel_line(release.as_ref()));
    findings.line(
        root,
        "root",
        if root {
            "yes"
        } else {
            "needed for the eBPF programs and for `lab`: run with sudo"
        },
    );
    match require_initial_pid_namespace() {
        Ok(()) => findings.line(true, "pid namespace", "the initial one"),
        Err(error) => findings.line(false, "pid namespace", &error.to_string()),
    }
    let types = KernelTypes::of_running_kernel();
    match &types {
        Ok(types) => match types.offsets() {
            Ok(_) => findings.line(true, "BTF", "all fields that the programs read are there"),
            Err(error) => findings.line(false, "BTF", &error.to_string()),
        },
        Err(error) => findings.line(false, "BTF", &error.to_string()),
    }
    for (name, version) in [
        ("cgroup memory", memory_cgroup_version()),
        ("cgroup tasks", tasks_cgroup_version()),
    ] {
        let found = match version {
            0 => "no controller: cannot be limited, its columns stay empty".to_owned(),
            version => format!("controller in version {version}"),
        };
        Findings::note(name, &found);
    }
    httpd_lines(&mut findings, arguments.httpd.as_deref());
    probe_lines(&mut findings, types.as_ref().ok(), root);
    Ok(if findings.missing == 0 {
        Exit::Done
    } else {
        Exit::Missing
    })
}

fn httpd_lines(findings: &mut Findings, named: Option<&Path>) {
    match Installation::find(named) {
        Ok(found) => {
            let path = found.binary.display();
            findings.line(true, "httpd", &format!("{} ({path})", found.version));
            for mpm in Mpm::ALL {
                match found.require(mpm) {
                    Ok(()) => findings.line(true, &format!("MPM {mpm}"), "there"),
                    Err(error) => {
                        findings.line(false, &format!("MPM {mpm}"), &error.to_string());
                    }
                }
            }
        }
        Err(error) => findings.line(false, "httpd", &error.to_string()),
    }
    match user::choose(None) {
        Ok(Some(user)) => findings.line(true, "user for httpd", &user.name),
        Ok(None) => Findings::note("user for httpd", "your own"),
        Err(error) => findings.line(false, "user for httpd", &error.to_string()),
    }
}

/// The release, and what is needed if it is older.
fn kernel_line(release: Option<&Release>) -> String {
    let (major, minor) = needed();
    match release {
        None => "unknown".to_owned(),
        Some(release) if release.is_enough() => release.text.clone(),
        Some(release) => format!("{}; {major}.{minor} or later is needed", release.text),
    }
}

fn probe_lines(findings: &mut Findings, types: Option<&KernelTypes>, root: bool) {
    println!("\nprobes (hook, since kernel, tier, time of a call):");
    for probe in PROBES {
        println!("  {:9} {}", probe.name, probe.gives);
        for program in probe.programs {
            let there = has_hook(program, types);
            let state = match (there, program.tier) {
                (Some(true), _) => "ok",
                (Some(false), Tier::Base) => "MISSING",
                (Some(false), Tier::Optional) => "absent (its columns stay empty)",
                (Some(false), Tier::Trace) => "absent (there can be no trace)",
                (Some(false), Tier::Live) => "absent (no server that runs already can be watched)",
                (None, _) => "unknown without root",
            };
            if there == Some(false) && program.tier == Tier::Base {
                findings.missing += 1;
            }
            let (major, minor) = program.since_kernel;
            let tier = match program.tier {
                Tier::Base => "base",
                Tier::Optional => "optional",
                Tier::Trace => "trace",
                Tier::Live => "live",
            };
            println!(
                "            {:38} {major}.{minor:<3} {tier:9} {:>5} ns  {state}",
                program.hook.to_string(),
                program.call_ns
            );
        }
    }
    if !root {
        println!("\nwhether the programs load on this kernel can be told as root only");
        return;
    }
    println!();
    let loads = Kernel::read().and_then(|kernel| Watch::check(&kernel));
    match loads {
        Ok(absent) if absent.is_empty() => {
            findings.line(true, "loading", "all programs load and attach");
        }
        Ok(absent) => findings.line(true, "loading", &format!("all but {}", absent.join(", "))),
        Err(error) => findings.line(false, "loading", &error.to_string()),
    }
}

/// Whether this kernel has a program's hook; `None` if that cannot be told.
fn has_hook(program: &Program, types: Option<&KernelTypes>) -> Option<bool> {
    types.map(|types| match program.hook {
        Hook::TpBtf(name) => types.has_tracepoint(name),
        Hook::Iter(name) => types.has_iterator(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_told_with_what_is_needed() {
        let line = |text: &str, version| {
            let text = text.to_owned();
            kernel_line(Some(&Release { text, version }))
        };
        assert_eq!(line("6.18.44", (6, 18)), "6.18.44");
        assert_eq!(
            line("6.1.0-25-amd64", (6, 1)),
            "6.1.0-25-amd64; 6.3 or later is needed"
        );
    }
}
