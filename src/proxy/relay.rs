//! The upstream's response on its way to the client.

use super::budget::{Budget, Reservation};
use super::exchange::{Dialect, Exchange};
use super::grpc;
use super::idle::IdleTimer;
use super::reader::Reader;
use super::respond::{Failure, close_unread};
use super::response::Redaction;
use super::upstream::Driver;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Response, Version};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The upstream's response on its way back, untouched but for what `redaction`
/// does to its body.
pub(super) fn relay(
    response: Response<Incoming>,
    driver: Driver,
    redaction: Option<Redaction>,
    idle: Duration,
    deadline: Option<Instant>,
    exchange: &Arc<Exchange>,
) -> Response<ResponseBody> {
    let is_call = exchange.dialect() == Dialect::Grpc;
    let lacks_end = is_call && !grpc::has_status(response.headers());
    let is_stream = response.version() == Version::HTTP_2;
    let mut response = response.map(|incoming| ResponseBody {
        inner: Inner::Upstream(Upstream { incoming, driver, ahead: None, is_stream }),
        redaction: redaction.map(Box::new),
        is_call,
        lacks_end,
        settling: None,
        _reservation: None,
        idle: IdleTimer::new(idle),
        deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at))),
        reader: None,
        exchange: Some(Arc::clone(exchange)),
    });
    if exchange.is_unread() {
        // Whether the upstream will take the rest is not known.
        close_unread(&mut response, exchange);
    }
    response
}

/// The body of every response.
pub struct ResponseBody {
    inner: Inner,
    redaction: Option<Box<Redaction>>,
    /// Whether it ends with a status of gRPC's.
    is_call: bool,
    /// Whether that status is still to come.
    lacks_end: bool,
    settling: Option<Settling>,
    /// For what is held whole.
    _reservation: Option<Reservation>,
    idle: IdleTimer,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Knows whether the client has been too slow.
    reader: Option<Arc<Reader>>,
    /// Kept until the body is done, so that the exchange ends with it.
    exchange: Option<Arc<Exchange>>,
}

enum Inner {
    Upstream(Upstream),
    Fixed(Option<Bytes>),
}

/// The end of a call. One that went well is kept until the upstream has all that
/// its client has sent: who is told so may forget it.
struct Settling {
    trailers: HeaderMap,
    settled: Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>,
}

