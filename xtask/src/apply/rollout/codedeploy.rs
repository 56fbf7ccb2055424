//! CodeDeploy: sends a host revision to one deployment group and waits for the truth about it.

use super::super::patience::Patience;
use super::election::Election;
use super::targets::{self, CODEDEPLOY};
use crate::doors::aws::{self, Aws};
use crate::doors::backoff::Backoff;
use crate::doors::haste;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use aws_sdk_codedeploy::Config;
use aws_sdk_codedeploy::client::customize::CustomizableOperation;
use aws_sdk_codedeploy::config::retry::RetryConfig;
use aws_sdk_codedeploy::operation::create_deployment::builders::CreateDeploymentFluentBuilder;
use aws_sdk_codedeploy::operation::create_deployment::{CreateDeploymentError, CreateDeploymentOutput};
use aws_sdk_codedeploy::primitives::DateTime;
use aws_sdk_codedeploy::types::{
    BundleType, DeploymentCreator, DeploymentGroupInfo, DeploymentInfo, DeploymentStatus, ErrorCode,
    FileExistsBehavior, RevisionLocation, RevisionLocationType, S3Location,
};
use std::time::Duration;

/// How often a deployment is asked for, as the SDK would, and the pauses between.
const ATTEMPTS: usize = 8;
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// A request that is sent once.
type Creation =
    CustomizableOperation<CreateDeploymentOutput, CreateDeploymentError, CreateDeploymentFluentBuilder>;

/// What is sent, and under which name it is found again.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    pub application: &'a str,
    pub group: &'a str,
    pub bucket: &'a str,
    pub key: &'a str,
    /// Kept as the deployment's description; see [`runs`].
    pub mark: &'a str,
}

/// Whether the last deployment of the group brought this very revision and mark to every instance, or would
/// have if there had been one.
pub async fn runs(aws: &Aws, order: &Order<'_>) -> Result<bool> {
    let Some(last) = last_deployment(aws, order).await? else { return Ok(false) };
    Ok(is_ours(&last, order) && is_whole(&last))
}

/// The same where there are hosts: a deployment that met none has reached none.
pub async fn reached(aws: &Aws, order: &Order<'_>) -> Result<bool> {
    let last = last_deployment(aws, order).await?;
    Ok(last.is_some_and(|last| is_ours(&last, order) && complete(&last).is_ok()))
}

fn is_ours(info: &DeploymentInfo, order: &Order<'_>) -> bool {
    let key = info.revision().and_then(RevisionLocation::s3_location).and_then(S3Location::key);
    key == Some(order.key) && info.description() == Some(order.mark)
}

/// The group's last deployment that was meant to bring a revision; nothing if CodeDeploy does not know it any
/// more, since nobody can say then what it brought.
async fn last_deployment(aws: &Aws, order: &Order<'_>) -> Result<Option<DeploymentInfo>> {
    let Some(id) = last_attempt(aws, order).await? else { return Ok(None) };
    match known(aws, &id).await? {
        // After one that met no host, the hosts launched since have the revision before.
        Some(last) if is_by_scaling(&last) => {
            let meant = newest(aws, order, &[], |info| !is_by_scaling(info)).await?;
            Ok(meant.filter(|meant| !is_empty(meant)))
        }
        last => Ok(last),
    }
}

/// Made by CodeDeploy itself for a host that Auto Scaling launches, with the group's last successful
/// revision, or terminates.
fn is_by_scaling(info: &DeploymentInfo) -> bool {
    use DeploymentCreator::{Autoscaling, AutoscalingTermination};
    matches!(info.creator(), Some(Autoscaling | AutoscalingTermination))
}

