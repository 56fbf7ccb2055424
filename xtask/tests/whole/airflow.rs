//! The tests of what Airflow, its hosts and its tasks run.

use crate::python::pytest;
use xtask::doors::toolchain::Venv;

#[test]
fn its_tests_pass() {
    pytest(Venv::Airflow, "airflow/tests");
}
