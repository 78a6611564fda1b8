//! Processes under measurement: started on a chosen core, read through `/proc`, ended without leftovers.

use crate::wire::Failure;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A child that does not outlive its guard.
pub(crate) struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts `command`, its stderr going to `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, Failure> {
        let log_file = File::create(log).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log_file.try_clone()?)
            .stderr(log_file)
            .spawn()
            .map_err(|e| format!("cannot start {name}: {e}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
        })
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when the process has ended on its own.
    pub(crate) fn alive(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("{} ended early: {status}", self.name).into()),
        }
    }

    /// Ends the process with SIGKILL, as a crash would, and waits until it is gone.
    pub(crate) fn kill(mut self) -> Result<(), Failure> {
        self.alive()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the process to end and waits; kills it after ten seconds.
    pub(crate) fn stop(self) {
        // How it ended is of no interest here.
        let _ = self.end();
    }

    /// Asks the process to end, which it must do in ten seconds and with success.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        terminate(self.child.id());
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("{} ended with {status}", self.name).into()),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        // Drop kills what is left.
        Err(format!("{} did not end in 10 s", self.name).into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends SIGTERM to one process.
pub(crate) fn terminate(pid: u32) {
    // Fails only for a process that is gone, which is what was wanted.
    let _ = kill(raw(pid), Signal::SIGTERM);
}

fn raw(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

/// A command that runs on `core` alone, or anywhere for `None`.
pub(crate) fn pinned(core: Option<usize>, program: impl AsRef<OsStr>) -> Command {
    match core {
        Some(core) => {
            // taskset replaces itself by the program, so the child's id is the program's.
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// The cores of this machine's work: where the side under test runs, and where its load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    /// For the server, or for the bridge with its host.
    pub(crate) tested: Option<usize>,
    /// For the load, or for the stub behind the bridge.
    pub(crate) load: Option<usize>,
}

impl Cores {
    /// Two different cores if there are two and `taskset` is installed.
    pub(crate) fn choose() -> Self {
        let two = std::thread::available_parallelism().is_ok_and(|n| n.get() >= 2);
        let taskset = Command::new("taskset")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok();
        if two && taskset {
            Self {
                tested: Some(0),
                load: Some(1),
            }
        } else {
            Self {
                tested: None,
                load: None,
            }
        }
    }

    /// Whether the two sides are kept apart.
    pub(crate) fn apart(self) -> bool {
        self.tested.is_some()
    }
}

/// CPU time a process has used so far, all its threads, in nanoseconds.
pub(crate) fn cpu_ns(pid: u32) -> Result<u64, Failure> {
    let clock =
        ClockId::pid_cpu_clock_id(raw(pid)).map_err(|e| format!("no CPU clock for process {pid}: {e}"))?;
    let time = clock
        .now()
        .map_err(|e| format!("cannot read the CPU clock of process {pid}: {e}"))?;
    Ok(u64::try_from(time.tv_sec())? * 1_000_000_000 + u64::try_from(time.tv_nsec())?)
}

/// A memory figure of a process.
#[derive(Clone, Copy)]
pub(crate) enum Memory {
    /// Resident now.
    Now,
    /// The part of it that is the process's own: without pages of its program and libraries, which processes share and the
    /// system takes back at need.
    Own,
    /// The most that was ever resident.
    Peak,
}

/// Resident memory of one process in KB.
pub(crate) fn memory_kb(pid: u32, what: Memory) -> Result<u64, Failure> {
    let field = match what {
        Memory::Now => "VmRSS:",
        Memory::Own => "RssAnon:",
        Memory::Peak => "VmHWM:",
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|e| format!("process {pid} is gone: {e}"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kb| kb.parse().ok())
        .ok_or_else(|| format!("/proc/{pid}/status has no {field}").into())
}

/// Raises this process's limit of open files to what is allowed, children inherit it; returns the limit.
pub(crate) fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1024;
    };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        hard
    } else {
        soft
    }
}

/// A port of the loopback nobody listens on right now.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until somebody listens on `port`, for ten seconds at most.
pub(crate) fn wait_for_port(running: &mut Running, port: u16) -> Result<(), Failure> {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        running.alive()?;
        std::thread::sleep(Duration::from_micros(100));
    }
    Err(format!("nobody listens on port {port} after 10 s").into())
}

/// Runs a command of this very program on the load's core and reads the JSON it prints.
pub(crate) fn ask<T: DeserializeOwned>(core: Option<usize>, arguments: &[OsString]) -> Result<T, Failure> {
    let own = std::env::current_exe()?;
    let done = pinned(core, own)
        .args(arguments)
        .stderr(Stdio::piped())
        .output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).trim().to_owned().into());
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// One line about what is going on, on stderr.
pub(crate) fn say(who: &str, text: &str) {
    // Without a terminal to tell, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{who}: {text}");
}

/// Arguments from things of different types.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { vec![$(std::ffi::OsString::from($argument)),*] };
}
pub(crate) use arguments;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_clock_of_this_process_moves_with_its_work() {
        let pid = std::process::id();
        let before = cpu_ns(pid).expect("own clock");
        let mut sum = 0_u64;
        for n in 0..2_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(n));
        }
        assert!(cpu_ns(pid).expect("own clock") > before);
    }

    #[test]
    fn the_peak_is_never_below_the_present() {
        let pid = std::process::id();
        let now = memory_kb(pid, Memory::Now).expect("own status");
        assert!(memory_kb(pid, Memory::Peak).expect("own status") >= now / 2);
        assert!(now > 0);
    }
}
