//! The terminal: is there one, how wide, and what does the person at it answer.

use crate::fail::{Fail, Result};
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Whether progress may be redrawn: standard error is a terminal and this is no CI.
#[must_use]
pub fn is_live() -> bool {
    std::io::stderr().is_terminal() && !super::env::ci()
}

/// Whether somebody can be asked.
#[must_use]
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
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

/// Data goes to standard output; a closed pipe is not an error.
pub fn out(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
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
