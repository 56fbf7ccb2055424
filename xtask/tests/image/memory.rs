//! The whole process stays below 200 MB, however large the image is.

use super::{SYSTEM, project, server};
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

const LIMIT_KB: u64 = 200_000;

/// The most memory that a process has had so far.
fn peak_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn a_large_file_is_built_in_and_pushed_piece_by_piece() {
    let Some(server) = server(None) else { return };
    let project = project(&server.base(&["amd64"]), &format!("repository = '{}/airflow'", server.host()));
    project.write("plugins/large.bin", "");
    let mut file = fs::File::options().write(true).open(project.path().join("plugins/large.bin")).unwrap();
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(100 << 20)
    .collect();
    file.write_all(&noise).unwrap();
    file.set_len(300 << 20).unwrap();
    let mut command = project.command(&["image", "push", "--env", "local", "--format", "json"]);
    let mut child =
        command.env(SYSTEM.0, SYSTEM.1).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_kb(child.id()).unwrap_or_default());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    assert!(status.success());
    assert!((1_000..LIMIT_KB).contains(&peak), "{peak} kB");
}
