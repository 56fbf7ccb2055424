//! What carries tasks to the workers, and the keys that mean something to others of its kind only.

use super::check::{at, at_unless, flag};
use super::defaults::Defaults;
use crate::config::environment::Broker;
use crate::config::file;
use crate::config::problems::{Location, Problems, Reported};
use crate::config::values::{BrokerKind, CacheNodeType, ForeignImage, LoadBalancer};

pub fn broker(
    written: &file::Broker,
    kind: Result<BrokerKind, Reported>,
    balancer: Option<LoadBalancer>,
    defaults: Defaults,
    problems: &mut Problems,
) -> Result<Broker, Reported> {
    let node_type = problems.text(&written.node_type, CacheNodeType::parse);
    let replicas = problems.number_or(&written.replicas, defaults.replicas(), 0..=2, "replicas");
    let image = problems.text(&written.image, ForeignImage::parse);
    let when = match kind {
        Ok(BrokerKind::Sqs) => Some("with SQS"),
        Ok(BrokerKind::ValkeyService) => Some("on a broker that is a task"),
        Ok(BrokerKind::Valkey) | Err(_) => None,
    };
    if let Some(when) = when {
        let keys = [
            ("node_type", at_unless(&written.node_type, &CacheNodeType::DEFAULT.to_owned())),
            ("replicas", at_unless(&written.replicas, &0)),
        ];
        problems.no_effect(&keys, when, "remove it, or set `kind = \"valkey\"`");
    }
    if kind == Ok(BrokerKind::ValkeyService) {
        task(written, defaults, problems);
    } else if kind.is_ok() && defaults.ecs {
        let keys = [("image", at(&written.image))];
        let when = "unless the broker is a task";
        problems.no_effect(&keys, when, "remove it, or set `kind = \"valkey_service\"`");
    }
    if flag(&written.flower, false) && defaults.ecs {
        flower(written, kind, balancer, problems);
    }
    Ok(Broker {
        kind: kind?,
        node_type: node_type?.unwrap_or_default(),
        replicas: replicas?,
        image: image?.unwrap_or_else(ForeignImage::valkey),
        flower: flag(&written.flower, false),
    })
}

/// What Flower cannot be without.
fn flower(
    written: &file::Broker,
    kind: Result<BrokerKind, Reported>,
    balancer: Option<LoadBalancer>,
    problems: &mut Problems,
) {
    let unwritten = Location::default();
    let location = at(&written.flower).unwrap_or(&unwritten);
    if kind == Ok(BrokerKind::Sqs) {
        let message = "Flower asks workers through the broker, and SQS carries no answers";
        let hint = "set `kind = \"valkey\"` or `kind = \"valkey_service\"`, or remove `flower`";
        problems.conflict(location, message, hint);
    }
    if balancer == Some(LoadBalancer::None) {
        let message = "Flower is reached at the load balancer, and there is none";
        let hint = "set `load_balancer = \"internal\"` under `[entry]`, or remove `flower`";
        problems.conflict(location, message, hint);
    }
}

/// Where a single task will do.
fn task(written: &file::Broker, defaults: Defaults, problems: &mut Problems) {
    let unwritten = Location::default();
    let location = at(&written.kind).unwrap_or(&unwritten);
    if !defaults.ecs {
        let message = "on the engine `ec2` there is no ECS to run the broker";
        let hint = "set `kind = \"valkey\"` or `kind = \"sqs\"`, or the engine `fargate` or `ecs-ec2`";
        problems.conflict(location, message, hint);
    } else if defaults.high_availability {
        let message = "a broker that is a single task does not survive the loss of its zone";
        let hint = "set `kind = \"sqs\"` or `kind = \"valkey\"`, or remove `high_availability`";
        problems.conflict(location, message, hint);
    }
}
