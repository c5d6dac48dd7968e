//! The `Content-Type` header: which format a body has, as far as it says.

use super::grpc::Payload;
use super::insert::Names;
use super::parameter::{self, Parameter};
use super::protobuf::Message;

/// A parsed `Content-Type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// `type/subtype` in lower case, without parameters; empty when missing.
    pub essence: String,
    /// What it means to us.
    pub media: Media,
    /// Whether the declared charset, if any, is UTF-8 or its subset US-ASCII.
    pub utf8: bool,
    /// What parts are told apart by, letter case and all; `None` when it is not
    /// declared, or twice and differently.
    pub boundary: Option<Vec<u8>>,
    /// The body is a block of Snappy.
    pub snappy: bool,
    /// The names of the columns, which something beside the rows tells.
    pub columns: Option<Names>,
}

/// What a media type means to the redactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON, one document or several.
    Json,
    /// JSON, one document per line.
    Ndjson,
    /// An array per line, whose values have their names in the first one; whether the second
    /// one has types.
    Rows(bool),
    /// Text, which may turn out to be JSON.
    Text,
    /// Text in cells, with their names in its first line; whether the second one has types.
    Table(bool),
    /// The same with tabs between them.
    Tabs(bool),
    /// Rows in brackets, as a statement of SQL has them.
    Values,
    /// Pairs of names and values, percent-encoded.
    Form,
    /// Protocol Buffers.
    Protobuf(Message),
    /// MessagePack.
    Msgpack,
    /// Parts with headers of their own, between lines of a boundary.
    Multipart,
    /// Items of Sentry's, each behind a header in JSON.
    Envelope,
    /// A recording of Sentry's: a line of JSON, and what is most often compressed. No type
    /// says so, the item does.
    Recording,
    /// Server-sent events.
    Sse,
    /// The messages of a gRPC call.
    Grpc(Payload),
    /// Missing or not known: judged by its first bytes and by being UTF-8.
    Unknown,
    /// Known, and known not to be understood yet.
    Unsupported,
}

impl ContentType {
    /// The meaning of the header's value; `None` when there is no header.
    pub fn parse(value: Option<&[u8]>) -> Self {
        let value = value.unwrap_or_default();
        let (essence, parameters) = parameter::split(value);
        let essence = String::from_utf8_lossy(&value[essence]).to_ascii_lowercase();
        let named = |name| parameters.iter().filter(move |parameter: &&Parameter| parameter.is(value, name));
        let utf8 = named("charset").filter_map(|charset| charset.text(value)).all(|charset| {
            let charset = charset.to_ascii_lowercase();
            matches!(&charset[..], b"utf-8" | b"utf8" | b"us-ascii" | b"ascii")
        });
        let mut boundaries = named("boundary").filter_map(|boundary| boundary.text(value));
        let first = boundaries.next();
        let boundary = first.filter(|first| boundaries.all(|other| other == *first));
        let header = named("header").filter_map(|header| header.text(value)).next();
        let media = match (Media::of(&essence), header.as_deref()) {
            (Media::Ndjson, Some(b"present")) => Media::Rows(false),
            (Media::Ndjson, Some(b"types")) => Media::Rows(true),
            (Media::Table(_), Some(b"types")) => Media::Table(true),
            (Media::Tabs(_), Some(b"types")) => Media::Tabs(true),
            (Media::Table(_) | Media::Tabs(_), Some(b"absent")) => Media::Text,
            (media, _) => media,
        };
        Self { essence, media, utf8, boundary, snappy: false, columns: None }
    }

    /// That of a body with several types: which one the upstream would believe
    /// is anybody's guess, and no format fits all.
    pub fn ambiguous() -> Self {
        Self {
            essence: String::new(),
            media: Media::Unsupported,
            utf8: true,
            boundary: None,
            snappy: false,
            columns: None,
        }
    }

