//! What is said of a panic: where it happened, never its message.

use std::io::Write as _;
use std::panic::PanicHookInfo;

pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(report_panic));
}

fn report_panic(panic: &PanicHookInfo<'_>) {
    let location = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let thread = std::thread::current()
        .name()
        .unwrap_or("unnamed")
        .to_owned();
    if tracing::dispatcher::has_been_set() {
        tracing::error!(target: "panic", location, thread, "panicked; the message is not logged");
    } else {
        // Standard error may be closed; a panic hook has no one else to tell.
        let _ = writeln!(
            std::io::stderr(),
            "panicked at {location}; the message is not shown"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_panic_says_where_and_never_what() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(Arc::new(log.reopen().unwrap()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            install_panic_hook();
            let panicked = std::panic::catch_unwind(|| panic!("{}", "the secret of a panic"));
            assert!(panicked.is_err());
            drop(std::panic::take_hook());
        });
        let text = std::fs::read_to_string(log.path()).unwrap();
        assert!(text.contains("panics.rs"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
