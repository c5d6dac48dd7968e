//! Requests that ask for another protocol: each on a connection of its own, which
//! is not HTTP's any more once the upstream agrees.

use super::connect::{Connector, Protocol, Stream};
use super::{Driver, connect_failure, send_failure};
use crate::proxy::body::RedactedBody;
use crate::proxy::exchange::Exchange;
use crate::proxy::respond::Failure;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// A connection that the upstream has agreed to speak something else on.
pub(in crate::proxy) struct Upgraded {
    pub(in crate::proxy) stream: TokioIo<Stream>,
    /// Read of it already.
    pub(in crate::proxy) ahead: Bytes,
}

/// What came of asking.
pub(in crate::proxy) enum Asked {
    Agreed(Response<Incoming>, Box<Upgraded>),
    /// An answer as any other.
    Answered(Response<Incoming>, Driver),
}

type Connection = http1::Connection<Stream, RedactedBody>;

/// Sends a request that asks for another protocol.
pub(super) async fn ask(
    connector: &Connector,
    request: Request<RedactedBody>,
    exchange: &Exchange,
) -> Result<Asked, Failure> {
    let stream =
        connector.connect(Protocol::Http1).await.map_err(|error| connect_failure(connector, &error, exchange))?;
    let failed = |error: hyper::Error| send_failure(connector, &error, exchange);
    let (mut requests, mut io) = http1::handshake(stream).await.map_err(failed)?;
    let mut over = false;
    let response = {
        let mut sending = pin!(requests.send_request(request));
        let answered = poll_fn(|cx| {
            over = over || poll(&mut io, cx).is_ready();
            sending.as_mut().poll(cx)
        });
        answered.await.map_err(failed)?
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        if !over {
            poll_fn(|cx| poll(&mut io, cx)).await;
        }
        let parts = io.into_parts();
        let upgraded = Upgraded { stream: TokioIo::new(parts.io), ahead: parts.read_buf };
        return Ok(Asked::Agreed(response, Box::new(upgraded)));
    }
    tokio::spawn(async move {
        // It goes on until the answer has ended.
        let _requests = requests;
        poll_fn(|cx| poll(&mut io, cx)).await;
    });
    Ok(Asked::Answered(response, Driver::default()))
}

/// Ready when the connection is over, or is not HTTP's any more. If it broke, the
/// response tells of it.
fn poll(io: &mut Connection, cx: &mut Context<'_>) -> Poll<()> {
    Pin::new(io).poll_without_shutdown(cx).map(drop)
}
