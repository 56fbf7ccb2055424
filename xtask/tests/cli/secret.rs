//! `secret set`: a value on its way from standard input to Secrets Manager, and nowhere else.

use crate::cloud::{Cloud, KEYS, project};
use crate::project::{Project, Run};
use std::io::Write as _;
use std::process::{Command, Stdio};

const SET: [&str; 5] = ["secret", "set", "connections/warehouse", "--env", "other"];

fn given(project: &Project, args: &[&str], value: &[u8]) -> Run {
    let mut command = project.command(args);
    command.envs(KEYS).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(value);
    project.seen(&child.wait_with_output().unwrap())
}

/// What Secrets Manager was told, after the question whose credentials these are.
#[track_caller]
fn told(cloud: &Cloud) -> String {
    let asked = cloud.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    asked[1].clone()
}

#[test]
fn a_value_without_its_last_line_break_reaches_secrets_manager_and_nothing_else() {
    let cloud = Cloud::of("111122223333");
    let project = project(cloud.port);
    for (value, stored) in [
        (&b"hunter2\n"[..], "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b" hunter2\n\n", " hunter2\\n"),
        (b"{\n\"a\": 1}", "{\\n\\\"a\\\": 1}"),
    ] {
        let run = given(&project, &SET, value).expect(0);
        assert_eq!(run.stdout, "created the secret `ductwork/other/connections/warehouse`\n");
        assert_eq!(run.stderr, "");
        let told = told(&cloud);
        assert!(told.contains(&format!(r#""SecretString":"{stored}""#)), "{told}");
        assert!(told.contains(r#""Name":"ductwork/other/connections/warehouse""#), "{told}");
    }
    let json = given(&project, &[&SET[..], &["--format", "json"]].concat(), b"x").expect(0).json();
    assert_eq!(json["secret"], "ductwork/other/connections/warehouse");
    assert_eq!(json["action"], "created");
}

#[test]
fn what_cannot_be_stored_is_refused_before_anybody_is_told() {
    let cloud = Cloud::of("111122223333");
    let project = project(cloud.port);
    let name = given(&project, &["secret", "set", "warehouse", "--env", "other"], b"hunter2").expect(2);
    insta::assert_snapshot!(name.stderr, @r"
    error: invalid name of a secret: `warehouse`

    hint: write it as `connections/warehouse`, `variables/warehouse`,
          `login/google`, `image/registry`, `packages/index` or `dags/git`
    ");
    assert!(cloud.asked().is_empty());
    let empty = given(&project, &SET, b"\n").expect(2);
    insta::assert_snapshot!(empty.stderr, @r"
    error: the value is empty

    hint: give it on standard input:
          cargo xtask secret set connections/warehouse --env other < FILE
    ");
    let bytes = given(&project, &SET, b"\xff").expect(2);
    insta::assert_snapshot!(bytes.stderr, @r"
    error: the secret is not text in UTF-8

    hint: encode it first, for instance with `base64`
    ");
    assert!(cloud.asked().iter().all(|asked| asked.contains("GetCallerIdentity")));
}

/// Runs the command on a terminal, types at its question, and prints all that the terminal showed, how the
/// command ended, and whether the terminal shows again what is typed.
const TYPED: &str = r"
import os, pty, sys, termios
master, slave = pty.openpty()
pid = os.fork()
if pid == 0:
    os.setsid()
    import fcntl
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2): os.dup2(slave, fd)
    os.execv(sys.argv[2], sys.argv[2:])
shown = b''
while b'(not shown)' not in shown: shown += os.read(master, 1000)
while termios.tcgetattr(slave)[3] & termios.ECHO: pass
os.write(master, sys.argv[1].encode())
status = os.waitpid(pid, 0)[1]
while not shown.rstrip().endswith(b'`') and b'nothing was stored' not in shown: shown += os.read(master, 1000)
print(shown.decode().replace(chr(13), ''))
print(os.waitstatus_to_exitcode(status), bool(termios.tcgetattr(slave)[3] & termios.ECHO))
";

fn typed(project: &Project, keys: &str) -> String {
    let binary = project.command(&SET);
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", TYPED, keys]).arg(binary.get_program()).args(SET).current_dir(project.root());
    command.env_clear().envs(KEYS).env("HOME", project.root()).env("COLUMNS", "80");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_terminal_does_not_show_what_is_typed() {
    let cloud = Cloud::of("111122223333");
    let project = project(cloud.port);
    let shown = typed(&project, "hunter2\n");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("value of `ductwork/other/connections/warehouse` (not shown): "), "{shown}");
    assert!(shown.contains("created the secret") && shown.ends_with("0 True\n"), "{shown}");
    assert!(told(&cloud).contains(r#""SecretString":"hunter2""#));
}

#[test]
fn ctrl_c_at_the_question_stores_nothing_and_leaves_the_terminal_as_it_was() {
    let cloud = Cloud::of("111122223333");
    let project = project(cloud.port);
    let shown = typed(&project, "hunt\u{3}");
    assert!(!shown.contains("hunt") && shown.ends_with("130 True\n"), "{shown}");
    assert!(cloud.asked().iter().all(|asked| asked.contains("GetCallerIdentity")));
}
