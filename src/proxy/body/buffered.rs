//! Small bodies: redacted whole, sent with their exact length.

use super::slices::Slices;
use super::{Change, Job, Prepared, RedactedBody, Repr, Told, Whole};
use crate::content::{
    Coding, CodingError, ContentError, Delivery, Encoding, Pipeline, Released, Unchanged, WireFormat,
};
use crate::proxy::budget::Reservation;
use crate::proxy::exchange::{Place, Sizes};
use crate::proxy::respond::Failure;
use bytes::{Buf, Bytes};
use std::sync::Arc;
use std::time::Instant;

/// Decoded output of compressed bodies kept at least for re-encoding; of
/// larger ones it is made a second time, in the rare case that it is needed.
const KEPT: u64 = 1024 * 1024;

/// Redacts `wire` and makes it ready to be sent.
pub(super) async fn redact(job: &Job<'_>, wire: Vec<Bytes>, mut reservation: Reservation) -> Result<Prepared, Failure> {
    let mut scanned = scan(job, &wire, &mut reservation).await?;
    if let Some(unchanged) = scanned.unchanged.take() {
        let pieces = scanned.kept.take().filter(|_| job.coding == Coding::Identity && job.bound.is_none());
        let mut pieces = pieces.unwrap_or_else(|| Released::original(wire, unchanged));
        let frame = Slices::take(&mut pieces).holding(reservation).of(job.exchange);
        return Ok(prepared(job, &scanned, frame, Told::unchanged));
    }
    if let Some(failure) = &job.bound {
        return Err(failure.clone());
    }
    let mut pieces = match (job.coding, scanned.kept.take()) {
        (Coding::Identity, Some(output)) => output,
        (_, Some(output)) => {
            let (mut encoding, _memory) = encoding(job, &scanned, &reservation).await?;
            for mut piece in output.split() {
                encoding.add(&mut piece).map_err(failed)?;
                tokio::task::consume_budget().await;
            }
            encoding.finish().map_err(failed)?
        }
        (_, None) => {
            let (encoding, memory) = encoding(job, &scanned, &reservation).await?;
            redact_again(job, &wire, encoding, memory).await?
        }
    };
    let digests = job.digests.renew(&wire, pieces.as_slice())?;
    let frame = Slices::take(&mut pieces).holding(reservation).of(job.exchange);
    Ok(prepared(job, &scanned, frame, |length| Told { change: Change::Changed, length, digests }))
}

fn prepared(job: &Job<'_>, scanned: &Scanned, frame: Slices, told: impl FnOnce(Option<u64>) -> Told) -> Prepared {
    Prepared {
        told: told(Some(frame.remaining() as u64)),
        body: RedactedBody(Repr::Whole(Whole {
            frame: Some(frame),
            decoded: scanned.released,
            exchange: Arc::clone(job.exchange),
        })),
    }
}

/// What the first pass over a body found out.
struct Scanned {
    /// That it may leave as it came.
    unchanged: Option<Unchanged>,
    /// The decoded output; `None` when it was too large to keep.
    kept: Option<Released>,
    /// Length of the decoded output.
    released: u64,
    /// How it was encoded.
    form: Option<WireFormat>,
}

/// Runs the whole body through a pipeline without re-encoding it: most bodies
/// need no change, and for those the encoder would be most of the work.
async fn scan(job: &Job<'_>, wire: &[Bytes], reservation: &mut Reservation) -> Result<Scanned, Failure> {
    let mut pipeline = job.pipeline(Delivery::Whole)?;
    let mut output = Output {
        pieces: Released::default(),
        kept: true,
        length: 0,
        limit: KEPT.max(job.limits.buffer),
        decoded: job.coding != Coding::Identity,
    };
    let result = drive(job, wire, &mut pipeline, reservation, |pieces| Ok(output.add(pieces))).await;
    let report = pipeline.report();
    if let Some(format) = pipeline.format() {
        job.exchange.record(Place::Body(format), &report, job.plan);
    }
    if pipeline.passed() {
        job.exchange.pass_unscanned("part");
    }
    job.exchange.add_sizes(Sizes { received_decoded: pipeline.decoded().0, ..Sizes::default() });
    result?;
    Ok(Scanned {
        unchanged: pipeline.unchanged(),
        kept: output.kept.then_some(output.pieces),
        released: output.length,
        form: pipeline.wire_format(),
    })
}

