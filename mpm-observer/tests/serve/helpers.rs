//! Programs that httpd starts, for piped logs and CGI scripts: they are neither slots nor children.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use mpm_observer::{
    httpd::{Httpd, RuntimeDir, descendants},
    scenario::{Mpm, Scenario, Size},
};

use crate::{
    client::{PATIENCE, Scrape},
    common::{GRACE, Place, have, kill_9, wait_until, watched::exchange},
    serving::Serving,
};

const SLOTS: f64 = 10.0;
const ROTATELOGS: &str = "/usr/bin/rotatelogs";

/// An httpd of ten slots whose clients are waited for as long as a test takes, and the observer
/// that serves its metrics.
struct Stand {
    serving: Serving,
    httpd: Httpd,
    _runtime: RuntimeDir,
    place: Place,
}

impl Stand {
    /// With further lines of its configuration.
    fn start(mpm: Mpm, directives: impl FnOnce(&Place) -> Vec<String>) -> Option<Self> {
        if !have("root", nix::unistd::geteuid().is_root()) {
            return None;
        }
        let place = Place::new()?;
        let directives: Vec<String> = directives(&place)
            .into_iter()
            .map(|line| format!("'{line}'"))
            .collect();
        let text = format!(
            "name = \"helped\"\ntitle = \"Helped\"\nwhat = \"A test.\"\n\
             [size]\nfull = {{ requests = 10, concurrency = 1 }}\n\
             quick = {{ requests = 10, concurrency = 1 }}\n\
             [server]\nstart = \"warm\"\nmax_request_workers = {SLOTS}\ntimeout_s = 600\n\
             extra_directives = [{}]\n\
             worker.threads_per_child = 5\nevent.threads_per_child = 5\n",
            directives.join(", ")
        );
        let plan = Scenario::parse("helped.toml", &text)
            .unwrap()
            .plan(mpm, Size::Quick);
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        let (httpd, _) = place.start(&runtime, &plan);
        // Its questions would take slots.
        let serving = Serving::start(&["--pid", &httpd.pid().to_string(), "--no-status"]);
        Some(Self {
            serving,
            httpd,
            _runtime: runtime,
            place,
        })
    }

    /// Waits for a look that shows so many of ten slots in a state, all children and no others, and
    /// so many tasks of other programs.
    fn wait_for(
        &self,
        mpm: Mpm,
        (state, slots): (&str, f64),
        helpers: impl Fn(f64) -> bool,
    ) -> Scrape {
        let children = if mpm == Mpm::Prefork { SLOTS } else { 2.0 };
        let what = format!("{slots} of {SLOTS} slots are {state} in {children} children");
        let series = format!("httpd_slots{{state=\"{state}\"}}");
        self.serving.wait_until(&what, |scrape| {
            scrape.sum("httpd_slots") == SLOTS
                && scrape.get(&series) == Some(slots)
                && scrape.get("httpd_children") == Some(children)
                && scrape
                    .get("httpd_tasks{role=\"helper\"}")
                    .is_some_and(&helpers)
        })
    }

    fn stop(self) {
        assert_eq!(self.httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
    }
}

/// No child has come or gone.
fn assert_no_child_came_or_went(scrape: &Scrape) {
    assert_eq!(scrape.of_series("httpd_children_started_total"), 0.0);
    assert_eq!(scrape.sum("httpd_children_ended_total"), 0.0);
}

/// The processes below one that run rotatelogs.
fn rotatelogs_of(pid: u32) -> BTreeSet<u32> {
    let below = descendants(pid).unwrap();
    let runs_it = |pid: &u32| {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(ROTATELOGS))
    };
    below.into_iter().filter(runs_it).collect()
}

