//! Brings a stack to where it should be, from whatever state it is in: look, decide, act, look again.

use super::change_set::{self, ChangeSet, Created, Purpose, Request, Template};
use super::context::{Context, Question, State};
use super::deploy::Ended;
use super::destroy;
use super::stack_operations::{self as operations, Target};
use super::templates::{self, Bucket};
use crate::doors::aws;
use crate::doors::documents;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::stack::{Followed, Operation, Protection, StackFacts};
use crate::model::text::count;
use crate::observe::stack as observed;
use crate::plan::consent::{Guard, needs_consent};
use crate::plan::deploy::{Plan, Source, Step};
use crate::plan::root_cause::verdict;
use crate::plan::stack::{Action, Decision, Desired, decide};
use crate::plan::templates::Packaged;
use std::collections::BTreeMap;

/// More turns than any way to a settled stack has: waiting, cleaning up, creating, looking once more.
const TURNS: usize = 6;

/// What a stack is to become, and how its template gets to the service.
struct Goal<'a> {
    stack: &'a str,
    desired: Desired<'a>,
    template: Template<'a>,
    /// What lies behind the template's address and may not be there yet.
    uploads: &'a [Packaged],
    step: &'a str,
}

/// What was done to a stack, in a few words; nothing where it was as it should be.
type Done = Option<String>;

/// The master stack as the target says.
pub async fn update(context: &Context, plan: &Plan, state: &mut State) -> Result<Ended> {
    let root = root(context, plan).await?;
    let goal = Goal {
        stack: &context.stack,
        desired: desired(context, plan, &root),
        template: Template::Url(&root.url),
        uploads: if plan.source == Source::Tree { &context.artifacts.templates } else { &[] },
        step: Step::Stack.name(),
    };
    let before = state.outputs.clone();
    let done = converge(context, &goal, state).await?;
    read_outputs(context, state).await?;
    destroy::note(&context.aws, &context.bucket, &context.environment, &before, &state.outputs).await?;
    Ok(done.map_or_else(|| Ended::skipped("as it should be"), Ended::done))
}

/// The master stack as the target wants it.
#[must_use]
pub fn desired<'a>(context: &Context, plan: &Plan, root: &'a Packaged) -> Desired<'a> {
    let mut tags = context.tags.clone();
    tags.insert(names::RELEASE_TAG.to_owned(), plan.target.id());
    Desired {
        template: root,
        parameters: plan.target.parameters.clone(),
        tags,
        protection: protection(context.guard),
    }
}

fn protection(guard: Guard) -> Protection {
    match guard {
        Guard::Protected => Protection::On,
        Guard::Open => Protection::Off,
    }
}

/// The root template: the one at hand, or that of a recorded release, whose body lies in S3.
pub async fn root(context: &Context, plan: &Plan) -> Result<Packaged> {
    let digest = plan.target.template;
    if let Some(root) = context.artifacts.templates.iter().find(|template| template.digest == digest) {
        return Ok(root.clone());
    }
    let key = names::template_key(&digest);
    let body = documents::text(&context.aws, &context.bucket, &key).await?;
    let body = body.ok_or_else(|| Fail::failed(format!("`s3://{}/{key}` is gone", context.bucket)))?;
    let url = url(context, &digest);
    Ok(Packaged { path: "master.yaml".to_owned(), digest, body, url })
}

fn url(context: &Context, digest: &Digest) -> String {
    names::template_url(context.aws.endpoint.as_deref(), &context.aws.region, &context.bucket, digest)
}

/// The stack that holds the artifact bucket. It belongs to all environments, so what is there serves as
/// it is unless something is asked for that it lacks, and what another has asked for stays.
pub async fn bootstrap(context: &Context, step: &str) -> Result<Ended> {
    let stack = names::BOOTSTRAP_STACK;
    let facts = observed::describe_only(&context.aws.cloudformation, stack).await?;
    let has = |(name, value): (&String, &String)| {
        value != "true" || facts.as_ref().is_some_and(|facts| facts.parameters.get(name) == Some(value))
    };
    if context.bootstrap.iter().all(has) && bucket_exists(context).await? {
        return Ok(Ended::skipped(format!("bucket `{}` is there", context.bucket)));
    }
    let template =
        context.artifacts.bootstrap.as_ref().ok_or_else(|| Fail::bug("there is no bootstrap template"))?;
    let mut parameters = context.bootstrap.clone();
    for (name, value) in facts.map(|facts| facts.parameters).unwrap_or_default() {
        if value == "true" && parameters.contains_key(&name) {
            parameters.insert(name, value);
        }
    }
    let desired = Desired { template, parameters, tags: BTreeMap::new(), protection: Protection::Off };
    let goal = Goal { stack, desired, template: Template::Body(&template.body), uploads: &[], step };
    converge(context, &goal, &mut State::default()).await?;
    if !bucket_exists(context).await? {
        return Err(Fail::failed(format!(
            "stack `{stack}` is there, but its bucket `{}` is not",
            context.bucket
        ))
        .cause("somebody deleted the bucket")
        .hint(format!(
            "delete the stack too, then deploy: aws cloudformation delete-stack --stack-name {stack}"
        )));
    }
    Ok(Ended::done(format!("bucket `{}`", context.bucket)))
}

