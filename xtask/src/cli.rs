//! The table of verbs: parses the command line, dispatches, and turns the result into an exit code.

use crate::apply::{lease, stopping};
use crate::cmd::{
    airflow, bundle_dags, check, deploy, destroy, diff, doctor, exec, history, image, local, lock, package,
    plan, rollback, run as once, secret, status, unlock, upgrade_test,
};
use crate::doors::{term, time};
use crate::fail::{Fail, Kind, Result};
use crate::ui;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Releases this Airflow project: DAGs, hosts and stacks, on AWS or on this machine.
///
/// Describe an environment in `environments/NAME.toml`, then deploy it. `local` needs no account:
///
///     cargo xtask deploy --env local
#[derive(Parser, Debug)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, verbatim_doc_comment, max_term_width = 80)]
#[command(after_help = "Exit codes: 0 done or nothing to do, 1 failed, 2 refused before anything was\n\
    touched (usage, configuration, a gate), 3 changes found, 4 rolled back,\n\
    5 rollback failed, 6 locked, 70 a bug, 130 interrupted.")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: ui::Common,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Check(check::Check),
    BundleDags(bundle_dags::BundleDags),
    Package(package::Package),
    Lock(lock::Lock),
    UpgradeTest(upgrade_test::UpgradeTest),
    #[command(subcommand)]
    Image(image::Image),
    Plan(plan::Plan),
    Deploy(deploy::Deploy),
    Rollback(rollback::Rollback),
    Status(status::Status),
    History(history::History),
    Diff(diff::Diff),
    #[command(subcommand)]
    Secret(secret::Secret),
    Airflow(airflow::Airflow),
    Run(once::Run),
    Exec(exec::Exec),
    Unlock(unlock::Unlock),
    Destroy(destroy::Destroy),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Local(local::Local),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error, ui::Format::of_words(std::env::args())),
    };
    let ui = ui::Ui::new(cli.common);
    // Some steps block a thread, for instance while somebody is asked; the lease must be renewed meanwhile,
    // on a machine with one core too.
    // Each thread gets the stack that the main one has: a debug build has each future several times on it.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(4).thread_stack_size(8 << 20).enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let (verb, own) = (cli.verb, ui.clone());
            let result = runtime.block_on(async move {
                match &verb {
                    // It changes nothing, and has no other end.
                    Verb::Status(args) if args.watch => tokio::select! {
                        result = status::run(args, &own) => result,
                        () = interruption() => Ok(()),
                    },
                    _ => interruptible(Box::pin(async move { run(verb, &own).await })).await,
                }
            });
            // A blocking call that hangs must not keep the process after Ctrl-C.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Fail::bug("no runtime").because(error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            ui.fail(&fail);
            fail.exit()
        }
    }
}

/// Help on standard output, or what is wrong with the command line.
fn usage(error: &clap::Error, format: ui::Format) -> ExitCode {
    let text = error.render().to_string();
    match (error.use_stderr(), format) {
        (false, _) => {
            term::out(&text);
            return ExitCode::SUCCESS;
        }
        (true, ui::Format::Text | ui::Format::Markdown) => term::err(&text),
        (true, ui::Format::Json) => {
            let ui = ui::Ui::new(ui::Common { format, ..ui::Common::default() });
            ui.fail(&unparsed(error, &text));
        }
    }
    ExitCode::from(Kind::Usage.code())
}

/// What clap says in paragraphs: the error itself first, then tips, then the usage line.
fn unparsed(error: &clap::Error, text: &str) -> Fail {
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            "no verb was given".to_owned()
        }
        _ => joined(text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ")),
    };
    let tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    let fail = tips.fold(Fail::usage(message), Fail::hint);
    fail.hint("list the releases: cargo xtask --help")
}

async fn run(verb: Verb, ui: &ui::Ui) -> Result<()> {
    match verb {
        Verb::Check(args) => check::run(&args, ui).await,
        Verb::BundleDags(args) => bundle_dags::run(&args, ui).await,
        Verb::Package(args) => package::run(&args, ui),
        Verb::Lock(args) => lock::run(&args, ui),
        Verb::UpgradeTest(args) => upgrade_test::run(&args, ui).await,
        Verb::Image(args) => Box::pin(image::run(&args, ui)).await,
        Verb::Plan(args) => Box::pin(plan::run(&args, ui)).await,
        Verb::Deploy(args) => Box::pin(deploy::run(&args, ui)).await,
        Verb::Rollback(args) => Box::pin(rollback::run(&args, ui)).await,
        Verb::Status(args) => status::run(&args, ui).await,
        Verb::History(args) => history::run(&args, ui).await,
        Verb::Diff(args) => diff::run(&args, ui).await,
        Verb::Secret(args) => secret::run(&args, ui).await,
        Verb::Airflow(args) => airflow::run(&args, ui).await,
        Verb::Run(args) => once::run(&args, ui).await,
        Verb::Exec(args) => exec::run(&args).await,
        Verb::Unlock(args) => unlock::run(&args, ui).await,
        Verb::Destroy(args) => Box::pin(destroy::run(&args, ui)).await,
        Verb::Doctor(args) => Box::pin(doctor::run(&args, ui)).await,
        Verb::Local(args) => local::run(&args, ui),
    }
}

/// How long the work may take to put its things away and to give its lease back.
const GRACE: Duration = Duration::from_secs(2);

/// Ctrl-C stops looking, not the work that AWS has begun. The work is a task of its own, so that one of
/// its blocking calls does not keep the signal from being heard.
async fn interruptible(work: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let mut work = tokio::spawn(stopping::and_last(lease::until_stopped(work, interruption())));
    let stopped = async {
        interruption().await;
        time::sleep(GRACE).await;
    };
    tokio::select! {
        joined = &mut work => match joined {
            Ok(Some(result)) => result,
            Ok(None) => Err(interrupted()),
            Err(error) => Err(broken(error)),
        },
        () = stopped => Err(interrupted()),
    }
}

fn interrupted() -> Fail {
    Fail::new(Kind::Interrupted, "interrupted")
        .cause("stack updates and deployments that have begun go on without this command")
        .hint("look at them again: cargo xtask status")
        .hint("run the same command again: it goes on from whatever state it finds")
}

/// SIGINT, or SIGTERM, with which a CI service ends a job that was cancelled.
async fn interruption() {
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

fn broken(error: tokio::task::JoinError) -> Fail {
    Fail::bug("the command ended unexpectedly").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_every_verb_has_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        for verb in command.get_subcommands().flat_map(|verb| verb.get_subcommands().chain([verb])) {
            let help =
                verb.get_long_about().or(verb.get_about()).map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("cargo xtask "), "`{}` has no example in its help", verb.get_name());
        }
    }
}
