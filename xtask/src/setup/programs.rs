//! Programs that only a bench or a test needs.

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

/// What the tests of the systemd unit ask.
pub const UNIT_TOOLS: [Package; 2] = [
    Package {
        program: "systemd-analyze",
        package: "systemd",
    },
    Package::of_its_name("strace"),
];

/// What the tests of `join` put between two hosts.
pub const TRANSLATION: Package = Package {
    program: "nft",
    package: "nftables",
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

/// A program whose Debian package is unpacked into the target directory and not installed:
/// installed, it would start a service.
#[derive(Clone, Copy, Debug)]
pub struct Unpacked {
    /// Debian's package; others have the same name for it.
    package: &'static str,
    /// The folder of its programs in the package.
    folder: &'static str,
    /// The program that shows whether it works here, and how it tells its version.
    program: &'static str,
    version: &'static str,
    /// What it is for.
    purpose: &'static str,
}

/// The server that clients are measured against.
pub const NGINX: Unpacked = Unpacked {
    package: "nginx",
    folder: "usr/sbin",
    program: "nginx",
    version: "-v",
    purpose: "the server that clients are measured against",
};

/// Prometheus, with promtool beside it.
pub const PROMETHEUS: Unpacked = Unpacked {
    package: "prometheus",
    folder: "usr/bin",
    program: "prometheus",
    version: "--version",
    purpose: "asked every query of the dashboards by the tests, and watches the lab with --serve",
};

impl Unpacked {
    fn programs(&self, paths: &Paths) -> PathBuf {
        paths.tools().join(self.package).join(self.folder)
    }
}

/// Sets up a program that must not be installed.
pub fn ensure_unpacked(paths: &Paths, wanted: &Unpacked) -> Result<()> {
    let program = wanted.programs(paths).join(wanted.program);
    if program.is_file() || search::programs(wanted.program).next().is_some() {
        return Ok(());
    }
    let Unpacked {
        package, purpose, ..
    } = wanted;
    let host = Host::detect()?;
    if host.family == Family::Debian {
        unpack(paths, &host, package, purpose)?;
        let works = environment::command(paths, &program)
            .arg(wanted.version)
            .output()
            .is_ok_and(|output| output.status.success());
        if works {
            return Ok(());
        }
    }
    let how = match host.family {
        Family::Debian => {
            format!("apt-get install --no-install-recommends {package} (it starts a service)")
        }
        Family::Fedora => format!("dnf install {package}"),
        Family::Arch => format!("pacman -S {package}"),
        Family::Other => format!("install {package} with the system's package manager"),
    };
    let line = format!("{package}, {purpose}: {}{how}", host.sudo());
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
        unpack(
            paths,
            &host,
            "apache2",
            "httpd's configuration, for the tests",
        )?;
        if main.is_file() {
            return Ok(());
        }
    }
    let line = "Debian's package apache2, unpacked, with which tests configure httpd: \
                only on Debian and Ubuntu";
    Err(Failure::Missing(vec![line.to_owned()]).into())
}

/// Unpacks a package of Debian into a directory of its name among the tools.
fn unpack(paths: &Paths, host: &Host, package: &str, purpose: &str) -> Result<()> {
    if host.is_root {
        Apt::new(paths).update()?;
    }
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
        NGINX.programs(paths),
        PROMETHEUS.programs(paths),
    ];
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&path).chain(own)).context("the PATH cannot be extended")
}

fn oha_root(paths: &Paths) -> PathBuf {
    paths.tools().join("oha")
}
