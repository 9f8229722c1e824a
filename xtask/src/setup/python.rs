//! What the tests take from the Python Package Index.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::debian::Apt;
use super::host::{Family, Host};
use super::search;
use crate::environment;
use crate::failure::Failure;
use crate::paths::Paths;
use crate::step::Step;

/// A package that is unpacked into the target directory. Nothing of the system's or the user's
/// Python is touched.
#[derive(Clone, Copy, Debug)]
pub struct PythonPackage {
    /// Its folder among the tools.
    folder: &'static str,
    /// Its version with its hashes: a file of the workspace.
    requirements: &'static str,
    /// What shows that it is there, in its folder.
    content: &'static str,
    /// Whether that is a program, which needs Python as a library.
    is_program: bool,
    /// What it is for.
    purpose: &'static str,
}

/// Grafana Labs' own types of what a dashboard consists of.
pub const GRAFANA_TYPES: PythonPackage = PythonPackage {
    folder: "grafana-types",
    requirements: "mpm-observer/tests/dashboards/requirements.txt",
    content: "grafana_foundation_sdk",
    is_program: false,
    purpose: "checks the dashboards against Grafana's types",
};

/// A collector of OpenTelemetry's.
pub const ROTEL: PythonPackage = PythonPackage {
    folder: "rotel",
    requirements: "mpm-observer/tests/fleet/requirements.txt",
    content: "rotel/rotel-agent",
    is_program: true,
    purpose: "brings Rotel, the collector that the tests export to",
};

/// Sets up a package of Python's.
pub fn ensure_python_package(paths: &Paths, wanted: &PythonPackage) -> Result<()> {
    let dir = paths.tools().join(wanted.folder);
    let host = Host::detect()?;
    let may_install = host.family == Family::Debian && host.is_root;
    if python(paths).is_none() && may_install {
        let mut apt = Apt::new(paths);
        for package in ["python3", "python3-pip"] {
            apt.want(package, wanted.purpose);
        }
        apt.install()?;
    }
    let Some((python, version)) = python(paths) else {
        let line = format!(
            "python3 (3.11 or later) with pip, which {}: install both with the system's package \
             manager",
            wanted.purpose
        );
        return Err(Failure::Missing(vec![line]).into());
    };
    let content = dir.join(wanted.content);
    if !content.exists() {
        let mut install = environment::command(paths, python);
        install
            .args(["-m", "pip", "install", "--no-deps", "--require-hashes"])
            .args(["--disable-pip-version-check", "--target"])
            .arg(&dir)
            .arg("--requirement")
            .arg(paths.root.join(wanted.requirements));
        Step {
            what: "installing a Python package for the tests",
            expected: "about 5 s, once per checkout",
            log: wanted.folder,
        }
        .run(paths, &mut install)?;
    }
    if !wanted.is_program || runs(paths, &content) {
        return Ok(());
    }
    let library = format!("libpython{version}");
    if may_install {
        let mut apt = Apt::new(paths);
        apt.want(&library, wanted.purpose);
        apt.install()?;
        if runs(paths, &content) {
            return Ok(());
        }
    }
    let line = format!(
        "{library}, without which {} does not run: install it with the system's package manager",
        content.display()
    );
    Err(Failure::Missing(vec![line]).into())
}

fn runs(paths: &Paths, program: &Path) -> bool {
    environment::command(paths, program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A Python that has pip and reads the packages, with its version, such as 3.11.
fn python(paths: &Paths) -> Option<(PathBuf, String)> {
    search::programs("python3").find_map(|program| {
        let mut question = environment::command(paths, &program);
        question.args([
            "-c",
            "import pip, sys; v = sys.version_info; print('%d.%d' % v[:2]); sys.exit(v < (3, 11))",
        ]);
        let output = question.output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        let reads = output.status.success();
        reads.then(|| (program, version.trim().to_owned()))
    })
}