/// The response could not be completed; the client's connection breaks.
#[derive(Debug, thiserror::Error)]
#[error("the response was broken off")]
pub struct ResponseBroken;

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseBroken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBroken>>> {
        let this = &mut *self;
        if let Inner::Fixed(bytes) = &mut this.inner {
            return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
        }
        let polled = match this.redaction {
            None => ready!(this.poll_upstream(cx)),
            Some(_) => ready!(this.poll_redacted(cx)).map(|redacted| redacted.map(Frame::data)),
        };
        let polled = match polled {
            None => ready!(this.poll_settling(cx)),
            some => some,
        };
        match polled {
            Some(Ok(frame)) => {
                if let (Some(exchange), Some(data)) = (&this.exchange, frame.data_ref()) {
                    exchange.add_response(data.len());
                }
                if frame.is_trailers() {
                    // Nothing follows, and nobody asks for it.
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(failure)) => Poll::Ready(Some(this.fail(failure))),
            None => {
                this.complete();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match (&self.inner, &self.redaction) {
            (Inner::Fixed(bytes), _) => bytes.is_none(),
            (Inner::Upstream(_), _) if self.settling.is_some() || self.lacks_end => false,
            (Inner::Upstream(_), Some(redaction)) => redaction.is_over(),
            (Inner::Upstream(upstream), None) => upstream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Upstream(_) if self.redaction.is_some() => SizeHint::default(),
            Inner::Upstream(upstream) => upstream.incoming.size_hint(),
            Inner::Fixed(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// A frame of the upstream's, or its end.
type Next = Option<Result<Frame<Bytes>, Failure>>;

/// A response's body, and what brings it.
struct Upstream {
    incoming: Incoming,
    driver: Driver,
    /// What follows the frame that was told last, if it is there: an end that
    /// is known with the last frame leaves with it, in one write.
    ahead: Option<Next>,
    /// Of HTTP/2.
    is_stream: bool,
}

impl Upstream {
    fn poll_frame(&mut self, exchange: Option<&Arc<Exchange>>, cx: &mut Context<'_>) -> Poll<Next> {
        let polled = match self.ahead.take() {
            Some(ahead) => ahead,
            None => ready!(self.poll_next(exchange, cx)),
        };
        let is_data = matches!(&polled, Some(Ok(frame)) if frame.is_data());
        if is_data
            && !self.incoming.is_end_stream()
            && let Poll::Ready(next) = self.poll_next(exchange, cx)
        {
            self.ahead = Some(next);
        }
        Poll::Ready(polled)
    }

    fn poll_next(&mut self, exchange: Option<&Arc<Exchange>>, cx: &mut Context<'_>) -> Poll<Next> {
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending() {
            self.driver.drive(cx);
            polled = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        polled.map(|next| match next {
            Some(Ok(frame)) => Some(Ok(frame)),
            None if !self.is_cut(exchange) => None,
            _ => Some(Err(Failure::UpstreamBroke)),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.ahead {
            Some(ahead) => ahead.is_none(),
            None => self.incoming.is_end_stream(),
        }
    }

    /// Whether a body that yields no more has not ended. hyper takes a stream for ended
    /// that was reset with `NO_ERROR`; one may be, behind its end, only while its request
    /// is still being sent (RFC 9113, 8.1).
    fn is_cut(&self, exchange: Option<&Arc<Exchange>>) -> bool {
        let is_sending = exchange.is_some_and(|exchange| exchange.is_sending());
        self.is_stream && !is_sending && !self.incoming.is_end_stream()
    }
}

/// Steps without output before other tasks get their turn.
const MAX_STEPS: usize = 16;

/// What came of going on.
enum Step {
    /// Nothing that may leave.
    Went,
    /// These bytes, next.
    Released(Bytes),
    /// The body is over.
    Over,
}

impl ResponseBody {
    /// These bytes alone.
    pub(super) fn fixed(bytes: Option<Bytes>, exchange: &Arc<Exchange>) -> Self {
        Self {
            inner: Inner::Fixed(bytes),
            redaction: None,
            is_call: false,
            lacks_end: false,
            settling: None,
            _reservation: None,
            idle: IdleTimer::new(Duration::MAX),
            deadline: None,
            reader: None,
            exchange: Some(Arc::clone(exchange)),
        }
    }

    /// The same, on its way to this client.
    #[must_use]
    pub fn read_by(mut self, reader: Option<Arc<Reader>>) -> Self {
        self.reader = reader;
        self
    }

    /// The upstream's next frame, unless it takes too long; the end of a call is
    /// kept.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Inner::Upstream(upstream) = &mut self.inner else {
            return Poll::Ready(None);
        };
        if self.settling.is_some() {
            return Poll::Ready(None);
        }
        let Poll::Ready(polled) = upstream.poll_frame(self.exchange.as_ref(), cx) else {
            return self.poll_too_late(cx).map(|failure| Some(Err(failure)));
        };
        self.idle.progress();
        if polled.is_none() && self.lacks_end {
            // Whether the call went well is for the upstream to say.
            return Poll::Ready(Some(Err(Failure::UpstreamBroke)));
        }
        let Some(Ok(frame)) = polled else {
            return Poll::Ready(polled);
        };
        match (frame.into_trailers(), self.exchange.clone()) {
            (Ok(trailers), Some(exchange)) if self.is_call => {
                Poll::Ready(self.settle(trailers, exchange).err().map(Err))
            }
            (Ok(trailers), _) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            (Err(frame), _) => Poll::Ready(Some(Ok(frame))),
        }
    }

    /// Keeps the end of a call.
    fn settle(&mut self, mut trailers: HeaderMap, exchange: Arc<Exchange>) -> Result<(), Failure> {
        if let Some(redaction) = &self.redaction {
            redaction.redact_end(&mut trailers)?;
        }
        self.lacks_end = false;
        let is_ok = grpc::is_ok(&trailers);
        let settled = Box::pin(async move { if is_ok { exchange.is_settled().await } else { Ok(()) } });
        self.settling = Some(Settling { trailers, settled });
        Ok(())
    }

    /// The end that was kept, if there is one.
    fn poll_settling(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Some(settling) = &mut self.settling else { return Poll::Ready(None) };
        let Poll::Ready(settled) = settling.settled.as_mut().poll(cx) else {
            return self.poll_too_late(cx).map(|failure| Some(Err(failure)));
        };
        let trailers = std::mem::take(&mut settling.trailers);
        self.settling = None;
        Poll::Ready(Some(settled.map(|()| Frame::trailers(trailers))))
    }

    /// The next redacted bytes.
    fn poll_redacted(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        for _ in 0..MAX_STEPS {
            match ready!(self.poll_step(cx)) {
                Ok(Step::Went) => {}
                Ok(Step::Released(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(Step::Over) => return Poll::Ready(None),
                Err(failure) => return Poll::Ready(Some(Err(failure))),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Goes on with the redaction. Trailers, which nobody redacts, end with us.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, Failure>> {
        let Some(redaction) = &mut self.redaction else {
            return Poll::Ready(Ok(Step::Over));
        };
        if let Some(piece) = redaction.next() {
            return Poll::Ready(Ok(Step::Released(piece)));
        }
        if redaction.is_over() {
            return Poll::Ready(Ok(Step::Over));
        }
        if let Err(failure) = ready!(redaction.poll_memory(cx)) {
            return Poll::Ready(Err(failure));
        }
        let step = match redaction.has_to_push() {
            true => redaction.step(),
            false => match ready!(self.poll_upstream(cx)) {
                Some(frame) => frame.map(|frame| self.redact(frame)),
                None => self.redaction.as_mut().map_or(Ok(()), |redaction| redaction.finish()),
            },
        };
        Poll::Ready(step.map(|()| Step::Went))
    }

    fn redact(&mut self, frame: Frame<Bytes>) {
        if let (Some(redaction), Ok(data)) = (&mut self.redaction, frame.into_data()) {
            redaction.take(data);
        }
    }

    /// Redacts what can still be refused: a body that says it has at most
    /// `whole` bytes, as long as it has no more when redacted, and of others what
    /// tells that they are what they are said to be. The length, if it is whole.
    ///
    /// # Errors
    /// Why nothing of it may be told.
    pub(super) async fn redact_ahead(&mut self, whole: u64, budget: &Arc<Budget>) -> Result<Option<u64>, Failure> {
        let mut reservation = budget.open();
        let mut is_short = self.upstream_length().is_some_and(|length| length <= whole);
        let (mut pieces, mut length) = (Vec::new(), 0);
        while let Some(redaction) = &self.redaction {
            is_short &= length <= whole && reservation.try_grow_to(length).is_ok();
            if redaction.is_decided() && !is_short {
                break;
            }
            match std::future::poll_fn(|cx| self.poll_step(cx)).await {
                Ok(Step::Went) => tokio::task::consume_budget().await,
                Ok(Step::Released(piece)) => {
                    length += piece.len() as u64;
                    pieces.push(piece);
                }
                Ok(Step::Over) => {
                    self.make_fixed(pieces.concat().into(), reservation);
                    return Ok(Some(length));
                }
                Err(failure) => {
                    // The caller tells it.
                    let _ = self.fail(failure.clone());
                    return Err(failure);
                }
            }
        }
        if let Some(redaction) = &mut self.redaction {
            redaction.give_back(pieces);
        }
        Ok(None)
    }

    fn upstream_length(&self) -> Option<u64> {
        match &self.inner {
            Inner::Upstream(upstream) => upstream.incoming.size_hint().exact(),
            Inner::Fixed(_) => None,
        }
    }

    /// All of the upstream's body is there, in `bytes`.
    fn make_fixed(&mut self, bytes: Bytes, reservation: Reservation) {
        if let Inner::Upstream(upstream) = &mut self.inner {
            upstream.driver.finish();
        }
        self.redaction = None;
        if let Some(exchange) = &self.exchange {
            exchange.add_response(bytes.len());
        }
        self.inner = Inner::Fixed((!bytes.is_empty()).then_some(bytes));
        self._reservation = Some(reservation);
    }

    fn poll_too_late(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Failure::Deadline);
        }
        self.idle.poll_wait(cx).map(|()| Failure::UpstreamIdle)
    }

    /// A call is told what happened; what else began well can only break.
    fn fail(&mut self, failure: Failure) -> Result<Frame<Bytes>, ResponseBroken> {
        // Whatever the upstream still has is not asked for.
        self.inner = Inner::Fixed(None);
        self.redaction = None;
        self.settling = None;
        let exchange = self.exchange.take().inspect(|exchange| exchange.fail(failure.clone()));
        let Some(exchange) = exchange.filter(|_| self.is_call) else { return Err(ResponseBroken) };
        // Its request may hang in the upstream's window, where it hears of nothing.
        exchange.let_go();
        let first = exchange.failure().unwrap_or(failure);
        Ok(Frame::trailers(grpc::trailers(&first, exchange.id())))
    }

    /// Lets go of the exchange and of the connection: no more can go wrong.
    fn complete(&mut self) {
        self.redaction = None;
        self.exchange = None;
        if let Inner::Upstream(upstream) = &mut self.inner {
            upstream.driver.finish();
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.complete();
        } else if let Some(exchange) = &self.exchange {
            exchange.fail(self.reader.as_ref().map_or(Failure::ClientGone, |reader| reader.failure()));
            if self.is_call {
                exchange.let_go();
            }
        }
    }
}
