//! What a change set would do to a stack, as a tree: nested stacks hold the changes inside them.

/// One resource that a change set touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Logical ids from the root stack down, joined by `/`: `Database/Instance`.
    pub path: String,
    /// The CloudFormation resource type.
    pub kind: String,
    pub action: ChangeAction,
    pub replacement: Replacement,
    /// What a removal or replacement does to the old resource.
    pub fate: Fate,
    /// What brings the change about, for instance `TemplateURL` or `InstanceType (parameter Size)`.
    pub reasons: Vec<String>,
    pub evidence: Evidence,
    /// The changes inside, where this is a nested stack and the service tells them.
    pub nested: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    Add,
    Modify,
    Remove,
    Import,
    /// Only known while the change set runs.
    Dynamic,
}

impl ChangeAction {
    /// The word in the JSON form.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ChangeAction::Add => "add",
            ChangeAction::Modify => "modify",
            ChangeAction::Remove => "remove",
            ChangeAction::Import => "import",
            ChangeAction::Dynamic => "dynamic",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    Never,
    /// Some changes of the property need it, others do not.
    Maybe,
    Always,
    /// Only if values change that are known while the change set runs; mostly they stay as they are.
    Unknown,
}

/// Whether anything will change at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A value is known to change.
    Known,
    /// Everything that would change it is a value of another resource, not known before the change set runs.
    Unknown,
}

impl Evidence {
    /// The word in the JSON form.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Evidence::Known => "known",
            Evidence::Unknown => "unknown",
        }
    }
}

impl Replacement {
    /// The word in the JSON form.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Replacement::Never => "never",
            Replacement::Maybe => "maybe",
            Replacement::Always => "always",
            Replacement::Unknown => "unknown",
        }
    }
}

/// What happens to the old resource, by its `DeletionPolicy` or `UpdateReplacePolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Deleted,
    /// It stays in the account, outside the stack.
    Retained,
    /// A snapshot of it stays.
    Snapshot,
}

impl Change {
    /// The last part of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// This change and all inside it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Change)) {
        visit(self);
        for change in &self.nested {
            change.walk(visit);
        }
    }

    /// A nested stack whose own changes are listed stands for them and is not counted.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        !self.nested.is_empty()
    }
}

/// All changes of a tree, parents first.
#[must_use]
pub fn flatten(changes: &[Change]) -> Vec<&Change> {
    let mut all = Vec::new();
    for change in changes {
        change.walk(&mut |change| all.push(change));
    }
    all
}

/// What would be done to a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackPreview {
    None,
    /// There is none yet; or no bucket yet to read its templates from.
    Create,
    Update {
        changes: Vec<Change>,
        /// Why changes inside nested stacks cannot be seen; none if they can.
        unseen: Option<String>,
    },
    /// It has to come to rest first, and nobody knows what is to change then: why.
    Unsettled(String),
}
