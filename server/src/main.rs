//! `footbridge-server`: the command line of the server and of whoever operates it.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let options = cli::Options::parse();
    match cli::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The whole chain on one line: what was wanted, then why it failed.
            eprintln!("footbridge-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
