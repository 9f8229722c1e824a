//! The files of `dist/`: the systemd unit, the container and the DaemonSet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mpm_observer::privileges::KEPT;
use serde::Deserialize;

use crate::common::{PROGRAM, have};

/// By systemd's own reckoning from 0 to 10; below 3 it says that all is well.
const MOST_EXPOSURE: f64 = 3.0;

fn dist(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../dist")
        .join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(dist(name)).unwrap()
}

fn kept() -> BTreeSet<String> {
    let kept = KEPT.iter().map(|kept| kept.capability.to_string());
    kept.collect()
}

/// The words of a key of the unit.
pub fn of_unit(key: &str) -> BTreeSet<String> {
    let unit = text("mpm-observer.service");
    let values: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect();
    assert_eq!(values.len(), 1, "{key}");
    values[0].split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_unit_gives_exactly_the_capabilities_that_are_kept() {
    assert_eq!(of_unit("CapabilityBoundingSet"), kept());
    assert_eq!(of_unit("AmbientCapabilities"), kept());
}

/// The unit with the program where it was built; `None` without systemd's tool.
fn checked_unit(dir: &Path) -> Option<PathBuf> {
    let has = Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok();
    if !have("systemd-analyze", has) {
        return None;
    }
    let unit = text("mpm-observer.service").replace("/usr/local/bin/mpm-observer", PROGRAM);
    let path = dir.join("mpm-observer.service");
    fs::write(&path, unit).unwrap();
    Some(path)
}

#[test]
fn systemd_understands_the_unit_and_finds_it_little_exposed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(unit) = checked_unit(dir.path()) else {
        return;
    };
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    // Of the machine's other units it may say what it likes.
    let about_it: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("mpm-observer"))
        .collect();
    assert_eq!(about_it, Vec::<&str>::new());

    let exposed = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(&unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&exposed.stdout);
    let level = said
        .lines()
        .find_map(|line| line.split_once("mpm-observer.service: ")?.1.split_once(' '))
        .unwrap_or_else(|| panic!("{said}"));
    let level: f64 = level.0.parse().unwrap();
    assert!(level < MOST_EXPOSURE, "{level}");
}

#[derive(Deserialize)]
struct DaemonSet {
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    selector: Selector,
    template: Template,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Template {
    metadata: Metadata,
    spec: Pod,
}

#[derive(Deserialize)]
struct Metadata {
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    #[serde(rename = "hostPID")]
    host_pid: bool,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    security_context: SecurityContext,
    volume_mounts: Vec<VolumeMount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityContext {
    privileged: bool,
    allow_privilege_escalation: bool,
    capabilities: Capabilities,
    app_armor_profile: Profile,
    seccomp_profile: Profile,
}

#[derive(Deserialize)]
struct Capabilities {
    add: Vec<String>,
    drop: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeMount {
    name: String,
    mount_path: String,
    read_only: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    name: String,
    host_path: HostPath,
}

#[derive(Deserialize)]
struct HostPath {
    path: String,
}

#[test]
fn the_daemon_set_asks_for_the_kept_capabilities_and_the_nodes_processes_alone() {
    let set: DaemonSet = serde_saphyr::from_str(&text("daemonset.yaml")).unwrap();
    assert_eq!(set.kind, "DaemonSet");
    let template = set.spec.template;
    assert_eq!(set.spec.selector.match_labels, template.metadata.labels);
    let pod = template.spec;
    assert!(pod.host_pid);
    assert_eq!(pod.containers.len(), 1);
    let container = &pod.containers[0];
    let security = &container.security_context;
    assert!(!security.privileged && !security.allow_privilege_escalation);
    assert_eq!(security.capabilities.drop, ["ALL"]);
    let added = security.capabilities.add.iter();
    let added: BTreeSet<String> = added.map(|name| format!("CAP_{name}")).collect();
    assert_eq!(added, kept());
    // The default one of seccomp forbids bpf() without CAP_SYS_ADMIN.
    assert_eq!(security.seccomp_profile.kind, "Unconfined");
    assert_eq!(security.app_armor_profile.kind, "Unconfined");
    for mount in &container.volume_mounts {
        assert!(mount.read_only);
        let mut volumes = pod.volumes.iter();
        let volume = volumes.find(|volume| volume.name == mount.name).unwrap();
        assert_eq!(volume.host_path.path, mount.mount_path);
    }
}

#[test]
fn the_image_has_everything_that_the_program_needs() {
    let file = text("Containerfile");
    assert!(file.contains("\nCOPY target/release/mpm-observer /usr/local/bin/mpm-observer\n"));
    for name in kept() {
        let option = format!("--cap-add {}", name.trim_start_matches("CAP_"));
        assert!(file.contains(&option), "{option}");
    }
    for option in ["--pid host", "--cgroupns host", "seccomp=unconfined"] {
        assert!(file.contains(option), "{option}");
    }
    // The libraries of libc6 and libgcc-s1, which the smallest image has.
    let linked = Command::new("ldd").arg(PROGRAM).output().unwrap();
    let linked = String::from_utf8_lossy(&linked.stdout);
    for line in linked.lines() {
        let name = line.split_whitespace().next().unwrap();
        let of_base = [
            "linux-vdso",
            "libgcc_s",
            "libm.",
            "libc.",
            "/lib64/ld-linux",
        ];
        assert!(of_base.iter().any(|base| name.starts_with(base)), "{name}");
    }
}
