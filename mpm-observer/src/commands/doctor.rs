//! `mpm-observer doctor`

use std::path::{Path, PathBuf};

use clap::Args;
use nix::{sys::utsname::uname, unistd::geteuid};

use super::exit::{CommandResult, Exit};
use crate::{
    httpd::{Installation, user},
    kernel::{Hook, Kernel, KernelTypes, PROBES, Program, Tier, Watch},
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
    let release = uname().map_or_else(
        |_| "unknown".to_owned(),
        |name| name.release().to_string_lossy().into_owned(),
    );
    Findings::note("kernel", &release);
    findings.line(
        root,
        "root",
        if root {
            "yes"
        } else {
            "needed for the eBPF programs and for `lab`: run with sudo"
        },
    );
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
    probe_lines(&mut findings, &release, types.as_ref().ok(), root);
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

fn probe_lines(findings: &mut Findings, release: &str, types: Option<&KernelTypes>, root: bool) {
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
        println!("\nwhether the programs load on {release} can be told as root only");
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
