//! Programs that the tests run, which set-up puts below `target/tools`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::common::{PROGRAM, have};

/// The top of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

pub fn dashboards() -> PathBuf {
    root().join("dashboards")
}

/// Where set-up puts tools: beside the folder of the build's profile.
fn tools() -> Option<PathBuf> {
    let target = Path::new(PROGRAM).parent()?.parent()?;
    Some(target.join("tools"))
}

fn program(name: &str, unpacked: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|dir| dir.join(name))
        .chain(tools().map(|tools| tools.join(unpacked)))
        .find(|file| file.is_file());
    have(name, found.is_some()).then_some(found).flatten()
}

pub fn prometheus() -> Option<PathBuf> {
    program("prometheus", "prometheus/usr/bin/prometheus")
}

pub fn promtool() -> Option<PathBuf> {
    program("promtool", "prometheus/usr/bin/promtool")
}

/// Runs `check.py`, which holds dashboards against Grafana's own types.
pub fn check_by_grafana(files: &[PathBuf]) -> Option<Output> {
    let types = tools()?.join("grafana-types");
    if !have("Grafana's types", types.is_dir()) {
        return None;
    }
    let script = root().join("mpm-observer/tests/dashboards/check.py");
    let output = Command::new("python3")
        .arg("-B")
        .arg(script)
        .args(files)
        .env("PYTHONPATH", types)
        .output();
    Some(output.unwrap())
}

/// What a program printed.
pub fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{err}")
}
