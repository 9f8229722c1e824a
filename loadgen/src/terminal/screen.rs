//! The terminal: taken, given back whatever happens, and its keys.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use ratatui::{Frame, Terminal};

/// The [`Stream`] whose terminal is ours and has to be given back, or 0.
static ENTERED: AtomicU8 = AtomicU8::new(0);
static PANIC_HOOK: Once = Once::new();

/// Where the terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out = 1,
    /// Standard error.
    Error = 2,
}

impl Stream {
    fn writer(self) -> Box<dyn Write + Send> {
        match self {
            Self::Out => Box::new(io::stdout()),
            Self::Error => Box::new(io::stderr()),
        }
    }
}

/// The alternate screen of a terminal. An inline view would be torn by every change of the
/// window's size, and asks the terminal where the cursor is.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Box<dyn Write + Send>>>>,
    has_keys: bool,
}

/// What the user or the terminal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// To end: q or Ctrl-C.
    End,
    /// Drawing is to stop or to go on: p.
    Pause,
    /// The keys are to be explained, or no more: ? or h.
    Help,
    /// Another letter.
    Letter(char),
    /// The window has another size.
    Resized,
    /// Nobody is at the terminal any more.
    Gone,
}

/// Whether there is somebody to press keys.
#[must_use]
pub fn has_keys() -> bool {
    io::stdin().is_terminal()
}

impl Screen {
    /// Takes the terminal of a stream. One screen at a time; a panic of any thread gives it back.
    ///
    /// # Errors
    /// When the terminal cannot be set or drawn on.
    pub fn enter(stream: Stream) -> io::Result<Self> {
        PANIC_HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        ENTERED.store(stream as u8, Ordering::SeqCst);
        let entered = Self::set_up(stream);
        if entered.is_err() {
            leave();
        }
        entered
    }

    fn set_up(stream: Stream) -> io::Result<Self> {
        let has_keys = has_keys();
        if has_keys {
            enable_raw_mode()?;
        }
        execute!(stream.writer(), EnterAlternateScreen, cursor::Hide)?;
        let backend = CrosstermBackend::new(BufWriter::new(stream.writer()));
        Ok(Self {
            terminal: Terminal::new(backend)?,
            has_keys,
        })
    }

    /// Whether it still is the program's.
    #[must_use]
    pub fn is_entered(&self) -> bool {
        ENTERED.load(Ordering::SeqCst) != 0
    }

    /// Draws a picture of the size that the window has now.
    ///
    /// # Errors
    /// When the terminal cannot be drawn on.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(picture).map(drop)
    }

    /// Waits for a key, at most so long; not at all when the terminal is gone.
    #[must_use]
    pub fn key(&self, longest: Duration) -> Option<Key> {
        if !self.has_keys {
            std::thread::sleep(longest);
            return None;
        }
        // crossterm would read the end of a terminal that is gone again and again.
        if is_gone(longest) {
            return Some(Key::Gone);
        }
        match event::poll(Duration::ZERO) {
            Ok(true) => match event::read() {
                Ok(event) => meaning(&event),
                Err(_) => Some(Key::Gone),
            },
            Ok(false) | Err(_) => None,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
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

/// Gives the terminal back as it was, once.
fn leave() {
    let stream = match ENTERED.swap(0, Ordering::SeqCst) {
        0 => return,
        taken if taken == Stream::Out as u8 => Stream::Out,
        _ => Stream::Error,
    };
    // There is nobody left to tell if the terminal is gone.
    let mut writer = stream.writer();
    let _ = execute!(writer, LeaveAlternateScreen, cursor::Show);
    let _ = writer.flush();
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
            KeyCode::Char(letter) => Some(Key::Letter(letter)),
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
        assert_eq!(plain('c'), Some(Key::Letter('c')));
        let ctrl_c = key(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(ctrl_c, Some(Key::End));
        assert_eq!(meaning(&Event::Resize(1, 1)), Some(Key::Resized));
    }
}
