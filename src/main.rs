//! The binary: everything is in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One crypto provider for every TLS connection of the process; a second installation cannot happen here.
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    beckon::cli::run()
}
