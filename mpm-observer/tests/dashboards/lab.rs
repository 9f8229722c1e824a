//! `lab --serve`: a Prometheus watches the lab's runs, and the report tells what it showed.

use std::{
    fs,
    process::{Command, Stdio},
};

use mpm_observer::{
    scenario::Mpm,
    witness::{Incident, Testimony, Witness},
};

use super::{
    common::{PROGRAM, alive, dir_of_lab},
    tools::{prometheus, text},
};

/// Clients who keep their connection and ask nothing hold all ten slots for twenty seconds.
const SCENARIO: &str = "name = \"idle\"\ntitle = \"Idle\"\nwhat = \"A test.\"\n\
    [load]\ntimeout_s = 5\n\
    [load.held]\nkind = \"idle-keep-alive\"\nconnections = 12\n\
    [size]\nfull = { requests = 100000, concurrency = 5, max_duration_s = 20 }\n\
    quick = { requests = 100000, concurrency = 5, max_duration_s = 20 }\n\
    [server]\nmax_request_workers = 10\nkeep_alive_timeout_s = 60\n\
    worker.threads_per_child = 5\nevent.threads_per_child = 5\n";

fn of(witness: &Witness, incident: Incident) -> &Testimony {
    let found = witness
        .testimonies
        .iter()
        .find(|of| of.incident == incident);
    found.unwrap_or_else(|| panic!("no {incident:?} in {witness:?}"))
}

#[test]
fn the_lab_tells_what_prometheus_showed_of_what_happened() {
    let (Some(dir), Some(program)) = (dir_of_lab(), prometheus()) else {
        return;
    };
    let scenario = dir.path().join("idle.toml");
    fs::write(&scenario, SCENARIO).unwrap();
    let out = dir.path().join("out");
    let output = Command::new(PROGRAM)
        .args([
            "lab",
            "--no-overhead",
            "--repetitions",
            "1",
            "--mpm",
            "prefork",
        ])
        .args(["--serve=127.0.0.1:0", "--prometheus"])
        .arg(&program)
        .arg("--scenario")
        .arg(&scenario)
        .arg("--out")
        .arg(&out)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");

    let witness = Witness::read(&out).unwrap().expect("a Prometheus watched");
    let held = of(&witness, Incident::IdleHoldSlots);
    assert_eq!(
        (held.mpm, held.repetition, &*held.scenario),
        (Mpm::Prefork, 1, "idle")
    );
    // What the kernel's metrics showed is what was so.
    assert_eq!(held.truth.amount, 10.0, "{held:?}");
    assert!(held.kernel.after_s.is_some(), "{held:?}");
    assert_eq!(held.kernel.largest, Some(10.0), "{held:?}");
    // mod_status needs a slot to answer.
    assert!(held.silent.is_some_and(|silent| silent > 0.0), "{held:?}");
    let waits = of(&witness, Incident::ClientsWait);
    assert!(
        waits.truth.amount >= 1.0 && waits.kernel.after_s.is_some(),
        "{waits:?}"
    );

    for report in ["report/report.html", "report/report.md"] {
        let text = fs::read_to_string(out.join(report)).unwrap();
        assert!(text.contains("What Prometheus showed"), "{report}");
        assert!(
            text.contains("idle clients hold slots: at most 10 slots"),
            "{report}"
        );
    }
    // Prometheus' data stays, and it itself is gone.
    assert!(out.join("prometheus/data").is_dir());
    assert_eq!(processes_of(&program, &out.join("prometheus")), [0_u32; 0]);
}

/// The processes of a program that work in a directory.
fn processes_of(program: &std::path::Path, dir: &std::path::Path) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let is = |link: &str, path: &std::path::Path| {
                fs::read_link(format!("/proc/{pid}/{link}")).is_ok_and(|found| found == path)
            };
            alive(*pid) && is("exe", program) && is("cwd", dir)
        })
        .collect()
}

#[test]
fn without_a_prometheus_only_the_metrics_are_served() {
    let Some(dir) = dir_of_lab() else { return };
    let scenario = dir.path().join("idle.toml");
    fs::write(
        &scenario,
        SCENARIO.replace("duration_s = 20", "duration_s = 2"),
    )
    .unwrap();
    let out = dir.path().join("out");
    let output = Command::new(PROGRAM)
        .args([
            "lab",
            "--no-overhead",
            "--repetitions",
            "1",
            "--mpm",
            "prefork",
        ])
        .arg("--serve=127.0.0.1:0")
        .arg("--scenario")
        .arg(&scenario)
        .arg("--out")
        .arg(&out)
        .current_dir(dir.path())
        // No Prometheus is to be found there.
        .env("PATH", "/usr/sbin:/sbin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("there is no Prometheus on this machine"),
        "{said}"
    );
    assert!(said.contains("serving http://127.0.0.1:"), "{said}");
    assert_eq!(Witness::read(&out).unwrap(), None);
    let page = fs::read_to_string(out.join("report/report.html")).unwrap();
    assert!(!page.contains("What Prometheus showed"));
}
