//! SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Sends a message for each signal that tells the process to stop. The
/// handlers are in place when this returns.
///
/// # Errors
/// When a handler cannot be installed.
pub fn stop_signals() -> std::io::Result<mpsc::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
