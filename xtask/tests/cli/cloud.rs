//! Clouds that are not there, or not those that were meant. Nothing is written to any of them.

use crate::project::{Project, closed_port};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

pub const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
const VERBS: [&[&str]; 9] = [
    &["plan"],
    &["deploy"],
    &["rollback"],
    &["status"],
    &["history"],
    &["diff", "0123456789ab"],
    &["bundle-dags"],
    &["doctor"],
    &["destroy", "--yes"],
];

/// A cloud that knows whose credentials it is asked with, takes what it is given, and notes everything it is
/// asked.
pub struct Cloud {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Cloud {
    pub fn of(account: &'static str) -> Self {
        Self::with(account, "200 OK")
    }

    /// Answers everything with the identity, and all but the question for it with this status.
    fn with(account: &'static str, others: &'static str) -> Self {
        Self::serving(move |asked| {
            let status = if asked.contains("Action=GetCallerIdentity") { "200 OK" } else { others };
            let denied = "<Response><Errors><Error><Code>AccessDenied</Code><Message>no</Message>\
                          </Error></Errors></Response>";
            let identity = format!(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <GetCallerIdentityResult><Account>{account}</Account>\
                 <Arn>arn:aws:sts::{account}:assumed-role/deploy/ann</Arn></GetCallerIdentityResult>\
                 </GetCallerIdentityResponse>"
            );
            let answer = match status {
                "403 Forbidden" => denied.to_owned(),
                _ if asked.contains("Action=") => identity,
                _ => "{}".to_owned(),
            };
            (status, answer)
        })
    }

    /// One that answers each request, its first line and its body, in this way.
    pub fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        Self::serving(move |asked| ("200 OK", answer(asked)))
    }

    fn serving(answer: impl Fn(&str) -> (&'static str, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                let mut first = String::new();
                // A connection without a request only asks whether anybody listens.
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if first.is_empty() {
                        line.trim().clone_into(&mut first);
                    }
                    let lower = line.to_lowercase();
                    length =
                        lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
                    line.clear();
                }
                if first.is_empty() {
                    continue;
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let asked = format!("{first} {}", String::from_utf8_lossy(&body));
                let (status, answer) = answer(&asked);
                notes.lock().unwrap().push(asked);
                let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nConnection: close");
                let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
            }
        });
        Self { port, asked }
    }

    /// Forgets and returns what was asked.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

pub fn project(port: u16) -> Project {
    let project = Project::new();
    let text = format!(
        "[aws]\naccount = \"111122223333\"\nregion = \"eu-central-1\"\nendpoint = \"http://127.0.0.1:{port}\"\n\
         [entry]\nallowed_cidrs = [\"203.0.113.0/24\"]\n"
    );
    project.write("environments/other.toml", &text);
    project
}

/// Asked for nothing but its identity, by every verb.
#[track_caller]
fn refused(cloud: &Cloud, project: &Project, env: &[(&str, &str)]) -> String {
    let mut all = Vec::new();
    for verb in VERBS {
        let told = project.refused_with(&[verb, &["--env", "other"]].concat(), env);
        let asked = cloud.asked();
        assert_eq!(asked.len(), 1, "{verb:?}: {asked:?}");
        assert!(
            asked[0].starts_with("POST / ") && asked[0].contains("Action=GetCallerIdentity"),
            "{asked:?}"
        );
        let lines = told.lines().filter(|line| !line.starts_with("✗ setup"));
        all.push(lines.collect::<Vec<_>>().join("\n"));
    }
    assert!(all.iter().all(|told| *told == all[0]), "{all:#?}");
    all[0].clone()
}

