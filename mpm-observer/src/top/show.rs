//! The model while it is fed, and the screen beside it.

use std::{
    io::{self, IsTerminal},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use loadgen::{
    clock::monotonic_ns,
    terminal::{Key, Screen, Stream, has_keys},
};

use super::{Keys, Look, Model, Picture, Sort, View};
use crate::{
    kernel::Record,
    live::{self, Consumer, Server},
};

/// How often keys and the end are looked for.
const STEP: Duration = Duration::from_millis(50);

/// The model, fed by one thread and read by another.
pub struct Shared {
    model: Mutex<Model>,
    /// What was known of a server when its feed ended.
    last: Mutex<Option<Picture>>,
    /// Whether the first look at a server has been taken.
    is_watching: AtomicBool,
}

impl Shared {
    /// With a model that knows nothing yet.
    #[must_use]
    pub const fn new(model: Model) -> Self {
        Self {
            model: Mutex::new(model),
            last: Mutex::new(None),
            is_watching: AtomicBool::new(false),
        }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        locked(&self.model)
    }

    /// Everything that is known now.
    #[must_use]
    pub fn picture(&self) -> Picture {
        self.model().picture(monotonic_ns())
    }

    /// What was known of the server when its feed ended, by its end or by order.
    #[must_use]
    pub fn last(&self) -> Option<Picture> {
        locked(&self.last).take()
    }

    /// Whether the server is watched: its probes are attached and its tasks known.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        self.is_watching.load(Ordering::SeqCst)
    }

    /// Whether a server was watched and has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.model().has_ended()
    }
}

impl Consumer for &Shared {
    fn begin(&mut self, server: &Server) {
        self.model().begin(server, monotonic_ns());
    }

    fn record(&mut self, record: &Record) {
        self.model().record(record, monotonic_ns());
    }

    fn look(&mut self, look: &live::Look) {
        self.model().look(look);
        self.is_watching.store(true, Ordering::SeqCst);
    }

    fn end(&mut self) {
        let now_ns = monotonic_ns();
        let mut model = self.model();
        *locked(&self.last) = Some(model.picture(now_ns));
        model.end(now_ns);
        drop(model);
        self.is_watching.store(false, Ordering::SeqCst);
    }
}

/// A feed that panicked ends the program; what it had told is as good as before.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is a screen to draw on.
#[must_use]
pub fn is_possible() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Draws on the terminal, a new picture each `interval`, until the user ends it or `stop` is set,
/// and sets it then. `follows`: after the server's end another one is waited for.
///
/// # Errors
/// When the terminal cannot be taken or drawn on.
pub fn show(
    shared: &Shared,
    interval: Duration,
    follows: bool,
    stop: &AtomicBool,
) -> io::Result<()> {
    let shown = on_screen(shared, interval, follows, stop);
    stop.store(true, Ordering::SeqCst);
    shown
}

fn on_screen(
    shared: &Shared,
    interval: Duration,
    follows: bool,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut screen = Screen::enter(Stream::Out)?;
    let look = Look::of_environment();
    let (mut paused, mut help, mut with_idle) = (false, false, false);
    let mut sort = Sort::default();
    let mut picture = shared.picture();
    let mut taken = Instant::now();
    let mut is_drawn = false;
    while !stop.load(Ordering::SeqCst) && screen.is_entered() {
        // The first picture with figures is not waited for.
        let has_none = picture.window.looks == 0;
        let is_due = taken.elapsed() >= if has_none { STEP } else { interval };
        if !paused && is_due {
            picture = shared.picture();
            taken = Instant::now();
            is_drawn = false;
        }
        if !is_drawn {
            let keys = match (has_keys(), paused) {
                (false, _) => Keys::None,
                (true, true) => Keys::Paused,
                (true, false) => Keys::Running,
            };
            let view = View {
                picture: &picture,
                look: &look,
                sort,
                with_idle,
                follows,
                help,
                keys: Some(keys),
            };
            screen.draw(|frame| view.draw(frame.area(), frame.buffer_mut()))?;
            is_drawn = true;
        }
        let Some(key) = screen.key(STEP) else {
            continue;
        };
        match key {
            Key::End | Key::Gone => break,
            Key::Pause => paused = !paused,
            Key::Letter('s') => sort = sort.next(),
            Key::Letter('i') => with_idle = !with_idle,
            Key::Help => help = !help,
            Key::Letter(_) | Key::Resized => {}
        }
        is_drawn = false;
    }
    Ok(())
}
