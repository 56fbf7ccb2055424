//! An environment file as it is written: every key optional, no defaults, nothing checked but types.

use super::document::{self, Table, Written};
use super::problems::{Location, Problems, Reported};
use crate::model::contract::CONTRACT;

pub type Text = Option<Written<String>>;
pub type Texts = Option<Written<Vec<String>>>;
pub type Number = Option<Written<i64>>;
pub type Fraction = Option<Written<f64>>;
pub type Boolean = Option<Written<bool>>;
/// Keys that the user chooses, their values as text.
pub type Free = Vec<(String, Written<String>)>;
/// Tables that the user names; the default worker set is always among them.
pub type Sets = Vec<(Written<String>, Worker)>;

/// Tables of external tasks, which the user names; there may be none.
#[derive(Debug, Default)]
pub struct ExternalTasks(pub Vec<(Written<String>, ExternalTask)>);

/// A text that may look like an integer.
#[derive(Debug, Default)]
pub struct Word(pub Text);

/// What a key holds, how it is read, and where it is written.
trait Key {
    fn read(table: &mut Table, key: &str) -> Self;
    fn written(&self, see: &mut dyn FnMut(&Location));
}

macro_rules! key {
    ($($kind:ty: $read:expr, $written:expr);* $(;)?) => {$(
        impl Key for $kind {
            fn read(table: &mut Table, key: &str) -> Self {
                $read(table, key)
            }

            fn written(&self, see: &mut dyn FnMut(&Location)) {
                let locations: fn(&Self) -> Vec<&Location> = $written;
                locations(self).into_iter().for_each(see);
            }
        }
    )*};
}

key! {
    Text: Table::string, one;
    Texts: Table::strings, one;
    Number: Table::integer, one;
    Fraction: Table::fraction, one;
    Boolean: Table::boolean, one;
    Free: Table::free, |free| free.iter().map(|(_, value)| &value.location).collect();
    Word: |table: &mut Table, key: &str| Word(table.word(key)), |word| one(&word.0);
}

fn one<T>(written: &Option<Written<T>>) -> Vec<&Location> {
    written.iter().map(|written| &written.location).collect()
}

impl Key for Sets {
    fn read(table: &mut Table, key: &str) -> Self {
        table.named(key, &CONTRACT.worker_set.default, Worker::keys)
    }

    fn written(&self, see: &mut dyn FnMut(&Location)) {
        self.iter().for_each(|(_, worker)| worker.written(see));
    }
}

/// Stands for the name of any external task where keys are listed.
const ANY_TASK: &str = "NAME";

impl Key for ExternalTasks {
    fn read(table: &mut Table, key: &str) -> Self {
        let mut all = table.named(key, ANY_TASK, ExternalTask::keys);
        all.retain(|(name, _)| name.location.line.is_some());
        Self(all)
    }

    fn written(&self, see: &mut dyn FnMut(&Location)) {
        // One that is out of place is told once, not with each of its keys.
        self.0.iter().for_each(|(name, _)| see(&name.location));
    }
}

/// A key that is a word of Rust, too, has a prefix there.
fn plain(key: &'static str) -> &'static str {
    key.trim_start_matches("r#")
}

/// Declares the tables of the file: each key once, with what it holds, and where the keys of earlier
/// versions have moved.
macro_rules! tables {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($key:ident: $kind:ty),* $(,)? } $(=> moved { $($old:ident to $new:literal: $cure:literal),* })?
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $(pub $key: $kind,)*
        }

        impl $name {
            fn keys(table: &mut Table) -> Self {
                $($(table.moved(stringify!($old), $new, $cure);)*)?
                Self { $($key: Key::read(table, plain(stringify!($key))),)* }
            }
        }

        impl Key for $name {
            fn read(table: &mut Table, key: &str) -> Self {
                table.table(key, Self::keys)
            }

            fn written(&self, see: &mut dyn FnMut(&Location)) {
                $(self.$key.written(see);)*
            }
        }
    )*};
}

