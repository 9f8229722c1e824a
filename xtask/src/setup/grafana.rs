//! Grafana's own description of its dashboards, which the tests check ours against.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::debian::Apt;
use super::host::{Family, Host};
use super::search;
use crate::environment;
use crate::failure::Failure;
use crate::paths::Paths;
use crate::step::Step;

/// The pinned package, with its hash.
const REQUIREMENTS: &str = "mpm-observer/tests/dashboards/requirements.txt";
/// The folder of the package.
const MODULE: &str = "grafana_foundation_sdk";

/// Sets up Grafana Labs' Python package of the types that a dashboard consists of, in the target
/// directory. Nothing of the system's or the user's Python is touched.
pub fn ensure_grafana_types(paths: &Paths) -> Result<()> {
    let dir = paths.tools().join("grafana-types");
    let host = Host::detect()?;
    if python(paths).is_none() && host.family == Family::Debian && host.is_root {
        let mut apt = Apt::new(paths);
        for package in ["python3", "python3-pip"] {
            apt.want(package, "checks the dashboards against Grafana's types");
        }
        apt.install()?;
    }
    let Some(python) = python(paths) else {
        let line = "python3 (3.11 or later) with pip, which checks the dashboards against \
                    Grafana's types: install both with the system's package manager";
        return Err(Failure::Missing(vec![line.to_owned()]).into());
    };
    if dir.join(MODULE).is_dir() {
        return Ok(());
    }
    let mut install = environment::command(paths, python);
    install
        .args(["-m", "pip", "install", "--no-deps", "--require-hashes"])
        .args(["--disable-pip-version-check", "--target"])
        .arg(&dir)
        .arg("--requirement")
        .arg(paths.root.join(REQUIREMENTS));
    Step {
        what: "installing Grafana's types for the tests",
        expected: "about 5 s, once per checkout",
        log: "grafana-types",
    }
    .run(paths, &mut install)
}

/// A Python that has pip and reads the package.
fn python(paths: &Paths) -> Option<PathBuf> {
    let reads = |program: &Path| {
        let mut question = environment::command(paths, program);
        question.args([
            "-c",
            "import pip, sys; sys.exit(sys.version_info < (3, 11))",
        ]);
        question
            .output()
            .is_ok_and(|output| output.status.success())
    };
    search::programs("python3").find(|program| reads(program))
}
