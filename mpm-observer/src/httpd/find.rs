//! Finding httpd and its modules on the machine.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::about;
use crate::scenario::Mpm;

/// How to get httpd where it is missing.
const HOW_TO_INSTALL: &str = "install it with `apt-get install apache2-bin` (Debian, Ubuntu), \
    `dnf install httpd` (Fedora, RHEL) or `pacman -S apache` (Arch), or name it with --httpd PATH";

/// The names that httpd's program has.
const PROGRAMS: [&str; 2] = ["apache2", "httpd"];

/// Directories that programs are looked for in after those in `PATH`, which often lacks the
/// ones for root.
const PROGRAM_DIRS: [&str; 6] = [
    "usr/sbin",
    "usr/local/sbin",
    "usr/local/apache2/bin",
    "usr/bin",
    "opt/apache2/bin",
    "opt/httpd/bin",
];

/// Directories of modules in the layouts of Debian, of Fedora and RHEL, and of Arch.
const MODULE_DIRS: [&str; 5] = [
    "usr/lib/apache2/modules",
    "usr/lib64/httpd/modules",
    "etc/httpd/modules",
    "usr/lib/httpd/modules",
    "usr/local/apache2/modules",
];

/// The modules that every run needs besides its MPM, as `LoadModule` and files name them.
pub(super) const NEEDED_MODULES: [&str; 3] = ["unixd", "authz_core", "status"];

/// Why httpd cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is no program of that name.
    #[error("httpd was not found: {HOW_TO_INSTALL}")]
    NotFound,
    /// A program was named or found, but is not to be run.
    #[error("{} cannot be run: {source}; name another one with --httpd PATH", .path.display())]
    CannotRun {
        /// The program.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A program of that name is something else.
    #[error("{} is not Apache httpd, as its -v does not say so: {HOW_TO_INSTALL}", .path.display())]
    NotHttpd {
        /// The program.
        path: PathBuf,
    },
    /// No directory has its modules.
    #[error(
        "the modules of {} were not found in {}: reinstall the package that has mod_status.so",
        .path.display(),
        .tried.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoModules {
        /// The program.
        path: PathBuf,
        /// The directories that were looked in.
        tried: Vec<PathBuf>,
    },
    /// One module is neither compiled in nor a file.
    #[error(
        "{} has no mod_{module}.so, and {} does not have it compiled in: reinstall httpd's modules",
        .dir.display(), .path.display()
    )]
    NoModule {
        /// The program.
        path: PathBuf,
        /// The module without `mod_` and ending.
        module: String,
        /// The directory of modules.
        dir: PathBuf,
    },
    /// An MPM that this httpd does not have.
    #[error("{} has no {mpm} MPM: {how}", .path.display())]
    NoMpm {
        /// The program.
        path: PathBuf,
        /// The MPM.
        mpm: Mpm,
        /// What to do about it.
        how: String,
    },
}

/// Where a module comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleSource {
    /// It is part of the program: no `LoadModule`.
    CompiledIn,
    /// The file to load.
    File(PathBuf),
    /// There is none.
    Missing,
}

/// An httpd on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The program.
    pub binary: PathBuf,
    /// Such as `Apache/2.4.71 (Debian)`.
    pub version: String,
    /// The directory that relative paths of the build start from.
    pub httpd_root: Option<PathBuf>,
    /// The modules that are part of the program, by the names of their sources without the ending.
    pub compiled_in: BTreeSet<String>,
    /// The directory of loadable modules.
    pub modules_dir: PathBuf,
    /// The files in it that are modules.
    pub module_files: BTreeSet<String>,
}

