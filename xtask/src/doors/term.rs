//! The terminal: is there one, how wide, and what does the person at it answer.

use crate::fail::{Fail, Kind, Result};
use crate::model::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

/// Whether progress may be redrawn: standard error is a terminal and this is no CI.
#[must_use]
pub fn is_live() -> bool {
    std::io::stderr().is_terminal() && !super::env::ci()
}

/// Whether standard input is a terminal.
#[must_use]
pub fn can_be_typed_at() -> bool {
    std::io::stdin().is_terminal()
}

/// Whether somebody can be asked.
#[must_use]
pub fn can_ask() -> bool {
    can_be_typed_at() && std::io::stderr().is_terminal()
}

/// Asks until the answer is yes or no; the end of input is a no.
pub fn ask(question: &str) -> Result<bool> {
    let mut stderr = std::io::stderr();
    for line in std::iter::repeat_with(|| {
        let mut line = String::new();
        write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush())?;
        std::io::stdin().lock().read_line(&mut line).map(|n| (n, line))
    }) {
        let (read, line) = line.map_err(|e| Fail::failed("cannot read the answer").because(e))?;
        match line.trim().to_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "" | "n" | "no" => return Ok(false),
            _ if read == 0 => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}

/// What Ctrl-C types.
const END_OF_TEXT: u8 = 3;

/// A secret from standard input: all of it, or a line that a terminal does not show. One line break at the
/// end does not belong to it.
pub fn secret(prompt: &str) -> Result<Secret> {
    let unread = |error| Fail::failed("cannot read the secret from standard input").because(error);
    let mut bytes = Vec::new();
    if std::io::stdin().is_terminal() {
        err(prompt);
        unseen(|| read_line(&mut bytes)).map_err(unread)?;
        err("\n");
    } else {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(unread)?;
    }
    if bytes.last() == Some(&END_OF_TEXT) {
        return Err(Fail::new(Kind::Interrupted, "interrupted").cause("nothing was stored"));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Fail::usage("the secret is not text in UTF-8").hint("encode it first, for instance with `base64`")
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

/// Reads while the terminal shows nothing. Ctrl-C ends the line instead of the process, which would leave the
/// terminal like this.
fn unseen(read: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut settings: Termios = before.clone();
    settings.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    settings.special_codes[SpecialCodeIndex::VEOL] = END_OF_TEXT;
    tcsetattr(&stdin, OptionalActions::Flush, &settings)?;
    let done = read();
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    done
}

fn read_line(bytes: &mut Vec<u8>) -> std::io::Result<()> {
    for byte in std::io::stdin().lock().bytes() {
        bytes.push(byte?);
        if bytes.last().is_some_and(|last| [b'\n', END_OF_TEXT].contains(last)) {
            break;
        }
    }
    Ok(())
}

/// Data goes to standard output; a closed pipe is not an error.
pub fn out(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
}

/// Text on standard output that takes the place of what was there before.
#[derive(Debug, Default)]
pub struct Screen {
    lines: usize,
}

impl Screen {
    /// Whether standard output is a terminal, and this is no CI.
    #[must_use]
    pub fn is_there() -> bool {
        std::io::stdout().is_terminal() && !super::env::ci()
    }

    /// Replaces what was drawn last.
    pub fn draw(&mut self, text: &str) {
        let back = if self.lines == 0 { String::new() } else { format!("\x1b[{}A\x1b[J", self.lines) };
        out(&format!("{back}{text}"));
        self.lines = text.lines().count();
    }

    /// Talk below it, which the next drawing replaces as well.
    pub fn say(&mut self, text: &str) {
        err(text);
        self.lines += if self.lines == 0 { 0 } else { text.lines().count() };
    }
}

/// Talk goes to standard error.
pub fn err(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Lines that are redrawn in place below the lines that stay.
#[derive(Debug, Default)]
pub struct Live {
    lines: indicatif::MultiProgress,
    running: std::sync::Mutex<std::collections::BTreeMap<String, indicatif::ProgressBar>>,
}

impl Live {
    /// Shows or replaces the live line of `key`, a spinner and the time so far before it.
    pub fn set(&self, key: &str, text: &str) {
        let Ok(mut running) = self.running.lock() else { return };
        let bar = running.entry(key.to_owned()).or_insert_with(|| {
            let bar = self.lines.add(indicatif::ProgressBar::new_spinner());
            if let Ok(style) = indicatif::ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
            bar
        });
        bar.set_message(text.to_owned());
    }

    /// Takes the live line of `key` away.
    pub fn clear(&self, key: &str) {
        if let Ok(mut running) = self.running.lock()
            && let Some(bar) = running.remove(key)
        {
            bar.finish_and_clear();
        }
    }

    /// A line that stays, above the live ones.
    pub fn line(&self, text: &str) {
        self.lines.suspend(|| err(&format!("{text}\n")));
    }
}
