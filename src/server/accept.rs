//! Accepts client connections until the drain has begun and a grace is over,
//! then waits for those that are left.

use super::{Context, connection};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// After a failed accept, which mostly means that no file descriptor is free.
const PAUSE: Duration = Duration::from_millis(50);

/// Ends when the drain has begun and all connections have ended. Dropping the
/// future aborts them.
pub(super) async fn serve(listener: TcpListener, context: Arc<Context>, draining: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut told = draining.clone();
    let over = async {
        // The sender lives as long as the server.
        let _ = told.wait_for(|draining| *draining).await;
        // Who sends requests here has not heard yet: an answer tells more than
        // a connection that is refused.
        let edge = context.edge.load_full();
        tokio::time::sleep(edge.timeouts.drain_grace.min(edge.timeouts.drain)).await;
    };
    let mut over = std::pin::pin!(over);
    loop {
        let has_place = connections.len() < context.edge.load().max_connections;
        tokio::select! {
            biased;
            () = &mut over => break,
            Some(_) = connections.join_next() => {}
            // There may be a place now.
            () = context.renewed.notified(), if !has_place => {}
            stream = accept(&listener), if has_place => {
                connections.spawn(connection::serve(stream, Arc::clone(&context), draining.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
