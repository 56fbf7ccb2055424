//! The workflows of GitHub Actions: the lines that they run, in their order, on the local cloud, with the variables that
//! GitHub sets; and the deploy role judged by what they asked.

use super::announce;
use crate::support::project::Project;
use crate::support::{Run, free_ports};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

struct Github {
    project: Project,
    workflows: Value,
    /// Comments of the pull request, as GitHub's API keeps them.
    comments: Arc<Mutex<Vec<String>>>,
    api: String,
}

/// What started a workflow, and what it was given.
type Inputs<'a> = BTreeMap<&'a str, &'a str>;

impl Github {
    fn new() -> Self {
        let project = Project::without_airflow();
        for name in ["dev", "staging", "prod"] {
            let port = free_ports();
            let text = "[aws]\nendpoint = \"local\"\n[github]\nrepository = \"acme/data\"\n[airflow]\n";
            let rules = if name == "prod" { "[release]\nfrom = \"staging\"\n" } else { "" };
            project.write(&format!("environments/{name}.toml"), &format!("{rules}{text}port = {port}\n"));
        }
        project.write("event.json", &json!({"pull_request": {"number": 3}}).to_string());
        // What `cargo` runs is built already.
        let cargo = format!("#!/bin/sh\nshift\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_xtask"));
        project.write("bin/cargo", &cargo);
        let file = project.path().join("bin/cargo");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let workflows = project.python(&["xtask/tests/scenarios/workflows.py"]).expect(0).json();
        let comments = Arc::default();
        let api = serve(&comments);
        Self { project, workflows, comments, api }
    }

    /// Runs every line of the jobs of a workflow that `when` starts, calls of other workflows included.
    fn start(&self, file: &str, when: &Inputs<'_>) -> Vec<Run> {
        let jobs = self.workflows[file]["jobs"].as_object().unwrap();
        let ours = |name: &str| when.get("job").is_none_or(|wanted| *wanted == name);
        jobs.iter().filter(|(name, _)| ours(name)).flat_map(|(_, job)| self.job(job, when)).collect()
    }

    fn job(&self, job: &Value, inputs: &Inputs<'_>) -> Vec<Run> {
        if let Some(called) = job["uses"].as_str() {
            let file = called.rsplit('/').next().unwrap();
            let takes = self.workflows[file]["on"]["workflow_call"]["inputs"].as_object().unwrap().iter();
            let takes =
                takes.map(|(name, input)| (name.clone(), input["default"].as_str().unwrap_or("").to_owned()));
            let mut given: BTreeMap<String, String> = takes.collect();
            for (name, value) in job["with"].as_object().unwrap() {
                let value = filled(value.as_str().unwrap(), inputs);
                assert!(given.insert(name.clone(), value).is_some(), "`{file}` takes no input `{name}`");
            }
            let given = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            return self.start(file, &given);
        }
        let mut credentials = Vec::new();
        let mut runs = Vec::new();
        for step in job["steps"].as_array().unwrap() {
            if step["uses"].as_str().is_some_and(|uses| uses.starts_with("aws-actions/")) {
                credentials = self.credentials(job, step, inputs);
            }
            if let Some(line) = step["run"].as_str() {
                runs.push(self.line(line, &step["env"], &credentials, inputs));
            }
        }
        runs
    }

    /// What `configure-aws-credentials` does: the job's token for the credentials of a role.
    fn credentials(&self, job: &Value, step: &Value, inputs: &Inputs<'_>) -> Vec<(String, String)> {
        assert_eq!(job["permissions"]["id-token"], "write", "without it there is no token");
        let environment = filled(job["environment"].as_str().unwrap(), inputs);
        let seconds = step["with"]["role-duration-seconds"].as_u64().unwrap_or(3600);
        assert_eq!(step["with"]["role-to-assume"], "${{ vars.DEPLOY_ROLE_ARN }}");
        let role = format!("arn:aws:iam::000000000000:role/ductwork-{environment}-deploy");
        let query = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=GitHubActions&DurationSeconds={seconds}\
             &WebIdentityToken=e30.e30.sig&RoleArn={role}"
        );
        let answer = ureq::post(&self.project.endpoint())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Authorization", "AWS4-HMAC-SHA256 Credential=a/20261128/us-east-1/sts/aws4_request")
            .send(query)
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        let tag = |name: &str| {
            let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{answer}"));
            rest.split_once('<').unwrap().0.to_owned()
        };
        vec![
            ("AWS_ACCESS_KEY_ID".to_owned(), tag("AccessKeyId")),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), tag("SecretAccessKey")),
            ("AWS_SESSION_TOKEN".to_owned(), tag("SessionToken")),
        ]
    }

    fn line(&self, line: &str, env: &Value, more: &[(String, String)], inputs: &Inputs<'_>) -> Run {
        assert!(!line.contains("${{"), "an expression in a command is code of whoever sets it: {line}");
        let path = format!("{}:/usr/bin:/bin", self.project.path().join("bin").display());
        let file = |name: &str| self.project.path().join(name).display().to_string();
        let mut command = std::process::Command::new("bash");
        command.args(["-e", "-c", line]).current_dir(self.project.path()).env_clear().env("PATH", path);
        command.env("HOME", std::env::var("HOME").unwrap()).envs(more.iter().cloned());
        let github = [
            ("CI", "true".to_owned()),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_ACTOR", "ada".to_owned()),
            ("GITHUB_API_URL", self.api.clone()),
            ("GITHUB_EVENT_PATH", file("event.json")),
            ("GITHUB_REPOSITORY", "acme/data".to_owned()),
            ("GITHUB_RUN_ID", "42".to_owned()),
            ("GITHUB_SERVER_URL", "https://github.example".to_owned()),
            ("GITHUB_STEP_SUMMARY", file("summary.md")),
        ];
        command.envs(github);
        for (name, value) in env.as_object().into_iter().flatten() {
            command.env(name, filled(value.as_str().unwrap(), inputs));
        }
        if let Some(step) = inputs.get("stop after") {
            command.env("DUCTWORK_STOP_AFTER", step);
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    fn summary(&self) -> String {
        let text = self.project.read("summary.md");
        self.project.remove("summary.md");
        text
    }
}

/// The expressions of ours: inputs, and the job's token.
fn filled(text: &str, inputs: &Inputs<'_>) -> String {
    let mut text = text.replace("${{ github.token }}", "t0ken");
    for (name, value) in inputs {
        text = text.replace(&format!("${{{{ inputs.{name} }}}}"), value);
    }
    assert!(!text.contains("${{"), "an expression that this test does not know: {text}");
    text
}

/// GitHub's API as far as comments go.
fn serve(comments: &Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let comments = comments.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(&stream, &mut comments.lock().unwrap());
        }
    });
    url
}

