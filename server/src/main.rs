//! `footbridge-server`: the command line of the server and of whoever operates it.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Connections hold two buffers of 8 KB of which little is ever used. Here they lie among their like, so that what is not
/// used is not in memory; glibc puts them where other things were before.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The server starts itself to run the programs behind tools.
    #[cfg(target_os = "linux")]
    if let Some(code) = footbridge_server::domain::command::run_if_asked(std::env::args_os()) {
        return ExitCode::from(code);
    }
    // A panic ends its request, not the process; its text is for the operator alone.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(tracing::field::display);
        tracing::error!(place, "panicked: {}", panic.payload_as_str().unwrap_or("no text"));
    }));
    let options = cli::Options::parse();
    match cli::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error
                .downcast_ref::<cli::Exit>()
                .map_or(ExitCode::FAILURE, cli::Exit::code);
            // The whole chain on one line: what was wanted, then why it failed.
            eprintln!("footbridge-server: {error:#}");
            code
        }
    }
}
