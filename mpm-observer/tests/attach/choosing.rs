//! Which server is meant.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mpm_observer::{
    httpd::descendants,
    live::{self, LiveError, Target},
    scenario::Mpm,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::common::{
    debian::{DebianHttpd, Differently},
    have, wait_until,
    watched::exchange,
};

fn pid_of(target: &Target) -> Option<u32> {
    let server = live::choose(target).unwrap();
    server.map(|server| server.process.pid)
}

/// The process that `top --once` watches, as the options name the server.
fn watched_by_top(mut command: Command, options: &[&str]) -> u32 {
    let output = command
        .args(["top", "--once", "--json", "--window", "100ms"])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let picture: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let pid = picture["server"]["pid"].as_u64().expect("a number");
    pid.try_into().unwrap()
}

/// A program that sees itself and `pids` in /proc and no other process; the rest of /proc is there.
///
/// `dir`: an empty directory, for all of /proc within the program's own mounts.
fn seeing_only(pids: &[u32], program: &str, dir: &Path) -> Command {
    // `exec` keeps the shell's number.
    const SCRIPT: &str = r#"set -e
        all=$1; program=$2; shift 2
        mount --bind /proc "$all"
        mount -t tmpfs tmpfs /proc
        for name in $(ls "$all"); do
            case $name in [0-9]*|self) ;; *) ln -s "$all/$name" "/proc/$name" ;; esac
        done
        ln -s $$ /proc/self
        for pid in $$ $PIDS; do ln -s "$all/$pid" "/proc/$pid"; done
        exec "$program" "$@""#;
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", SCRIPT, "sh"])
        .arg(dir)
        .arg(program)
        .env("PIDS", pids.join(" "));
    command
}

#[test]
fn the_only_server_that_runs_need_not_be_named() {
    for mpm in Mpm::ALL {
        let Some(httpd) = DebianHttpd::start(mpm) else {
            return;
        };
        // Others of other tests may run too, which it must not see.
        let mut pids = descendants(httpd.pid()).unwrap();
        pids.push(httpd.pid());
        let dir = tempfile::tempdir().unwrap();
        let only = seeing_only(&pids, super::common::PROGRAM, dir.path());
        assert_eq!(watched_by_top(only, &[]), httpd.pid(), "{mpm}");
        httpd.stop();
    }
}

#[test]
fn a_server_is_named_by_any_of_its_processes() {
    for mpm in Mpm::ALL {
        let Some(httpd) = DebianHttpd::start(mpm) else {
            return;
        };
        let children = descendants(httpd.pid()).unwrap();
        assert!(!children.is_empty());
        for pid in children.into_iter().chain([httpd.pid()]) {
            assert_eq!(pid_of(&Target::Pid(pid)), Some(httpd.pid()));
        }
        httpd.stop();
    }
}

#[test]
fn processes_show_prefork_at_once_and_event_when_it_keeps_a_connection() {
    for mpm in Mpm::ALL {
        let keeping = Differently {
            lines: "KeepAliveTimeout 300",
            ..Differently::default()
        };
        let Some(httpd) = DebianHttpd::start_as(mpm, keeping) else {
            return;
        };
        let shown = || live::mpm_by_behaviour(httpd.pid());
        let kept = httpd.network().within(|| {
            let mut stream = TcpStream::connect(httpd.addr()).unwrap();
            exchange(&mut stream, "/", false);
            stream
        });
        match mpm {
            Mpm::Prefork => assert_eq!(shown(), Some(mpm)),
            Mpm::Worker => assert_eq!(shown(), None),
            // The worker gives it back to the listener after the answer.
            Mpm::Event => wait_until("it is kept", || shown() == Some(mpm)),
        }
        drop(kept);
        httpd.stop();
    }
}

#[test]
fn a_process_that_is_no_httpds_is_refused_and_none_is_none() {
    if !have("root", nix::unistd::geteuid().is_root()) {
        return;
    }
    let refused = live::choose(&Target::Pid(std::process::id()));
    assert!(
        matches!(refused, Err(LiveError::NotHttpd { .. })),
        "{refused:?}"
    );
    assert_eq!(pid_of(&Target::Pid(u32::MAX / 2)), None);
    assert_eq!(pid_of(&Target::Unit("no-such-unit".into())), None);
}

