//! Brings a stack to where it should be, from whatever state it is in: look, decide, act, look again.

mod certainty;
pub mod change_set;
mod change_tree;
pub mod events;
pub mod master;
pub mod operations;
pub mod preview;
mod progress;
mod rejection;
mod templates;

use super::context::{Context, Question, State};
use crate::fail::{Fail, Result};
use crate::model::change::flatten;
use crate::model::event::Sink;
use crate::model::stack::{Followed, Operation, StackFacts};
use crate::model::text::count;
use crate::observe::stack as observed;
use crate::plan::consent::{for_parameters, needs_consent};
use crate::plan::root_cause::verdict;
use crate::plan::stack::{Decision, Desired, StackAction, decide};
use crate::plan::templates::Packaged;
use change_set::{ChangeSet, Created, Purpose, Request, Template};
use operations::StackHandle;

/// More turns than any way to a settled stack has: waiting, cleaning up, creating, looking once more.
const TURNS: usize = 6;

/// What a stack is to become, and how its template gets to the service.
pub struct Goal<'a> {
    pub stack: &'a str,
    pub desired: Desired<'a>,
    pub template: Template<'a>,
    /// Templates that may not be in the bucket yet.
    pub uploads: &'a [Packaged],
    pub sink: &'a Sink,
}

/// What was done to a stack.
#[derive(Default)]
pub struct Done {
    /// In a few words; none if the stack was as it should be.
    pub summary: Option<String>,
    pub uploads: usize,
}

/// Acts until the stack is as the goal says.
pub async fn converge(context: &Context, goal: &Goal<'_>) -> Result<Done> {
    let mut done = Done::default();
    for _ in 0..TURNS {
        let facts = observed::stack(&context.aws.cloudformation, goal.stack).await?;
        let decision = judged(&goal.desired, facts.as_ref())?;
        if let Some(question) = &decision.consent {
            let question = Question { reasons: vec![question.clone()], changes: Vec::new() };
            context.consent(goal.sink, &question)?;
        }
        if let Turn::Settled = act(context, goal, &decision, facts.as_ref(), &mut done).await? {
            protect(context, goal, &decision).await?;
            return Ok(done);
        }
    }
    Err(Fail::failed(format!("stack `{}` stays in an operation", goal.stack))
        .hint("somebody else may be working on it: wait, then run the same command again"))
}

/// The decision of `plan::stack`; parameters that do not fit are a failure here.
fn judged(desired: &Desired, facts: Option<&StackFacts>) -> Result<Decision> {
    decide(desired, facts)
        .map_err(|problems| Fail::problems("the parameters do not fit the template", problems))
}

enum Turn {
    Again,
    Settled,
}

async fn act(
    context: &Context,
    goal: &Goal<'_>,
    decision: &Decision,
    facts: Option<&StackFacts>,
    done: &mut Done,
) -> Result<Turn> {
    let client = &context.aws.cloudformation;
    let arn = facts.map_or(goal.stack, |facts| &facts.arn);
    let target = StackHandle { stack: arn, sink: goal.sink, pace: &context.aws.pace };
    if !matches!(decision.action, StackAction::None | StackAction::Create | StackAction::Update) {
        goal.sink.note(format!("{}: {}", goal.stack, decision.reason));
    }
    let (followed, operation) = match &decision.action {
        StackAction::None => return Ok(Turn::Settled),
        StackAction::Create => return changed(context, goal, Purpose::Create, facts, done).await,
        StackAction::Update => return changed(context, goal, Purpose::Update, facts, done).await,
        StackAction::Refuse => return Err(refusal(goal.stack, decision)),
        StackAction::Wait => (operations::wait(client, target).await?, Operation::Any),
        StackAction::DeleteThenCreate => (operations::delete(client, target).await?, Operation::Delete),
        StackAction::Rollback => (operations::roll_back(client, target).await?, Operation::Rollback),
        StackAction::ContinueRollback { skip } => {
            (operations::continue_rollback(client, target, skip).await?, Operation::Rollback)
        }
    };
    verdict(&followed, operation)?;
    Ok(Turn::Again)
}