#[test]
fn the_wrong_account() {
    let cloud = Cloud::of("999988887777");
    let project = project(cloud.port);
    insta::assert_snapshot!(refused(&cloud, &project, &KEYS), @"
    error: the credentials or the shell do not match environment `other`

      environments/other.toml `aws.account`: the credentials belong to account
        `999988887777`, but the environment is in `111122223333`
        cure: use another --env, or credentials of account 111122223333:
          export AWS_PROFILE=…
    ");
}

#[test]
fn another_region_in_the_shell() {
    let cloud = Cloud::of("111122223333");
    let project = project(cloud.port);
    let env = [KEYS[0], KEYS[1], ("AWS_REGION", "us-east-1")];
    insta::assert_snapshot!(refused(&cloud, &project, &env), @"
    error: the credentials or the shell do not match environment `other`

      environments/other.toml `aws.region`: AWS_REGION or AWS_DEFAULT_REGION is
        `us-east-1`, but the environment is in `eu-central-1`
        cure: unset the variable, or set it: export AWS_REGION=eu-central-1
    ");
    let env = [KEYS[0], KEYS[1], ("AWS_DEFAULT_REGION", "us-east-1")];
    assert!(refused(&cloud, &project, &env).contains("`us-east-1`"));
}

#[test]
fn both() {
    let cloud = Cloud::of("999988887777");
    let project = project(cloud.port);
    let env = [KEYS[0], KEYS[1], ("AWS_REGION", "us-east-1")];
    assert!(refused(&cloud, &project, &env).contains("`999988887777`"));
    assert!(refused(&cloud, &project, &env).contains("`us-east-1`"));
}

#[test]
fn no_credentials() {
    let cloud = Cloud::of("111122223333");
    let project = project(cloud.port);
    insta::assert_snapshot!(project.refused(&["status", "--env", "other"]), @r#"
    error: cannot tell whose account this is
      caused by: STS: no credentials found in chain

    hint: log in again, for instance: aws sso login --profile "$AWS_PROFILE"
    "#);
    assert!(cloud.asked().is_empty());
}

/// Told at once, not after half a minute of retries.
#[test]
fn an_endpoint_where_nobody_listens() {
    let port = closed_port();
    let project = project(port);
    for verb in VERBS {
        let watch = std::time::Instant::now();
        let told = project.refused_with(&[verb, &["--env", "other"]].concat(), &KEYS);
        assert!(watch.elapsed().as_secs() < 20, "{verb:?}");
        let told = told.replace(&port.to_string(), "[PORT]").replace("✗ setup [TIME]\n", "");
        insta::allow_duplicates! { insta::assert_snapshot!(told, @r"
        error: cannot connect to the cloud of `other`

          environments/other.toml `aws.endpoint`:
            nothing listens at `http://127.0.0.1:[PORT]`
            cure: start the service that should answer there, or correct the address
        "); }
    }
    project.write("environments/aws.toml", &fs_without_endpoint(&project));
    let url = format!("http://127.0.0.1:{port}");
    let env = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", url.as_str())];
    let told = project.refused_with(&["status", "--env", "aws"], &env);
    insta::assert_snapshot!(told.replace(&port.to_string(), "[PORT]"), @r"
    error: cannot connect to the cloud of `aws`

      AWS_ENDPOINT_URL: nothing listens at `http://127.0.0.1:[PORT]`
        cure: start the service that should answer there, or correct the address
    ");
}

fn fs_without_endpoint(project: &Project) -> String {
    let text = std::fs::read_to_string(project.path("environments/other.toml")).unwrap();
    text.lines().filter(|line| !line.starts_with("endpoint")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_local_cloud_that_never_ran() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused(&["status"]), @"
    error: the local cloud is not running

    hint: start it: cargo xtask local up
    hint: or deploy, which starts it: cargo xtask deploy --env local
    ");
    for verb in [&["history"][..], &["secret", "admin"]] {
        assert_eq!(project.refused(verb), project.refused(&["status"]));
    }
}

#[test]
fn a_local_cloud_that_died() {
    let project = Project::new();
    let cloud = format!("{{\"endpoint\": \"http://127.0.0.1:{}\", \"port\": 1, \"pid\": 1}}", closed_port());
    project.write(".ductwork/local/cloud.json", &cloud);
    assert!(project.refused(&["status"]).starts_with("error: the local cloud is not running\n"));
    assert_eq!(project.refused(&["history"]), project.refused(&["status"]));
}

/// Neither a refusal nor an answer to something else stands for something that is missing.
#[test]
fn what_could_not_be_asked_refuses_nothing() {
    for (others, why) in [("403 Forbidden", "AccessDenied: no"), ("200 OK", "unexpected answer")] {
        let cloud = Cloud::with("111122223333", others);
        let project = project(cloud.port);
        let told =
            project.run_with(&["doctor", "--env", "other", "--format", "json"], &KEYS).expect(0).json();
        let findings = told["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 8, "{findings:#?}");
        for finding in findings {
            assert_eq!(finding["outcome"], "not_asked", "{finding}");
            assert!(finding["text"].as_str().unwrap().contains(why), "{finding}");
        }
        assert!(cloud.asked().len() > 6);
    }
}

/// Without it nobody knows what a deployment would change.
#[test]
fn an_image_that_cannot_be_looked_up() {
    let cloud = Cloud::with("111122223333", "403 Forbidden");
    let run = project(cloud.port).run_with(&["plan", "--env", "other"], &KEYS).expect(1);
    insta::assert_snapshot!(run.stderr, @"
    ✓ setup [TIME]  account 111122223333, eu-central-1
    error: cannot look up the machine image in the parameter
      `/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64`
      caused by: AccessDenied: no

    hint: allow `ssm:GetParameter` for it, or set `hosts.image` to the ID of an
          image
    ");
}
