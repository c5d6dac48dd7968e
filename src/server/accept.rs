//! Accepts client connections until the drain has begun and a grace is over,
//! then waits for those that are left.

use super::{Context, connection};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// After a failed accept, which mostly means that no file descriptor is free.
const PAUSE: Duration = Duration::from_millis(50);

/// Ends when the drain has begun and all connections have ended. Dropping the
/// future aborts them.
pub(super) async fn serve(listener: TcpListener, context: Arc<Context>, draining: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(context.max_connections.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let mut told = draining.clone();
    let grace = context.timeouts.drain_grace.min(context.timeouts.drain);
    let over = async {
        // The sender lives as long as the server.
        let _ = told.wait_for(|draining| *draining).await;
        // Who sends requests here has not heard yet: an answer tells more than
        // a connection that is refused.
        tokio::time::sleep(grace).await;
    };
    let mut over = std::pin::pin!(over);
    loop {
        tokio::select! {
            biased;
            () = &mut over => break,
            Some(_) = connections.join_next() => {}
            (stream, place) = accept(&listener, &places) => {
                let serving = connection::serve(stream, Arc::clone(&context), draining.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
