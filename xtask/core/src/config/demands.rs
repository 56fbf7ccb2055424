//! What an environment needs of its AWS account: quotas, instance types, names, secrets.

use super::environment::{Compute, Environment, Network, Vpc};
use super::hosts::{HostGroup, Hosts, RunsOn, WorkerSet};
use super::tasks::{Capacity, Instances, Service, Tasks};
use super::values::{Architecture, BrokerKind, LoadBalancer, Nat, Url};
use crate::model::account::{
    Demands, HostDemand, Hosts as Started, ImageDemand, NetworkDemand, ServiceRole, TaskDemand,
};
use std::collections::BTreeMap;

impl Environment {
    #[must_use]
    pub fn demands(&self) -> Demands {
        self.demands_beside(&BTreeMap::new())
    }

    /// The same with so many hosts of worker sets, by their names, that go on while as many are launched in their stead.
    #[must_use]
    pub fn demands_beside(&self, going_on: &BTreeMap<String, u32>) -> Demands {
        let url = self.airflow.url.as_ref();
        Demands {
            project: self.project.to_string(),
            environment: self.name.to_string(),
            region: self.aws.region.to_string(),
            account: self.aws.account.to_string(),
            bucket: self.artifact_bucket(),
            stack: self.stack_name(),
            engine: self.engine,
            service_roles: self.service_roles(),
            hosts: if self.is_local() { Vec::new() } else { self.hosts_started(going_on) },
            replaces: false,
            tasks: if self.is_local() { Vec::new() } else { self.tasks_started() },
            network: self.network.demand(),
            addresses: self.addresses(),
            host: url.map(|url| url.host().to_owned()),
            certificate: self.entry.certificate.as_ref().map(ToString::to_string),
            hosted_zone: self.entry.hosted_zone.as_ref().map(ToString::to_string),
            requests_certificate: url.is_some_and(Url::is_https) && self.entry.certificate.is_none(),
            secrets: Vec::new(),
            image: self.image(),
        }
    }