tables! {
    File {
        project: Text,
        team: Text,
        engine: Text,
        executors: Texts,
        protected: Boolean,
        high_availability: Boolean,
        aws: Aws,
        airflow: Airflow,
        dags: Dags,
        env: Free,
        network: Network,
        entry: Entry,
        database: Database,
        broker: Broker,
        files: Files,
        backup: Backup,
        hosts: Hosts,
        cluster: Cluster,
        services: Services,
        ecs_executor: EcsExecutor,
        workers: Sets,
        tasks: ExternalTasks,
        image: Image,
        schedule: Schedule,
        logs: Logs,
        alerts: Alerts,
        audit: Audit,
        login: Login,
        mail: Mail,
        github: GitHub,
        additional: Additional,
        release: Release,
        tags: Free,
    }

    Release {
        bake_minutes: Number,
        canary_minutes: Number,
        from: Text,
        min_age_hours: Number,
        tag: Text,
        confirm: Text,
    }

    Aws { account: Text, region: Text, endpoint: Text }

    Airflow { url: Text, port: Number, load_examples: Boolean, load_default_connections: Boolean, config: Free }

    Dags { parse_timeout_seconds: Number, refresh_interval_seconds: Number, git: GitDags }

    GitDags { url: Text, r#ref: Text, path: Text, key: Text }

    Network {
        vpc_cidr: Text,
        zones: Number,
        nat: Text,
        interface_endpoints: Boolean,
        flow_logs: Boolean,
        vpc_id: Text,
        subnet_ids: Texts,
        public_subnet_ids: Texts,
    } => moved { allowed_cidr to "entry.allowed_cidrs": "write `allowed_cidrs = [\"…\"]` under `[entry]`" }

    Entry {
        load_balancer: Text,
        allowed_cidrs: Texts,
        certificate_arn: Text,
        hosted_zone_id: Text,
        access_logs: Boolean,
        firewall: Boolean,
    }

    Database {
        engine: Text,
        version: Word,
        instance_class: Text,
        storage_gib: Number,
        max_storage_gib: Number,
        backup_days: Number,
        multi_az: Boolean,
        min_capacity: Fraction,
        max_capacity: Fraction,
        snapshot: Text,
        url_secret: Text,
    }

    Broker { kind: Text, node_type: Text, replicas: Number, image: Text, flower: Boolean }

    Files { shared: Boolean }

    Backup { retention_days: Number }

    Hosts {
        architecture: Text,
        image: Text,
        image_parameter: Text,
        packages: Texts,
        drain_minutes: Number,
        api_server: ApiServer,
        scheduler: HostGroup,
    }
    => moved { worker to "workers.default": "rename the table to `[workers.default]`; its keys are the same" }

    ApiServer {
        on_scheduler: Boolean,
        instance_type: Text,
        count: Number,
        volume_gib: Number,
        managed_policies: Texts,
        policies: Texts,
    }

    /// Hosts whose number is fixed.
    HostGroup { instance_type: Text, count: Number, volume_gib: Number, managed_policies: Texts, policies: Texts }

    Cluster {
        insights: Text,
        managed: Boolean,
        instance_type: Text,
        more_instance_types: Texts,
        min: Number,
        max: Number,
        spot_percent: Number,
        volume_gib: Number,
    }

    Services { api_server: ApiService, scheduler: Service, dag_processor: Service, triggerer: Service }

    ApiService {
        cpu: Number,
        memory: Number,
        count: Number,
        max_count: Number,
        managed_policies: Texts,
        policies: Texts,
    }

    /// Tasks whose number is fixed.
    Service { cpu: Number, memory: Number, count: Number, managed_policies: Texts, policies: Texts }

    /// Tasks of Airflow that are tasks of ECS.
    EcsExecutor { cpu: Number, memory: Number, managed_policies: Texts, policies: Texts }

    Worker {
        instance_type: Text,
        more_instance_types: Texts,
        cpu: Number,
        memory: Number,
        ephemeral_gib: Number,
        spot_percent: Number,
        on_demand_base: Number,
        min: Number,
        max: Number,
        volume_gib: Number,
        concurrency: Number,
        queue: Text,
        on_scheduler: Boolean,
        growth_threshold: Fraction,
        shrink_threshold: Fraction,
        shrink_after_minutes: Number,
        rollout: Text,
        managed_policies: Texts,
        policies: Texts,
    }

    ExternalTask {
        image: Text,
        folder: Text,
        cpu: Number,
        memory: Number,
        command: Texts,
        environment: Free,
        files: Boolean,
        managed_policies: Texts,
        policies: Texts,
    }

    Image {
        base: Text,
        python: Word,
        interpreter: Text,
        architectures: Texts,
        repository: Text,
        packages: Texts,
        compile: Texts,
        build_packages: Texts,
        builder: Text,
        deploy: Boolean,
    }

    Schedule { sleep: Text, wake: Text, time_zone: Text }

    Logs { retention_days: Number, service_retention_days: Number, archive: Boolean }

    Alerts { email: Text, budget_usd: Number }

    Audit { trail: Boolean }

    Login {
        method: Text,
        google_client_id: Text,
        google_domain: Text,
        admins: Texts,
        default_role: Text,
        service_role: Text,
        roles: Free,
    }

    Mail { host: Text, port: Number, starttls: Boolean, ssl: Boolean, from: Text }

    GitHub { repository: Text, create_provider: Boolean }

    Additional { templates: Text, parameters: Free }
}

impl File {
    /// Reads what fits and reports what does not.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn parse(text: &str, problems: &mut Problems) -> Result<Self, Reported> {
        document::read(text, problems, Self::keys)
    }

    /// Where each key is that the file has.
    #[must_use]
    pub fn locations(&self) -> Vec<Location> {
        let mut found = Vec::new();
        self.written(&mut |location| found.push(location.clone()));
        found
    }
}

/// Every key that an environment file may have, dotted. `airflow.config`, `tags` and the like stand for
/// tables of keys that the user chooses, `workers.default` for every worker set.
#[must_use]
pub fn keys() -> Vec<String> {
    document::keys_of(File::keys)
}
