//! A plain Debian httpd: the program of the package apache2-bin with the configuration of the
//! package apache2, as both are after their installation. The system's own service and its files
//! are not touched: the configuration is a copy of the unpacked package's, its directories are
//! the test's own, and so is the network in which it listens on port 80.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mpm_observer::{httpd::descendants, scenario::Mpm};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{have, network::Network};

/// What the package's postinst enables in a fresh installation, besides an MPM.
const MODULES: [&str; 18] = [
    "access_compat",
    "alias",
    "auth_basic",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_host",
    "authz_user",
    "autoindex",
    "deflate",
    "dir",
    "env",
    "filter",
    "mime",
    "negotiation",
    "reqtimeout",
    "setenvif",
    "status",
];
const CONFS: [&str; 5] = [
    "charset",
    "localized-error-pages",
    "other-vhosts-access-log",
    "security",
    "serve-cgi-bin",
];
/// The page of its default site.
pub const PAGE: &str = "plain\n";

const READY: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(10);

/// What is not as the package has it.
#[derive(Clone, Copy, Default)]
pub struct Differently<'a> {
    /// Ports that it listens on besides 80.
    pub ports: &'a [u16],
    /// Lines at the end of its configuration.
    pub lines: &'a str,
    /// In a pid namespace of its own, with a /proc of its own.
    pub pid_namespace: bool,
}

/// One that runs. Dropping it ends it and all that came of it.
pub struct DebianHttpd {
    /// httpd's first process, or `unshare`, which made its pid namespace. It leads a session that
    /// holds all the others.
    child: Child,
    first: u32,
    ended: bool,
    network: Network,
    dir: tempfile::TempDir,
}

/// Where set-up unpacks the package.
fn unpacked() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().unwrap().join("tools/apache2")
}

impl DebianHttpd {
    /// As the package has it, but for the MPM; `None` when it cannot be had here.
    pub fn start(mpm: Mpm) -> Option<Self> {
        Self::start_as(mpm, Differently::default())
    }

    /// With differences.
    pub fn start_as(mpm: Mpm, differently: Differently<'_>) -> Option<Self> {
        let package = unpacked();
        let program = Path::new("/usr/sbin/apache2");
        let can = have("root", nix::unistd::geteuid().is_root())
            && have("Debian's httpd", program.is_file())
            && have(
                "Debian's package apache2, unpacked by `cargo xtask test`",
                package.join("etc/apache2/apache2.conf").is_file(),
            );
        if !can {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let config = configure(dir.path(), &package, mpm, differently);
        let network = Network::new();
        let mut command = command(program, &config, differently.pid_namespace);
        // What it says before it opens its log, such as that the machine has no full name.
        let output = fs::File::create(dir.path().join("log/output")).unwrap();
        let child = network.spawn(command.stderr(output)).unwrap();
        let mut httpd = Self {
            first: child.id(),
            child,
            ended: false,
            network,
            dir,
        };
        httpd.wait_until_ready(differently);
        Some(httpd)
    }

    fn wait_until_ready(&mut self, differently: Differently<'_>) {
        let deadline = Instant::now() + READY;
        // It listens before it has read its configuration for the second time and made a child.
        let answers = |port| {
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            self.network.within(|| is_answered(addr))
        };
        for port in [80].into_iter().chain(differently.ports.iter().copied()) {
            while !answers(port) {
                assert!(Instant::now() < deadline, "{}", self.log());
                let exited = self.child.try_wait().unwrap();
                assert!(exited.is_none(), "{exited:?}: {}", self.log());
                thread::sleep(Duration::from_millis(10));
            }
        }
        if differently.pid_namespace {
            let below = descendants(self.child.id()).unwrap();
            let is_child = |pid: &&u32| super::parent_of(**pid) == self.child.id();
            self.first = *below.iter().find(is_child).expect("unshare has a child");
        }
    }

    /// The number of its first process in the initial pid namespace.
    pub fn pid(&self) -> u32 {
        self.first
    }

    /// Where it listens, in its own network.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 80))
    }

    /// The network in which it listens.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The directory whose files it serves.
    pub fn docroot(&self) -> PathBuf {
        self.dir.path().join("www/html")
    }

    /// Replaces its children by new ones, as `apache2ctl graceful` does.
    pub fn graceful(&self) {
        signal(self.first, Signal::SIGUSR1);
    }

