//! What is wrong with this machine: Python, network, permissions, ports, and damaged state.

use crate::project::{Project, closed_port, free_ports};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use xtask::model::digest::Digest;

#[test]
fn no_python() {
    let project = Project::new();
    fs::remove_file(project.bin().join("python3")).unwrap();
    insta::assert_snapshot!(project.refused(&["deploy"]), @r"
    error: no Python from 3.10 to 3.14 was found
      caused by: there is no python3 on the path

    hint: install one, on Debian and Ubuntu:
          sudo apt-get install python3 python3-venv
    hint: or name one:
          DUCTWORK_PYTHON=/path/to/python3.12 cargo xtask deploy --env local
    ");
    assert_eq!(project.refused(&["local", "up"]), project.refused(&["deploy"]));
    insta::assert_snapshot!(project.refused_with(&["deploy"], &[("DUCTWORK_PYTHON", "/no/such/python")]), @r"
    error: no Python from 3.10 to 3.14 was found
      caused by: `/no/such/python` does not run

    hint: install one, on Debian and Ubuntu:
          sudo apt-get install python3 python3-venv
    hint: or name one:
          DUCTWORK_PYTHON=/path/to/python3.12 cargo xtask deploy --env local
    ");
}

#[test]
fn too_old_a_python() {
    let project = Project::new();
    project.program("python3", "echo 3.9.2");
    project.program("python3.10", "exit 1");
    insta::assert_snapshot!(project.refused(&["deploy"]), @r"
    error: no Python from 3.10 to 3.14 was found
      caused by: `[SCRATCH]/bin/python3` is Python 3.9.2,
        `[SCRATCH]/bin/python3.10` does not run

    hint: install one, on Debian and Ubuntu:
          sudo apt-get install python3 python3-venv
    hint: or name one:
          DUCTWORK_PYTHON=/path/to/python3.12 cargo xtask deploy --env local
    ");
    assert_eq!(project.refused(&["local", "up"]), project.refused(&["deploy"]));
}

#[test]
fn a_python_that_makes_no_environments() {
    // With blanks: the scratch folder's own random name may hold `-c`.
    let version = "case \"$*\" in *' -c '*) echo 3.12.1; exit;; esac";
    let project = Project::new();
    project
        .program("python3", &format!("{version}\necho '/usr/bin/python3: No module named venv' >&2; exit 1"));
    insta::assert_snapshot!(project.refused(&["deploy"]), @"
      setup: installing uv (once)
    ✗ setup [TIME]
    error: `[SCRATCH]/bin/python3` cannot create virtual environments
      caused by: its modules venv and ensurepip are a separate package on this
        system

    hint: install them, on Debian and Ubuntu: sudo apt-get install python3-venv
    ");
    let debian = "The virtual environment was not created successfully because ensurepip is not available.";
    project.program("python3", &format!("{version}\necho '{debian}'; exit 1"));
    insta::assert_snapshot!(project.refused(&["local", "up"]), @"
      local cloud: installing uv (once)
    error: `[SCRATCH]/bin/python3` cannot create virtual environments
      caused by: its modules venv and ensurepip are a separate package on this
        system

    hint: install them, on Debian and Ubuntu: sudo apt-get install python3-venv
    ");
}

/// The python of this machine, which the tests of the Python side need anyway.
fn real_python() -> String {
    let which = Command::new("sh").args(["-c", "command -v python3"]).output().unwrap();
    let python = String::from_utf8(which.stdout).unwrap().trim().to_owned();
    assert!(!python.is_empty(), "these tests need a python3");
    python
}

#[test]
fn no_network_for_pip() {
    let project = Project::new();
    fs::create_dir(project.path(".ductwork")).unwrap();
    let index = format!("http://127.0.0.1:{}/simple", closed_port());
    let path = std::env::var("PATH").unwrap();
    let env = [
        ("DUCTWORK_PYTHON", real_python()),
        ("PATH", path),
        ("PIP_INDEX_URL", index.clone()),
        ("UV_INDEX_URL", index),
        ("PIP_RETRIES", "0".to_owned()),
    ];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let told = project.refused_with(&["deploy"], &env);
    let told: Vec<&str> = told.lines().filter(|line| !line.contains("-m pip install")).collect();
    insta::assert_snapshot!(told.join("\n"), @"
      setup: installing uv (once)
    ✗ setup [TIME]
    error: cannot install the packages of `airflow/tools.lock`
        ended with exit status: 1
      caused by: ERROR: Could not find a version that satisfies the requirement
        uv==0.13.8 (from versions: none)
        ERROR: No matching distribution found for uv==0.13.8

    hint: if the package index cannot be reached, connect to the network, or name a
          proxy or mirror in HTTPS_PROXY, PIP_INDEX_URL and UV_INDEX_URL
    hint: run the same command again: it continues where it stopped
    ");
}

/// The same one step later, where uv is there and speaks; in its words when a port is closed.
#[test]
fn no_network_for_uv() {
    let project = Project::new();
    let lock = fs::read(project.path("airflow/tools.lock")).unwrap();
    let tools = format!(".ductwork/venvs/tools-{}", Digest::of(&lock).short());
    project.write(&format!("{tools}/.complete"), "3.12.1");
    let script = "#!/bin/sh\n[ \"$1\" = venv ] && exit 0\ncat >&2 <<'E'\n\
                  error: Request failed after 3 retries in 4.9s\n  \
                  cause: Failed to fetch: http://127.0.0.1:9/simple/boto3/\n  \
                  cause: error sending request for url (http://127.0.0.1:9/simple/boto3/)\n  \
                  cause: client error (Connect)\n  cause: tcp connect error\n  \
                  cause: Connection refused (os error 111)\nE\nexit 2\n";
    project.write(&format!("{tools}/bin/uv"), &script.replace("cat", "/bin/cat"));
    let uv = project.path(&format!("{tools}/bin/uv"));
    fs::set_permissions(uv, fs::Permissions::from_mode(0o755)).unwrap();
    let told = project.refused(&["deploy"]);
    let told: Vec<&str> = told.lines().filter(|line| !line.contains("pip sync")).collect();
    insta::assert_snapshot!(told.join("\n"), @"
      setup: installing localcloud/requirements.lock (once)
    ✗ setup [TIME]
    error: cannot install the packages of `localcloud/requirements.lock`
        ended with exit status: 2
      caused by: error: Request failed after 3 retries in 4.9s
          cause: Failed to fetch: http://127.0.0.1:9/simple/boto3/
          cause: error sending request for url (http://127.0.0.1:9/simple/boto3/)
          cause: client error (Connect)
          cause: tcp connect error
          cause: Connection refused (os error 111)

    hint: if the package index cannot be reached, connect to the network, or name a
          proxy or mirror in HTTPS_PROXY, PIP_INDEX_URL and UV_INDEX_URL
    hint: run the same command again: it continues where it stopped
    ");
}

/// Permissions do not bind root, but nobody can make a folder where a file is.
#[test]
fn a_file_where_the_state_should_be() {
    let project = Project::new();
    project.write(".ductwork", "");
    insta::assert_snapshot!(project.refused(&["deploy"]), @r"
    ✗ setup [TIME]
    error: cannot write `[PROJECT]/.ductwork/venvs`
      caused by: Not a directory (os error 20)

    hint: remove the file that is in the way:
          rm '[PROJECT]/.ductwork'
    ");
    insta::assert_snapshot!(project.refused(&["bundle-dags"]), @r"
    error: cannot pack the DAG bundle
      caused by: cannot write `[PROJECT]/.ductwork/cache/bundles`
      caused by: Not a directory (os error 20)

    hint: remove the file that is in the way:
          rm '[PROJECT]/.ductwork'
    ");
    insta::assert_snapshot!(project.refused(&["package"]), @r"
    error: cannot write `[PROJECT]/.ductwork/cache/templates`
      caused by: Not a directory (os error 20)

    hint: remove the file that is in the way:
          rm '[PROJECT]/.ductwork'
    ");
    assert!(project.refused(&["local", "up"]).contains("rm '[PROJECT]/.ductwork'"));
    assert!(project.refused(&["status"]).contains("the local cloud is not running"));
}

#[test]
fn a_folder_that_is_not_ours() {
    let project = Project::new();
    let binary = project.bin().join("xtask");
    fs::copy(env!("CARGO_BIN_EXE_xtask"), &binary).unwrap();
    for folder in [project.bin().parent().unwrap().to_owned(), project.root()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let told = |args: &[&str]| {
        let mut command = if is_root {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
            command
        } else {
            Command::new(&binary)
        };
        command.args(args).current_dir(project.root()).stdin(Stdio::null());
        command.env_clear().env("PATH", project.bin()).output().ok()
    };
    if !is_root {
        fs::set_permissions(project.root(), fs::Permissions::from_mode(0o555)).unwrap();
    }
    // Where root cannot become somebody else, the file in the way above has to do.
    if let Some(output) = told(&["bundle-dags"]) {
        insta::assert_snapshot!(project.seen(&output).expect(2).stderr, @r#"
        error: cannot pack the DAG bundle
          caused by: cannot write `[PROJECT]/.ductwork/cache/bundles`
          caused by: Permission denied (os error 13)

        hint: make it writable for you:
              sudo chown -R "$(id -un)" '[PROJECT]'
        "#);
        let output = told(&["deploy"]).unwrap();
        insta::assert_snapshot!(project.seen(&output).expect(2).stderr, @r#"
        ✗ setup [TIME]
        error: cannot write `[PROJECT]/.ductwork/venvs`
          caused by: Permission denied (os error 13)

        hint: make it writable for you:
              sudo chown -R "$(id -un)" '[PROJECT]'
        "#);
    }
    fs::set_permissions(project.root(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(!project.path(".ductwork").exists());
}

#[test]
fn a_port_that_is_taken() {
    let project = Project::new();
    let port = free_ports();
    let text = format!("[aws]\nendpoint = \"local\"\n[airflow]\nport = {port}\n");
    project.write("environments/local.toml", &text);
    for taken in [port, port + 3] {
        let _listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        let told = project.refused(&["deploy"]);
        assert!(told.contains(&format!("port {taken} of this machine is taken")), "{told}");
        assert_eq!(told, project.refused(&["plan"]));
    }
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    insta::assert_snapshot!(without_port(&project.refused(&["deploy"]), port), @r"
    error: `local` cannot be deployed

      environments/local.toml `airflow.port`:
        port [PORT] of this machine is taken, and Airflow needs [PORT] to [LAST]
        cure: stop the program that listens there, or set another `port` under
          `[airflow]`
    ");
}

fn without_port(text: &str, port: u16) -> String {
    text.replace(&port.to_string(), "[PORT]").replace(&(port + 3).to_string(), "[LAST]")
}

#[test]
fn everything_at_once() {
    let project = Project::new();
    let port = free_ports();
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    project.program("python3", "echo 3.8.10");
    let text = format!("[aws]\nendpoint = \"local\"\n[airflow]\nport = {port}\n");
    project.write("environments/local.toml", &text);
    project.remove("dags");
    insta::assert_snapshot!(without_port(&project.refused(&["deploy"]), port), @r"
    error: no Python from 3.10 to 3.14 was found; and 2 problems elsewhere
      caused by: `[SCRATCH]/bin/python3` is Python 3.8.10

      dags: there is no such folder
        cure: create it: mkdir -p dags

      environments/local.toml `airflow.port`:
        port [PORT] of this machine is taken, and Airflow needs [PORT] to [LAST]
        cure: stop the program that listens there, or set another `port` under
          `[airflow]`

    hint: install one, on Debian and Ubuntu:
          sudo apt-get install python3 python3-venv
    hint: or name one:
          DUCTWORK_PYTHON=/path/to/python3.12 cargo xtask deploy --env local
    ");
}

#[test]
fn a_damaged_state_folder() {
    let project = Project::new();
    project.write(".ductwork/local/lock", "");
    project.write(".ductwork/local/cloud.json", "{garbage");
    insta::assert_snapshot!(project.refused(&["status"]), @"
    error: the state of the local cloud is damaged:
      `[PROJECT]/.ductwork/local/cloud.json`
      caused by: key must be a string at line 1 column 2

    hint: delete it and start over: cargo xtask local reset
    ");
    assert_eq!(project.refused(&["history"]), project.refused(&["status"]));
    assert_eq!(project.refused(&["local", "up"]), project.refused(&["status"]));
    assert!(project.refused(&["deploy"]).ends_with(&project.refused(&["status"])));
}

/// A record that makes no sense is as good as none; a folder that is none has to go.
#[test]
fn a_damaged_cache() {
    let project = Project::new();
    let first = project.run(&["bundle-dags"]).expect(0);
    for file in ["last.json", "0123.zip"] {
        project.write(&format!(".ductwork/cache/bundles/{file}"), "garbage");
    }
    assert_eq!(project.run(&["bundle-dags"]).expect(0).stdout, first.stdout);
    project.remove(".ductwork/cache");
    project.write(".ductwork/cache", "garbage");
    insta::assert_snapshot!(project.refused(&["bundle-dags"]), @r"
    error: cannot pack the DAG bundle
      caused by: cannot write `[PROJECT]/.ductwork/cache/bundles`
      caused by: Not a directory (os error 20)

    hint: remove the file that is in the way:
          rm '[PROJECT]/.ductwork/cache'
    ");
}
