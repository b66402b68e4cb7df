//! The `keyscape` binary: arguments in, exit code out.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use keyscape::app::{self, AppError, EXIT_USAGE};
use keyscape::cli::{Check, Cli, Serve, Verb};
use keyscape::config::Config;
use keyscape::{analyze, check};

// The model is millions of small blocks that come and go; jemalloc keeps them tight and counts them.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            // Nothing is left to do if the terminal is gone.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let done = match cli.verb {
        Verb::Serve(flags) => serve(flags),
        Verb::Check(flags) => check(flags),
        Verb::Analyze(flags) => {
            analyze::analyze(&flags, &mut std::io::stdout().lock()).map(|()| ExitCode::SUCCESS)
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "{}", app::complaint(&error)));
            error.exit()
        }
    }
}

fn serve(flags: Serve) -> Result<ExitCode, AppError> {
    let raw = app::serve_settings(flags)?;
    app::start_logging(&raw)?;
    let config = Config::from_raw(raw)?;
    // Memory of a replaced model goes back to the system without waiting for the next allocation.
    let _ = tikv_jemalloc_ctl::background_thread::write(true);
    runtime()?.block_on(app::serve(config))?;
    Ok(ExitCode::SUCCESS)
}

fn check(flags: Check) -> Result<ExitCode, AppError> {
    let mut raw = app::settings(&flags.common)?;
    raw.sources = vec![flags.source];
    if let Some(follow) = flags.follow {
        raw.follow = follow;
    }
    app::start_logging(&raw)?;
    let config = Config::from_raw(raw)?;
    let mut out = std::io::stdout();
    let works = runtime()?.block_on(check::check(&config, &mut out));
    let works = works.map_err(|e| AppError::Process("cannot print", e))?;
    Ok(if works {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| AppError::Process("cannot start the runtime", e))
}
