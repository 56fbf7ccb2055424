//! Stands between the tool and the local cloud, and decides which of the tool's calls go wrong, and how.

use crate::fault::Fault;
use crate::operation::{Kind, Operation};
use crate::support::project::Project;
use crate::support::proxy::{Fate, Proxy, Request};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub enum Mode {
    #[default]
    Nothing,
    /// The first of equal requests, each with another of these: a repetition works.
    Once(Vec<Fault>),
    /// A call of each operation in this way, and all that follow.
    Always(Cell),
}

/// A cell of the matrix whose fault does not pass.
#[derive(Clone, Debug)]
pub struct Cell {
    pub operation: Operation,
    /// Credentials that have expired are so for all other operations, too.
    pub fault: Fault,
    /// The operation that has to come first, by name.
    pub after: Option<&'static str>,
}

/// How long a fault stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    Passing,
    Lasting,
}

/// What was done to how many calls.
pub type Done = BTreeMap<(Operation, Fault, Span), usize>;

#[derive(Default)]
struct State {
    mode: Mode,
    seen: HashSet<u64>,
    /// Which of the faults is next, by operation.
    next: BTreeMap<Operation, usize>,
    /// A hanging call takes seconds: one for each kind of call of a service.
    hung: BTreeSet<(String, Kind)>,
    /// The operation that the cell waits for has been called.
    begun: bool,
    expired: bool,
    /// Calls since the mode was set.
    calls: BTreeMap<Operation, usize>,
    /// Faults since the mode was set.
    hits: usize,
    done: Done,
}

#[derive(Clone)]
pub struct Injector(Arc<Mutex<State>>);

impl Injector {
    /// Puts it before the running cloud of a project, which the tool finds by its file.
    pub fn before(project: &Project) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let file = ".ductwork/local/cloud.json";
        let mut cloud: Value = serde_json::from_str(&project.read(file)).unwrap();
        let port = u16::try_from(cloud["port"].as_u64().unwrap()).unwrap();
        let decides = state.clone();
        let proxy = Proxy::judging(port, move |request| decides.lock().unwrap().decide(request));
        cloud["endpoint"] = format!("http://127.0.0.1:{}", proxy.port).into();
        project.write(file, &cloud.to_string());
        Self(state)
    }

    pub fn set(&self, mode: Mode) {
        let mut state = self.0.lock().unwrap();
        let done = std::mem::take(&mut state.done);
        let (hung, next) = (std::mem::take(&mut state.hung), std::mem::take(&mut state.next));
        *state = State { mode, done, hung, next, ..State::default() };
    }

    /// Whether something goes wrong, and whether answers may never come.
    pub fn mode(&self) -> (bool, bool) {
        match &self.0.lock().unwrap().mode {
            Mode::Nothing => (false, false),
            Mode::Once(faults) => (true, faults.contains(&Fault::Hang)),
            Mode::Always(cell) => (true, cell.fault == Fault::Hang),
        }
    }

    /// The operations of all calls since the mode was set.
    pub fn calls(&self) -> BTreeMap<Operation, usize> {
        self.0.lock().unwrap().calls.clone()
    }

    /// Faults since the mode was set.
    pub fn hits(&self) -> usize {
        self.0.lock().unwrap().hits
    }

    /// Everything that was done so far.
    pub fn done(&self) -> Done {
        self.0.lock().unwrap().done.clone()
    }
}

impl State {
    fn decide(&mut self, request: &Request) -> Fate {
        let Some(operation) = Operation::of(request) else { return Fate::Pass };
        *self.calls.entry(operation.clone()).or_default() += 1;
        let (fault, span) = match self.mode.clone() {
            Mode::Nothing => (None, Span::Passing),
            Mode::Once(faults) => (self.once(request, &operation, &faults), Span::Passing),
            Mode::Always(cell) => (self.always(&operation, &cell), Span::Lasting),
        };
        let Some((fault, fate)) = fault.and_then(|fault| Some((fault, fault.fate(&operation)?))) else {
            return Fate::Pass;
        };
        self.hits += 1;
        *self.done.entry((operation, fault, span)).or_default() += 1;
        fate
    }

    fn always(&mut self, operation: &Operation, cell: &Cell) -> Option<Fault> {
        let waits = cell.after.is_some() && !self.begun;
        self.begun |= cell.after == Some(operation.name.as_str());
        let hits = !waits && cell.operation == *operation;
        self.expired |= hits && cell.fault == Fault::Expired;
        (hits || self.expired).then_some(cell.fault)
    }

    fn once(&mut self, request: &Request, operation: &Operation, faults: &[Fault]) -> Option<Fault> {
        let mut hasher = DefaultHasher::new();
        (request.line(), &request.body).hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            return None;
        }
        let several = faults.len() > 1;
        // Waiting for the answer to each of hundreds of calls tells nothing more than for one of each operation.
        let hung = || self.done.contains_key(&(operation.clone(), Fault::Hang, Span::Passing));
        if faults == [Fault::Hang] && hung() {
            return None;
        }
        let mut possible = faults.to_vec();
        possible.retain(|fault| fault.fate(operation).is_some());
        if several && self.hung.contains(&(operation.service.clone(), operation.kind)) {
            possible.retain(|fault| *fault != Fault::Hang);
        }
        let next = self.next.entry(operation.clone()).or_default();
        let fault = *possible.get(*next % possible.len().max(1))?;
        *next += 1;
        if fault == Fault::Hang {
            self.hung.insert((operation.service.clone(), operation.kind));
        }
        Some(fault)
    }
}
