//! A program that runs beside a test, such as an exporter or Prometheus: killed when dropped.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A running child process.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts the command without input or output.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self(command.spawn().context("start a program")?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
