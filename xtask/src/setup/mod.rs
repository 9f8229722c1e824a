//! Finds what the build and the tests need, and installs what is missing where it can.
//!
//! On Debian and Ubuntu root gets the packages installed. Everywhere else each missing thing is
//! one line with how to get it. bpf-linker is built for this checkout wherever its LLVM is.

mod debian;
mod host;
mod httpd;
mod linker;
mod programs;
mod python;
mod rustup;
mod search;
mod toolchain;

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;

use crate::failure::Failure;
use crate::paths::Paths;
use debian::Apt;
use host::{Family, Host};
use toolchain::Toolchain;

pub use programs::{
    AB, NGINX, PROMETHEUS, Package, TRANSLATION, UNIT_TOOLS, ensure_httpd_configuration,
    ensure_oha, ensure_programs, ensure_unpacked, path_with_tools,
};
pub use python::{GRAFANA_TYPES, ROTEL, ensure_python_package};

/// How much is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What the build and the lab need.
    Build,
    /// That, and what the tests build for httpd.
    Test,
    /// That, and the linter of the eBPF toolchain.
    Check,
}

/// What builds the eBPF programs.
pub struct Tools {
    /// The compiler that has the library source.
    pub toolchain: Toolchain,
    /// A bpf-linker that reads what this compiler writes.
    pub linker: PathBuf,
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} with LLVM {}, {}",
            self.toolchain.rustc.display(),
            self.toolchain.llvm_major,
            self.linker.display()
        )
    }
}

/// Sets up what is missing. With nothing missing it is quick and says nothing.
pub fn ensure(paths: &Paths, extent: Extent) -> Result<Tools> {
    let mut found = Found::look(paths);
    let host = Host::detect()?;
    if host.family == Family::Debian && host.is_root && !found.is_complete(extent) {
        install_packages(paths, &mut found, extent)?;
    }
    found.build_linker(paths)?;
    found.into_tools(&host, extent)
}

/// What this machine has.
struct Found {
    has_httpd: bool,
    has_httpd_headers: bool,
    has_ip: bool,
    toolchain: Option<Toolchain>,
    linker: Option<PathBuf>,
}

impl Found {
    /// Looks everything up. Of several toolchains the first with a linker is taken, else the
    /// first for which a linker can be built here, else the first.
    fn look(paths: &Paths) -> Self {
        let mut found = Self {
            has_httpd: httpd::find().is_some(),
            has_httpd_headers: httpd::has_headers(),
            has_ip: search::programs("ip").next().is_some(),
            toolchain: None,
            linker: None,
        };
        let mut can_build_linker = false;
        for toolchain in toolchain::all(paths) {
            if let Some(linker) = linker::find(paths, &toolchain) {
                found.toolchain = Some(toolchain);
                found.linker = Some(linker);
                break;
            }
            let buildable = linker::llvm_prefix(toolchain.llvm_major).is_some();
            if found.toolchain.is_none() || (buildable && !can_build_linker) {
                found.toolchain = Some(toolchain);
                can_build_linker = buildable;
            }
        }
        found
    }

    fn is_complete(&self, extent: Extent) -> bool {
        self.has_httpd
            && self.linker.is_some()
            && !self.lacks_clippy(extent)
            && !self.lacks_headers(extent)
            && !self.lacks_ip(extent)
    }

    fn lacks_ip(&self, extent: Extent) -> bool {
        extent == Extent::Test && !self.has_ip
    }

    fn lacks_headers(&self, extent: Extent) -> bool {
        extent == Extent::Test && !self.has_httpd_headers
    }

    fn lacks_clippy(&self, extent: Extent) -> bool {
        extent == Extent::Check && self.toolchain.as_ref().is_some_and(|t| !t.has_clippy())
    }

    /// Builds the linker when only that is missing, as any user.
    fn build_linker(&mut self, paths: &Paths) -> Result<()> {
        if let (Some(toolchain), None) = (&self.toolchain, &self.linker)
            && let Some(prefix) = linker::llvm_prefix(toolchain.llvm_major)
        {
            self.linker = Some(linker::build(paths, toolchain, &prefix)?);
        }
        Ok(())
    }