#[test]
fn a_shell_with_a_subshell_is_no_httpd() {
    if !have("root", nix::unistd::geteuid().is_root()) {
        return;
    }
    let mut shell = Command::new("sh")
        .args(["-c", "(echo ready; sleep 600; :) & wait"])
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(shell.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    // One thread in each process, as in prefork.
    let behaves = live::mpm_by_behaviour(shell.id());
    let refused = live::choose(&Target::Pid(shell.id()));
    let group = Pid::from_raw(shell.id().cast_signed());
    killpg(group, Signal::SIGKILL).unwrap();
    shell.wait().unwrap();
    assert_eq!(behaves, Some(Mpm::Prefork));
    assert!(
        matches!(refused, Err(LiveError::NotHttpd { .. })),
        "{refused:?}"
    );
}

#[test]
fn of_several_each_is_listed_with_what_tells_it_apart() {
    let ports = Differently {
        ports: &[8080],
        ..Differently::default()
    };
    let Some(one) = DebianHttpd::start(Mpm::Prefork) else {
        return;
    };
    let Some(other) = DebianHttpd::start_as(Mpm::Worker, ports) else {
        return;
    };
    // Others of other tests may run too.
    let Err(LiveError::Several { found }) = live::choose(&Target::Only) else {
        panic!("several run");
    };
    let line = |pid: u32| {
        let begin = format!("pid {pid},");
        found.iter().find(|line| line.starts_with(&begin)).unwrap()
    };
    assert!(line(one.pid()).ends_with(", prefork, port 80"), "{found:?}");
    assert!(
        line(other.pid()).ends_with(", worker, ports 80 8080"),
        "{found:?}"
    );
    one.stop();
    other.stop();
}

/// A control group of the test's own. Dropping it removes it.
struct Group {
    path: PathBuf,
}

impl Group {
    /// In the hierarchy that units are in, or in any; `None` if none can be made.
    fn make(name: &str) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = ["systemd", "unified", "", "pids", "freezer", "memory"];
        hierarchies
            .into_iter()
            .map(|hierarchy| root.join(hierarchy))
            .filter(|hierarchy| hierarchy.join("cgroup.procs").exists())
            .map(|hierarchy| Self {
                path: hierarchy.join(name),
            })
            .find(|group| fs::create_dir(&group.path).is_ok())
    }

    fn take(&self, pid: u32) {
        let mut members = fs::File::options()
            .write(true)
            .open(self.path.join("cgroup.procs"))
            .unwrap();
        write!(members, "{pid}").unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever has just ended leaves it a moment later.
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::remove_dir(&self.path).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_server_is_named_by_its_control_group_or_container() {
    let id = format!("{:064x}", u64::from(std::process::id()) | 0x4f4c << 32);
    let group = Group::make(&format!("docker-{id}.scope"));
    if !have(
        "a control group hierarchy that can be written",
        group.is_some(),
    ) {
        return;
    }
    let group = group.unwrap();
    let Some(httpd) = DebianHttpd::start(Mpm::Prefork) else {
        return;
    };
    let target = Target::Cgroup(group.path.clone());
    assert_eq!(pid_of(&target), None);
    group.take(httpd.pid());
    assert_eq!(pid_of(&target), Some(httpd.pid()));
    assert_eq!(pid_of(&Target::Container(id.clone())), Some(httpd.pid()));
    let top = Command::new(super::common::PROGRAM);
    assert_eq!(watched_by_top(top, &["--container", &id]), httpd.pid());
    let server = live::choose(&target).unwrap().unwrap();
    assert_eq!(server.place().unwrap().container, Some(id.clone()));
    assert!(server.to_string().contains(&id[..12]), "{server}");
    let children = descendants(httpd.pid()).unwrap();
    httpd.stop();
    for child in children {
        assert!(!super::common::alive(child));
    }
}

#[test]
fn a_server_is_named_by_its_unit() {
    let name = format!("mpm-observer-test-{}", std::process::id());
    let group = Group::make(&format!("{name}.service"));
    let is_of_units = |group: &Group| {
        let hierarchy = group.path.parent().unwrap();
        ["systemd", "unified", "cgroup"].contains(&hierarchy.file_name().unwrap().to_str().unwrap())
    };
    // Debian has it: version 2, or systemd's own of version 1.
    let group = group.filter(is_of_units);
    if !have("a control group hierarchy of systemd's", group.is_some()) {
        return;
    }
    let group = group.unwrap();
    let Some(httpd) = DebianHttpd::start(Mpm::Worker) else {
        return;
    };
    group.take(httpd.pid());
    assert_eq!(pid_of(&Target::Unit(name.clone())), Some(httpd.pid()));
    assert_eq!(
        pid_of(&Target::Unit(format!("{name}.service"))),
        Some(httpd.pid())
    );
    let top = Command::new(super::common::PROGRAM);
    assert_eq!(watched_by_top(top, &["--unit", &name]), httpd.pid());
    httpd.stop();
}

#[test]
fn from_within_a_pid_namespace_the_observer_says_what_to_do() {
    if !have("root", nix::unistd::geteuid().is_root()) {
        return;
    }
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", super::common::PROGRAM])
        .args(["record", "--duration", "1s"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("--pid=host"), "{errors}");
}
