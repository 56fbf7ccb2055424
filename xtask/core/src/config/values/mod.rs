//! Values that have been checked: whoever holds one need not check it again.
//!
//! A `parse` judges a value by its form alone. What only AWS knows (whether a subnet exists, whether an
//! instance type is offered in the region) is not decided here.

mod arn;
mod checked;
mod choice;
mod cidr;
mod cloud;
mod cron;
mod ec2;
mod git;
mod image;
mod people;
mod secret;
mod task;
mod text;
mod worker;

pub use arn::{CertificateArn, HostedZoneId, PolicyArn, SecretArn, Snapshot};
pub use choice::{
    Architecture, BrokerKind, Builder, DatabaseEngine, Executor, Insights, LoadBalancer, LoginMethod, Nat,
    Pace, engine,
};
pub use cidr::{Cidr, VpcCidr};
pub use cloud::{Account, Endpoint, Region};
pub use cron::{Cron, TimeZone};
pub use ec2::{CacheNodeType, Image, InstanceClass, InstanceType, Size, SubnetId, VpcId};
pub use git::{GitKey, GitPath, GitRef, GitUrl, Transport};
pub use image::{BaseImage, Distribution, ForeignImage, ImageRepository, Interpreter, PythonMinor};
pub use people::{Address, Domain, GoogleClientId, Repository, Role};
pub use secret::SecretName;
pub use task::TaskSize;
pub use text::{
    AirflowKey, EnvironmentName, MOST_PARAMETER_BYTES, Package, ProjectName, Url, VariableName, parameter,
    tag,
};
pub use worker::{DocumentPath, FolderPath, Queue, TaskName, WorkerSetName};