    /// Everything there, or a line for each thing that is not.
    fn into_tools(self, host: &Host, extent: Extent) -> Result<Tools> {
        let mut missing = Vec::new();
        if !self.has_httpd {
            missing.push(httpd::how_to_get(host));
        }
        if self.lacks_headers(extent) {
            missing.push(httpd::how_to_get_headers(host));
        }
        if self.lacks_ip(extent) {
            missing.push(how_to_get_ip(host));
        }
        if let (Some(toolchain), true) = (&self.toolchain, self.lacks_clippy(extent)) {
            missing.push(toolchain.how_to_get_clippy());
        }
        match (self.toolchain, self.linker) {
            (Some(toolchain), Some(linker)) if missing.is_empty() => {
                return Ok(Tools { toolchain, linker });
            }
            (Some(_), Some(_)) => {}
            (Some(toolchain), None) => {
                missing.push(linker::how_to_get(host, toolchain.llvm_major));
            }
            (None, _) => {
                missing.push(toolchain::how_to_get(host));
                missing.push(linker::how_to_get(host, toolchain::DEBIAN_LLVM_MAJOR));
            }
        }
        Err(Failure::Missing(missing).into())
    }
}

/// One line that says how to get what joins network namespaces.
fn how_to_get_ip(host: &Host) -> String {
    let sudo = host.sudo();
    let command = match host.family {
        Family::Debian => format!("{sudo}apt-get install --no-install-recommends iproute2"),
        Family::Fedora => format!("{sudo}dnf install iproute"),
        Family::Arch => format!("{sudo}pacman -S iproute2"),
        Family::Other => "install iproute2 with the system's package manager".to_owned(),
    };
    format!("ip, with which the tests join network namespaces: {command}")
}

/// Installs what Debian's packages offer; a toolchain that they do not have comes from rustup.
fn install_packages(paths: &Paths, found: &mut Found, extent: Extent) -> Result<()> {
    let mut apt = Apt::new(paths);
    if !found.has_httpd {
        apt.want("apache2-bin", "the web server to watch; no service starts");
    }
    if found.lacks_headers(extent) {
        apt.want(
            "apache2-dev",
            "the tests build a module of their own for it",
        );
    }
    if found.lacks_ip(extent) {
        apt.want("iproute2", "the tests join network namespaces with it");
    }
    // A toolchain is of no use when no linker can be had for its LLVM.
    let usable = match &found.toolchain {
        None => false,
        Some(_) if found.linker.is_some() => true,
        Some(toolchain) => {
            linker::llvm_prefix(toolchain.llvm_major).is_some()
                || apt.offers(&linker::llvm_package(toolchain.llvm_major))?
        }
    };
    if !usable {
        let minimum = toolchain::MINIMUM_RELEASE;
        if apt.offers_version("rustc-web", minimum)? {
            for package in toolchain::DEBIAN_PACKAGES {
                apt.want(package, "builds the eBPF programs");
            }
            let llvm = linker::llvm_package(toolchain::DEBIAN_LLVM_MAJOR);
            if apt.offers(&llvm)? {
                apt.want(&llvm, "for bpf-linker");
            }
        } else {
            rustup::install_nightly(paths)?;
        }
    }
    apt.install()?;

    *found = Found::look(paths);
    // Now it is known which LLVM the toolchain has.
    if let (Some(toolchain), None) = (&found.toolchain, &found.linker) {
        let llvm = linker::llvm_package(toolchain.llvm_major);
        if linker::llvm_prefix(toolchain.llvm_major).is_none() && apt.offers(&llvm)? {
            apt.want(&llvm, "for bpf-linker");
        }
    }
    if found.lacks_clippy(extent) && found.toolchain.as_ref().is_some_and(|t| t.is_system()) {
        apt.want(toolchain::DEBIAN_CLIPPY, "checks the eBPF programs");
    }
    apt.install()?;
    *found = Found::look(paths);
    Ok(())
}
