//! The `kgrcad` beside this binary, started for `up` and `demo`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::context::Secret;
use crate::error::{CliError, Result};

/// A daemon that serves.
pub struct Serving {
    /// Where its API is.
    pub url: String,
    /// Its process id.
    pub process: u32,
    /// The operator's key.
    pub operator_key: Secret,
}

/// A daemon that this process started.
pub struct Daemon {
    /// Its process.
    pub child: Child,
    /// Where and how.
    pub serving: Serving,
}

/// The daemon that works in a folder, if one does: it holds the folder's lock.
pub fn running(folder: &Path) -> Result<Option<Serving>> {
    let mut lock = match std::fs::File::open(folder.join("lock")) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => {
            return Err(CliError::failed(format!("{} cannot be read", folder.display())).cause(e));
        }
    };
    // Shared, so that two who look do not take each other for a daemon.
    match lock.try_lock_shared() {
        Ok(()) => return Ok(None),
        Err(std::fs::TryLockError::WouldBlock) => {}
        Err(std::fs::TryLockError::Error(e)) => {
            return Err(CliError::failed(format!(
                "{} cannot be locked",
                folder.join("lock").display()
            ))
            .cause(e));
        }
    }
    let mut holder = String::new();
    lock.read_to_string(&mut holder)?;
    let unknown = || {
        CliError::failed(format!(
            "process {holder} works in {} and does not serve yet",
            folder.display()
        ))
        .hint("try again; when it stays so, `kgrca up` did not start it: stop it by its process id")
    };
    serving(folder)?
        .filter(|s| s.process.to_string() == holder)
        .map(Some)
        .ok_or_else(unknown)
}

/// What a daemon wrote when it began to serve.
fn serving(folder: &Path) -> Result<Option<Serving>> {
    let Ok(text) = std::fs::read_to_string(folder.join("ready")) else {
        return Ok(None);
    };
    let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name));
    let (Some(url), Some(process)) = (line("api="), line("pid=").and_then(|p| p.parse().ok()))
    else {
        return Ok(None);
    };
    let key = std::fs::read_to_string(folder.join("operator.key"))?;
    Ok(Some(Serving {
        url: url.to_owned(),
        process,
        operator_key: Secret::new(key.trim()),
    }))
}

/// Asks a daemon to end as a service manager does, and waits until it has put everything in order.
pub fn stop(folder: &Path, process: u32) -> Result {
    let failed = |e: std::io::Error| {
        CliError::failed(format!("process {process} cannot be stopped")).cause(e)
    };
    let told = Command::new("kill")
        .arg(process.to_string())
        .status()
        .map_err(failed)?;
    let deadline = Instant::now() + Duration::from_mins(1);
    while told.success() && Instant::now() < deadline {
        if running(folder)?.is_none() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(CliError::failed(format!("process {process} does not end"))
        .hint(format!("kill -9 {process}: acknowledged records are safe")))
}

fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.with_file_name("kgrcad");
    if beside.exists() {
        Ok(beside)
    } else {
        Err(CliError::failed("`kgrcad` is not beside `kgrca`")
            .hint("install both with ./install.sh"))
    }
}

/// Starts a daemon on a folder and waits until it serves. Its log goes to `daemon.log` in the
/// folder.
pub fn start(folder: &Path, listen: &str, detach: bool) -> Result<Daemon> {
    let failed = |e: std::io::Error| {
        CliError::failed(format!("{} cannot be used", folder.display())).cause(e)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let ready = folder.join("ready");
    if let Err(e) = std::fs::remove_file(&ready)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(e.into());
    }
    let log_file = folder.join("daemon.log");
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_file)?;
    let mut command = Command::new(binary()?);
    command
        .arg("--data")
        .arg(folder)
        .args(["--listen", listen, "--metrics-listen", "127.0.0.1:0"])
        .arg("--ready-file")
        .arg(&ready);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    #[cfg(unix)]
    if detach {
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
    }
    let said_before = log.metadata()?.len();
    command.stderr(log);
    let mut child = command.spawn()?;
    loop {
        if let Some(serving) = serving(folder)?.filter(|s| s.process == child.id()) {
            return Ok(Daemon { child, serving });
        }
        // However long it takes: a large log is checked before it is served.
        if child.try_wait()?.is_some() {
            let text = std::fs::read(&log_file).unwrap_or_default();
            let text =
                String::from_utf8_lossy(text.get(said_before as usize..).unwrap_or_default())
                    .into_owned();
            let last: Vec<&str> = text
                .lines()
                .filter(|l| !l.trim().is_empty())
                .rev()
                .take(3)
                .collect();
            return Err(last
                .iter()
                .rev()
                .fold(
                    CliError::failed("kgrcad does not start"),
                    super::error::CliError::cause,
                )
                .hint(format!("its log is {}", log_file.display())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asks a daemon to end in order.
fn end(child: &Child) -> Result {
    Command::new("kill").arg(child.id().to_string()).status()?;
    Ok(())
}

/// Waits until a daemon in the foreground has ended. What asks this process to end is passed on:
/// only a terminal's interrupt reaches both.
pub fn wait(child: &mut Child) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        loop {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::select! {
                _ = interrupt.recv() => end(child)?,
                _ = terminate.recv() => end(child)?,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    })
}

impl Daemon {
    /// Ends it in order, when what it was started for came to nothing.
    pub fn give_up(mut self) -> Result {
        end(&self.child)?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it at once; for folders that are thrown away.
    pub fn kill(mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}
