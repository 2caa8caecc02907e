//! The Merkle tree hash of RFC 6962, 2.1: leaves and inner nodes are told apart by a first byte.

use sha2::{Digest, Sha256};

/// The hash of one chain's head, as a leaf of the tree: `object`, `n` and the head's hash with line feeds between.
#[must_use]
pub fn leaf(object: &str, n: u64, head: &str) -> [u8; 32] {
    hash_leaf(format!("{object}\n{n}\n{head}").as_bytes())
}

fn hash_leaf(data: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn hash_node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A tree under construction: it takes leaves one by one and keeps one hash for each level.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Whole subtrees from left to right, with their heights, which only fall.
    subtrees: Vec<(u32, [u8; 32])>,
}

impl Tree {
    /// Adds the next leaf.
    pub fn add(&mut self, leaf: [u8; 32]) {
        let (mut height, mut hash) = (0, leaf);
        while let Some((_, left)) = self.subtrees.pop_if(|(other, _)| *other == height) {
            hash = hash_node(&left, &hash);
            height += 1;
        }
        self.subtrees.push((height, hash));
    }

    /// The root; for no leaves at all, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        let mut right_to_left = self.subtrees.iter().rev().map(|(_, hash)| *hash);
        match right_to_left.next() {
            Some(last) => right_to_left.fold(last, |right, left| hash_node(&left, &right)),
            None => Sha256::digest([]).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    fn root(leaves: &[&[u8]]) -> String {
        let mut tree = Tree::default();
        leaves.iter().for_each(|data| tree.add(hash_leaf(data)));
        hex::encode(&tree.root())
    }

    /// The tree of RFC 6962, word for word: split at the largest power of two below the count.
    fn by_definition(leaves: &[&[u8]]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => hash_leaf(one),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                hash_node(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn roots_published_with_certificate_transparency() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        for (count, expected) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(root(&leaves[..count]), expected, "{count} leaves");
        }
        for count in 0..=8 {
            assert_eq!(root(&leaves[..count]), hex::encode(&by_definition(&leaves[..count])), "{count} leaves");
        }
    }
}