/// The newest deployment of the group in one of these states (none: in any) that fits; the service lists the
/// newest first.
async fn newest(
    aws: &Aws,
    order: &Order<'_>,
    states: &[DeploymentStatus],
    fits: impl Fn(&DeploymentInfo) -> bool,
) -> Result<Option<DeploymentInfo>> {
    let what = || format!("cannot read the deployments of group `{}`", order.group);
    let list = aws.codedeploy.list_deployments().application_name(order.application);
    let list = list.deployment_group_name(order.group).set_include_only_statuses(Some(states.to_vec()));
    let mut pages = list.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|e| aws::failure("CodeDeploy", what(), e))?;
        for some in page.deployments().chunks(25) {
            let batch = aws.codedeploy.batch_get_deployments().set_deployment_ids(Some(some.to_vec()));
            let batch = batch.send().await.map_err(|e| aws::failure("CodeDeploy", what(), e))?;
            let fitting = batch.deployments_info.unwrap_or_default().into_iter().filter(|info| fits(info));
            let newest = fitting.max_by_key(|info| info.create_time().map(DateTime::as_nanos));
            if newest.is_some() {
                return Ok(newest);
            }
        }
    }
    Ok(None)
}

async fn last_attempt(aws: &Aws, order: &Order<'_>) -> Result<Option<String>> {
    let info = group(aws, order).await?;
    let last = info.as_ref().and_then(DeploymentGroupInfo::last_attempted_deployment);
    Ok(last.and_then(|last| last.deployment_id()).map(str::to_owned))
}

/// Whether hosts that are launched get a revision.
pub async fn has_succeeded(aws: &Aws, order: &Order<'_>) -> Result<bool> {
    Ok(group(aws, order).await?.is_some_and(|info| info.last_successful_deployment().is_some()))
}

/// Whether the last deployment of the group, whatever it brought, is over and good.
pub async fn is_settled(aws: &Aws, order: &Order<'_>) -> Result<bool> {
    Ok(last_deployment(aws, order).await?.is_some_and(|last| complete(&last).is_ok()))
}

async fn group(aws: &Aws, order: &Order<'_>) -> Result<Option<DeploymentGroupInfo>> {
    let group = aws.codedeploy.get_deployment_group();
    let group = group.application_name(order.application).deployment_group_name(order.group).send().await;
    let group = group.map_err(|e| {
        aws::failure("CodeDeploy", format!("cannot read deployment group `{}`", order.group), e)
    })?;
    Ok(group.deployment_group_info)
}

/// The deployment, if CodeDeploy knows it.
async fn known(aws: &Aws, id: &str) -> Result<Option<DeploymentInfo>> {
    match aws.codedeploy.get_deployment().deployment_id(id).send().await {
        Ok(answer) => Ok(answer.deployment_info),
        Err(error) if aws::code(&error) == "DeploymentDoesNotExistException" => Ok(None),
        Err(error) => Err(aws::failure("CodeDeploy", format!("cannot read deployment `{id}`"), error)),
    }
}

async fn deployment(aws: &Aws, id: &str) -> Result<DeploymentInfo> {
    let found = known(aws, id).await?;
    found.ok_or_else(|| Fail::failed(format!("CodeDeploy knows nothing of deployment `{id}`")))
}

/// Deploys and waits. A deployment that is under way in the group is waited for first, and taken as
/// ours if it is the same. One that is over is not: whoever asks knows why it is not enough. Success
/// means every instance, not merely enough of them. In a worker set one host may be elected to go first.
pub async fn roll(
    aws: &Aws,
    order: &Order<'_>,
    mut election: Option<&mut Election<'_>>,
    sink: &Sink,
) -> Result<()> {
    let mut stop_may_fail = false;
    if let Some(election) = &election {
        election.prepare().await?;
    }
    let last = last_deployment(aws, order).await?;
    let before = last.as_ref().and_then(DeploymentInfo::deployment_id).map(str::to_owned);
    if let Some(mut last) = last {
        let running = !is_over(&last);
        if running {
            last = end(aws, &last, order, sink).await?;
        }
        let whole = is_whole(&last);
        if running && whole && is_ours(&last, order) {
            return Ok(());
        }
        stop_may_fail = !whole;
    }
    let Some(election) = &mut election else {
        let id = start(aws, order, before.as_deref(), stop_may_fail, sink).await?;
        let info = follow(aws, &id, order, None, sink).await?;
        return judge(aws, &info, order, None, sink).await;
    };
    election.open().await?;
    let ended = async {
        let id = start(aws, order, before.as_deref(), stop_may_fail, sink).await?;
        follow(aws, &id, order, Some(election), sink).await
    };
    let ended = ended.await;
    let whole = ended.as_ref().is_ok_and(is_whole);
    match election.close(whole, order.group, sink).await {
        Some(refused) => Err(refused),
        None => judge(aws, &ended?, order, election.canary(), sink).await,
    }
}

