//! What the fields of OTLP messages mean (opentelemetry-proto 1.8,
//! <https://github.com/open-telemetry/opentelemetry-proto>), and of what is pushed to Loki
//! (`push.proto`, <https://github.com/grafana/loki>) and written to Prometheus' remote
//! stores (`remote.proto` and `types.proto`, <https://github.com/prometheus/prometheus>).

/// What a field that has a length holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A message whose fields are known.
    Message(&'static Schema),
    /// A name and what stands under it.
    KeyValue,
    /// A value of one of several types.
    AnyValue,
    /// Text.
    Text,
    /// An id of a trace or a span: never touched, if it is as long as one.
    Id,
    /// Packed numbers: never touched.
    Opaque,
    /// Nobody knows: told by the bytes themselves.
    Unknown,
}

/// The fields of a message; those that are not listed are `Unknown` if they have
/// a length.
#[derive(Debug)]
pub(super) struct Schema {
    fields: &'static [(u32, Kind)],
}

impl Kind {
    /// The same for a field of `length` bytes: an id has 16 or 8, or is missing.
    pub(super) const fn of_length(self, length: u64) -> Self {
        match (self, length) {
            (Self::Id, 0 | 8 | 16) => Self::Opaque,
            (Self::Id, _) => Self::Unknown,
            _ => self,
        }
    }
}

impl Schema {
    pub(super) fn kind(&self, number: u32) -> Kind {
        self.fields.iter().find(|(known, _)| *known == number).map_or(Kind::Unknown, |(_, kind)| *kind)
    }
}

/// A message of which nothing is known.
pub(super) static ANY: Schema = Schema { fields: &[] };

pub(super) static TRACES: Schema = request(&[(1, Kind::Message(&RESOURCE_SPANS))]);
pub(super) static LOGS: Schema = request(&[(1, Kind::Message(&RESOURCE_LOGS))]);
pub(super) static METRICS: Schema = request(&[(1, Kind::Message(&RESOURCE_METRICS))]);

const fn request(fields: &'static [(u32, Kind)]) -> Schema {
    Schema { fields }
}

static RESOURCE_SPANS: Schema =
    Schema { fields: &[(1, Kind::Message(&RESOURCE)), (2, Kind::Message(&SCOPE_SPANS)), (3, Kind::Text)] };
static RESOURCE_LOGS: Schema =
    Schema { fields: &[(1, Kind::Message(&RESOURCE)), (2, Kind::Message(&SCOPE_LOGS)), (3, Kind::Text)] };
static RESOURCE_METRICS: Schema =
    Schema { fields: &[(1, Kind::Message(&RESOURCE)), (2, Kind::Message(&SCOPE_METRICS)), (3, Kind::Text)] };
static RESOURCE: Schema = Schema { fields: &[(1, Kind::KeyValue), (3, Kind::Message(&ENTITY_REF))] };
static ENTITY_REF: Schema = Schema { fields: &[(1, Kind::Text), (2, Kind::Text), (3, Kind::Text), (4, Kind::Text)] };
static SCOPE: Schema = Schema { fields: &[(1, Kind::Text), (2, Kind::Text), (3, Kind::KeyValue)] };

static SCOPE_SPANS: Schema =
    Schema { fields: &[(1, Kind::Message(&SCOPE)), (2, Kind::Message(&SPAN)), (3, Kind::Text)] };
static SPAN: Schema = Schema {
    fields: &[
        (1, Kind::Id),
        (2, Kind::Id),
        (3, Kind::Text),
        (4, Kind::Id),
        (5, Kind::Text),
        (9, Kind::KeyValue),
        (11, Kind::Message(&EVENT)),
        (13, Kind::Message(&LINK)),
        (15, Kind::Message(&STATUS)),
    ],
};
static EVENT: Schema = Schema { fields: &[(2, Kind::Text), (3, Kind::KeyValue)] };
static LINK: Schema = Schema { fields: &[(1, Kind::Id), (2, Kind::Id), (3, Kind::Text), (4, Kind::KeyValue)] };
static STATUS: Schema = Schema { fields: &[(2, Kind::Text)] };

