//! Drawing in place: the cursor goes back to the first line, and each line is written over the one before.
//!
//! While it lasts the cursor is hidden and keys are not echoed. Both come back when the [`Terminal`] is dropped and,
//! by a hook, when the process panics, so that no way of ending leaves a shell without a cursor.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcgetwinsize,
    tcsetattr,
};

use super::view::{Line, Style};

/// The modes that standard input had; there while a [`Terminal`] is.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";
const CLEAR_TO_END_OF_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const PLAIN: &str = "\x1b[0m";

/// A terminal that is drawn on.
#[derive(Debug)]
pub(super) struct Terminal {
    colour: bool,
    /// Lines that the last frame left above the cursor.
    drawn: usize,
    size: Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    columns: usize,
    rows: usize,
}

impl Terminal {
    /// The terminal on standard output; `None` when that is none, or one that cannot move its cursor.
    pub(super) fn of_stdout(colour: bool) -> Option<Terminal> {
        let dumb = std::env::var_os("TERM").is_none_or(|kind| kind == "dumb" || kind.is_empty());
        if dumb || !io::stdout().is_terminal() {
            return None;
        }
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                previous(panic);
            }));
        });
        silence_keys();
        Some(Terminal { colour, drawn: 0, size: size() })
    }

    /// Draws these lines over the last ones.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let size = size();
        let mut frame = String::from(HIDE_CURSOR);
        if size != std::mem::replace(&mut self.size, size) {
            // Whatever was drawn may have been wrapped anew.
            frame.push_str(CLEAR_SCREEN);
        } else if self.drawn > 0 {
            frame.push_str(&format!("\x1b[{}F", self.drawn));
        }
        let lines = lines.get(..size.rows.saturating_sub(1)).unwrap_or(lines);
        for line in lines {
            frame.push_str(&painted(line, size.columns, self.colour));
            frame.push_str(CLEAR_TO_END_OF_LINE);
            frame.push('\n');
        }
        frame.push_str(CLEAR_BELOW);
        self.drawn = lines.len();
        let mut stdout = io::stdout().lock();
        stdout.write_all(frame.as_bytes())?;
        stdout.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// A line as the terminal gets it, cut to its width.
fn painted(line: &Line, columns: usize, colour: bool) -> String {
    let mut left = columns;
    let mut text = String::new();
    for (style, part) in line.parts() {
        let shown: String = part.chars().take(left).collect();
        left -= shown.chars().count();
        match code(*style).filter(|_| colour) {
            Some(code) => text.push_str(&format!("\x1b[{code}m{shown}{PLAIN}")),
            None => text.push_str(&shown),
        }
    }
    text
}

/// The terminal's own sixteen colours, which its owner has chosen to be legible.
const fn code(style: Style) -> Option<&'static str> {
    match style {
        Style::Plain => None,
        Style::Strong => Some("1"),
        Style::Faint => Some("2"),
        Style::Old => Some("33"),
        Style::New => Some("36"),
        Style::Bad => Some("1;31"),
    }
}

fn size() -> Size {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
        }
        _ => Size { columns: 80, rows: 24 },
    }
}

/// Keys pressed meanwhile would be drawn into the picture. Ctrl-C stays what it is; Ctrl-Z would leave the load
/// standing still and the cursor hidden.
fn silence_keys() {
    let Ok(before) = tcgetattr(io::stdin()) else { return };
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
    // Zero is _POSIX_VDISABLE on Linux.
    silent.special_codes[SpecialCodeIndex::VSUSP] = 0;
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    // A terminal that refuses shows keys; nothing worse.
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, &silent);
}

/// Must not panic: it runs within the panic hook too. Nothing can be done about an error either.
fn restore() {
    let mut stdout = io::stdout().lock();
    let _ = write!(stdout, "{PLAIN}{SHOW_CURSOR}");
    let _ = stdout.flush();
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // What was typed was meant for nobody; the shell should not get it.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_to_the_width_and_painted() {
        let line = Line::plain("ab").and(Style::Old, "█▌d");
        assert_eq!(painted(&line, 80, true), "ab\x1b[33m█▌d\x1b[0m");
        assert_eq!(painted(&line, 4, false), "ab█▌");
        assert_eq!(painted(&line, 1, true), "a\x1b[33m\x1b[0m");
        assert_eq!(painted(&line, 0, false), "");
    }
}