/// The second pass over a compressed body that changed and whose output was
/// too large to keep.
async fn redact_again(
    job: &Job<'_>,
    wire: &[Bytes],
    mut encoding: Encoding,
    mut memory: Reservation,
) -> Result<Released, Failure> {
    let mut pipeline = job.pipeline(Delivery::Whole)?;
    let add = |pieces: &mut Released| encoding.add(pieces).map_err(failed).map(|()| 0);
    drive(job, wire, &mut pipeline, &mut memory, add).await?;
    encoding.finish().map_err(failed)
}

/// Pushes all of `wire` through, giving way to other tasks in between. `sink` tells
/// how many bytes it has kept, which `reserved` has to grow by.
async fn drive(
    job: &Job<'_>,
    wire: &[Bytes],
    pipeline: &mut Pipeline,
    reserved: &mut Reservation,
    mut sink: impl FnMut(&mut Released) -> Result<u64, Failure>,
) -> Result<(), Failure> {
    let mut out = Released::default();
    let mut memory = job.budget.open();
    let others = reserved.beside();
    for piece in wire {
        let mut piece = piece.clone();
        while !piece.is_empty() || pipeline.is_pending() {
            let next = if pipeline.is_pending() { 0 } else { piece.len().min(job.step()) };
            let started = Instant::now();
            let pushed = pipeline.push(piece.split_to(next), &mut out);
            job.exchange.add_redaction(started.elapsed());
            pushed?;
            memory.stands_beside(reserved.bytes() + others);
            memory.grow_to(pipeline.memory()).await?;
            reserved.stands_beside(memory.bytes() + others);
            reserved.grow(sink(&mut out)?).await?;
            tokio::task::consume_budget().await;
        }
    }
    let started = Instant::now();
    let finished = pipeline.finish(&mut out);
    job.exchange.add_redaction(started.elapsed());
    finished?;
    reserved.grow(sink(&mut out)?).await
}

/// Decoded output on its way to be kept.
struct Output {
    pieces: Released,
    /// Whether all of it so far is in `pieces`.
    kept: bool,
    length: u64,
    limit: u64,
    /// Whether all output takes memory beyond what the body's own bytes take.
    decoded: bool,
}

impl Output {
    /// How many bytes it takes more.
    fn add(&mut self, pieces: &mut Released) -> u64 {
        let more = pieces.bytes();
        self.length += more;
        if !self.kept || (self.decoded && self.length > self.limit) {
            self.kept = false;
            self.pieces.clear();
            pieces.clear();
            return 0;
        }
        // The pieces are slices of the body's own bytes, as far as they are not
        // copies; decoded ones never are.
        let beside = pieces.join_small();
        self.pieces.append(pieces);
        if self.decoded { beside.max(more) } else { beside }
    }
}

/// For what is encoded again, with the memory that it takes.
async fn encoding(
    job: &Job<'_>,
    scanned: &Scanned,
    reservation: &Reservation,
) -> Result<(Encoding, Reservation), Failure> {
    // Only what is not encoded has no form, and is not encoded again.
    let form = scanned.form.ok_or(Failure::Engine)?;
    let encoding = Encoding::new(form, job.level, Some(scanned.released)).map_err(failed)?;
    let mut memory = job.budget.open();
    memory.stands_beside(reservation.bytes());
    memory.grow(encoding.memory()).await?;
    Ok((encoding, memory))
}

fn failed(error: CodingError) -> Failure {
    Failure::from(ContentError::Coding(error))
}
