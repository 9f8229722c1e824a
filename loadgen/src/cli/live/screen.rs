//! The terminal: taken, given back whatever happens, and its keys.

use std::io::{self, BufWriter, IsTerminal, Stderr, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::unistd::{getpgrp, tcgetpgrp};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::crossterm::{cursor, execute};
use ratatui::{Frame, Terminal};

/// Whether the terminal is ours and has to be given back.
static ENTERED: AtomicBool = AtomicBool::new(false);
static PANIC_HOOK: Once = Once::new();

/// The alternate screen of the terminal of standard error. An inline view would be torn
/// by every change of the window's size, and asks the terminal where the cursor is.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    has_keys: bool,
}

/// What the user or the terminal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// The run is to end.
    End,
    /// Drawing is to stop or to go on.
    Pause,
    /// The keys are to be explained, or no more.
    Help,
    /// The window has another size.
    Resized,
}

/// Whether there is somebody to press keys.
pub(super) fn has_keys() -> bool {
    io::stdin().is_terminal()
}

impl Screen {
    /// Whether there is a screen to draw on, and the program is in its foreground: a
    /// program in the background that drew or took keys would be in the shell's way.
    pub(super) fn is_possible() -> bool {
        let stderr = io::stderr();
        let can_draw = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        stderr.is_terminal()
            && can_draw
            && tcgetpgrp(&stderr) == Ok(getpgrp())
            && size().is_ok_and(|(width, height)| width > 0 && height > 0)
    }

    /// Takes the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        PANIC_HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        let has_keys = has_keys();
        ENTERED.store(true, Ordering::SeqCst);
        let entered = Self::set_up(has_keys);
        if entered.is_err() {
            leave();
        }
        entered
    }

    fn set_up(has_keys: bool) -> io::Result<Self> {
        if has_keys {
            enable_raw_mode()?;
        }
        execute!(io::stderr(), EnterAlternateScreen, cursor::Hide)?;
        let backend = CrosstermBackend::new(BufWriter::new(io::stderr()));
        Ok(Self {
            terminal: Terminal::new(backend)?,
            has_keys,
        })
    }

    /// Whether it still is the program's: a panic anywhere gives it back.
    pub(super) fn is_entered(&self) -> bool {
        ENTERED.load(Ordering::SeqCst)
    }

    /// Draws a picture of the size that the window has now.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(picture).map(drop)
    }

    /// Waits for a key, at most so long.
    pub(super) fn key(&self, longest: Duration) -> Option<Key> {
        if !self.has_keys {
            std::thread::sleep(longest);
            return None;
        }
        match event::poll(longest) {
            Ok(true) => event::read().ok().as_ref().and_then(meaning),
            Ok(false) => None,
            Err(_) => {
                std::thread::sleep(longest);
                None
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Gives the terminal back as it was, once.
fn leave() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    // There is nobody left to tell if the terminal is gone.
    let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
    let _ = io::stderr().flush();
    if has_keys() {
        let _ = disable_raw_mode();
    }
}

fn meaning(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Resized),
        Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::End),
            KeyCode::Char('q') => Some(Key::End),
            KeyCode::Char('p') => Some(Key::Pause),
            KeyCode::Char('?' | 'h') => Some(Key::Help),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::crossterm::event::KeyEvent;

    #[test]
    fn keys_mean_what_the_help_says() {
        let key = |code, modifiers| meaning(&Event::Key(KeyEvent::new(code, modifiers)));
        let plain = |letter| key(KeyCode::Char(letter), KeyModifiers::NONE);
        assert_eq!(plain('q'), Some(Key::End));
        assert_eq!(plain('p'), Some(Key::Pause));
        assert_eq!(plain('?'), Some(Key::Help));
        assert_eq!(plain('c'), None);
        let ctrl_c = key(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(ctrl_c, Some(Key::End));
        assert_eq!(meaning(&Event::Resize(1, 1)), Some(Key::Resized));
    }
}
