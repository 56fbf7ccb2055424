//! Commands on hosts, and sessions with them, through Systems Manager.

use super::aws::{self, Aws};
use super::ecs::Session;
use super::signed::{Answer, Refused, Service};
use crate::fail::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Becomes the command that its only argument holds. No word of it is ever read by a shell.
const BECOME: &str =
    "import base64,json,os,sys;a=json.loads(base64.b64decode(sys.argv[1]));os.execvp(a[0],a)";
/// Two days, the longest that Systems Manager knows.
const LONGEST: &str = "172800";

/// A command that was sent to a host.
#[derive(Clone, Debug)]
pub struct Sent {
    pub id: String,
    pub host: String,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub over: bool,
    /// None until it has ended, and if it never began.
    pub code: Option<i32>,
    /// The first 24000 and 8000 characters, all that Systems Manager keeps.
    pub out: String,
    pub err: String,
    /// Why, if it did not end by itself.
    pub why: String,
}

/// Sent once only: a second one would be a second command.
pub async fn send(aws: &Aws, host: &str, words: &[String]) -> Result<Sent> {
    let input = json!({
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [host],
        "Parameters": { "commands": [line(words)], "executionTimeout": [LONGEST] },
    });
    let what = || format!("cannot send the command to host `{host}`");
    let answer = aws.signed.once(Service::Ssm, "AmazonSSM.SendCommand", &input).await;
    let answer = answer.map_err(|refused| aws::refused("Systems Manager", what(), &refused))?;
    let id = answer["Command"]["CommandId"].as_str().unwrap_or_default().to_owned();
    Ok(Sent { id, host: host.to_owned() })
}

/// Base64 has no character that a shell reads.
fn line(words: &[String]) -> String {
    format!("python3 -c '{BECOME}' {}", STANDARD.encode(json!(words).to_string()))
}

pub async fn state(aws: &Aws, sent: &Sent) -> Answer<State> {
    let input = json!({ "CommandId": sent.id, "InstanceId": sent.host });
    match aws.signed.json(Service::Ssm, "AmazonSSM.GetCommandInvocation", &input).await {
        Ok(answer) => Ok(read(&answer)),
        // It takes a moment to be known.
        Err(Refused::Error { code, .. }) if code == "InvocationDoesNotExist" => Ok(State::default()),
        Err(refused) => Err(refused),
    }
}

fn read(answer: &Value) -> State {
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let over = !matches!(text("Status").as_str(), "Pending" | "InProgress" | "Delayed" | "Cancelling");
    let code = answer["ResponseCode"].as_i64().and_then(|code| i32::try_from(code).ok());
    State {
        over,
        code: code.filter(|code| over && *code >= 0),
        out: text("StandardOutputContent"),
        err: text("StandardErrorContent"),
        why: text("StatusDetails"),
    }
}

pub async fn cancel(aws: &Aws, sent: &Sent) -> Answer<Value> {
    let input = json!({ "CommandId": sent.id, "InstanceIds": [sent.host] });
    aws.signed.write(Service::Ssm, "AmazonSSM.CancelCommand", &input).await
}

/// A session for the plugin of the Session Manager.
pub async fn session(aws: &Aws, host: &str) -> Result<Session> {
    let what = || format!("cannot open a session on host `{host}`");
    let answer = aws.signed.json(Service::Ssm, "AmazonSSM.StartSession", &json!({ "Target": host })).await;
    answer.map(Session).map_err(|refused| aws::refused("Systems Manager", what(), &refused))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Server;
    use crate::doors::proc::Cmd;
    use std::path::Path;

    #[test]
    fn no_word_is_read_by_a_shell() {
        let words = ["printf", "%s|", "a b", "$HOME `id` \"'", "", "ü\n"].map(str::to_owned);
        let run =
            Cmd::new("/bin/sh", Path::new("/")).args(["-c", &line(&words)]).env("PATH", "/usr/bin:/bin");
        assert_eq!(run.run().unwrap(), "a b|$HOME `id` \"'||ü\n|");
    }

    #[tokio::test]
    async fn a_command_is_sent_once_and_ends_with_its_code() {
        let server = Server::new(|asked| match asked.target.as_str() {
            "AmazonSSM.SendCommand" => (200, json!({ "Command": { "CommandId": "c-1" } })),
            "AmazonSSM.GetCommandInvocation" => {
                let status =
                    json!({ "Status": "Failed", "ResponseCode": 3, "StandardOutputContent": "out\n" });
                (200, status)
            }
            _ => (503, Value::Null),
        });
        let aws = Aws::signed_at(&server.url);
        let sent = send(&aws, "i-1", &["true".to_owned()]).await.unwrap();
        let state = state(&aws, &sent).await.unwrap();
        assert_eq!((state.over, state.code, state.out.as_str()), (true, Some(3), "out\n"));
        let lost = Server::new(|_| (503, Value::Null));
        send(&Aws::signed_at(&lost.url), "i-1", &["true".to_owned()]).await.unwrap_err();
        assert_eq!(lost.asked().len(), 1, "nobody knows whether it runs");
    }

    #[test]
    fn a_command_that_goes_on_has_no_code_yet() {
        for status in ["Pending", "InProgress", "Delayed", "Cancelling"] {
            let state = read(&json!({ "Status": status, "ResponseCode": -1 }));
            assert_eq!((state.over, state.code), (false, None), "{status}");
        }
        assert_eq!(read(&json!({ "Status": "TimedOut", "ResponseCode": -1 })).code, None);
    }
}