    /// What it said and logged.
    pub fn log(&self) -> String {
        let logs = ["log/output", "log/apache2/error.log"];
        let texts = logs.map(|log| fs::read_to_string(self.dir.path().join(log)));
        texts.into_iter().flatten().collect()
    }

    /// Ends it.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        // Its number is not given to another process before it was waited for.
        let session = self.child.id();
        signal(self.first, Signal::SIGTERM);
        let deadline = Instant::now() + END;
        while !of_session(session).is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        loop {
            let left = of_session(session);
            if left.is_empty() {
                break;
            }
            for pid in left {
                signal(pid, Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.wait();
    }
}

impl Drop for DebianHttpd {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a request gets an answer; an error of any kind is none.
fn is_answered(addr: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(READY))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 "))
    };
    ask().unwrap_or(false)
}

/// Makes its files in `dir`; returns the directory of the configuration.
fn configure(dir: &Path, package: &Path, mpm: Mpm, differently: Differently<'_>) -> PathBuf {
    let config = dir.join("etc/apache2");
    copy(&package.join("etc/apache2"), &config);
    for enabled in ["mods-enabled", "conf-enabled", "sites-enabled"] {
        fs::create_dir_all(config.join(enabled)).unwrap();
    }
    let link = |kind: &str, name: &str| {
        let target = Path::new("..").join(format!("{kind}-available")).join(name);
        let link = config.join(format!("{kind}-enabled")).join(name);
        if config.join(format!("{kind}-available")).join(name).exists() {
            symlink(target, link).unwrap();
        }
    };
    let mpm = format!("mpm_{mpm}");
    for module in MODULES.into_iter().chain([mpm.as_str()]) {
        link("mods", &format!("{module}.load"));
        link("mods", &format!("{module}.conf"));
    }
    for conf in CONFS {
        link("conf", &format!("{conf}.conf"));
    }
    link("sites", "000-default.conf");

    for name in ["run/apache2", "lock/apache2", "log/apache2", "www/html"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    fs::write(dir.join("www/html/index.html"), PAGE).unwrap();
    let replace = |name: &str, from: &str, to: &str| {
        let path = config.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(&path, text.replace(from, to)).unwrap();
    };
    for name in ["run", "lock", "log"] {
        let own = format!("={}", dir.join(name).display());
        replace("envvars", &format!("=/var/{name}"), &own);
    }
    let www = dir.join("www").display().to_string();
    replace("apache2.conf", "/var/www", &www);
    replace("sites-available/000-default.conf", "/var/www", &www);
    if !Path::new("/etc/mime.types").exists() {
        // Of a package that the server does not need.
        let types = dir.join("mime.types");
        fs::write(&types, "text/html html\n").unwrap();
        let path = types.display().to_string();
        replace("mods-available/mime.conf", "/etc/mime.types", &path);
    }

    let listen = |port: &u16| format!("Listen {port}\n");
    let mut ports: String = differently.ports.iter().map(listen).collect();
    if !ports.is_empty() {
        // The default site is that of port 80 only.
        ports += &format!("DocumentRoot {www}/html\n");
    }
    let main = config.join("apache2.conf");
    let text = fs::read_to_string(&main).unwrap();
    fs::write(&main, format!("{text}\n{ports}{}\n", differently.lines)).unwrap();
    config
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = {
            let entry = entry.unwrap();
            (entry.path(), entry.file_name())
        };
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Starts httpd as apache2ctl does, in the foreground.
fn command(program: &Path, config: &Path, pid_namespace: bool) -> Command {
    let mut command = if pid_namespace {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command
        .args(["-c", r#". "$0/envvars"; exec "$1" -d "$0" -DFOREGROUND"#])
        .args([config, program])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("APACHE_CONFDIR", config)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    // SAFETY: setsid may be called between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?));
    }
    command
}

/// The processes of a session that run.
fn of_session(session: u32) -> Vec<u32> {
    let processes = procfs::process::all_processes().unwrap();
    let stats = processes.filter_map(|process| process.ok()?.stat().ok());
    stats
        .filter(|stat| stat.session.unsigned_abs() == session && !matches!(stat.state, 'Z' | 'X'))
        .map(|stat| stat.pid.unsigned_abs())
        .collect()
}

/// It may have ended.
fn signal(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
}