    /// Of the services that make one of their own; the local cloud's make none.
    fn service_roles(&self) -> Vec<ServiceRole> {
        let hosts = self.hosts_started(&BTreeMap::new());
        let spot = hosts.iter().any(|hosts| hosts.most.spot > 0);
        let ecs = self.engine.is_ecs();
        let needed = [
            (ecs, "ecs.amazonaws.com", "AWSServiceRoleForECS"),
            (
                ecs,
                "ecs.application-autoscaling.amazonaws.com",
                "AWSServiceRoleForApplicationAutoScaling_ECSService",
            ),
            (!hosts.is_empty(), "autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
            (spot, "spot.amazonaws.com", "AWSServiceRoleForEC2Spot"),
            (
                self.entry.load_balancer != LoadBalancer::None,
                "elasticloadbalancing.amazonaws.com",
                "AWSServiceRoleForElasticLoadBalancing",
            ),
            (self.database.url_secret.is_none(), "rds.amazonaws.com", "AWSServiceRoleForRDS"),
            (
                self.broker.kind == BrokerKind::Valkey,
                "elasticache.amazonaws.com",
                "AWSServiceRoleForElastiCache",
            ),
            (
                self.storage.shared_files,
                "elasticfilesystem.amazonaws.com",
                "AWSServiceRoleForAmazonElasticFileSystem",
            ),
        ];
        let needed = needed.into_iter().filter(|(needed, ..)| *needed && !self.is_local());
        needed.map(|(_, service, name)| ServiceRole { service, name }).collect()
    }

    /// The machine image of hosts, if the engine has any.
    #[must_use]
    pub fn image(&self) -> Option<ImageDemand> {
        match &self.compute {
            Compute::Hosts(hosts) => Some(hosts.image_demand()),
            Compute::Tasks(tasks) => tasks.image_demand(),
        }
    }

    /// On the local cloud, hosts are folders of this machine.
    fn hosts_started(&self, going_on: &BTreeMap<String, u32>) -> Vec<HostDemand> {
        match &self.compute {
            Compute::Hosts(hosts) => {
                let beside = |set: &WorkerSet| going_on.get(set.name.as_str()).copied().unwrap_or_default();
                let workers = self.workers.iter().filter_map(|set| set.demand(beside(set)));
                hosts.demands().into_iter().chain(workers).collect()
            }
            Compute::Tasks(tasks) => tasks.capacity.instances().into_iter().map(Instances::demand).collect(),
        }
    }

    /// On Fargate. Other tasks are on hosts.
    fn tasks_started(&self) -> Vec<TaskDemand> {
        match &self.compute {
            Compute::Tasks(tasks) if tasks.capacity == Capacity::Fargate => {
                let workers = self.workers.iter().filter_map(WorkerSet::task_demand);
                tasks.demands().into_iter().chain(workers).chain(self.broker.tasks()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// One for each NAT gateway, and one for the API server's host if there is no load balancer.
    fn addresses(&self) -> u32 {
        let nat = match (&self.network.vpc, self.network.nat) {
            (Vpc::Existing { .. }, _) | (_, Nat::None) => 0,
            (_, Nat::Single) => 1,
            (_, Nat::PerZone) => self.network.zones,
        };
        nat + u32::from(self.entry.load_balancer == LoadBalancer::None && !self.is_local())
    }
}

impl Network {
    fn demand(&self) -> NetworkDemand {
        let texts = |ids: &[super::values::SubnetId]| ids.iter().map(ToString::to_string).collect();
        match &self.vpc {
            Vpc::New(_) => NetworkDemand::New { zones: self.zones },
            Vpc::Existing { id, subnets, public_subnets } => NetworkDemand::Existing {
                vpc: id.to_string(),
                subnets: texts(subnets),
                public_subnets: texts(public_subnets),
            },
        }
    }
}

impl Hosts {
    fn demands(&self) -> Vec<HostDemand> {
        let api_server = (!self.api_server_on_scheduler).then_some(&self.api_server);
        let api_server = api_server.map(|group| group.demand("hosts.api_server"));
        api_server.into_iter().chain([self.scheduler.demand("hosts.scheduler")]).collect()
    }

    fn image_demand(&self) -> ImageDemand {
        match &self.image {
            Some(id) if id.is_id() => ImageDemand { key: "hosts.image", name: id.to_string() },
            Some(name) => ImageDemand { key: "hosts.image_parameter", name: name.to_string() },
            None => {
                let latest = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default";
                ImageDemand { key: "hosts.architecture", name: format!("{latest}-{}", self.architecture) }
            }
        }
    }
}

impl Tasks {
    fn demands(&self) -> Vec<TaskDemand> {
        let of = |key: &str, service: &Service, most: u32| TaskDemand {
            key: format!("services.{key}"),
            units: service.size.cpu,
            first: Started { on_demand: service.count, spot: 0 },
            most: Started { on_demand: most, spot: 0 },
        };
        vec![
            of("api_server", &self.api_server, self.api_server_max),
            of("scheduler", &self.scheduler, self.scheduler.count),
            of("dag_processor", &self.dag_processor, self.dag_processor.count),
            of("triggerer", &self.triggerer, self.triggerer.count),
        ]
    }

    /// Of a cluster's instances, which ECS makes images for.
    fn image_demand(&self) -> Option<ImageDemand> {
        self.capacity.instances()?;
        let kind = match self.architecture {
            Architecture::X86 => "",
            Architecture::Arm => "arm64/",
        };
        let name = format!("/aws/service/ecs/optimized-ami/amazon-linux-2023/{kind}recommended/image_id");
        Some(ImageDemand { key: "hosts.architecture", name })
    }
}

impl Instances {
    fn demand(&self) -> HostDemand {
        let types = std::iter::once(&self.instance_type).chain(&self.more_instance_types);
        HostDemand {
            key: "cluster".to_owned(),
            types: types.map(ToString::to_string).collect(),
            first: by_market(self.min.max(1), 0, self.spot_percent),
            going_on: Started::default(),
            most: by_market(self.max, 0, self.spot_percent),
        }
    }
}

impl HostGroup {
    fn demand(&self, key: &str) -> HostDemand {
        let hosts = Started { on_demand: self.count, spot: 0 };
        let types = vec![self.instance_type.to_string()];
        HostDemand { key: key.to_owned(), types, first: hosts, going_on: Started::default(), most: hosts }
    }
}

impl WorkerSet {
    fn demand(&self, going_on: u32) -> Option<HostDemand> {
        let RunsOn::Host { instance_type, more_instance_types, .. } = &self.runs_on else { return None };
        let types = std::iter::once(instance_type).chain(more_instance_types);
        let types = types.map(ToString::to_string).collect();
        (!self.on_scheduler).then(|| HostDemand {
            key: self.key(),
            types,
            // As many come as there are.
            first: self.by_market(self.first().max(going_on)),
            going_on: self.by_market(going_on),
            most: self.by_market(self.max),
        })
    }

    fn task_demand(&self) -> Option<TaskDemand> {
        let RunsOn::Task { size, .. } = &self.runs_on else { return None };
        let (first, most) = (self.by_market(self.first()), self.by_market(self.max));
        Some(TaskDemand { key: self.key(), units: size.cpu, first, most })
    }

    fn key(&self) -> String {
        format!("workers.{}", self.name)
    }

    /// How many a deployment starts. It ends with a task on a worker of the set `default`, so one is started even if
    /// `min` is 0.
    #[must_use]
    pub fn first(&self) -> u32 {
        self.min.max(u32::from(self.name.is_default()).min(self.max))
    }

    fn by_market(&self, number: u32) -> Started {
        by_market(number, self.on_demand_base, self.spot_percent)
    }
}

/// As Auto Scaling divides a number of hosts: the share on demand is rounded up.
fn by_market(hosts: u32, base: u32, spot_percent: u32) -> Started {
    let base = hosts.min(base);
    let share = ((hosts - base) * (100 - spot_percent)).div_ceil(100);
    Started { on_demand: base + share, spot: hosts - base - share }
}

#[cfg(test)]
mod tests {
    use crate::config::resolve;
    use crate::model::account::{Demands, Hosts, NetworkDemand};

    fn demands(entry: &str, more: &str) -> Demands {
        let text = format!(
            "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n\
             [entry]\nallowed_cidrs = ['203.0.113.0/24']\n{entry}\n{more}"
        );
        resolve("dev", &text, "").unwrap_or_else(|problems| panic!("{problems:#?}")).demands()
    }

    #[test]
    fn hosts_by_market_with_one_worker_for_the_proof() {
        let found = demands(
            "",
            "[hosts.api_server]\non_scheduler = true\n[workers.default]\nmin = 0\nmax = 3\n\
             [workers.big]\nmin = 2\nmax = 7\nspot_percent = 80\non_demand_base = 1\n\
             more_instance_types = ['m5.large']\n[workers.small]\non_scheduler = true\n",
        );
        let keys: Vec<&str> = found.hosts.iter().map(|hosts| hosts.key.as_str()).collect();
        assert_eq!(keys, ["hosts.scheduler", "workers.big", "workers.default"]);
        let (big, default) = (&found.hosts[1], &found.hosts[2]);
        assert_eq!(big.types, ["t3.medium", "m5.large"]);
        assert_eq!(big.first, Hosts { on_demand: 2, spot: 0 });
        assert_eq!(big.most, Hosts { on_demand: 3, spot: 4 });
        assert_eq!(default.first, Hosts { on_demand: 1, spot: 0 });
        assert_eq!((found.addresses, &found.network), (1, &NetworkDemand::New { zones: 2 }));
    }

    #[test]
    fn the_service_linked_roles_that_an_environment_needs() {
        let names =
            |demands: Demands| demands.service_roles.iter().map(|role| role.service).collect::<Vec<_>>();
        let smallest = names(demands("", "[workers.default]\nmax = 2\n"));
        assert_eq!(smallest, ["autoscaling.amazonaws.com", "rds.amazonaws.com"]);
        let more = "[broker]\nkind = 'valkey'\n[files]\nshared = true\n[workers.default]\nmax = 3\nspot_percent = 50\n";
        assert_eq!(names(demands("load_balancer = 'internal'", more)).len(), 6);
    }

    fn on_ecs(engine: &str, more: &str) -> Demands {
        let text = format!(
            "engine = '{engine}'\n[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n\
             [entry]\nallowed_cidrs = ['203.0.113.0/24']\n{more}"
        );
        resolve("dev", &text, "").unwrap_or_else(|problems| panic!("{problems:#?}")).demands()
    }

    #[test]
    fn on_fargate_there_are_no_hosts() {
        let found = on_ecs("fargate", "[workers.default]\nmax = 3\nspot_percent = 50\n");
        assert_eq!((found.hosts, found.image), (Vec::new(), None));
        let roles: Vec<_> = found.service_roles.iter().map(|role| role.service).collect();
        let expected = [
            "ecs.amazonaws.com",
            "ecs.application-autoscaling.amazonaws.com",
            "elasticloadbalancing.amazonaws.com",
            "rds.amazonaws.com",
        ];
        assert_eq!(roles, expected);
        assert_eq!(found.addresses, 1, "of the NAT gateway");
    }

    #[test]
    fn tasks_on_fargate_by_market_with_one_worker_for_the_proof() {
        let text = "[services.api_server]\ncount = 2\nmax_count = 5\n[services.triggerer]\ncpu = 256\n\
                    [workers.default]\nmin = 0\nmax = 3\n[workers.big]\ncpu = 4096\nmin = 2\nmax = 7\n\
                    spot_percent = 80\non_demand_base = 1\n";
        let found = on_ecs("fargate", text).tasks;
        let hosts = |hosts: Hosts| (hosts.on_demand, hosts.spot);
        let found: Vec<_> =
            found.iter().map(|one| (&*one.key, one.units, hosts(one.first), hosts(one.most))).collect();
        let expected = [
            ("services.api_server", 512, (2, 0), (5, 0)),
            ("services.scheduler", 1024, (1, 0), (1, 0)),
            ("services.dag_processor", 512, (1, 0), (1, 0)),
            ("services.triggerer", 256, (1, 0), (1, 0)),
            ("workers.big", 4096, (2, 0), (3, 4)),
            ("workers.default", 1024, (1, 0), (3, 0)),
        ];
        assert_eq!(found, expected);
        assert!(on_ecs("ecs-ec2", "").tasks.is_empty(), "they are on instances");
        assert!(demands("", "").tasks.is_empty(), "there are none");
        let local = resolve("local", "engine = 'fargate'\naws.endpoint = 'local'", "").unwrap();
        assert!(local.demands().tasks.is_empty(), "they are processes");
    }

    #[test]
    fn a_cluster_needs_its_instances_and_the_image_that_ecs_makes() {
        let cluster = "[hosts]\narchitecture = 'arm64'\n[cluster]\nmore_instance_types = ['m7g.large']\nmin = 0\n\
                       max = 5\nspot_percent = 40\n";
        let found = on_ecs("ecs-ec2", cluster);
        let [cluster] = found.hosts.as_slice() else { panic!("{:?}", found.hosts) };
        assert_eq!(
            (&*cluster.key, &cluster.types[..]),
            ("cluster", &["t4g.large".to_owned(), "m7g.large".to_owned()][..])
        );
        assert_eq!(cluster.first, Hosts { on_demand: 1, spot: 0 }, "one more than none, for the components");
        assert_eq!(cluster.most, Hosts { on_demand: 3, spot: 2 });
        let image = found.image.unwrap();
        assert_eq!(image.name, "/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id");
        assert!(!image.way_around().contains("hosts.image"), "a cluster has no such key");
        let image = on_ecs("ecs-ec2", "").image.unwrap();
        assert_eq!(image.name, "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id");
        let services: Vec<_> = found.service_roles.iter().map(|role| role.service).collect();
        assert!(services.contains(&"autoscaling.amazonaws.com") && services.contains(&"spot.amazonaws.com"));
    }

    #[test]
    fn services_are_updated_by_the_tool_itself() {
        let calls = on_ecs("fargate", "").calls("aws");
        let asked = |action: &str| calls.iter().find(|call| call.actions.contains(&action));
        let at = "arn:aws:ecs:eu-central-1:111122223333";
        for (action, resource) in [
            ("ecs:UpdateService", "service/ductwork-dev/scheduler"),
            ("ecs:RunTask", "task-definition/ductwork-dev-migrate:1"),
        ] {
            let call = asked(action).unwrap();
            assert_eq!(call.resource, format!("{at}:{resource}"));
            assert_eq!(call.cluster, Some(format!("{at}:cluster/ductwork-dev")), "rights may depend on it");
        }
        assert!(asked("codedeploy:CreateDeployment").is_none() && asked("ssm:GetParameter").is_none());
    }

    #[test]
    fn calls_name_their_resources() {
        let calls = demands("", "").calls("aws-cn");
        let resources: Vec<&str> = calls.iter().map(|call| call.resource.as_str()).collect();
        insta::assert_snapshot!(resources.join("\n"), @r"
        arn:aws-cn:cloudformation:eu-central-1:111122223333:stack/ductwork-dev/00000000-0000-0000-0000-000000000000
        *
        arn:aws-cn:s3:::ductwork-111122223333-eu-central-1
        arn:aws-cn:s3:::ductwork-111122223333-eu-central-1/environments/dev/current.json
        arn:aws-cn:secretsmanager:eu-central-1:111122223333:secret:ductwork/dev/login/google-AbCdEf
        arn:aws-cn:secretsmanager:eu-central-1:111122223333:secret:ductwork/dev/platform/admin-AbCdEf
        arn:aws-cn:rds:eu-central-1:111122223333:snapshot:ductwork-dev-0123456789ab
        *
        arn:aws-cn:codedeploy:eu-central-1:111122223333:deploymentgroup:ductwork-dev/scheduler
        *
        arn:aws-cn:autoscaling:eu-central-1:111122223333:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/ductwork-dev-Worker
        arn:aws-cn:ssm:eu-central-1::parameter/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64
        ");
    }

    #[test]
    fn a_database_of_ones_own_is_not_saved_by_rds() {
        let asks = |demands: Demands| {
            demands.calls("aws").iter().any(|call| call.actions.contains(&"rds:CreateDBSnapshot"))
        };
        assert!(asks(demands("", "")));
        let own = "[database]\nengine = 'existing'\nurl_secret = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:u-AbCdEf'\n";
        assert!(!asks(demands("", own)));
    }

    #[test]
    fn an_address_for_each_nat_gateway() {
        let nat = |nat: &str| {
            let network = format!("[network]\nzones = 3\nnat = '{nat}'\n");
            demands("load_balancer = 'internal'", &network).addresses
        };
        assert_eq!((nat("none"), nat("single"), nat("per_zone")), (0, 1, 3));
    }
}
