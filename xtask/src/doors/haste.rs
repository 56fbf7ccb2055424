//! How long AWS is waited for: what the code says, or less in tests of what goes wrong.

use super::env;
use std::time::Duration;

/// Even a test gives an answer so long: its machine may be busy.
const LEAST: Duration = Duration::from_secs(3);

/// Before a request is repeated, or a look at what goes on in vain is given up.
pub(crate) fn pause(usual: Duration) -> Duration {
    usual / env::haste()
}

/// For the answer to a request.
pub(crate) fn patience(usual: Duration) -> Duration {
    (usual / env::impatience()).max(LEAST.min(usual))
}