/// A bucket of another account with that name is an error here already.
async fn bucket_exists(context: &Context) -> Result<bool> {
    let head = context.aws.s3.head_bucket().bucket(&context.bucket).expected_bucket_owner(&context.account);
    match head.send().await {
        Ok(_) => Ok(true),
        Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => Ok(false),
        Err(error) => Err(aws::failure("S3", format!("cannot look at bucket `{}`", context.bucket), error)
            .hint("check that it belongs to this account, and that your role may use it")),
    }
}

async fn converge(context: &Context, goal: &Goal<'_>, state: &mut State) -> Result<Done> {
    let mut done = None;
    for _ in 0..TURNS {
        let facts = observed::stack(&context.aws.cloudformation, goal.stack).await?;
        let decision = decide(&goal.desired, facts.as_ref())?;
        if let Some(question) = &decision.consent {
            let question = Question { reasons: vec![question.clone()], changes: Vec::new() };
            context.consent(goal.step, &question)?;
        }
        match act(context, goal, &decision, facts.as_ref(), state).await? {
            Turn::Again(words) => done = words.or(done),
            Turn::Settled(words) => {
                protect(context, goal, &decision).await?;
                return Ok(words.or(done));
            }
        }
    }
    Err(Fail::failed(format!("stack `{}` does not come to rest", goal.stack))
        .hint("somebody else may be working on it: wait, then run the same command again"))
}

enum Turn {
    Again(Done),
    Settled(Done),
}

async fn act(
    context: &Context,
    goal: &Goal<'_>,
    decision: &Decision,
    facts: Option<&StackFacts>,
    state: &mut State,
) -> Result<Turn> {
    let client = &context.aws.cloudformation;
    let arn = facts.map_or(goal.stack, |facts| &facts.arn);
    let target = Target { stack: arn, step: goal.step, sink: &context.sink };
    if !matches!(decision.action, Action::None | Action::Create | Action::Update) {
        context.sink.note(goal.step, format!("{}: {}", goal.stack, decision.reason));
    }
    let (followed, operation) = match &decision.action {
        Action::None => return Ok(Turn::Settled(None)),
        Action::Create => return changed(context, goal, Purpose::Create, state).await,
        Action::Update => return changed(context, goal, Purpose::Update, state).await,
        Action::Refuse => return Err(decision.refusal(goal.stack)),
        Action::Wait => (operations::wait(client, target).await?, Operation::Any),
        Action::DeleteThenCreate => (operations::delete(client, target).await?, Operation::Delete),
        Action::Rollback => (operations::roll_back(client, target).await?, Operation::Rollback),
        Action::ContinueRollback { skip } => {
            (operations::continue_rollback(client, target, skip).await?, Operation::Rollback)
        }
    };
    verdict(&followed, operation)?;
    Ok(Turn::Again(None))
}

/// Templates up, change set made, shown, agreed to, executed, followed.
async fn changed(context: &Context, goal: &Goal<'_>, purpose: Purpose, state: &mut State) -> Result<Turn> {
    let client = &context.aws.cloudformation;
    if !goal.uploads.is_empty() {
        context.sink.progress(goal.step, "uploading templates");
        let bucket = Bucket { name: context.bucket.clone(), account: context.account.clone() };
        state.uploads += templates::upload(&context.aws.s3, &bucket, goal.uploads).await?.uploaded;
    }
    context.sink.progress(goal.step, format!("preparing the changes of `{}`", goal.stack));
    let request = Request {
        stack: goal.stack,
        purpose,
        template: goal.template,
        parameters: &goal.desired.parameters,
        tags: &goal.desired.tags,
    };
    let Created::Ready(change_set) = change_set::create(client, &request).await? else {
        return Ok(Turn::Settled(None));
    };
    agreed(context, goal.step, &change_set).await?;
    // A stack that is being created serves nobody yet: there is nothing to go back to.
    let updates = purpose == Purpose::Update;
    let followed = change_set::execute(client, &change_set, goal.step, &context.sink).await?;
    verdict(&followed, if updates { Operation::Update } else { Operation::Create })?;
    state.touched |= updates;
    state.stack_updated = true;
    Ok(Turn::Settled(Some(summary(&change_set, &followed))))
}

/// Asks where need be; without consent the change set is taken back, and the shell of a new stack.
async fn agreed(context: &Context, step: &str, change_set: &ChangeSet) -> Result<()> {
    let reasons = match change_set.purpose {
        Purpose::Create => Vec::new(),
        Purpose::Update => needs_consent(&change_set.changes, context.guard),
    };
    let question = Question { reasons, changes: change_set.changes.clone() };
    let Err(fail) = context.consent(step, &question) else { return Ok(()) };
    Err(match change_set::discard(&context.aws.cloudformation, change_set).await {
        Ok(()) => fail,
        Err(left) => fail.cause(format!("and the change set could not be taken back: {left}")),
    })
}

fn summary(change_set: &ChangeSet, followed: &Followed) -> String {
    let number = crate::model::change::flatten(&change_set.changes).iter().filter(|c| !c.is_folder()).count();
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

/// Outputs and parameters of the master stack, as it is now.
pub async fn read_outputs(context: &Context, state: &mut State) -> Result<()> {
    let facts = observed::describe_only(&context.aws.cloudformation, &context.stack).await?;
    let facts = facts.ok_or_else(|| Fail::failed(format!("stack `{}` is gone", context.stack)))?;
    if facts.outputs != state.outputs {
        // Airflow may be at another address, or have another admin.
        state.session = None;
    }
    state.outputs = facts.outputs;
    state.parameters = facts.parameters;
    Ok(())
}

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
