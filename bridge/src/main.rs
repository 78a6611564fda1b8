//! `footbridge`: carries MCP between a client that speaks stdio and a Streamable HTTP server.
//!
//! In reading order: [`options`] (what we are told) with [`brand`] and [`key`], [`stdio`] (the host's lines), [`forward`] (the
//! loop and the table of requests in flight), [`exchange`] (one request from POST to answer), [`relay`] (what a message of the
//! server is), [`tools`] and [`legacy`] (the little that is remembered, one file per era), [`probe`] and [`cross`] (a server of
//! another era than the host's), [`upstream`] (connections and HTTP), `sign_in` and [`challenge`] (OAuth), [`alarm`],
//! [`pause`] and [`seconds`] (time), [`buffering`] (what time shows of the way), [`error`] and [`diagnosis`] (what the host reads when something fails), [`log`] (what stderr reads).
//! Beside the way of a message: `clients` and `setup` (the configuration of assistants), `doctor` (every step checked).

mod alarm;
mod brand;
mod buffering;
mod challenge;
#[cfg(feature = "setup")]
mod clients;
mod cross;
mod diagnosis;
#[cfg(feature = "setup")]
mod doctor;
mod error;
mod exchange;
mod forward;
#[cfg(test)]
mod golden;
mod key;
mod legacy;
mod log;
mod options;
mod pause;
mod probe;
mod relay;
mod seconds;
#[cfg(feature = "setup")]
mod setup;
#[cfg(feature = "sign-in")]
mod sign_in;
mod stdio;
mod tools;
mod upstream;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use alarm::Alarm;
use cross::down::Down;
use diagnosis::Diagnosis;
use error::BridgeError;
use exchange::Shared;
use forward::{Forward, Until};
use legacy::Legacy;
use options::{Command, KeySource, OptionError, Settings, URL_VARIABLE};
use probe::Probe;
use stdio::{Input, Output, Writer};
use tokio::sync::{SetOnce, mpsc};
use tools::ToolHeaders;
use upstream::{Dialer, Endpoint, Limits, Upstream, bearer};

/// musl's own allocator maps and unmaps pages for every buffer of kilobytes, which is a third of the time of a listing.
#[cfg(all(target_env = "musl", feature = "mimalloc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
#[cfg(all(target_env = "musl", not(feature = "mimalloc")))]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What requests in flight get after the host has closed its end (protocol.md B-05).
const GRACE: Duration = Duration::from_secs(2);
/// What they get after a signal: supervisors kill soon.
const SIGNAL_GRACE: Duration = Duration::from_millis(300);
/// What the last lines get to be written when the host reads slowly.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);
/// Reasons to end that are noted before anybody looks. The first is acted on, and a signal after it.
const ENDS: usize = 4;
/// Longest line accepted while nothing is configured.
const UNCONFIGURED_MESSAGE_BYTES: usize = 1 << 20;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        // The message of a panic may quote a body; its place cannot.
        let place = info.location().map_or_else(String::new, ToString::to_string);
        log::warn(format_args!("internal error at {place}; please report it"));
        // Where a panic ends the process (`[profile.bridge]`), nobody says this later.
        log::flush();
    }));
    keep_out_of_core_dumps();
    let command = options::read(std::env::args_os().skip(1), |name| std::env::var_os(name));
    let settings = command.as_ref().ok().and_then(Command::settings);
    if let Some(variable) = settings.and_then(|settings| settings.key_variable) {
        key::settle(variable);
    }
    let settings = match command {
        Ok(Command::Help(verb)) => return print(&options::help(verb)),
        #[cfg(feature = "setup")]
        Ok(Command::Doctor {
            settings,
            client,
            json,
        }) => return doctor::run(*settings, client.as_deref(), json),
        #[cfg(feature = "sign-in")]
        Ok(Command::Login(settings)) => return sign_in::login(*settings, connection),
        #[cfg(feature = "sign-in")]
        Ok(Command::Logout(settings)) => return sign_in::logout(*settings, connection),
        Ok(Command::Version) => return print(&options::version()),
        Ok(Command::Connect(settings)) => Ok(*settings),
        #[cfg(feature = "setup")]
        Ok(Command::Setup(settings, options)) => return setup::run(&settings, &options),
        Err(error @ OptionError::CommandLine(_)) => {
            let _ = writeln!(std::io::stderr(), "{}: {error}", brand::NAME);
            return ExitCode::from(2);
        }
        Err(error @ OptionError::Value { .. }) => Err(BridgeError::no_connection(error.to_string())),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            log::warn(format_args!("the event loop cannot be started: {error}"));
            log::flush();
            return ExitCode::FAILURE;
        }
    };
    // In a task of its own: each wake-up of the future that the runtime blocks on costs one more look at the reactor.
    let outcome = runtime
        .block_on(async { tokio::spawn(bridge(settings)).await })
        .unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
    // A thread that still waits for a terminal or a name server must not hold the process.
    runtime.shutdown_background();
    if let Err(error) = &outcome {
        log::warn(format_args!("stopped: {error}"));
    }
    log::flush();
    if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Memory holds the key: no core dump of it, and no other process of this user reads it (security.md B9).
fn keep_out_of_core_dumps() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        log::debug(format_args!("core dumps cannot be switched off: {error}"));
    }
}