static SCOPE_LOGS: Schema =
    Schema { fields: &[(1, Kind::Message(&SCOPE)), (2, Kind::Message(&LOG_RECORD)), (3, Kind::Text)] };
static LOG_RECORD: Schema = Schema {
    fields: &[
        (3, Kind::Text),
        (5, Kind::AnyValue),
        (6, Kind::KeyValue),
        (9, Kind::Id),
        (10, Kind::Id),
        (12, Kind::Text),
    ],
};

static SCOPE_METRICS: Schema =
    Schema { fields: &[(1, Kind::Message(&SCOPE)), (2, Kind::Message(&METRIC)), (3, Kind::Text)] };
static METRIC: Schema = Schema {
    fields: &[
        (1, Kind::Text),
        (2, Kind::Text),
        (3, Kind::Text),
        (5, Kind::Message(&NUMBERS)),
        (7, Kind::Message(&NUMBERS)),
        (9, Kind::Message(&HISTOGRAM)),
        (10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        (11, Kind::Message(&SUMMARY)),
        (12, Kind::KeyValue),
    ],
};
static NUMBERS: Schema = Schema { fields: &[(1, Kind::Message(&NUMBER_POINT))] };
static HISTOGRAM: Schema = Schema { fields: &[(1, Kind::Message(&HISTOGRAM_POINT))] };
static EXPONENTIAL_HISTOGRAM: Schema = Schema { fields: &[(1, Kind::Message(&EXPONENTIAL_HISTOGRAM_POINT))] };
static SUMMARY: Schema = Schema { fields: &[(1, Kind::Message(&SUMMARY_POINT))] };
static NUMBER_POINT: Schema = Schema { fields: &[(5, Kind::Message(&EXEMPLAR)), (7, Kind::KeyValue)] };
static HISTOGRAM_POINT: Schema =
    Schema { fields: &[(6, Kind::Opaque), (7, Kind::Opaque), (8, Kind::Message(&EXEMPLAR)), (9, Kind::KeyValue)] };
static EXPONENTIAL_HISTOGRAM_POINT: Schema = Schema {
    fields: &[
        (1, Kind::KeyValue),
        (8, Kind::Message(&BUCKETS)),
        (9, Kind::Message(&BUCKETS)),
        (11, Kind::Message(&EXEMPLAR)),
    ],
};
static BUCKETS: Schema = Schema { fields: &[(2, Kind::Opaque)] };
static SUMMARY_POINT: Schema = Schema { fields: &[(6, Kind::Message(&QUANTILE)), (7, Kind::KeyValue)] };
static QUANTILE: Schema = Schema { fields: &[] };
static EXEMPLAR: Schema = Schema { fields: &[(4, Kind::Id), (5, Kind::Id), (7, Kind::KeyValue)] };

pub(super) static LINES: Schema = request(&[(1, Kind::Message(&STREAM))]);
static STREAM: Schema = Schema { fields: &[(1, Kind::Text), (2, Kind::Message(&LINE))] };
static LINE: Schema =
    Schema { fields: &[(1, Kind::Opaque), (2, Kind::Text), (3, Kind::Message(&PAIR)), (4, Kind::Message(&PAIR))] };
static PAIR: Schema = Schema { fields: &[(1, Kind::Text), (2, Kind::Text)] };

/// Of version 2 (`io.prometheus.write.v2`) the symbols, which hold all texts.
pub(super) static SAMPLES: Schema =
    request(&[(1, Kind::Message(&SERIES)), (3, Kind::Message(&METADATA)), (4, Kind::Text), (5, Kind::Opaque)]);
static SERIES: Schema =
    Schema { fields: &[(1, Kind::Message(&PAIR)), (2, Kind::Opaque), (3, Kind::Message(&SAMPLE)), (4, Kind::Opaque)] };
static SAMPLE: Schema = Schema { fields: &[(1, Kind::Message(&PAIR))] };
static METADATA: Schema = Schema { fields: &[(2, Kind::Text), (4, Kind::Text), (5, Kind::Text)] };
