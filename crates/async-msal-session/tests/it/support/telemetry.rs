//! What this thread says and counts, for tests that run on one thread.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span;

/// Lines of this crate's log from INFO on, and its counters, until it is dropped.
pub(crate) struct Told {
    lines: Arc<Mutex<Vec<String>>>,
    counters: Arc<Counters>,
    _log: tracing::subscriber::DefaultGuard,
    _metrics: metrics::LocalRecorderGuard<'static>,
}

impl Told {
    pub(crate) fn start() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let counters = Arc::<Counters>::default();
        // A recorder for a thread is borrowed; a test's few bytes may stay.
        let recorder: &'static Counting = Box::leak(Box::new(Counting(Arc::clone(&counters))));
        Self {
            _log: tracing::subscriber::set_default(Log(Arc::clone(&lines))),
            _metrics: metrics::set_default_local_recorder(recorder),
            lines,
            counters,
        }
    }

    /// How many lines hold this text.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// A counter's value under these labels, `outcome=ok`; zero where it was never counted.
    pub(crate) fn counted(&self, name: &str, labels: &[&str]) -> u64 {
        let map = self.counters.0.lock().unwrap();
        let fits = |key: &str| {
            let mut words = key.split(' ');
            words.next() == Some(name) && {
                let words: Vec<&str> = words.collect();
                labels.iter().all(|label| words.contains(label))
            }
        };
        map.iter().filter(|(key, _)| fits(key)).map(|(_, value)| value).sum()
    }
}

struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("async_msal") && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

#[derive(Debug, Default)]
struct Counters(Mutex<BTreeMap<String, u64>>);

struct Counting(Arc<Counters>);

struct One {
    name: String,
    all: Arc<Counters>,
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        *self.all.0.lock().unwrap().entry(self.name.clone()).or_default() += value;
    }

    fn absolute(&self, value: u64) {
        self.all.0.lock().unwrap().insert(self.name.clone(), value);
    }
}

impl Recorder for Counting {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut name = key.name().to_owned();
        for label in key.labels() {
            write!(name, " {}={}", label.key(), label.value()).unwrap();
        }
        Counter::from_arc(Arc::new(One { name, all: Arc::clone(&self.0) }))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
