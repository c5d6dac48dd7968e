//! What is told of a panic: where, never with which values.

use crate::metrics::Metrics;
use std::panic::PanicHookInfo;
use std::sync::Arc;

/// Replaces the standard hook, which prints the panic's message: it may hold
/// what was in a slice or a map.
pub fn install_panic_hook(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        metrics.panics.inc();
        let place = info.location();
        tracing::error!(
            file = place.map(std::panic::Location::file),
            line = place.map(std::panic::Location::line),
            "panic"
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_panic_says_is_not_told() {
        let (written, metrics) = (Written::default(), Arc::new(Metrics::new()));
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let before = std::panic::take_hook();
        install_panic_hook(Arc::clone(&metrics));
        let caught = tracing::subscriber::with_default(subscriber, || {
            std::panic::catch_unwind(|| {
                let text = String::from("kate.doe@example.com");
                let at = text.len() + 1;
                text.split_at(at).0.len()
            })
        });
        std::panic::set_hook(before);
        assert!(caught.is_err());
        // Others may panic meanwhile, on other threads.
        assert!(metrics.panics.get() >= 1);
        let told = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(told.contains("panic") && told.contains("line=") && told.contains(".rs"), "{told}");
        assert!(!told.contains("kate") && !told.contains("byte index") && !told.contains("out of"), "{told}");
    }
}
