//! Which request of OTLP a message is, where no path tells.

use super::Message;
use super::wire::{Field, Fields, Value, varint};

impl Message {
    /// What a message that begins with `head` most likely is: told by the first
    /// span, log record or metric, [`Message::Unknown`] where there is none.
    pub fn guess(head: &[u8]) -> Self {
        let record = within(head, 1).and_then(|resource| within(resource, 2)).and_then(|scope| within(scope, 2));
        let Some(record) = record else { return Self::Unknown };
        let fields = || Fields::cut(record, u64::MAX).map_while(Result::ok);
        // Times are surer: a span's name stands where the data of a metric does.
        let timed = fields().find_map(|field| timed(&field));
        timed.or_else(|| fields().find_map(|field| measured(&field, record))).unwrap_or(Self::Unknown)
    }
}

/// What has its times in such a field.
fn timed(field: &Field) -> Option<Message> {
    match (field.number, &field.value) {
        (1 | 11, Value::Fixed64(..)) => Some(Message::Logs),
        (7 | 8, Value::Fixed64(..)) => Some(Message::Traces),
        _ => None,
    }
}

/// A metric, if the field holds its data: points, the first field of a message.
fn measured(field: &Field, record: &[u8]) -> Option<Message> {
    match (field.number, &field.value) {
        (5 | 7 | 9 | 10 | 11, Value::Bytes { body, .. }) => {
            record.get(body.start).is_some_and(|&tag| tag == 1 << 3 | 2).then_some(Message::Metrics)
        }
        _ => None,
    }
}

/// The first field `number` of a message that begins with `head`, as far as it
/// is there.
fn within(mut head: &[u8], number: u64) -> Option<&[u8]> {
    loop {
        let (tag, length) = varint(head)?;
        head = &head[length..];
        let (value, length) = match tag & 7 {
            0 => (varint(head)?.1 as u64, 0),
            1 => (8, 0),
            2 => varint(head)?,
            5 => (4, 0),
            _ => return None,
        };
        head = &head[length..];
        let value = usize::try_from(value).ok()?;
        if tag == number << 3 | 2 {
            return Some(&head[..value.min(head.len())]);
        }
        head = head.get(value..)?;
    }
}
