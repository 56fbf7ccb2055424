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