/// What the end of a deployment means.
async fn judge(
    aws: &Aws,
    info: &DeploymentInfo,
    order: &Order<'_>,
    canary: Option<&str>,
    sink: &Sink,
) -> Result<()> {
    match complete(info) {
        Ok(()) => Ok(()),
        Err(_) if is_empty(info) => {
            sink.note(format!("{}: no hosts now; those that start get the revision", order.group));
            Ok(())
        }
        Err(why) => Err(targets::explain(aws, info, order.group, canary, &why).await),
    }
}

/// Waits for a deployment that is under way.
async fn end(aws: &Aws, info: &DeploymentInfo, order: &Order<'_>, sink: &Sink) -> Result<DeploymentInfo> {
    let id = info.deployment_id().unwrap_or_default();
    sink.note(format!("{}: waiting for deployment {id}, which is under way", order.group));
    follow(aws, id, order, None, sink).await
}

/// Starts a deployment. CodeDeploy knows no token by which a repeated request is the same one, and a second deployment
/// would stop and start every host again: after an answer that was lost, the group is asked whether it has a deployment
/// of the same that came after `before`. Any other that is active is waited for.
async fn start(
    aws: &Aws,
    order: &Order<'_>,
    before: Option<&str>,
    mut stop_may_fail: bool,
    sink: &Sink,
) -> Result<String> {
    let what = || format!("cannot start a deployment in group `{}`", order.group);
    let mut backoff = Backoff::new(haste::pause(PAUSE), haste::pause(LONGEST_PAUSE));
    let mut refused = 0;
    loop {
        let error = match create(aws, order, stop_may_fail).send().await {
            Ok(answer) => {
                let none = || Fail::failed("CodeDeploy started a deployment without an id");
                return answer.deployment_id.ok_or_else(none);
            }
            Err(error) => error,
        };
        let is_busy = aws::code(&error) == "DeploymentLimitExceededException";
        let passes = aws::passes(&error);
        let fail = aws::failure("CodeDeploy", what(), error);
        refused += 1;
        if !is_busy && !passes {
            return Err(fail);
        }
        if let Some(begun) = begun(aws, order, before).await? {
            return Ok(begun);
        }
        if let Some(active) = active(aws, order).await?.filter(|_| is_busy) {
            let ended = end(aws, &active, order, sink).await?;
            stop_may_fail |= !is_by_scaling(&ended) && !is_whole(&ended);
        } else if refused >= ATTEMPTS {
            return Err(
                fail.or_hint("look at what CodeDeploy does in the group, then run the same command again")
            );
        } else {
            // What was in the way has just ended, or the service has trouble.
            backoff.wait().await;
        }
    }
}

/// A deployment of the same that is active, or that began after `before`, whether it is over or not.
async fn begun(aws: &Aws, order: &Order<'_>, before: Option<&str>) -> Result<Option<String>> {
    let is_new = |info: &DeploymentInfo| is_ours(info, order) && info.deployment_id() != before;
    let found = match active(aws, order).await?.filter(|active| is_ours(active, order)) {
        Some(active) => Some(active),
        None => last_deployment(aws, order).await?.filter(is_new),
    };
    Ok(found.and_then(|info| info.deployment_id))
}

async fn active(aws: &Aws, order: &Order<'_>) -> Result<Option<DeploymentInfo>> {
    use DeploymentStatus::{Baking, Created, InProgress, Queued, Ready};
    newest(aws, order, &[Created, Queued, InProgress, Baking, Ready], |_| true).await
}

