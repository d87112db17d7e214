//! What must hold for any input, for the fuzz targets and for the replay of their seeds.

use std::{sync::LazyLock, time::Duration};

use zeroize::Zeroizing;

use crate::{Keyring, record};

const NAME: &str = "mcp:session:v1:seed";

/// Bytes from the store open only when they were sealed for their entry, and then to what was
/// sealed. The input is taken as an envelope and as a plaintext.
pub fn envelope(data: &[u8]) {
    if let Ok(opened) = RING.open(NAME, data) {
        assert!(opened.plaintext.len() < data.len());
        assert!(RING.open("mcp:session:v1:other", data).is_err());
    }
    let Ok(sealed) = RING.seal(NAME, data) else {
        return;
    };
    let opened = RING.open(NAME, &sealed);
    assert!(opened.is_ok_and(|opened| *opened.plaintext == data && !opened.stale));
}

/// The plaintext of a record gives a session that ends no later than its token, or none.
pub fn record(data: &[u8]) {
    let hour = Duration::from_hours(1);
    let Ok(session) = record::decode(data, hour) else {
        return;
    };
    assert!(session.expires_at() <= session.principal().expires_at());
    assert!(session.expires_at() <= session.established_at() + hour);
    let again = record::encode(&session).and_then(|plaintext| record::decode(&plaintext, hour));
    assert_eq!(again, Ok(session));
}

static RING: LazyLock<Keyring> = LazyLock::new(|| {
    let key: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap_or_default());
    Keyring::new(&Zeroizing::new(key), &[Zeroizing::new([7; 32])])
});

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn replay(target: &str, check: fn(&[u8])) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/seeds")
            .join(target);
        let files = fs::read_dir(folder).unwrap();
        let seeds: Vec<_> = files
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect();
        for seed in &seeds {
            check(seed);
        }
        seeds
    }

    #[test]
    fn envelopes_of_the_fuzz_seeds_open_or_are_refused() {
        let seeds = replay("envelope", envelope);
        let opened = seeds.iter().filter(|seed| RING.open(NAME, seed).is_ok());
        assert_eq!(opened.count(), 1, "one seed was sealed with this key");
    }

    #[test]
    fn records_of_the_fuzz_seeds_are_read_or_refused() {
        let seeds = replay("record", record);
        let decoded = seeds
            .iter()
            .filter(|seed| record::decode(seed, Duration::MAX).is_ok());
        assert!(decoded.count() > 0);
    }
}