/// A piped log's program waits for lines in a call in which an idle child of prefork waits for
/// connections. One is executed before the observer comes, and one while it watches.
fn programs_of_piped_logs_are_neither_slots_nor_children(mpm: Mpm) {
    if !have("rotatelogs", Path::new(ROTATELOGS).exists()) {
        return;
    }
    let logs = |place: &Place| {
        let log = place.dir.path().join("rotated");
        vec![
            format!("CustomLog \"|{ROTATELOGS} {} 86400\" \"%h\"", log.display()),
            "CustomLog \"|$while read line; do :; done\" \"%h\"".to_owned(),
        ]
    };
    let Some(stand) = Stand::start(mpm, logs) else {
        return;
    };
    let both = |helpers| helpers == 2.0;
    let before = stand.wait_for(mpm, ("idle", SLOTS), both);
    assert_no_child_came_or_went(&before);

    let first = stand.httpd.pid();
    let old = rotatelogs_of(first);
    assert_eq!(old.len(), 1, "{old:?}");
    old.iter().copied().for_each(kill_9);
    wait_until("httpd has started the log's program anew", || {
        let new = rotatelogs_of(first);
        new.len() == 1 && new.is_disjoint(&old)
    });
    // Records come in order: behind this request's all of before have come.
    let mut stream = TcpStream::connect(stand.httpd.addr()).unwrap();
    exchange(&mut stream, "/alive.txt", true);
    stand
        .serving
        .wait_until("the request is counted", |scrape| {
            scrape.sum("httpd_requests_total") == 1.0
        });

    let half = b"GET /alive.txt HTTP/1.1\r\nHost: t";
    let held: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut stream = TcpStream::connect(stand.httpd.addr()).unwrap();
            stream.write_all(half).unwrap();
            stream
        })
        .collect();
    let full = stand.wait_for(mpm, ("reading_client", SLOTS), both);
    assert_eq!(full.of_series("httpd_slots{state=\"idle\"}"), 0.0);
    assert_no_child_came_or_went(&full);
    drop(held);
    stand.stop();
}

#[test]
fn programs_of_piped_logs_are_neither_slots_nor_children_of_prefork() {
    programs_of_piped_logs_are_neither_slots_nor_children(Mpm::Prefork);
}

#[test]
fn programs_of_piped_logs_are_neither_slots_nor_children_of_worker() {
    programs_of_piped_logs_are_neither_slots_nor_children(Mpm::Worker);
}

#[test]
fn programs_of_piped_logs_are_neither_slots_nor_children_of_event() {
    programs_of_piped_logs_are_neither_slots_nor_children(Mpm::Event);
}

#[test]
fn a_cgi_script_of_a_child_of_prefork_is_no_slot_and_the_child_is_busy() {
    let cgi = |place: &Place| {
        let dir = place.dir.path().join("cgi");
        fs::create_dir(&dir).unwrap();
        let script = dir.join("wait");
        let go = place.dir.path().join("go");
        let text = format!(
            "#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.1; done\n\
             echo 'Content-Type: text/plain'\necho\necho done\nexit 1\n",
            go.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let modules = place.installation.modules_dir.display();
        vec![
            format!("LoadModule alias_module \"{modules}/mod_alias.so\""),
            format!("LoadModule cgi_module \"{modules}/mod_cgi.so\""),
            format!("ScriptAlias \"/cgi/\" \"{}/\"", dir.display()),
            format!("<Directory \"{}\">", dir.display()),
            "Require all granted".to_owned(),
            "</Directory>".to_owned(),
        ]
    };
    let mpm = Mpm::Prefork;
    let Some(stand) = Stand::start(mpm, cgi) else {
        return;
    };
    stand.wait_for(mpm, ("idle", SLOTS), |helpers| helpers == 0.0);
    let mut stream = TcpStream::connect(stand.httpd.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /cgi/wait HTTP/1.0\r\n\r\n").unwrap();
    let busy = stand.wait_for(mpm, ("idle", SLOTS - 1.0), |helpers| helpers >= 1.0);
    assert_no_child_came_or_went(&busy);

    fs::write(stand.place.dir.path().join("go"), "").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("done\n"), "{answer}");
    let after = stand.wait_for(mpm, ("idle", SLOTS), |helpers| helpers == 0.0);
    // Its status is no child's.
    assert_no_child_came_or_went(&after);
    stand.stop();
}
