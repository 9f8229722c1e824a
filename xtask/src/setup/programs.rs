//! Programs that only a bench needs.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::debian::Apt;
use super::host::{Family, Host};
use super::search;
use crate::environment;
use crate::failure::Failure;
use crate::paths::Paths;
use crate::step::Step;

/// The version of oha that is tried and tested.
const OHA_VERSION: &str = "1.16.0";

/// A program and the package that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// The program's name.
    pub program: &'static str,
    /// Debian's package; others may have another name.
    pub package: &'static str,
}

impl Package {
    /// A program in a package of the same name.
    pub const fn of_its_name(name: &'static str) -> Self {
        Self {
            program: name,
            package: name,
        }
    }
}

/// ab is a part of httpd, but not of httpd's own package.
pub const AB: Package = Package {
    program: "ab",
    package: "apache2-utils",
};

/// Sets up programs from Debian's packages.
pub fn ensure_programs(paths: &Paths, programs: &[Package], purpose: &'static str) -> Result<()> {
    let is_missing = |program: &Package| search::programs(program.program).next().is_none();
    let mut missing: Vec<Package> = programs.iter().copied().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let host = Host::detect()?;
    if host.family == Family::Debian && host.is_root {
        let mut apt = Apt::new(paths);
        for program in &missing {
            apt.want(program.package, purpose);
        }
        apt.install()?;
        missing.retain(is_missing);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let lines = missing.into_iter().map(|Package { program, package }| {
        let install = match host.family {
            Family::Debian => "apt-get install --no-install-recommends",
            Family::Fedora => "dnf install",
            Family::Arch => "pacman -S",
            Family::Other => "install with the system's package manager:",
        };
        let sudo = host.sudo();
        format!("{program}, {purpose}: {sudo}{install} {package}")
    });
    Err(Failure::Missing(lines.collect()).into())
}

/// Sets up nginx. Debian's package is unpacked and not installed: installed, it would start a
/// service on port 80.
pub fn ensure_nginx(paths: &Paths) -> Result<()> {
    let dir = unpacked_nginx(paths);
    let program = dir.join("usr/sbin/nginx");
    if program.is_file() || search::programs("nginx").next().is_some() {
        return Ok(());
    }
    let host = Host::detect()?;
    if host.family == Family::Debian {
        unpack(
            paths,
            "nginx",
            "the server that clients are measured against",
        )?;
        let works = environment::command(paths, &program)
            .arg("-v")
            .output()
            .is_ok_and(|output| output.status.success());
        if works {
            return Ok(());
        }
    }
    let how = match host.family {
        Family::Debian => "apt-get install --no-install-recommends nginx (it starts a service)",
        Family::Fedora => "dnf install nginx",
        Family::Arch => "pacman -S nginx",
        Family::Other => "install nginx with the system's package manager",
    };
    let line = format!(
        "nginx, the server that clients are measured against: {}{how}",
        host.sudo()
    );
    Err(Failure::Missing(vec![line]).into())
}

/// Sets up Debian's configuration of httpd, which is in a package of its own. It is unpacked and
/// not installed: installed, it would start a service on port 80.
pub fn ensure_httpd_configuration(paths: &Paths) -> Result<()> {
    let main = paths.tools().join("apache2/etc/apache2/apache2.conf");
    if main.is_file() {
        return Ok(());
    }
    let host = Host::detect()?;
    if host.family == Family::Debian {
        if host.is_root {
            Apt::new(paths).update()?;
        }
        unpack(paths, "apache2", "httpd's configuration, for the tests")?;
        if main.is_file() {
            return Ok(());
        }
    }
    let line = "Debian's package apache2, unpacked, with which tests configure httpd: \
                only on Debian and Ubuntu";
    Err(Failure::Missing(vec![line.to_owned()]).into())
}

/// Unpacks a package of Debian into a directory of its name among the tools.
fn unpack(paths: &Paths, package: &str, purpose: &str) -> Result<()> {
    let dir = paths.tools().join(package);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    eprintln!("unpacking package {package} ({purpose})");
    let mut download = environment::command(paths, "apt-get");
    download.args(["download", package]).current_dir(&dir);
    Step {
        what: "downloading a package",
        expected: "about 5 s, once per checkout",
        log: "download",
    }
    .run(paths, &mut download)?;
    let file = fs::read_dir(&dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .context("apt-get has downloaded no package")?;
    let mut unpack = environment::command(paths, "dpkg-deb");
    unpack.arg("--extract").arg(&file).arg(&dir);
    Step {
        what: "unpacking it",
        expected: "about 1 s",
        log: "unpack",
    }
    .run(paths, &mut unpack)
}

/// Builds oha into the target directory, unless it is on the `PATH`.
pub fn ensure_oha(paths: &Paths) -> Result<()> {
    let root = oha_root(paths);
    let program = root.join("bin/oha");
    if program.is_file() || search::programs("oha").next().is_some() {
        return Ok(());
    }
    eprintln!("installing oha {OHA_VERSION} into {}", root.display());
    let mut command = environment::workspace_cargo(paths);
    command
        .args(["install", "oha", "--version", OHA_VERSION, "--locked"])
        .arg("--root")
        .arg(&root);
    Step {
        what: "building oha, to compare with",
        expected: "about 5 min, once per checkout",
        log: "oha",
    }
    .run(paths, &mut command)?;
    if !program.is_file() {
        bail!("cargo has installed no {}", program.display());
    }
    Ok(())
}

/// The `PATH` with what was built or unpacked here behind what the user has.
pub fn path_with_tools(paths: &Paths) -> Result<OsString> {
    let own = [
        oha_root(paths).join("bin"),
        unpacked_nginx(paths).join("usr/sbin"),
    ];
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&path).chain(own)).context("the PATH cannot be extended")
}

fn oha_root(paths: &Paths) -> PathBuf {
    paths.tools().join("oha")
}

fn unpacked_nginx(paths: &Paths) -> PathBuf {
    paths.tools().join("nginx")
}
