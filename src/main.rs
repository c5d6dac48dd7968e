//! The `expurgate` command: a thin shell around [`expurgate::cli`].

fn main() -> std::process::ExitCode {
    expurgate::cli::main()
}
