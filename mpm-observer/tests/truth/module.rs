//! mod_truth, built for the httpd that is installed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::have;

/// Debian's and everybody else's name of httpd's build helper.
const APXS: [&str; 2] = ["apxs", "apxs2"];

/// Builds the module into `dir`. `None` if the headers of httpd are missing.
pub fn build(dir: &Path) -> Option<PathBuf> {
    let apxs = APXS.into_iter().find(|name| query(name, "CC").is_some());
    if !have(
        "apxs (Debian: apache2-dev, Fedora: httpd-devel)",
        apxs.is_some(),
    ) {
        return None;
    }
    let ask = |key| query(apxs?, key);
    let module = dir.join("mod_truth.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/truth/mod_truth.c");
    let output = Command::new(ask("CC")?)
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-pthread"])
        .args(ask("EXTRA_CPPFLAGS")?.split_whitespace())
        .arg(format!("-I{}", ask("INCLUDEDIR")?))
        .arg(format!("-I{}", ask("APR_INCLUDEDIR")?))
        .arg(format!("-I{}", ask("APU_INCLUDEDIR")?))
        .arg("-o")
        .arg(&module)
        .arg(source)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(module)
}

/// What apxs knows of how httpd was built.
fn query(apxs: &str, key: &str) -> Option<String> {
    let output = Command::new(apxs).args(["-q", key]).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
