//! The runner: this program started by the server to run another one, confined, and to end everything that came of it.
//!
//! It is the reaper of all processes below it: even those that left their group or session. Its stdin brings one line
//! for the program; when that pipe ends, because the call was given up or the server is gone, the program does, too.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, Read as _, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getpid, kill_process, set_child_subreaper,
    set_parent_process_death_signal, setrlimit, wait,
};

use super::order::{BECOME, NOT_STARTED, Order, RUN, STOPPED, TOO_MANY_PROCESSES};

/// How often the processes are counted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a program that is asked to end may take (security.md X3).
const GRACE: Duration = Duration::from_secs(2);
/// How long killing may take before the runner gives up.
const KILLING: Duration = Duration::from_secs(2);
/// Files that a process may have open.
const OPEN_FILES: u64 = 64;
/// This program, even when its file was replaced.
const MYSELF: &str = "/proc/self/exe";

/// Becomes a runner, or the program itself, when the command line says so. Gives the exit code to end with; `None` in
/// every other case.
pub fn run_if_asked(mut arguments: impl Iterator<Item = OsString>) -> Option<u8> {
    let word = arguments.nth(1)?;
    let text = arguments.next()?.into_string().ok()?;
    let work = match word.to_str()? {
        RUN => run,
        BECOME => become_it,
        _ => return None,
    };
    Some(match serde_json::from_str(&text) {
        Ok(order) => work(&order),
        Err(_) => NOT_STARTED,
    })
}

enum News {
    Ended(std::io::Result<ExitStatus>),
    Stop,
}

fn run(order: &Order) -> u8 {
    let Ok(text) = serde_json::to_string(order) else {
        return NOT_STARTED;
    };
    if set_child_subreaper(Some(getpid())).is_err() {
        return NOT_STARTED;
    }
    let started = Command::new(MYSELF)
        .arg(BECOME)
        .arg(text)
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        return NOT_STARTED;
    };
    let (tell, news) = mpsc::channel();
    let feed = child.stdin.take();
    let stopping = tell.clone();
    thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut line = Vec::new();
        let _ = input.read_until(b'\n', &mut line);
        if let Some(mut feed) = feed {
            // A program that reads nothing is no failure; closing the pipe is its end of input.
            let _ = feed.write_all(&line);
        }
        let _ = input.read_to_end(&mut Vec::new());
        let _ = stopping.send(News::Stop);
    });
    let id = Pid::from_child(&child);
    thread::spawn(move || {
        let _ = tell.send(News::Ended(child.wait()));
    });
    let code = loop {
        match news.recv_timeout(LOOK_EVERY) {
            Ok(News::Ended(Ok(status))) => break exit_code(status),
            Ok(News::Ended(Err(_))) | Err(RecvTimeoutError::Disconnected) => break NOT_STARTED,
            Ok(News::Stop) => {
                signal_all(Signal::TERM);
                let end = Instant::now() + GRACE;
                while Instant::now() < end && !descendants().is_empty() {
                    if let Ok(News::Ended(_)) = news.recv_timeout(Duration::from_millis(10)) {
                        break;
                    }
                }
                break STOPPED;
            }
            Err(RecvTimeoutError::Timeout) => {
                if descendants().len() as u64 > order.processes {
                    let _ = kill_process(id, Signal::KILL);
                    break TOO_MANY_PROCESSES;
                }
            }
        }
    };
    kill_all();
    code
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Kills until nobody is left: whoever was forked in between is found by the next look.
fn kill_all() {
    let end = Instant::now() + KILLING;
    while Instant::now() < end {
        let left = signal_all(Signal::KILL);
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        if left == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn signal_all(signal: Signal) -> usize {
    let found = descendants();
    for id in &found {
        let _ = kill_process(*id, signal);
    }
    found.len()
}

/// Every process below this one that still runs, found by who its parent is: a process whose parent ended has this one
/// as its parent.
fn descendants() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<(i32, i32)> = entries
        .filter_map(|entry| {
            let id: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // State and parent stand behind the name, which may hold anything in its parentheses.
            let mut fields = stat.rsplit(") ").next()?.split_ascii_whitespace();
            let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
            // One that has ended only waits to be reaped.
            (!matches!(state, "Z" | "X")).then_some((id, parent))
        })
        .collect();
    let mut found = Vec::new();
    let mut parents = vec![getpid().as_raw_nonzero().get()];
    while let Some(parent) = parents.pop() {
        for (id, _) in all.iter().filter(|(_, of)| *of == parent) {
            parents.push(*id);
            found.extend(Pid::from_raw(*id));
        }
    }
    found
}

/// Takes the limits on itself and becomes the program.
fn become_it(order: &Order) -> u8 {
    let Some((program, arguments)) = order.argv.split_first() else {
        return NOT_STARTED;
    };
    if let Err(error) = confine(order) {
        eprintln!("failed to confine the program: {error}");
        return NOT_STARTED;
    }
    let error = Command::new(program).args(arguments).exec();
    eprintln!("failed to start the program: {error}");
    NOT_STARTED
}

fn confine(order: &Order) -> rustix::io::Result<()> {
    // Should the runner be killed, the program is.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    // What whoever started the server left open is not the program's either.
    close_fds::set_fds_cloexec(3, &[]);
    let limits = [
        (Resource::Core, 0),
        (Resource::Cpu, order.cpu_seconds),
        (Resource::Fsize, order.file_bytes),
        (Resource::Nofile, OPEN_FILES),
        // Counted for the user, whatever else of theirs runs.
        (Resource::Nproc, tasks_of_this_user() + order.processes),
        (Resource::As, order.memory_bytes),
    ];
    for (resource, most) in limits {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

fn tasks_of_this_user() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(own) = fs::metadata("/proc/self").map(|own| own.uid()) else {
        return 0;
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let tasks = processes
        .filter(|entry| entry.metadata().is_ok_and(|found| found.uid() == own))
        .map(|entry| fs::read_dir(entry.path().join("task")).map_or(0, |tasks| tasks.count() as u64));
    tasks.sum()
}
