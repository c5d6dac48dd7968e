//! The upstream of the demonstration: answers 200 to everything and keeps the
//! last body.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// A running upstream; it ends with the runtime.
pub(super) struct Upstream {
    address: SocketAddr,
    last: Arc<Mutex<Bytes>>,
}

impl Upstream {
    /// Begins to serve on a free port.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let last = Arc::new(Mutex::new(Bytes::new()));
        tokio::spawn(serve(listener, Arc::clone(&last)));
        Ok(Self { address, last })
    }

    /// Its address as a URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The last body it received.
    pub(super) fn last(&self) -> Bytes {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(listener: TcpListener, last: Arc<Mutex<Bytes>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let last = Arc::clone(&last);
        let service = service_fn(move |request| answer(request, Arc::clone(&last)));
        // A connection that breaks is the proxy's to tell.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, last: Arc<Mutex<Bytes>>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    *last.lock().unwrap_or_else(PoisonError::into_inner) = body;
    Ok(Response::new(Full::new(Bytes::from_static(b"{\"status\":\"ok\"}"))))
}
