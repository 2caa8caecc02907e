//! Planted defects live in this crate and nowhere else: no product crate has a feature, a word or a dependency for
//! them, so no build of a product can contain one.

use counterfoil_simulator::Defect;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Crates that are shipped.
const PRODUCTS: [&str; 4] = ["core", "edge", "sdk", "examples/cli"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust source and manifest of a crate.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            if !["build", "node_modules", "target", "dist", "pkg"].contains(&name.as_str()) {
                files(&path, found)?;
            }
        } else if name == "Cargo.toml" || name.ends_with(".rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn no_product_has_a_word_for_planted_defects() {
    let mut looked_at = 0;
    for product in PRODUCTS {
        let mut found = vec![];
        files(&root().join(product), &mut found).unwrap();
        for path in found {
            let text = fs::read_to_string(&path).unwrap();
            looked_at += 1;
            for defect in Defect::ALL {
                let variant = format!("Defect::{defect:?}");
                for word in [defect.name(), variant.as_str()] {
                    assert!(!text.contains(word), "{} has the word {word}", path.display());
                }
            }
            for word in ["planted", "counterfoil-simulator", "counterfoil_simulator", "cfg(feature = \"defect"] {
                assert!(!text.contains(word), "{} has the word {word}", path.display());
            }
        }
    }
    assert!(looked_at > 50, "only {looked_at} files were found");
}

#[test]
fn products_have_only_the_features_that_are_known() {
    // `dev` signs tokens locally and is left out of release builds by a test of its own; `small` trades speed for
    // size; `typescript` generates types, `openapi` the document.
    let known = ["default", "dev", "openapi", "small", "typescript"];
    for product in PRODUCTS {
        let manifest = fs::read_to_string(root().join(product).join("Cargo.toml")).unwrap();
        let features = manifest.split("[features]").nth(1).unwrap_or_default();
        let features = features.lines().take_while(|line| !line.starts_with('['));
        for name in features.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim()) {
            assert!(known.contains(&name), "{product} has a feature {name}");
        }
    }
}

#[test]
fn there_are_enough_of_them_and_each_has_a_name_of_its_own() {
    let mut names: Vec<&str> = Defect::ALL.iter().map(|defect| defect.name()).collect();
    assert!(names.len() >= 30, "{}", names.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Defect::ALL.len());
}
