//! What several test targets share: scratch copies of this project, and runs of the binary in them.
// Each target uses a part of it.
#![allow(dead_code)]

pub mod index;
pub mod project;
pub mod proxy;
pub mod registry;
pub mod stages;
pub mod tasks;

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

/// Tells how far a long test is, past what the test runner keeps back until a test fails.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// One run of the binary.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Standard output is this one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:#?}"))
    }

    /// Ends with this code and says nothing of a panic.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The first of four free ports in a row, apart from those of tests that run at the same time: the API
/// server and, locally, the log and health servers listen one after the other.
pub fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Below the ports that the system gives to clients.
    let own = u16::try_from(std::process::id() % 500).unwrap();
    loop {
        let port = 20_000 + own * 20 + NEXT.fetch_add(1, Ordering::Relaxed) * 4;
        if (port..port + 4).all(free) {
            return port;
        }
    }
}
