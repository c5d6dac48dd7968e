//! A message that is held whole.

use super::classify::{Looks, is_entry, looks};
use super::schema::{ANY, Kind, Schema};
use super::wire::{Field, Fields, Length, Value};
use crate::content::ContentError;
use crate::content::projection::Projection;
use crate::content::spelling::Spelling;
use crate::content::tree::{Part, Tree};
use crate::redact::{Plan, Report};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// Messages in messages; what protobuf's own parsers allow.
pub(super) const MAX_DEPTH: u32 = 100;
/// The field of `AnyValue` that holds a text.
pub(super) const STRING_VALUE: u32 = 1;

/// Fields of a message that is held whole. Each costs some 400 bytes while it is
/// looked at, and a message of a quarter of a megabyte may have as many thousand.
const MAX_FIELDS: usize = 1 << 15;

/// Redacts the message `raw` and appends it to `out`; `None` if it has too many
/// fields for that.
pub(super) fn redact(
    plan: &Arc<Plan>,
    schema: &'static Schema,
    raw: &Bytes,
    out: &mut Vec<Bytes>,
) -> Result<Option<Report>, ContentError> {
    let mut walk = Walk { raw, tree: Tree::new(), projection: Projection::new(plan), tasks: Vec::new() };
    if !walk.run(schema)? {
        return Ok(None);
    }
    let Walk { tree, projection, .. } = walk;
    let (mut redacted, projection) = tree.redact(raw.clone(), projection)?;
    out.append(&mut redacted);
    Ok(Some(projection.report().clone()))
}

/// What is still to be done, the next one last. An own stack: a message nests as
/// deep as its sender likes.
enum Task {
    Syntax(&'static [u8]),
    /// The fields of a message.
    Message {
        range: Range<usize>,
        schema: &'static Schema,
        inside: Inside,
    },
    /// Name and value of a key-value pair, or of a map's entry.
    Pair {
        range: Range<usize>,
        value: Kind,
        inside: Inside,
    },
    AnyValue {
        range: Range<usize>,
        inside: Inside,
    },
    /// Pairs that are the members of an object, or values of an array.
    List {
        range: Range<usize>,
        item: Kind,
        inside: Inside,
    },
    Text {
        head: Range<usize>,
        body: Range<usize>,
        parent: Option<usize>,
    },
    Number {
        digits: String,
        range: Range<usize>,
        parent: Option<usize>,
    },
}

/// Where a task stands.
#[derive(Clone, Copy)]
struct Inside {
    parent: Option<usize>,
    depth: u32,
}

struct Walk<'a> {
    raw: &'a Bytes,
    tree: Tree<Length>,
    projection: Projection,
    tasks: Vec<Task>,
}

