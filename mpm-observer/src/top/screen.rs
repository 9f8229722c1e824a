//! The terminal: taken, given back whatever happens, and its keys.

use std::{
    io::{self, BufWriter, IsTerminal, Stdout, Write},
    os::fd::AsFd,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor,
        event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

/// Whether the terminal is ours and has to be given back.
static ENTERED: AtomicBool = AtomicBool::new(false);
static PANIC_HOOK: Once = Once::new();

/// The alternate screen of the terminal of standard output.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    has_keys: bool,
}

/// What the user or the terminal wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// To end.
    End,
    /// Drawing is to stop or to go on.
    Pause,
    /// Another order of the tasks.
    Sort,
    /// Idle tasks are to be shown, or no more.
    Idle,
    /// The keys are to be explained, or no more.
    Help,
    /// The window has another size.
    Resized,
}

/// Whether there is somebody to press keys.
pub(super) fn has_keys() -> bool {
    io::stdin().is_terminal()
}

/// Whether there is a screen to draw on.
#[must_use]
pub fn is_possible() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Screen {
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
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        let backend = CrosstermBackend::new(BufWriter::new(io::stdout()));
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
        // crossterm would read the end of a terminal that is gone again and again.
        if is_gone(longest) {
            return Some(Key::End);
        }
        match event::poll(Duration::ZERO) {
            Ok(true) => match event::read() {
                Ok(event) => meaning(&event),
                Err(_) => Some(Key::End),
            },
            Ok(false) | Err(_) => None,
        }
    }
}

/// Waits until standard input has something, at most so long. Whether nobody is at its other end.
fn is_gone(longest: Duration) -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) => fds[0]
            .revents()
            .is_some_and(|seen| seen.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)),
        // A signal, such as that of another size of the window.
        Err(Errno::EINTR) => false,
        Err(_) => true,
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
    let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = io::stdout().flush();
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
            KeyCode::Char('s') => Some(Key::Sort),
            KeyCode::Char('i') => Some(Key::Idle),
            KeyCode::Char('?' | 'h') => Some(Key::Help),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let key = |code, modifiers| meaning(&Event::Key(KeyEvent::new(code, modifiers)));
        let plain = |letter| key(KeyCode::Char(letter), KeyModifiers::NONE);
        let keys = [
            ('q', Key::End),
            ('p', Key::Pause),
            ('s', Key::Sort),
            ('i', Key::Idle),
            ('?', Key::Help),
        ];
        for (letter, expected) in keys {
            assert_eq!(plain(letter), Some(expected), "{letter}");
        }
        assert_eq!(plain('c'), None);
        let ctrl_c = key(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(ctrl_c, Some(Key::End));
        assert_eq!(meaning(&Event::Resize(1, 1)), Some(Key::Resized));
    }
}
