//! `status`: what an environment runs and whether it is well.

use crate::doors::{term, time};
use crate::fail::Result;
use crate::observe::drift;
use crate::report::Output as _;
use crate::report::status::Status as Report;
use crate::session::Session;
use crate::session::status::Looker;
use crate::ui::{EnvArg, Format, Ui};
use clap::Args;
use std::time::Duration;

/// Show what an environment runs, and whether each component is well.
///
/// Example: cargo xtask status --env local
#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    pub env: EnvArg,
    /// Look again and again until Ctrl-C, with at most one call to AWS in a second.
    #[arg(long)]
    pub watch: bool,
    /// Let CloudFormation compare every resource with its template first, which takes minutes.
    #[arg(long, conflicts_with = "watch")]
    pub drift: bool,
}

/// How many changed receipts a watcher reads at each look.
const RECEIPTS: usize = 20;
/// Between two looks, however few calls one takes, and however many the first one took.
const SHORTEST: usize = 5;
const LONGEST: usize = 60;

pub async fn run(args: &Status, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    let mut looker = Looker::new(&session);
    if args.watch {
        return watch(&session, looker, ui).await;
    }
    let looked = match args.drift {
        true => {
            let name = session.environment.stack_name();
            Some(drift::look(&session.aws.cloudformation, &name, &ui.sink()).await?)
        }
        false => None,
    };
    let mut status = looker.look(usize::MAX).await?;
    status.drift = looked.or(status.drift);
    ui.show(&status);
    Ok(())
}

/// As many seconds go by between two looks as a look takes calls, so it is at most one in a second. A look that fails
/// is said, and followed by the next.
async fn watch(session: &Session, mut looker: Looker<'_>, ui: &Ui) -> Result<()> {
    let (mut shown, mut most) = (term::Screen::default(), usize::MAX);
    loop {
        let before = session.aws.calls();
        match looker.look(most).await {
            Ok(status) => show(&status, &mut shown, ui),
            Err(fail) => shown.say(&format!("{} cannot look: {fail}\n", time::now())),
        }
        most = RECEIPTS;
        let calls = (session.aws.calls() - before).clamp(SHORTEST, LONGEST);
        time::sleep(Duration::from_secs(calls as u64)).await;
    }
}

fn show(status: &Report, screen: &mut term::Screen, ui: &Ui) {
    match ui.common.format {
        Format::Json => term::out(&format!("{}\n", status.json().replace("\n", " ").trim())),
        _ if term::Screen::is_there() => screen.draw(&format!("{}\n{}", time::now(), status.text())),
        _ => term::out(&format!("{} {}\n", time::now(), status.line())),
    }
}