fn answer(mut stream: &TcpStream, comments: &mut Vec<String>) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let text = || serde_json::from_slice::<Value>(&body).unwrap()["body"].as_str().unwrap().to_owned();
    let mut words = first.split(' ');
    let said = match (words.next().unwrap(), words.next().unwrap()) {
        ("GET", _) => {
            json!(
                comments
                    .iter()
                    .enumerate()
                    .map(|(id, body)| json!({"id": id, "body": body}))
                    .collect::<Vec<_>>()
            )
        }
        ("POST", "/repos/acme/data/issues/3/comments") => {
            comments.push(text());
            json!({})
        }
        (_, path) => {
            let id: usize = path.rsplit('/').next().unwrap().parse().unwrap();
            comments[id] = text();
            json!({})
        }
    }
    .to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{said}", said.len());
}

fn history(project: &Project, name: &str) -> Value {
    project.run(&["history", "--env", name, "--format", "json"]).expect(0).json()
}

fn release(project: &Project, name: &str) -> String {
    history(project, name)[0]["release"].as_str().unwrap().to_owned()
}

/// What `staging` runs is what `prod` runs.
fn is_promoted(project: &Project) {
    let pointer = |name: &str| project.object(&format!("environments/{name}/current.json")).unwrap();
    assert_eq!(pointer("staging")["bundle"], pointer("prod")["bundle"], "the same digests");
    assert_eq!(history(project, "prod")[0]["from"], format!("staging@{}", release(project, "staging")));
    let record = |name: &str| {
        let id = release(project, name);
        project.object(&format!("environments/{name}/releases/{id}.json")).unwrap()
    };
    assert_eq!(record("prod")["artifacts"], record("staging")["artifacts"]);
}

fn deploy_roles_suffice(project: &Project) {
    announce("deploy role");
    for name in ["dev", "staging", "prod"] {
        let source: &[&str] = if name == "prod" { &["--source", "staging"] } else { &[] };
        project.python(&[&["-m", "localcloud.iam.tool", "--environment", name], source].concat()).expect(0);
    }
}

