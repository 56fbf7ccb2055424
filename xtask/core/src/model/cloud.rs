//! Whose cloud an environment is in: a fact of its file, never guessed from an address.

/// The cloud of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    Aws,
    /// The one on this machine. It takes any credentials and routes no packets: Airflow is reached at the
    /// loopback address.
    Local,
}