impl Walk<'_> {
    /// Whether it came to an end.
    fn run(&mut self, schema: &'static Schema) -> Result<bool, ContentError> {
        let inside = Inside { parent: None, depth: 0 };
        self.tasks.push(Task::Message { range: 0..self.raw.len(), schema, inside });
        while let Some(task) = self.tasks.pop() {
            let mut next = Vec::new();
            match task {
                Task::Syntax(json) => self.projection.syntax(json),
                Task::Message { range, schema, inside } => self.message(&range, schema, inside, &mut next)?,
                Task::Pair { range, value, inside } => self.pair(&range, value, inside, &mut next)?,
                Task::AnyValue { range, inside } => self.any_value(&range, inside, &mut next)?,
                Task::List { range, item, inside } => self.list(&range, item, inside, &mut next)?,
                Task::Text { head, body, parent } => self.text(head, body, parent),
                Task::Number { digits, range, parent } => self.number(digits, range, parent),
            }
            self.tasks.extend(next.into_iter().rev());
            // A field has four tasks at most.
            if self.tree.len() + self.tasks.len() / 4 > MAX_FIELDS {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fields(&self, range: &Range<usize>) -> Result<Vec<Field>, ContentError> {
        Fields::new(self.raw, range).collect::<Result<_, _>>().map_err(|_| ContentError::Framing)
    }

    /// Each of its fields is a line of JSON.
    fn message(
        &mut self,
        range: &Range<usize>,
        schema: &'static Schema,
        inside: Inside,
        next: &mut Vec<Task>,
    ) -> Result<(), ContentError> {
        for field in Fields::new(self.raw, range).take(4 * MAX_FIELDS) {
            let Field { number, value, .. } = field.map_err(|_| ContentError::Framing)?;
            if let Value::Bytes { head, body } = value {
                self.field(schema.kind(number), head, body, inside, next)?;
                next.push(Task::Syntax(b"\n"));
            }
        }
        Ok(())
    }

    /// What stands in a field, as a JSON value.
    fn field(
        &mut self,
        kind: Kind,
        head: Range<usize>,
        body: Range<usize>,
        inside: Inside,
        next: &mut Vec<Task>,
    ) -> Result<(), ContentError> {
        match kind.of_length(body.len() as u64) {
            Kind::Opaque | Kind::Id => {}
            Kind::Text => push_text(head, body, inside.parent, next),
            Kind::Message(schema) => {
                let inside = self.open(head, &body, inside)?;
                next.push(Task::Message { range: body, schema, inside });
            }
            Kind::KeyValue => {
                let inside = self.open(head, &body, inside)?;
                next.push(Task::Syntax(b"{"));
                next.push(Task::Pair { range: body, value: Kind::AnyValue, inside });
                next.push(Task::Syntax(b"}"));
            }
            Kind::AnyValue => {
                let inside = self.open(head, &body, inside)?;
                next.push(Task::AnyValue { range: body, inside });
            }
            Kind::Unknown => self.unknown(head, body, inside, next)?,
        }
        Ok(())
    }

    fn unknown(
        &mut self,
        head: Range<usize>,
        body: Range<usize>,
        inside: Inside,
        next: &mut Vec<Task>,
    ) -> Result<(), ContentError> {
        match looks(self.raw, &body) {
            Looks::Message if is_entry(self.raw, &body) => {
                let inside = self.open(head, &body, inside)?;
                next.push(Task::Syntax(b"{"));
                next.push(Task::Pair { range: body, value: Kind::Unknown, inside });
                next.push(Task::Syntax(b"}"));
            }
            Looks::Message if inside.depth < MAX_DEPTH => {
                let inside = self.open(head, &body, inside)?;
                next.push(Task::Message { range: body, schema: &ANY, inside });
            }
            Looks::Text => push_text(head, body, inside.parent, next),
            // A text of the same length, whatever else it may be.
            Looks::Message | Looks::Neither => {
                next.push(Task::Syntax(b"\""));
                next.push(Task::Text { head: body.start..body.start, body, parent: inside.parent });
                next.push(Task::Syntax(b"\""));
            }
        }
        Ok(())
    }

    /// The name before the value, in whatever order they came. A sender may
    /// repeat either; all are looked at.
    fn pair(
        &mut self,
        range: &Range<usize>,
        value: Kind,
        inside: Inside,
        next: &mut Vec<Task>,
    ) -> Result<(), ContentError> {
        let fields = self.fields(range)?;
        let bytes = |wanted: &'static [u32], is_in: bool| {
            fields.iter().filter_map(move |field| match &field.value {
                Value::Bytes { head, body } if wanted.contains(&field.number) == is_in => {
                    Some((head.clone(), body.clone()))
                }
                _ => None,
            })
        };
        let names: Vec<_> = bytes(&[1], true).collect();
        let last = names.len().saturating_sub(1);
        if names.is_empty() {
            next.push(Task::Syntax(b"\"\":"));
        }
        for (index, (head, body)) in names.into_iter().enumerate() {
            push_text(head, body, inside.parent, next);
            // The last one counts.
            next.push(Task::Syntax(if index < last { b":0," } else { b":" }));
        }
        let values: Vec<_> = bytes(&[2], true).collect();
        self.values(values, value, inside, next)?;
        for (head, body) in bytes(&[1, 2], false) {
            next.push(Task::Syntax(b",\"\":"));
            self.field(Kind::Unknown, head, body, inside, next)?;
        }
        Ok(())
    }

    /// One value, or an array of several or none.
    fn values(
        &mut self,
        values: Vec<(Range<usize>, Range<usize>)>,
        kind: Kind,
        inside: Inside,
        next: &mut Vec<Task>,
    ) -> Result<(), ContentError> {
        let is_one = values.len() == 1;
        if !is_one {
            next.push(Task::Syntax(b"["));
        }
        for (index, (head, body)) in values.into_iter().enumerate() {
            if index > 0 {
                next.push(Task::Syntax(b","));
            }
            self.field(kind, head, body, inside, next)?;
        }
        if !is_one {
            next.push(Task::Syntax(b"]"));
        }
        Ok(())
    }

    fn any_value(&mut self, range: &Range<usize>, inside: Inside, next: &mut Vec<Task>) -> Result<(), ContentError> {
        let fields = self.fields(range)?;
        let is_one = fields.len() == 1;
        if !is_one {
            next.push(Task::Syntax(b"["));
        }
        for (index, field) in fields.into_iter().enumerate() {
            if index > 0 {
                next.push(Task::Syntax(b","));
            }
            self.value(field, inside, next)?;
        }
        if !is_one {
            next.push(Task::Syntax(b"]"));
        }
        Ok(())
    }

    fn value(&mut self, field: Field, inside: Inside, next: &mut Vec<Task>) -> Result<(), ContentError> {
        let start = field.start;
        match (field.number, field.value) {
            (STRING_VALUE, Value::Bytes { head, body }) => push_text(head, body, inside.parent, next),
            (5, Value::Bytes { head, body }) => {
                let inside = self.open(head, &body, inside)?;
                next.push(Task::List { range: body, item: Kind::AnyValue, inside });
            }
            (6, Value::Bytes { head, body }) => {
                let inside = self.open(head, &body, inside)?;
                next.push(Task::List { range: body, item: Kind::KeyValue, inside });
            }
            (_, Value::Bytes { head, body }) => self.unknown(head, body, inside, next)?,
            // An integer is of two's complement, whatever its sign.
            (3, Value::Varint(value, range)) => {
                let digits = value.cast_signed().to_string();
                next.push(Task::Number { digits, range: start..range.end, parent: inside.parent });
            }
            (4, Value::Fixed64(bits, range)) if f64::from_bits(bits).is_finite() => {
                let digits = f64::from_bits(bits).to_string();
                next.push(Task::Number { digits, range: start..range.end, parent: inside.parent });
            }
            _ => next.push(Task::Syntax(b"null")),
        }
        Ok(())
    }

    fn list(
        &mut self,
        range: &Range<usize>,
        item: Kind,
        inside: Inside,
        next: &mut Vec<Task>,
    ) -> Result<(), ContentError> {
        let is_object = matches!(item, Kind::KeyValue);
        next.push(Task::Syntax(if is_object { b"{" } else { b"[" }));
        let mut is_first = true;
        for field in self.fields(range)? {
            let Value::Bytes { head, body } = field.value else { continue };
            if !std::mem::take(&mut is_first) {
                next.push(Task::Syntax(b","));
            }
            match (field.number, is_object) {
                (1, true) => {
                    let inside = self.open(head, &body, inside)?;
                    next.push(Task::Pair { range: body, value: Kind::AnyValue, inside });
                }
                (1, false) => self.field(item, head, body, inside, next)?,
                (_, true) => {
                    next.push(Task::Syntax(b"\"\":"));
                    self.unknown(head, body, inside, next)?;
                }
                (_, false) => self.unknown(head, body, inside, next)?,
            }
        }
        next.push(Task::Syntax(if is_object { b"}" } else { b"]" }));
        Ok(())
    }

    /// A message within another.
    fn open(&mut self, head: Range<usize>, body: &Range<usize>, inside: Inside) -> Result<Inside, ContentError> {
        if inside.depth >= MAX_DEPTH {
            return Err(ContentError::Framing);
        }
        let part = Part { head, end: body.end, parent: inside.parent, header: Length::Plain };
        Ok(Inside { parent: Some(self.tree.add(part)), depth: inside.depth + 1 })
    }

    fn text(&mut self, head: Range<usize>, body: Range<usize>, parent: Option<usize>) {
        // Without a header that could be written, its length stays.
        let is_fixed = head.is_empty();
        let (header, spelling) =
            if is_fixed { (Length::Fixed, Spelling::Fixed) } else { (Length::Plain, Spelling::Plain) };
        let raw = self.raw.slice(body.clone());
        let field = self.tree.add(Part { head, end: body.end, parent, header });
        self.projection.text(field, raw, spelling);
    }

    /// A number, which becomes a text where it is found.
    fn number(&mut self, digits: String, range: Range<usize>, parent: Option<usize>) {
        let header = Length::Tagged(STRING_VALUE);
        let field = self.tree.add(Part { head: range.clone(), end: range.end, parent, header });
        self.projection.text(field, digits.into(), Spelling::Number);
    }
}

fn push_text(head: Range<usize>, body: Range<usize>, parent: Option<usize>, next: &mut Vec<Task>) {
    next.push(Task::Syntax(b"\""));
    next.push(Task::Text { head, body, parent });
    next.push(Task::Syntax(b"\""));
}
