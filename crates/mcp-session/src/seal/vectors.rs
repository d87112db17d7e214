//! The published vectors of Project Wycheproof for AES-GCM, through the functions that seal and
//! open use: every case of a 256-bit key, a 96-bit nonce and a whole tag.

use wycheproof::{
    TestResult,
    aead::{Test, TestName, TestSet},
};

use super::*;

#[test]
fn the_cipher_agrees_with_wycheproof() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let ours = |(key, nonce, tag): (usize, usize, usize)| (key, nonce, tag) == (256, 96, 128);
    let groups = set.test_groups.iter();
    let groups = groups.filter(|group| ours((group.key_size, group.nonce_size, group.tag_size)));
    let (mut good, mut bad) = (0, 0);
    for test in groups.flat_map(|group| &group.tests) {
        match test.result {
            TestResult::Valid => good += 1,
            TestResult::Invalid => bad += 1,
            TestResult::Acceptable => continue,
        }
        check(test);
    }
    assert!(
        good >= 30 && bad >= 20,
        "{good} good and {bad} bad vectors: some are missing"
    );
}

fn check(test: &Test) {
    let key: [u8; 32] = test.key[..].try_into().unwrap();
    let nonce: [u8; NONCE_LEN] = test.nonce[..].try_into().unwrap();
    let cipher = cipher(&key);
    let sealed = [&test.ct[..], &test.tag[..]].concat();
    let opened = decrypt(&cipher, nonce, &test.aad, &sealed);
    let case = format!("{}: {}", test.tc_id, test.comment);
    if test.result == TestResult::Valid {
        let again = encrypt(&cipher, nonce, &test.aad, &test.pt).unwrap();
        assert_eq!(again, sealed, "{case}");
        assert_eq!(opened.unwrap().as_slice(), &test.pt[..], "{case}");
    } else {
        assert_eq!(opened.unwrap_err(), OpenError::Tampered, "{case}");
    }
}
