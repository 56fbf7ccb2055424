//! The package index of `airflow/tests/indexkit.py`, on a free port and stopped by its pid.

use super::repository;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::read::MultiGzDecoder;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub const USER: &str = "me@acme";
/// Hard on URLs. In two parts, because projects of tests have this file, too.
pub const PASSWORD: &str = concat!("s3cr%t/ #", ":of-the-tool");
/// The same in a URL.
const ESCAPED: &str = concat!("s3cr%25t%2F%20%23", "%3Aof-the-tool");

pub struct Index {
    process: Child,
    pub url: String,
    folder: tempfile::TempDir,
}

impl Index {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(xtask::doors::toolchain::python().unwrap().path)
            .arg(repository().join("airflow/tests/indexkit.py"))
            .arg(folder.path().join("asked"))
            .args([USER, PASSWORD])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "the index has not started: {url}");
        Self { process, url: url.trim().to_owned(), folder }
    }

    /// Every request so far: its path, and whether it came with the `right` login, a `wrong` one or `no` login.
    pub fn asked(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn forget(&self) {
        fs::write(self.folder.path().join("asked"), "").unwrap();
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The variables that give the login.
pub fn login(password: &str) -> [(&'static str, &str); 2] {
    [("DUCTWORK_INDEX_USERNAME", USER), ("DUCTWORK_INDEX_PASSWORD", password)]
}

/// No file below the folder has the password in it, in whatever form, nor has what was said; layers are unpacked. What is
/// reached by links is not of this project.
pub fn nowhere_in(folder: &Path, said: &str) {
    let header = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let forms = [PASSWORD, ESCAPED, &header];
    let has =
        |bytes: &[u8]| forms.iter().any(|form| bytes.windows(form.len()).any(|one| one == form.as_bytes()));
    assert!(!has(said.as_bytes()), "{said}");
    let mut files = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files += 1;
                let stored = fs::read(&path).unwrap();
                let mut unpacked = Vec::new();
                let _ = MultiGzDecoder::new(&stored[..]).read_to_end(&mut unpacked);
                assert!(!has(&stored) && !has(&unpacked), "the password is in {}", path.display());
            }
        }
    }
    assert!(files > 0);
}