/// Runs until the host or a signal ends it.
async fn bridge(settings: Result<Settings, BridgeError>) -> std::io::Result<()> {
    let message_bytes = settings
        .as_ref()
        .map_or(UNCONFIGURED_MESSAGE_BYTES, |settings| settings.message_bytes);
    // Each of these waits in a task of its own: what hardly ever happens is not asked about at every message.
    let (end, mut ends) = mpsc::channel(ENDS);
    let signals = Signals::new()?;
    tokio::spawn(signals.report(end.clone()));
    let (output, writer) = Writer::open()?;
    let mut input = Input::open(message_bytes)?;
    let host = end.clone();
    let writing = tokio::spawn(async move {
        let written = writer.run().await;
        let _ = host.try_send(End::HostGone);
        written
    });
    let mut outcome = Ok(());
    match settings.and_then(|settings| prepare(settings, output.clone())) {
        Ok((shared, in_flight)) => {
            let shared = Arc::new(shared);
            let mut forward = Forward::new(Arc::clone(&shared), in_flight);
            tokio::spawn(async move {
                let error = shared.stop.wait().await;
                let _ = end.try_send(End::Stopped(error.message().to_owned()));
            });
            let grace = tokio::select! {
                biased;
                () = forward.run(&mut input) => GRACE,
                end = ends.recv() => match end {
                    Some(End::HostGone) => Duration::ZERO,
                    Some(End::Stopped(reason)) => {
                        outcome = Err(std::io::Error::other(reason));
                        SIGNAL_GRACE
                    }
                    Some(End::Signal) | None => SIGNAL_GRACE,
                },
            };
            let signal = async { while !matches!(ends.recv().await, Some(End::Signal) | None) {} };
            tokio::select! {
                () = forward.finish(grace) => {}
                () = signal => {}
            }
        }
        Err(error) => {
            log::warn(format_args!("{}", error.message()));
            // The environment of this process will never have the key. A client whose server ends shows what it said.
            let until = if error.diagnosis() == Some(Diagnosis::KeyMissing) {
                outcome = Err(std::io::Error::other("there is no key"));
                Until::FirstRequest
            } else {
                Until::HostEnds
            };
            tokio::select! {
                () = forward::refuse_all(&mut input, &output, &error, until) => {}
                _ = ends.recv() => {}
            }
        }
    }
    let last_lines = async {
        output.end().await;
        if !writing.is_finished() {
            let _ = writing.await;
        }
    };
    let _ = tokio::time::timeout(FLUSH_LIMIT, last_lines).await;
    outcome
}

/// What ends the bridge, besides the end of what the host says.
enum End {
    Signal,
    /// The host has closed its end of our stdout.
    HostGone,
    /// This host cannot be served any longer: why.
    Stopped(String),
}

/// Makes everything the exchanges share, or says what has to be corrected first.
fn prepare(mut settings: Settings, output: Output) -> Result<(Shared, usize), BridgeError> {
    log::set_level(settings.level);
    let (endpoint, dialer) = connection(&mut settings)?;
    let key = match settings.key {
        KeySource::None if settings.key_variable.is_some() => {
            return Err(key::not_there(std::env::vars_os().count()));
        }
        KeySource::None => None,
        KeySource::Value(key) => Some(key::examine(key.expose(), &endpoint.origin())?),
        KeySource::File(path) => Some(key::read(&path, &endpoint.origin())?),
    };
    if let Some(remark) = key.as_ref().and_then(|key| key.remark.as_ref()) {
        log::warn(format_args!("{remark}"));
    }
    let key = key.map(|key| bearer(key.secret.expose())).transpose()?;
    let alarm = Alarm::start();
    let limits = Limits {
        response: settings.response_limit,
        alarm: alarm.clone(),
    };
    #[cfg(feature = "sign-in")]
    let sign_in =
        (key.is_none() && settings.sign_in.mode != options::SignInMode::Never && endpoint.socket.is_none())
            .then(|| sign_in::SignIn::new(endpoint.clone(), Arc::clone(&dialer), settings.sign_in))
            .transpose()?;
    let upstream = Upstream::new(endpoint, dialer, key, limits);
    #[cfg(feature = "sign-in")]
    let upstream = upstream.with_sign_in(sign_in);
    upstream.warm_up();
    let shared = Shared {
        upstream,
        output,
        legacy: Legacy::default(),
        down: Down::default(),
        probe: Probe::new(settings.upstream),
        up: settings.translate.then(Arc::default),
        tools: ToolHeaders::default(),
        alarm,
        buffering: Arc::default(),
        call_limit: settings.call_limit,
        message_bytes: settings.message_bytes,
        stop: SetOnce::new(),
    };
    Ok((shared, settings.in_flight))
}

/// Where the server is and what connections are made with, which is taken out of the settings; or what has to be corrected first.
fn connection(settings: &mut Settings) -> Result<(Endpoint, Arc<Dialer>), BridgeError> {
    let Some(url) = &settings.url else {
        return Err(BridgeError::no_connection(format!(
            "{URL_VARIABLE} is not set. Clients do not pass your shell's variables on; put it in the entry's `env`, or run \
             `{} setup`",
            brand::NAME
        ))
        .diagnosed(Diagnosis::UrlMissing));
    };
    let endpoint = Endpoint::parse(url, settings.allow_http)
        .map_err(|error| BridgeError::no_connection(error.to_string()).diagnosed(error.diagnosis()))?;
    let way = std::mem::take(&mut settings.way);
    let dialer = Arc::new(Dialer::new(way, &endpoint, settings.connect_limit));
    Ok((endpoint, dialer))
}

fn print(text: &str) -> ExitCode {
    if std::io::stdout().write_all(text.as_bytes()).is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The signals that ask for an end.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        #[cfg(unix)]
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Tells of each one.
    async fn report(mut self, ends: mpsc::Sender<End>) {
        loop {
            self.next().await;
            let _ = ends.try_send(End::Signal);
        }
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
