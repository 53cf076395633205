//! Starts and stops the `kgrcad` installed next to this binary, for `up` and `demo`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::context::{Secret, variable};
use crate::error::{CliError, Result};
use crate::private;

/// How long a daemon may take to shut down.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// A daemon that accepts requests.
pub struct Serving {
    /// URL of its API.
    pub url: String,
    /// Its process ID.
    pub process: u32,
    /// The operator's key.
    pub operator_key: Secret,
}

/// A daemon started by this process.
pub struct Daemon {
    /// Its process.
    pub child: Child,
    /// How to reach it.
    pub serving: Serving,
}

/// The daemon that uses a data directory, if any: it holds the directory's lock.
pub fn running(directory: &Path) -> Result<Option<Serving>> {
    let lock_file = directory.join("lock");
    let unusable = |e: &std::io::Error| {
        CliError::failed(format!("cannot lock {}", lock_file.display())).source(e)
    };
    let mut lock = match std::fs::File::open(&lock_file) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unusable(&e)),
    };
    // A shared lock: two commands that check at once do not take each other for a daemon.
    match lock.try_lock_shared() {
        Ok(()) => return Ok(None),
        Err(std::fs::TryLockError::WouldBlock) => {}
        Err(std::fs::TryLockError::Error(e)) => return Err(unusable(&e)),
    }
    let mut holder = String::new();
    lock.read_to_string(&mut holder).map_err(|e| unusable(&e))?;
    let starting = || {
        CliError::failed(format!(
            "process {holder} holds {} but is not serving yet",
            directory.display()
        ))
        .hint(format!(
            "retry in a few seconds; if it is still not serving, stop process {holder}: \
             `kgrca up` did not start it"
        ))
    };
    serving(directory)?
        .filter(|s| s.process.to_string() == holder)
        .map(Some)
        .ok_or_else(starting)
}

/// What a daemon wrote when it started serving.
fn serving(directory: &Path) -> Result<Option<Serving>> {
    let Ok(text) = std::fs::read_to_string(directory.join("ready")) else {
        return Ok(None);
    };
    let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name));
    let (Some(url), Some(process)) = (line("api="), line("pid=").and_then(|p| p.parse().ok()))
    else {
        return Ok(None);
    };
    let file = directory.join("operator.key");
    let key = match (
        std::fs::read_to_string(&file),
        variable("KGRCA_OPERATOR_KEY"),
    ) {
        // The daemon has it from the variable, too: its first start made no file then.
        (Ok(key), _) | (Err(_), Some(key)) => key,
        (Err(e), None) => {
            return Err(CliError::failed(format!("cannot read {}", file.display())).source(&e));
        }
    };
    Ok(Some(Serving {
        url: url.to_owned(),
        process,
        operator_key: Secret::new(key.trim()),
    }))
}

/// Stops a daemon with SIGTERM and waits until it has shut down.
pub fn stop(directory: &Path, process: u32) -> Result {
    let failed =
        |e: std::io::Error| CliError::failed(format!("cannot stop process {process}")).source(&e);
    let signal = Command::new("kill")
        .arg(process.to_string())
        .status()
        .map_err(failed)?;
    let deadline = Instant::now() + STOP_TIMEOUT;
    while signal.success() && Instant::now() < deadline {
        if running(directory)?.is_none() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(
        CliError::failed(format!("process {process} did not exit")).hint(format!(
            "kill -9 {process}: acknowledged records are not lost"
        )),
    )
}

fn binary() -> Result<PathBuf> {
    let neighbor = std::env::current_exe()?.with_file_name("kgrcad");
    if neighbor.exists() {
        Ok(neighbor)
    } else {
        Err(
            CliError::failed(format!("{} not found", neighbor.display()))
                .hint("`kgrcad` must be next to `kgrca`: install both with ./install.sh"),
        )
    }
}

/// Starts a daemon on a data directory and waits until it serves. It logs to `daemon.log` there.
pub fn start(directory: &Path, listen: &str, detach: bool) -> Result<Daemon> {
    let unusable = |e: std::io::Error| {
        CliError::failed(format!("cannot use {}", directory.display())).source(&e)
    };
    private::create_directories(directory).map_err(unusable)?;
    let ready = directory.join("ready");
    match std::fs::remove_file(&ready) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(unusable(e)),
        _ => {}
    }
    let log_file = directory.join("daemon.log");
    let log = private::append(&log_file).map_err(unusable)?;
    let log_start = log.metadata().map_err(unusable)?.len();
    let program = binary()?;
    let mut command = Command::new(&program);
    command
        .arg("--data")
        .arg(directory)
        .args(["--listen", listen, "--metrics-listen", "127.0.0.1:0"])
        .arg("--ready-file")
        .arg(&ready)
        // That of another server: this one has its own.
        .env_remove("KGRCA_OPERATOR_KEY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    #[cfg(unix)]
    if detach {
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
    }
    let mut child = command
        .spawn()
        .map_err(|e| CliError::failed(format!("cannot start {}", program.display())).source(&e))?;
    // Without a timeout: a large log is verified before the daemon serves.
    loop {
        if let Some(serving) = serving(directory)?.filter(|s| s.process == child.id()) {
            return Ok(Daemon { child, serving });
        }
        if child.try_wait()?.is_some() {
            return Err(failed_start(&log_file, log_start));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The error for a daemon that exited at once, with the last lines that it logged. Its own hints
/// name flags of `kgrcad`.
fn failed_start(log_file: &Path, log_start: u64) -> CliError {
    let log = std::fs::read(log_file).unwrap_or_default();
    let own = log.get(log_start as usize..).unwrap_or_default();
    let text = String::from_utf8_lossy(own);
    let is_reason = |l: &&str| !l.trim().is_empty() && !l.starts_with("hint:");
    let mut lines: Vec<&str> = text.lines().filter(is_reason).collect();
    let is_in_use = lines.iter().any(|l| l.contains("ddress already in use"));
    // It ends with its error; a crash does not.
    let mut causes: Vec<&str> = lines
        .iter()
        .filter_map(|l| l.strip_prefix("error: "))
        .collect();
    if causes.is_empty() {
        causes = lines.split_off(lines.len().saturating_sub(3));
    }
    let error = causes
        .iter()
        .fold(CliError::failed("kgrcad failed to start"), CliError::cause);
    let log = format!("see its log: {}", log_file.display());
    error.hint(if is_in_use {
        format!("choose another address: `kgrca up --listen 127.0.0.1:PORT`; {log}")
    } else {
        log
    })
}

/// Asks a daemon to shut down.
fn terminate(child: &Child) -> Result {
    Command::new("kill").arg(child.id().to_string()).status()?;
    Ok(())
}

/// Waits until a daemon in the foreground has exited. Signals are passed on to it, because only a
/// terminal's interrupt reaches both processes.
pub fn wait(child: &mut Child) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut on_interrupt = signal(SignalKind::interrupt())?;
        let mut on_terminate = signal(SignalKind::terminate())?;
        loop {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::select! {
                _ = on_interrupt.recv() => terminate(child)?,
                _ = on_terminate.recv() => terminate(child)?,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    })
}

impl Daemon {
    /// Shuts it down cleanly and waits for it.
    pub fn shut_down(mut self) -> Result {
        terminate(&self.child)?;
        self.child.wait()?;
        Ok(())
    }

    /// Kills it; for data directories that are thrown away.
    pub fn kill(mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}
