//! HMAC-SHA256 (RFC 2104) of one short message of fixed length: two compressions and nothing beside them.
//!
//! A tag and a round of the permutation are each the HMAC of a few bytes, so both of HMAC's hashes are one
//! block long. With the keyed states computed once, what is left is the two calls of SHA-256's compression
//! function. The general `hmac` crate spends half as much again on buffers; a test holds the two together.

use sha2::block_api::compress256;

/// SHA-256's initial state (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
const BLOCK_BYTES: usize = 64;
const STATE_BYTES: usize = 32;
/// A block holds the message, one byte of padding and eight bytes of length.
const MESSAGE_BYTES_MAX: usize = BLOCK_BYTES - 9;

/// A key with its two states computed.
#[derive(Clone)]
pub(crate) struct ShortMac {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl ShortMac {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self { inner: keyed_state(key, 0x36), outer: keyed_state(key, 0x5c) }
    }

    /// HMAC-SHA256 of the message, as big-endian words.
    pub(crate) fn compute<const BYTES: usize>(&self, message: &[u8; BYTES]) -> [u32; 8] {
        let hash = finish(self.inner, message);
        let mut bytes = [0; STATE_BYTES];
        for (chunk, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(hash) {
            *chunk = word.to_be_bytes();
        }
        finish(self.outer, &bytes)
    }
}

/// The state after the first block: the key, padded to a block, XORed with `pad`.
fn keyed_state(key: &[u8; 32], pad: u8) -> [u32; 8] {
    let mut block = [pad; BLOCK_BYTES];
    for (byte, key) in block.iter_mut().zip(key) {
        *byte ^= key;
    }
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    state
}

/// Hashes the second and last block: the message with SHA-256's padding.
fn finish<const BYTES: usize>(mut state: [u32; 8], message: &[u8; BYTES]) -> [u32; 8] {
    const { assert!(BYTES <= MESSAGE_BYTES_MAX, "the message and its padding are one block") };
    let mut block = [0; BLOCK_BYTES];
    let (head, tail) = block.split_at_mut(BYTES);
    head.copy_from_slice(message);
    if let Some(end) = tail.first_mut() {
        *end = 0x80;
    }
    if let Some(length) = block.last_chunk_mut::<8>() {
        *length = (8 * (BLOCK_BYTES as u64 + BYTES as u64)).to_be_bytes();
    }
    compress256(&mut state, &[block]);
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<const BYTES: usize>(key: [u8; 32], message: [u8; BYTES]) {
        let general = crate::keys::hmac(&key, &[&message]);
        let words = ShortMac::new(&key).compute(&message);
        assert_eq!(words.map(u32::to_be_bytes).as_flattened(), general);
    }

    #[test]
    fn rfc_4231_case_2_with_its_key_padded() {
        // HMAC pads keys with zeros itself, so "Jefe" and "Jefe" with zeros are one key.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let words = ShortMac::new(&key).compute(b"what do ya want for nothing?");
        assert_eq!(words[..2], [0x5bdc_c146, 0xbf60_754e]);
    }

    proptest! {
        #[test]
        fn it_is_the_general_hmac(key: [u8; 32], tag: [u8; 8], round: [u8; 3], longest: [[u8; 11]; 5]) {
            check(key, tag);
            check(key, round);
            check(key, []);
            let flat: [u8; 55] = longest.as_flattened().try_into().unwrap();
            check(key, flat);
        }
    }
}