    /// The same for what is sent to `path`, which tells what a message is.
    #[must_use]
    pub fn sent_to(self, path: &str) -> Self {
        self.holding(Message::of_path(path))
    }

    /// The same with these names for columns that have none of their own.
    #[must_use]
    pub(super) fn with_columns(self, columns: Option<Names>) -> Self {
        let media = match self.media {
            _ if columns.is_none() => return self,
            Media::Ndjson => Media::Rows(false),
            Media::Text if Media::of(&self.essence) == Media::Table(false) => Media::Table(false),
            Media::Text if Media::of(&self.essence) == Media::Tabs(false) => Media::Tabs(false),
            Media::Text if self.essence == "application/sql" => Media::Values,
            _ => return self,
        };
        Self { media, columns, ..self }
    }

    /// The same in a block of Snappy.
    #[must_use]
    pub fn in_snappy(self) -> Self {
        Self { snappy: true, ..self }
    }

    /// The same out of it.
    #[must_use]
    pub(super) fn plain(self) -> Self {
        Self { snappy: false, ..self }
    }

    /// The same with this message in it, if it is one.
    #[must_use]
    pub fn holding(mut self, held: Message) -> Self {
        if let Media::Protobuf(message) | Media::Grpc(Payload::Protobuf(message)) = &mut self.media {
            *message = held;
        }
        self
    }

    /// Whether whoever sends it speaks gRPC, understood or not.
    pub fn is_grpc(&self) -> bool {
        let rest = self.essence.strip_prefix("application/grpc");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
    }
}

impl Media {
    fn of(essence: &str) -> Self {
        match essence {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonl"
            | "application/jsonlines"
            | "application/x-jsonlines"
            | "application/stream+json"
            | "application/x-json-stream"
            | "text/x-ndjson" => Self::Ndjson,
            "application/json" | "application/x-json" | "text/json" | "text/x-json" | "application/json-seq" => {
                Self::Json
            }
            "application/x-www-form-urlencoded" => Self::Form,
            "application/x-sentry-envelope" => Self::Envelope,
            "application/x-protobuf"
            | "application/protobuf"
            | "application/proto"
            | "application/x-proto"
            | "application/x-google-protobuf"
            | "application/vnd.google.protobuf" => Self::Protobuf(Message::Unknown),
            "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => Self::Msgpack,
            "text/event-stream" => Self::Sse,
            "text/csv" | "text/x-csv" | "application/csv" | "application/x-csv" => Self::Table(false),
            "text/tab-separated-values" => Self::Tabs(false),
            "application/sql" => Self::Text,
            "application/cbor"
            | "application/avro"
            | "avro/binary"
            | "application/x-thrift"
            | "application/vnd.apache.thrift.binary"
            | "application/vnd.apache.thrift.compact" => Self::Unsupported,
            _ if essence.starts_with("multipart/") => Self::Multipart,
            "application/grpc" | "application/grpc+proto" => Self::Grpc(Payload::Protobuf(Message::Unknown)),
            "application/grpc+json" => Self::Grpc(Payload::Json),
            _ if essence.starts_with("application/grpc") => Self::Unsupported,
            _ if essence.ends_with("+json") || essence.starts_with("application/x-amz-json-") => Self::Json,
            _ if essence.starts_with("text/") => Self::Text,
            _ => Self::Unknown,
        }
    }
}

