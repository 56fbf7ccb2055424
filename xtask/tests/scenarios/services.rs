//! Services of ECS and their tasks: what runs, how many, on what, at which price, and with which rights.

use super::Stage;
use crate::all;
use crate::cloud::Cloud;

pub fn smallest(_: &Stage, made: &Cloud) {
    all!(made.none(&["groups"]));
}
pub fn highly_available(_: &Stage, made: &Cloud) {
    all!(made.none(&["groups"]));
}
pub fn everything(_: &Stage, made: &Cloud) {
    std::fs::write("/tmp/h-scen-tmp/everything.json", made.dump()).unwrap();
    all!(made.none(&["groups"]));
}
pub fn without_workers(made: &Cloud) {
    all!(made.none(&["groups"]));
}
