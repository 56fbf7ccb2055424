//! The binary: hands over to the library and passes its exit code on.

fn main() -> std::process::ExitCode {
    xtask::cli::main()
}
