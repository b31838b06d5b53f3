//! What processes cost, as the kernel accounts for it.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The kernel counts CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// What a whole process took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// From its start to its end.
    pub wall: Duration,
    /// User and system time of all its threads and children.
    pub cpu: Duration,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> io::Result<Cost> {
    let before = Times::of("self")?;
    let started = Instant::now();
    let output =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    let wall = started.elapsed();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{command:?}: {}\n{said}", output.status)));
    }
    // The server's processes are children too, but their times count once they have ended.
    Ok(Cost { wall, cpu: Times::of("self")?.ended_children - before.ended_children })
}

/// The CPU time of a process, of the children it has now and of those it had.
pub fn cpu_of_tree(pid: u32) -> io::Result<Duration> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let own = Times::of(&pid.to_string())?;
    // One that ends meanwhile is among those it had.
    let now = children.split_whitespace().filter_map(|child| Times::of(child).ok());
    Ok(own.own + own.ended_children + now.map(|times| times.own).sum::<Duration>())
}

/// How many children a process has now.
pub fn children(pid: u32) -> io::Result<usize> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().count())
}

/// What a process's `/proc/PID/status` says under this name, in kB.
pub fn memory_kb(pid: u32, name: &str) -> io::Result<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kilobytes.ok_or_else(|| io::Error::other("the process has no memory"))
}

/// What `/proc/PID/stat` says.
struct Times {
    own: Duration,
    ended_children: Duration,
}

impl Times {
    fn of(process: &str) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The second field is a name in brackets, which may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| -> u32 {
            fields.get(index).and_then(|field| field.parse().ok()).unwrap_or_default()
        };
        Ok(Self {
            own: TICK * (ticks(11) + ticks(12)),
            ended_children: TICK * (ticks(13) + ticks(14)),
        })
    }
}
