//! What is to be seen while a run goes on: a screen on a terminal, lines elsewhere.

mod chart;
mod glyphs;
mod lines;
mod picture;
mod text;
mod way;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use loadgen::clock::monotonic_ns;
use loadgen::live::LiveModel;
use loadgen::terminal::{Key, Screen, Stream, has_keys};
use loadgen::{Config, Progress, RowSink};
use nix::unistd::{getpgrp, tcgetpgrp};
use ratatui::crossterm::terminal::size;

use super::signals;
use glyphs::Glyphs;
use picture::Picture;
use way::Way;

/// A run that is over sooner is not worth another screen.
const SCREEN_AFTER: Duration = Duration::from_secs(1);

/// How often keys and the end of the run are looked for.
const STEP: Duration = Duration::from_millis(50);

/// How often the screen is drawn.
const PICTURE_EVERY: Duration = Duration::from_millis(250);

/// Whether there is a screen to draw on, and the program is in its foreground: a program in the
/// background that drew or took keys would be in the shell's way.
fn is_possible() -> bool {
    let stderr = io::stderr();
    let can_draw = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
    stderr.is_terminal()
        && can_draw
        && tcgetpgrp(&stderr) == Ok(getpgrp())
        && size().is_ok_and(|(width, height)| width > 0 && height > 0)
}

/// The view of a run.
pub(super) struct Live {
    model: LiveModel,
    /// Lines, also on a terminal.
    plain: bool,
}

impl Live {
    pub(super) fn new(plain: bool) -> Self {
        Self {
            model: LiveModel::new(monotonic_ns()),
            plain,
        }
    }

    /// What must get the rows.
    pub(super) fn sink(&self) -> Box<dyn RowSink> {
        Box::new(self.model.sink())
    }

    /// Shows the run until what is returned is dropped.
    pub(super) fn show<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        config: &'s Config,
        progress: &'s Progress,
    ) -> Shown<'s> {
        let (end, ended) = channel();
        let watch = Watch {
            config,
            progress,
            model: &self.model,
            started: Instant::now(),
        };
        let thread = scope.spawn(move || {
            if self.plain || !is_possible() {
                lines::write(&watch, &ended);
            } else {
                watch.on_screen(&ended);
            }
        });
        Shown {
            end: Some(end),
            thread: Some(thread),
        }
    }
}

/// The view while it is there.
pub(super) struct Shown<'s> {
    end: Option<Sender<()>>,
    thread: Option<ScopedJoinHandle<'s, ()>>,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.end = None;
        // Joined here, as a view that panicked must not take the figures with it.
        let _ = self.thread.take().map(ScopedJoinHandle::join);
    }
}

/// What is looked at.
struct Watch<'a> {
    config: &'a Config,
    progress: &'a Progress,
    model: &'a LiveModel,
    started: Instant,
}

/// What the counters say at one moment.
struct State {
    way: Way,
    completed: u64,
    failed: u64,
}

impl Watch<'_> {
    fn state(&self) -> State {
        let completed = self.progress.completed();
        State {
            way: Way::new(self.config, completed, self.started.elapsed()),
            completed,
            failed: self.progress.failed(),
        }
    }

    /// Draws on the screen until the run ends or is to be ended.
    fn on_screen(&self, ended: &Receiver<()>) {
        if ended.recv_timeout(SCREEN_AFTER) != Err(RecvTimeoutError::Timeout)
            || signals::was_interrupted()
        {
            return;
        }
        let Ok(mut screen) = Screen::enter(Stream::Error) else {
            return lines::write(self, ended);
        };
        let glyphs = Glyphs::of_locale();
        let (mut paused, mut help) = (false, false);
        let mut drawn: Option<Instant> = None;
        // The screen is left at the first Ctrl-C or SIGTERM already: the second ends the
        // program on the spot.
        while ended.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Timeout)
            && !signals::was_interrupted()
            && screen.is_entered()
        {
            let is_old = |drawn: Instant| !paused && drawn.elapsed() >= PICTURE_EVERY;
            if drawn.is_none_or(is_old) {
                let done = screen.draw(|frame| {
                    let state = self.state();
                    Picture {
                        config: self.config,
                        state: &state,
                        model: &self.model.look(),
                        now_ns: monotonic_ns(),
                        glyphs,
                        has_keys: has_keys(),
                        paused,
                        help,
                    }
                    .draw(frame.area(), frame.buffer_mut());
                });
                if done.is_err() {
                    // The terminal is gone; the run is not.
                    return;
                }
                drawn = Some(Instant::now());
            }
            let Some(key) = screen.key(STEP) else {
                continue;
            };
            match key {
                Key::End => signals::interrupt(),
                Key::Pause => paused = !paused,
                Key::Help => help = !help,
                Key::Letter(_) | Key::Resized => {}
                // Where that ends no program, as under nohup, the run goes on.
                Key::Gone => std::thread::sleep(STEP),
            }
            drawn = None;
        }
    }
}