#[test]
fn workflows_release_on_the_local_cloud() {
    let github = Github::new();
    let project = &github.project;
    for name in ["dev", "staging", "prod"] {
        announce(&format!("{name}: the first deployment, by a person"));
        let from: &[&str] = if name == "prod" { &["--from", "staging"] } else { &[] };
        project.run(&[&["deploy", "--env", name, "--yes"], from].concat()).expect(0);
    }
    let history = |name: &str| history(project, name);
    let release = |name: &str| release(project, name);
    let first = release("dev");

    announce("a pull request");
    project.write("dags/orders.py", "# a DAG\n");
    for _ in 0..2 {
        let runs = github.start("plan.yml", &Inputs::new());
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].code, Some(0), "{}{}", runs[0].stdout, runs[0].stderr);
        assert!(runs[0].stdout.starts_with("### `dev`: release `"), "{}", runs[0].stdout);
    }
    let comments = github.comments.lock().unwrap().clone();
    assert_eq!(comments.len(), 1, "one comment, written anew: {comments:#?}");
    assert!(comments[0].contains(&format!("now `{first}`")), "{}", comments[0]);
    github.summary();

    announce("a push to main");
    let deployed = &github.start("deploy.yml", &Inputs::from([("job", "dev")]))[0];
    assert_eq!(deployed.code, Some(0), "{}", deployed.stderr);
    assert!(deployed.stderr.contains("::group::setup") && deployed.stderr.contains("::endgroup::"));
    let summary = github.summary();
    assert!(summary.starts_with("### `dev`: deployed"), "{summary}");
    assert_eq!(history("dev")[0]["by"], "ada");
    assert_eq!(history("dev")[0]["run_url"], "https://github.example/acme/data/actions/runs/42");
    assert_eq!(release("staging"), history("staging")[0]["release"]);

    announce("a tag");
    let staging = &github.start("deploy.yml", &Inputs::from([("job", "staging")]))[0];
    assert_eq!(staging.code, Some(0), "{}", staging.stderr);
    assert_eq!(github.workflows["deploy.yml"]["jobs"]["prod"]["needs"], "staging");
    let prod = &github.start("deploy.yml", &Inputs::from([("job", "prod")]))[0];
    assert_eq!(prod.code, Some(0), "{}", prod.stderr);
    is_promoted(project);
    github.summary();

    announce("a job that is cancelled");
    project.write("dags/orders.py", "# another DAG\n");
    let built = project.run(&["plan", "--env", "prod", "--format", "json"]).expect(2);
    assert!(built.stdout.contains("this one is made of a tree"), "{}", built.stdout);
    let inputs = Inputs::from([("job", "dev")]);
    let stopped = Inputs::from([
        ("environment", "dev"),
        ("command", "deploy"),
        ("release", ""),
        ("from", ""),
        ("stop after", "bundle"),
    ]);
    let code = github.start("release.yml", &stopped)[0].code;
    assert!(code.is_none() || code == Some(137), "{code:?}");
    let again = &github.start("deploy.yml", &inputs)[0];
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    github.summary();

    announce("a gate that refuses");
    project.edit("environments/dev.toml", |text| format!("{text}zones = 1\n"));
    let refused = &github.start("deploy.yml", &inputs)[0];
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("::error file=environments/dev.toml,line="), "{}", refused.stderr);
    assert!(github.summary().starts_with("### Failed: "));
    project.edit("environments/dev.toml", |text| text.replace("zones = 1\n", ""));

    announce("a gate that refuses a plan");
    let google = "\n[login]\nmethod = 'google'\ngoogle_domain = 'example.com'\n\
                  google_client_id = '1-a.apps.googleusercontent.com'\n";
    project.edit("environments/dev.toml", |text| format!("{text}{google}"));
    let refused = &github.start("plan.yml", &Inputs::new())[0];
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("::error file=environments/dev.toml"), "{}", refused.stderr);
    github.summary();
    project.edit("environments/dev.toml", |text| text.replace(google, ""));

    announce("back by hand");
    let back = Inputs::from([("environment", "dev"), ("release", first.as_str())]);
    let back = &github.start("rollback.yml", &back)[0];
    assert_eq!(back.code, Some(0), "{}", back.stderr);
    assert_eq!(release("dev"), first);

    deploy_roles_suffice(project);
}