/// The gate refuses such a stack beforehand; this one got into that state since.
fn refusal(stack: &str, decision: &Decision) -> Fail {
    Fail::failed(format!("stack `{stack}` cannot be deployed")).cause(&decision.reason).hint(format!(
        "look at it, repair or delete it: aws cloudformation describe-stack-events --stack-name {stack}"
    ))
}

/// Templates up, change set made, shown, agreed to, executed, followed.
async fn changed(
    context: &Context,
    goal: &Goal<'_>,
    purpose: Purpose,
    facts: Option<&StackFacts>,
    done: &mut Done,
) -> Result<Turn> {
    let client = &context.aws.cloudformation;
    if !goal.uploads.is_empty() {
        goal.sink.progress("uploading templates");
        done.uploads += templates::upload(&context.store, goal.uploads).await?;
    }
    goal.sink.progress(format!("preparing the changes of `{}`", goal.stack));
    let request = Request {
        stack: goal.stack,
        purpose,
        template: goal.template,
        parameters: &goal.desired.parameters,
        tags: &goal.desired.tags,
        pace: &context.aws.pace,
    };
    let Created::Ready(change_set) = change_set::create(client, &request).await? else {
        return Ok(Turn::Settled);
    };
    if let Some(why) = &change_set.unseen {
        goal.sink.note(why.clone());
    }
    let told = facts.map(|facts| for_parameters(&facts.parameters, &goal.desired.parameters));
    agreed(context, goal.sink, &change_set, told.unwrap_or_default()).await?;
    let followed = change_set::execute(client, &change_set, goal.sink, &context.aws.pace).await?;
    let operation = match purpose {
        Purpose::Create => Operation::Create,
        Purpose::Update => Operation::Update,
    };
    verdict(&followed, operation)?;
    done.summary = Some(summary(&change_set, &followed));
    Ok(Turn::Settled)
}

/// Asks if need be; without consent the change set is taken back, and the shell of a new stack. `told` is why to ask
/// besides what the change set shows.
async fn agreed(context: &Context, sink: &Sink, change_set: &ChangeSet, told: Vec<String>) -> Result<()> {
    let unseen =
        change_set.unseen.as_ref().map(|_| "may replace or remove resources that cannot be previewed");
    let reasons = match change_set.purpose {
        Purpose::Create => Vec::new(),
        Purpose::Update => {
            let known = needs_consent(&change_set.changes, context.guard);
            known.into_iter().chain(unseen.map(str::to_owned)).chain(told).collect()
        }
    };
    let question = Question { reasons, changes: change_set.changes.clone() };
    let Err(fail) = context.consent(sink, &question) else { return Ok(()) };
    Err(match change_set::discard(&context.aws.cloudformation, change_set).await {
        Ok(()) => fail,
        Err(left) => fail.cause(format!("and the change set could not be deleted: {left}")),
    })
}

fn summary(change_set: &ChangeSet, followed: &Followed) -> String {
    let number = flatten(&change_set.changes).iter().filter(|c| !c.is_folder()).count();
    let verb = if change_set.purpose == Purpose::Create { "created" } else { "updated" };
    match followed.slowest() {
        Some((path, took)) if took.as_secs() >= 10 => {
            format!("{verb}, {}, slowest {path} ({} s)", count(number, "change"), took.as_secs())
        }
        _ => format!("{verb}, {}", count(number, "change")),
    }
}

async fn protect(context: &Context, goal: &Goal<'_>, decision: &Decision) -> Result<()> {
    match decision.protection {
        Some(protection) => operations::protect(&context.aws.cloudformation, goal.stack, protection).await,
        None => Ok(()),
    }
}

/// Outputs and parameters of the master stack, as it is now. Only a step of ours changes them under the lease, so they
/// are read again only after one.
pub async fn read_outputs(context: &Context, state: &mut State) -> Result<()> {
    if !state.stack_moved && !state.outputs.is_empty() {
        return Ok(());
    }
    let facts = observed::describe_only(&context.aws.cloudformation, &context.stack).await?;
    let facts = facts.ok_or_else(|| Fail::failed(format!("stack `{}` is gone", context.stack)))?;
    if facts.outputs != state.outputs {
        // Airflow may be at another address, or have another admin.
        (state.session, state.reached) = (None, None);
    }
    state.outputs = facts.outputs;
    state.parameters = facts.parameters;
    state.stack_moved = false;
    Ok(())
}

#[cfg(test)]
mod tests;
