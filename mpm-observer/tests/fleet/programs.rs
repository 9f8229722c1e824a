//! The observer's programs and maps in the kernel, from the kernel's own lists, before and after
//! its end.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use aya::{maps::loaded_maps, programs::loaded_programs};
use mpm_observer::{
    httpd::RuntimeDir,
    kernel::{PROBES, Tier, Watch},
    scenario::Mpm,
};
use nix::sys::signal::Signal;

use crate::{
    common::{GRACE, Place, small, watched::kernel},
    serving::Serving,
};

/// Numbers that a process's descriptors are of, by what they are called in `/proc/PID/fdinfo`.
fn of_process(pid: u32, key: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap() {
        // A descriptor may be closed meanwhile.
        let Ok(text) = fs::read_to_string(entry.unwrap().path()) else {
            continue;
        };
        let ids = text.lines().filter_map(|line| {
            let value = line.strip_prefix(key)?.strip_prefix(':')?;
            value.trim().parse::<u32>().ok()
        });
        found.extend(ids);
    }
    found
}

/// Those of the kernel's programs that are among `ids`, by number and name. Programs of others
/// come and go while the kernel is asked.
fn loaded_among(ids: &BTreeSet<u32>) -> Vec<(u32, String)> {
    let programs = loaded_programs().flatten();
    programs
        .filter(|program| ids.contains(&program.id()))
        .map(|program| (program.id(), program.name_as_str().unwrap().to_owned()))
        .collect()
}

fn maps_among(ids: &BTreeSet<u32>) -> usize {
    let maps = loaded_maps().flatten();
    maps.filter(|map| ids.contains(&map.id())).count()
}

/// The programs but those that `absent` names, and those of a trace. The kernel keeps the first
/// 15 bytes of a name.
fn names_in_kernel(absent: &[&str]) -> BTreeSet<String> {
    let programs = PROBES.iter().flat_map(|probe| probe.programs);
    programs
        .filter(|program| program.tier != Tier::Trace && !absent.contains(&program.name))
        .map(|program| program.name.chars().take(15).collect())
        .collect()
}

fn nothing_is_left_after(signal: Signal, code: Option<i32>) {
    let Some(kernel) = kernel() else { return };
    // Optional ones that this kernel refuses.
    let absent = Watch::check(&kernel).unwrap();
    for mpm in Mpm::ALL {
        let Some(place) = Place::new() else { return };
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        let (httpd, _) = place.start(&runtime, &small(mpm, "warm", ""));
        let serving = Serving::start(&["--pid", &httpd.pid().to_string()]);
        serving.wait_for_line("watching httpd");

        let programs = of_process(serving.pid(), "prog_id");
        let maps = of_process(serving.pid(), "map_id");
        let loaded = loaded_among(&programs);
        assert_eq!(loaded.len(), programs.len(), "{loaded:?}");
        let names: BTreeSet<String> = loaded.into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, names_in_kernel(&absent));
        assert!(maps_among(&maps) > 0);

        assert_eq!(serving.end(signal), code);
        // The kernel takes the last reference away after the process's end, on a clock of its own.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let (left, maps_left) = (loaded_among(&programs), maps_among(&maps));
            if left.is_empty() && maps_left == 0 {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{mpm}: {left:?} and {maps_left} maps are left"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
    }
}

#[test]
fn serve_that_is_killed_leaves_no_program_and_no_map_behind() {
    nothing_is_left_after(Signal::SIGKILL, None);
}

#[test]
fn serve_that_is_told_to_end_leaves_no_program_and_no_map_behind() {
    nothing_is_left_after(Signal::SIGTERM, Some(0));
}
