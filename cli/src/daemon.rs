//! The `kgrcad` beside this binary, started for `up` and `demo`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::context::Secret;
use crate::error::{CliError, Result};

/// A daemon that this process started.
pub struct Daemon {
    child: Child,
    /// Where its API is.
    pub url: String,
    /// The operator's key.
    pub operator_key: Secret,
}

fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.with_file_name("kgrcad");
    if beside.exists() {
        Ok(beside)
    } else {
        Err(CliError::failed("`kgrcad` is not beside `kgrca`").hint("install both with ./install.sh"))
    }
}

/// Starts a daemon on a folder and waits until it serves. Its log goes to `daemon.log` in the folder.
pub fn start(folder: &Path, listen: &str) -> Result<Daemon> {
    let failed = |e: std::io::Error| CliError::failed(format!("{} cannot be used", folder.display())).cause(e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let ready = folder.join("ready");
    if let Err(e) = std::fs::remove_file(&ready)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(e.into());
    }
    let log_file = folder.join("daemon.log");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&log_file)?;
    let mut command = Command::new(binary()?);
    command
        .arg("--data")
        .arg(folder)
        .args(["--listen", listen, "--metrics-listen", "127.0.0.1:0"])
        .arg("--ready-file")
        .arg(&ready);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(url) =
            std::fs::read_to_string(&ready).ok().and_then(|t| t.lines().find_map(|l| l.strip_prefix("api=").map(str::to_owned)))
        {
            let key = std::fs::read_to_string(folder.join("operator.key"))?;
            return Ok(Daemon { child, url, operator_key: Secret::new(key.trim()) });
        }
        let ended = child.try_wait()?;
        if ended.is_some() || Instant::now() > deadline {
            // It is gone already when it ended by itself.
            let _ = child.kill();
            let text = std::fs::read_to_string(&log_file).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(3).collect();
            return Err(last
                .iter()
                .rev()
                .fold(CliError::failed("kgrcad does not start"), super::error::CliError::cause)
                .hint(format!("its log is {}", log_file.display())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Daemon {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Result {
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