impl Installation {
    /// Finds httpd: the one named, or the first that is Apache's in `PATH` and the usual places.
    ///
    /// # Errors
    /// When there is none, or none of its modules is found.
    pub fn find(named: Option<&Path>) -> Result<Self, FindError> {
        let root = Path::new("/");
        if let Some(path) = named {
            return Installation::examine(root, path);
        }
        let path_variable = std::env::var_os("PATH");
        let mut first_error = None;
        for candidate in candidates(root, path_variable.as_deref()) {
            match Installation::examine(root, &candidate) {
                Ok(found) => return Ok(found),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(FindError::NotFound))
    }

    /// Asks a program what it is, and finds its modules.
    fn examine(root: &Path, binary: &Path) -> Result<Self, FindError> {
        let version =
            about::parse_version(&ask(binary, "-v")?).ok_or_else(|| FindError::NotHttpd {
                path: binary.to_owned(),
            })?;
        let httpd_root = about::parse_httpd_root(&ask(binary, "-V")?);
        let compiled_in = about::parse_compiled_in(&ask(binary, "-l")?);
        let tried = module_dirs(root, binary, httpd_root.as_deref());
        let (modules_dir, module_files) = tried
            .iter()
            .map(|dir| (dir.clone(), module_files(dir)))
            .find(|(_, files)| !files.is_empty())
            .ok_or_else(|| FindError::NoModules {
                path: binary.to_owned(),
                tried,
            })?;
        Ok(Installation {
            binary: binary.to_owned(),
            version,
            httpd_root,
            compiled_in,
            modules_dir,
            module_files,
        })
    }

    /// Where a module such as `status` comes from.
    pub fn module(&self, name: &str) -> ModuleSource {
        let file = format!("mod_{name}.so");
        if self.compiled_in.contains(&format!("mod_{name}")) {
            ModuleSource::CompiledIn
        } else if self.module_files.contains(&file) {
            ModuleSource::File(self.modules_dir.join(file))
        } else {
            ModuleSource::Missing
        }
    }

    /// Where an MPM comes from.
    pub fn mpm(&self, mpm: Mpm) -> ModuleSource {
        match about::compiled_in_mpm(&self.compiled_in) {
            Some(only) if only == mpm => ModuleSource::CompiledIn,
            Some(_) => ModuleSource::Missing,
            None if self.module_files.contains(mpm.module_file()) => {
                ModuleSource::File(self.modules_dir.join(mpm.module_file()))
            }
            None => ModuleSource::Missing,
        }
    }

    /// The MPMs that can be run.
    pub fn mpms(&self) -> Vec<Mpm> {
        Mpm::ALL
            .into_iter()
            .filter(|mpm| self.mpm(*mpm) != ModuleSource::Missing)
            .collect()
    }

    /// Checks that one MPM and the modules of every run are there.
    ///
    /// # Errors
    /// With the first that is missing.
    pub fn require(&self, mpm: Mpm) -> Result<(), FindError> {
        if self.mpm(mpm) == ModuleSource::Missing {
            let how = match about::compiled_in_mpm(&self.compiled_in) {
                Some(only) => format!(
                    "{only} is compiled in, so no other can be loaded; use an httpd built with \
                     --enable-mpms-shared=all"
                ),
                None => format!(
                    "{} is not in {}; reinstall httpd's modules",
                    mpm.module_file(),
                    self.modules_dir.display()
                ),
            };
            return Err(FindError::NoMpm {
                path: self.binary.clone(),
                mpm,
                how,
            });
        }
        match NEEDED_MODULES
            .iter()
            .find(|name| self.module(name) == ModuleSource::Missing)
        {
            None => Ok(()),
            Some(module) => Err(FindError::NoModule {
                path: self.binary.clone(),
                module: (*module).to_owned(),
                dir: self.modules_dir.clone(),
            }),
        }
    }
}

/// What the program prints for one option. Its exit status says nothing: `-V` fails when the
/// system's own configuration is broken or missing, after it has printed everything.
fn ask(binary: &Path, option: &str) -> Result<String, FindError> {
    let output = Command::new(binary)
        .arg(option)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|source| FindError::CannotRun {
            path: binary.to_owned(),
            source,
        })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The executable files that may be httpd, the likeliest first, none twice.
fn candidates(root: &Path, path_variable: Option<&OsStr>) -> Vec<PathBuf> {
    let path_variable = path_variable.map(OsString::from).unwrap_or_default();
    let dirs = std::env::split_paths(&path_variable)
        .filter(|dir| dir.is_absolute())
        .chain(PROGRAM_DIRS.iter().map(|dir| root.join(dir)));
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in dirs {
        for program in PROGRAMS {
            let path = dir.join(program);
            if is_executable(&path) && !found.contains(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The directories that may have the modules of `binary`: those beside it and below its root go
/// before the usual ones, so that a private build does not get the system's modules.
fn module_dirs(root: &Path, binary: &Path, httpd_root: Option<&Path>) -> Vec<PathBuf> {
    let system = MODULE_DIRS.iter().map(|dir| root.join(dir));
    let of_root = httpd_root.map(|dir| dir.join("modules"));
    let beside = binary
        .parent()
        .and_then(Path::parent)
        .map(|prefix| prefix.join("modules"));
    let mut dirs: Vec<PathBuf> = Vec::new();
    for dir in of_root.into_iter().chain(beside).chain(system) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}

/// The names of the files in a directory that are modules.
fn module_files(dir: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return BTreeSet::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("mod_") && name.ends_with(".so"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that answers as httpd does, and modules of that layout.
    fn plant(root: &Path, binary: &str, httpd_root: &str, modules: &str, compiled_in: &str) {
        let binary = root.join(binary);
        fs::create_dir_all(binary.parent().unwrap()).unwrap();
        let script = format!(
            "#!/bin/sh\ncase $1 in\n\
             -v) echo 'Server version: Apache/2.4.60 (Unix)';;\n\
             -V) echo ' -D HTTPD_ROOT=\"{}\"'; exit 1;;\n\
             -l) printf 'Compiled in modules:\\n  core.c\\n{compiled_in}';;\nesac\n",
            root.join(httpd_root).display()
        );
        fs::write(&binary, script).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        let dir = root.join(modules);
        fs::create_dir_all(&dir).unwrap();
        for name in [
            "mpm_prefork",
            "mpm_worker",
            "mpm_event",
            "authz_core",
            "status",
            "unixd",
        ] {
            fs::write(dir.join(format!("mod_{name}.so")), "").unwrap();
        }
    }

    #[test]
    fn program_and_modules_are_found_in_each_layout() {
        for (layout, binary, httpd_root, modules) in [
            (
                "Debian",
                "usr/sbin/apache2",
                "etc/apache2",
                "usr/lib/apache2/modules",
            ),
            (
                "Fedora",
                "usr/sbin/httpd",
                "etc/httpd",
                "usr/lib64/httpd/modules",
            ),
            (
                "Fedora's link",
                "usr/sbin/httpd",
                "etc/httpd",
                "etc/httpd/modules",
            ),
            (
                "Arch",
                "usr/bin/httpd",
                "etc/httpd",
                "usr/lib/httpd/modules",
            ),
            (
                "own build",
                "opt/httpd/bin/httpd",
                "opt/httpd",
                "opt/httpd/modules",
            ),
        ] {
            let tree = tempfile::tempdir().unwrap();
            plant(tree.path(), binary, httpd_root, modules, "");
            let found = candidates(tree.path(), None);
            assert_eq!(found, [tree.path().join(binary)], "{layout}");
            let httpd = Installation::examine(tree.path(), &found[0]).unwrap();
            assert_eq!(httpd.modules_dir, tree.path().join(modules), "{layout}");
            assert_eq!(httpd.mpms(), Mpm::ALL, "{layout}");
            assert_eq!(httpd.version, "Apache/2.4.60 (Unix)");
            httpd.require(Mpm::Event).unwrap();
        }
    }

    #[test]
    fn the_search_path_goes_before_the_usual_places() {
        let tree = tempfile::tempdir().unwrap();
        plant(
            tree.path(),
            "usr/sbin/apache2",
            "etc",
            "usr/lib/apache2/modules",
            "",
        );
        plant(
            tree.path(),
            "mine/httpd",
            "etc",
            "usr/lib/apache2/modules",
            "",
        );
        let found = candidates(tree.path(), Some(tree.path().join("mine").as_os_str()));
        assert_eq!(found[0], tree.path().join("mine/httpd"));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_compiled_in_mpm_excludes_the_others() {
        let tree = tempfile::tempdir().unwrap();
        plant(
            tree.path(),
            "usr/sbin/httpd",
            "etc",
            "usr/lib/httpd/modules",
            "  worker.c\\n",
        );
        let httpd =
            Installation::examine(tree.path(), &tree.path().join("usr/sbin/httpd")).unwrap();
        assert_eq!(httpd.mpms(), [Mpm::Worker]);
        assert_eq!(httpd.mpm(Mpm::Worker), ModuleSource::CompiledIn);
        let error = httpd.require(Mpm::Event).unwrap_err().to_string();
        assert!(
            error.contains("has no event MPM: worker is compiled in"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_module_is_named_with_its_directory() {
        let tree = tempfile::tempdir().unwrap();
        plant(
            tree.path(),
            "usr/sbin/httpd",
            "etc",
            "usr/lib/httpd/modules",
            "",
        );
        let dir = tree.path().join("usr/lib/httpd/modules");
        fs::remove_file(dir.join("mod_status.so")).unwrap();
        let httpd =
            Installation::examine(tree.path(), &tree.path().join("usr/sbin/httpd")).unwrap();
        let error = httpd.require(Mpm::Event).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{} has no mod_status.so", dir.display())),
            "{error}"
        );
    }

    #[test]
    fn another_program_called_httpd_is_refused_by_name() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("httpd");
        fs::write(&path, "#!/bin/sh\necho BusyBox\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = Installation::find(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("is not Apache httpd"), "{error}");
        let error = Installation::find(Some(&tree.path().join("none")))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot be run"), "{error}");
    }

    #[test]
    fn without_modules_the_directories_tried_are_named() {
        let tree = tempfile::tempdir().unwrap();
        plant(tree.path(), "usr/sbin/httpd", "etc", "unusual", "");
        let error = Installation::examine(tree.path(), &tree.path().join("usr/sbin/httpd"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("usr/lib64/httpd/modules"), "{error}");
    }
}
