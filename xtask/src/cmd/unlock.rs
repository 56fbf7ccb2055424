//! `unlock`: takes an environment from a deployment that holds it and does not end.

use crate::apply::lease::{FRESH, succeed};
use crate::doors::time;
use crate::fail::{Fail, Kind, Result};
use crate::model::event::Ending;
use crate::observe::lease::{Seen, look};
use crate::report::Told;
use crate::session::Session;
use crate::ui::{EnvArg, Ui};
use clap::Args;
use serde::Serialize;
use std::time::Duration;

/// Take an environment from a deployment that holds it and does not end.
///
/// Rarely needed: a deployment that was killed loses the environment by itself, a minute and a half after its last sign of
/// life. One that is still alive is stopped by this: it notices within a minute, which the command waits for, and writes
/// nothing more. What CloudFormation, CodeDeploy or ECS have begun for it goes on. The next deployment looks at
/// everything anew.
///
/// Example: cargo xtask unlock --env local
#[derive(Args, Debug)]
pub struct Unlock {
    #[command(flatten)]
    pub env: EnvArg,
}

#[derive(Serialize)]
struct Unlocked<'a> {
    environment: &'a str,
    outcome: &'static str,
    /// Who held it.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
}

pub async fn run(args: &Unlock, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    let name = session.store.environment();
    let seen = look(&session.store).await?;
    let Some(holder) = seen.filter(Seen::is_live) else {
        let document = Unlocked { environment: name, outcome: "unchanged", holder: None };
        ui.show(&Told { text: format!("nobody holds `{name}`: the next deployment can begin\n"), document });
        return Ok(());
    };
    ui.consent(&question(name, &holder))?;
    let (who, age) = (holder.who(), holder.age);
    let lease = succeed(&session.store, Some(holder)).await?.ok_or_else(|| {
        Fail::new(Kind::Locked, format!("the lease of `{name}` was written by somebody else in the meantime"))
            .hint(format!("look who holds it now: cargo xtask status --env {name}"))
            .hint("a holder that is alive renews it every 20 s: run the command again")
    })?;
    let (sink, watch) = (ui.sink().step("unlock"), time::Stopwatch::start());
    sink.started();
    sink.progress(format!("until {who} must have noticed"));
    time::sleep(until_noticed(age)).await;
    lease.check().await?;
    lease.abandon().await?;
    sink.ended(Ending::Done, watch.elapsed(), "");
    let text = format!("`{name}` is free; deploy, which looks at everything that {who} left\n");
    ui.show(&Told { text, document: Unlocked { environment: name, outcome: "unlocked", holder: Some(who) } });
    Ok(())
}

/// The holder may write for so long after its last renewal before it asks again; S3 counts in whole seconds.
fn until_noticed(age: Duration) -> Duration {
    (FRESH + Duration::from_secs(1)).saturating_sub(age)
}

fn question(name: &str, holder: &Seen) -> String {
    let mut lines = vec![format!("`{name}` is held by {}", holder.who())];
    lines.extend(holder.document().run_url.as_ref().map(|url| format!("see {url}")));
    lines.push(if holder.renews() {
        format!(
            "IT IS ALIVE: it renewed its lease {} s ago, and will be stopped halfway",
            holder.age.as_secs()
        )
    } else {
        format!(
            "its last sign of life was {} s ago; at 90 s the lease expires by itself",
            holder.age.as_secs()
        )
    });
    lines.push("Take the environment from it?".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::lease::acquire;
    use crate::doors::fake::Bucket;

    #[tokio::test(start_paused = true)]
    async fn whoever_is_asked_learns_whether_the_holder_lives() {
        let bucket = Bucket::default();
        let lease = acquire(&bucket.store()).await.unwrap();
        let asked = async || question("dev", &look(&bucket.store()).await.unwrap().unwrap());
        let told = asked().await;
        assert!(told.contains("since 20") && told.contains("ALIVE: it renewed its lease 0 s ago"), "{told}");
        bucket.pass(Duration::from_secs(50));
        let told = asked().await;
        assert!(told.contains("its last sign of life was 50 s ago"), "{told}");
        drop(lease);
    }

    #[tokio::test(start_paused = true)]
    async fn a_living_holder_is_stopped_before_anybody_else_begins() {
        let bucket = Bucket::default();
        let theirs = acquire(&bucket.store()).await.unwrap();
        let seen = look(&bucket.store()).await.unwrap();
        let ours = succeed(&bucket.store(), seen.clone()).await.unwrap().unwrap();
        assert_eq!((ours.token, ours.inherited), (2, true));
        assert!(theirs.check().await.is_ok(), "it does not know yet, and nobody may begin");
        assert!(look(&bucket.store()).await.unwrap().unwrap().is_live());
        assert!(succeed(&bucket.store(), seen).await.unwrap().is_none(), "a second one comes too late");
        time::sleep(until_noticed(Duration::ZERO)).await;
        let fail = theirs.check().await.unwrap_err();
        assert_eq!(fail.kind(), Kind::Locked);
        ours.abandon().await.unwrap();
        assert!(look(&bucket.store()).await.unwrap().unwrap().is_abandoned());
    }
}