/// The type of a picture, of sound or of a film, by the end of its file's `name`.
pub(super) fn of_file(name: &[u8]) -> Option<&'static str> {
    const ENDS: [(&str, &str); 16] = [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("wav", "audio/wav"),
        ("mp3", "audio/mpeg"),
        ("mpga", "audio/mpeg"),
        ("m4a", "audio/mp4"),
        ("ogg", "audio/ogg"),
        ("flac", "audio/flac"),
        ("mp4", "video/mp4"),
        ("mpeg", "video/mpeg"),
        ("webm", "video/webm"),
        ("mov", "video/quicktime"),
        ("avi", "video/x-msvideo"),
    ];
    let point = name.iter().rposition(|&byte| byte == b'.')?;
    let end = &name[point + 1..];
    ENDS.iter().find(|(known, _)| end.eq_ignore_ascii_case(known.as_bytes())).map(|(_, essence)| *essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(value: &str) -> Media {
        ContentType::parse(Some(value.as_bytes())).media
    }

    #[test]
    fn json_has_many_names() {
        for value in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/cloudevents+json",
            "application/x-amz-json-1.1",
        ] {
            assert_eq!(media(value), Media::Json, "{value}");
        }
        assert_eq!(media("application/x-ndjson"), Media::Ndjson);
        assert_eq!(media("application/x-ndjson; header=present"), Media::Rows(false));
        assert_eq!(media("application/x-ndjson; header=types"), Media::Rows(true));
        assert_eq!(media("text/csv; header=types"), Media::Table(true));
        assert_eq!(media("text/tab-separated-values; header=types"), Media::Tabs(true));
        assert_eq!(media("text/csv; header=absent"), Media::Text);
    }

    #[test]
    fn columns_that_are_told_make_rows_of_what_has_no_names() {
        let names: Option<Names> = Some(vec![b"a".to_vec()].into());
        for (value, expected) in [
            ("text/csv; header=absent", Media::Table(false)),
            ("text/tab-separated-values; header=absent", Media::Tabs(false)),
            ("application/x-ndjson", Media::Rows(false)),
            ("application/sql", Media::Values),
        ] {
            let content = ContentType::parse(Some(value.as_bytes()));
            let told = content.clone().with_columns(names.clone());
            assert_eq!((told.media, &told.columns), (expected, &names), "{value}");
            assert_eq!(content.clone().with_columns(None), content);
        }
        for value in ["text/csv", "text/csv; header=types", "application/json", "text/plain"] {
            let content = ContentType::parse(Some(value.as_bytes()));
            assert_eq!(content.clone().with_columns(names.clone()), content, "{value}");
        }
    }

    #[test]
    fn formats_with_lengths_are_not_taken_for_text() {
        for value in ["application/grpc-web+proto", "application/grpc+thrift", "application/cbor"] {
            assert_eq!(media(value), Media::Unsupported, "{value}");
        }
    }

    #[test]
    fn a_boundary_keeps_its_letters() {
        let boundary = |value: &str| {
            let content = ContentType::parse(Some(value.as_bytes()));
            assert_eq!(content.media, Media::Multipart);
            content.boundary.map(|boundary| String::from_utf8(boundary).unwrap())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(boundary("multipart/form-data; boundary=----WebKitX7aB"), some("----WebKitX7aB"));
        assert_eq!(boundary("Multipart/Mixed; charset=utf-8; Boundary=\"a b:\\\"c\""), some("a b:\"c"));
        assert_eq!(boundary("multipart/form-data; boundary=a; boundary=a"), some("a"));
        assert_eq!(boundary("multipart/form-data; boundary=a; boundary=b"), None);
        assert_eq!(boundary("multipart/form-data"), None);
    }

    #[test]
    fn a_missing_type_is_unknown() {
        let missing = ContentType::parse(None);
        assert_eq!((missing.media, missing.utf8), (Media::Unknown, true));
        assert_eq!(media("image/png"), Media::Unknown);
        assert_eq!(media("text/plain"), Media::Text);
    }

    #[test]
    fn only_utf8_and_ascii_charsets_count_as_utf8() {
        let utf8 = |value: &str| ContentType::parse(Some(value.as_bytes())).utf8;
        assert!(utf8("text/plain; charset=\"UTF-8\""));
        assert!(utf8("text/plain; format=flowed"));
        assert!(utf8("text/plain;charset=us-ascii"));
        assert!(!utf8("text/plain; charset=utf-16"));
        assert!(!utf8("text/plain; charset=iso-8859-1"));
        assert!(!utf8("text/plain; charset=utf-8; charset=utf-7"));
    }
}
