//! Which clients and servers are installed, and in which version.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::Client;

/// A program that a measurement can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The project's own, beside this program.
    Loadgen,
    /// The server that costs are measured against.
    Nginx,
    /// ApacheBench.
    Ab,
    /// wrk.
    Wrk,
    /// oha.
    Oha,
    /// h2load, of nghttp2.
    H2load,
    /// hey.
    Hey,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Loadgen,
        Self::Nginx,
        Self::Ab,
        Self::Wrk,
        Self::Oha,
        Self::H2load,
        Self::Hey,
    ];

    /// The name of its file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loadgen => "loadgen",
            Self::Nginx => "nginx",
            Self::Ab => "ab",
            Self::Wrk => "wrk",
            Self::Oha => "oha",
            Self::H2load => "h2load",
            Self::Hey => "hey",
        }
    }

    /// The program of a client.
    #[must_use]
    pub const fn of(client: Client) -> Self {
        match client {
            Client::Loadgen { .. } => Self::Loadgen,
            Client::Ab => Self::Ab,
            Client::Wrk => Self::Wrk,
            Client::Oha => Self::Oha,
            Client::H2load => Self::H2load,
            Client::Hey => Self::Hey,
        }
    }

    /// The argument that makes it say its version; hey has none.
    const fn version_argument(self) -> Option<&'static str> {
        match self {
            Self::Loadgen | Self::Oha | Self::H2load => Some("--version"),
            Self::Nginx | Self::Wrk => Some("-v"),
            Self::Ab => Some("-V"),
            Self::Hey => None,
        }
    }
}

/// Directories that an ordinary user's `PATH` leaves out on some distributions.
const ADMIN_DIRS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The programs that were found.
#[derive(Clone, Debug, Default)]
pub struct Programs(BTreeMap<Program, PathBuf>);

impl Programs {
    /// Looks for all of them: loadgen beside this program, the others in `PATH`.
    #[must_use]
    pub fn find() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let own = env::current_exe().ok();
        let own = own.as_deref().and_then(Path::parent).map(Path::to_owned);
        let dirs: Vec<PathBuf> = env::split_paths(&path)
            .chain(ADMIN_DIRS.map(PathBuf::from))
            .collect();
        let in_dirs = |program: Program| {
            let first = own.iter().filter(|_| program == Program::Loadgen);
            let mut files = first.chain(&dirs).map(|dir| dir.join(program.name()));
            files.find(|file| file.is_file())
        };
        let found = Program::ALL.into_iter();
        Self(
            found
                .filter_map(|program| Some((program, in_dirs(program)?)))
                .collect(),
        )
    }

    /// Where a program is.
    #[must_use]
    pub fn path(&self, program: Program) -> Option<&Path> {
        self.0.get(&program).map(PathBuf::as_path)
    }

    /// The names of those that are not there.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let all = Program::ALL.into_iter();
        all.filter(|program| !self.0.contains_key(program))
            .map(Program::name)
            .collect()
    }

    /// Whether loadgen's help has a flag; without loadgen, no.
    #[must_use]
    pub fn loadgen_has(&self, flag: &str) -> bool {
        self.path(Program::Loadgen)
            .and_then(|path| Command::new(path).arg("--help").output().ok())
            .is_some_and(|output| String::from_utf8_lossy(&output.stdout).contains(flag))
    }

    /// Name and version of each that is there, such as `wrk 4.1.0-3+b2`.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        self.0
            .keys()
            .map(|&program| match self.version(program) {
                Some(version) => format!("{} {version}", program.name()),
                None => program.name().to_owned(),
            })
            .collect()
    }

    /// The version of a program; `None` if it is not there or does not tell.
    #[must_use]
    pub fn version(&self, program: Program) -> Option<String> {
        let argument = program.version_argument()?;
        // Some say it on standard error, and with an exit status of 1.
        let output = Command::new(self.path(program)?)
            .arg(argument)
            .output()
            .ok()?;
        let text = [output.stdout, output.stderr].concat();
        version_in(&String::from_utf8_lossy(&text))
    }
}

/// The first word with a digit and a point in what a program says of itself.
fn version_in(text: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| word.trim_matches(','))
        .find(|word| word.contains('.') && word.contains(|c: char| c.is_ascii_digit()))
        .map(|word| word.rsplit('/').next().unwrap_or(word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_each_program_says() {
        for (text, version) in [
            (
                "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer",
                "4.1.0-3+b2",
            ),
            (
                "This is ApacheBench, Version 2.3 <$Revision$>\nCopyright 1996",
                "2.3",
            ),
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("oha 1.16.0\n", "1.16.0"),
            ("h2load nghttp2/1.52.0\n", "1.52.0"),
        ] {
            assert_eq!(version_in(text).as_deref(), Some(version));
        }
        assert_eq!(version_in("flag provided but not defined: -v"), None);
    }
}