/// The stop script of a revision that failed must not keep the next one out (its files are what is
/// broken); that of a good one must succeed, since it drains the worker.
fn create(aws: &Aws, order: &Order<'_>, stop_may_fail: bool) -> Creation {
    let location =
        S3Location::builder().bucket(order.bucket).key(order.key).bundle_type(BundleType::Zip).build();
    let revision =
        RevisionLocation::builder().revision_type(RevisionLocationType::S3).s3_location(location).build();
    aws.codedeploy
        .create_deployment()
        .application_name(order.application)
        .deployment_group_name(order.group)
        .revision(revision)
        .description(order.mark)
        .file_exists_behavior(FileExistsBehavior::Overwrite)
        .ignore_application_stop_failures(stop_may_fail)
        .customize()
        .config_override(Config::builder().retry_config(RetryConfig::disabled()))
}

fn is_over(info: &DeploymentInfo) -> bool {
    use DeploymentStatus::{Failed, Stopped, Succeeded};
    matches!(info.status(), Some(Succeeded | Failed | Stopped))
}

const GOES_ON: &str = "the deployment goes on without this tool: run the same command again to follow it";

async fn follow(
    aws: &Aws,
    id: &str,
    order: &Order<'_>,
    mut election: Option<&mut Election<'_>>,
    sink: &Sink,
) -> Result<DeploymentInfo> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut patience = Patience::new(sink);
    sink.progress(format!("{}: deployment {id}", order.group));
    loop {
        match look(aws, id, order, election.as_deref_mut(), sink).await {
            Ok(info) if is_over(&info) => return Ok(info),
            Ok(_) => patience.well(),
            Err(fail) => patience.bear(fail).map_err(|fail| fail.hint(GOES_ON))?,
        }
        backoff.wait().await;
    }
}

/// One look at the deployment, and at its canary.
async fn look(
    aws: &Aws,
    id: &str,
    order: &Order<'_>,
    election: Option<&mut Election<'_>>,
    sink: &Sink,
) -> Result<DeploymentInfo> {
    aws.pace.turn(CODEDEPLOY).await;
    let info = deployment(aws, id).await?;
    if is_over(&info) {
        return Ok(info);
    }
    let at = targets::position(aws, &info).await;
    let canary = match election {
        Some(election) => election.look(aws, id, order.group, sink).await?,
        None => String::new(),
    };
    let status = info.status().map_or("", DeploymentStatus::as_str);
    sink.progress(format!("{}: {status}{at}{canary}", order.group));
    Ok(info)
}

/// Whether the group has scaled to zero, which CodeDeploy calls a failure. The scaler on the scheduler's
/// hosts repeats such a deployment as soon as there is an instance (`ductwork_airflow/scaling/scaler.py`).
fn is_empty(info: &DeploymentInfo) -> bool {
    info.error_information().and_then(|error| error.code()) == Some(&ErrorCode::NoInstances)
}

/// Whether every instance of the group has the revision.
fn is_whole(info: &DeploymentInfo) -> bool {
    complete(info).is_ok() || is_empty(info)
}

/// An error text where the deployment did not reach every instance.
fn complete(info: &DeploymentInfo) -> std::result::Result<(), String> {
    if info.status() != Some(&DeploymentStatus::Succeeded) {
        let status = info.status().map_or("unknown", DeploymentStatus::as_str);
        let error = info.error_information();
        let code =
            error.and_then(|e| e.code()).map(|code| format!(", {}", code.as_str())).unwrap_or_default();
        let text = error.and_then(|e| e.message()).map(|text| format!(": {text}")).unwrap_or_default();
        return Err(format!("it ended as {status}{code}{text}"));
    }
    let overview = info.deployment_overview();
    match overview.map_or(0, |o| o.failed() + o.skipped()) {
        0 => Ok(()),
        missed => Err(format!("it succeeded, but {missed} of its instances did not get the revision")),
    }
}

#[cfg(test)]
#[path = "codedeploy_tests.rs"]
mod tests;
