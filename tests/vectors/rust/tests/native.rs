//! The vectors, natively.

#[test]
fn every_published_vector_holds() {
    for (name, text) in counterfoil_vectors::FILES {
        match counterfoil_vectors::run(name, text) {
            Ok(cases) => println!("{name}: {cases} cases"),
            Err(failures) => panic!("{name}:\n{failures}"),
        }
    }
}

/// A runner that passes everything would pass the vectors too.
#[test]
fn a_changed_vector_is_noticed() {
    let changes = [
        ("minted.json", "\"seq\":0,\"serial\":6965167", "\"seq\":0,\"serial\":6965168"),
        ("minted.json", "d1776b75e4", "d1776b75e5"),
        ("forged.json", "\"authentic\":false", "\"authentic\":true"),
        ("corrections.json", "\"changed\":[0]", "\"changed\":[1]"),
        ("corrections.json", "\"correction\":\"omission\"", "\"correction\":\"single\""),
        ("readings.json", "\"reason\":\"too_long\"", "\"reason\":\"empty\""),
        ("refused.json", "\"reason\":\"campaign_zero\"", "\"reason\":\"unsupported_kind\""),
        ("typing.json", "\"caret_shown\":6", "\"caret_shown\":7"),
        ("words.json", "\"skipped\":[93,", "\"skipped\":[94,"),
        ("words.json", "\"list_version\": 1", "\"list_version\": 0"),
        ("names.json", "\"legal\":false", "\"legal\":true"),
        ("roots.json", "\"check_value_hex\":null", "\"check_value_hex\":\"00\""),
        ("roots.json", "\"check_value_hex\"", "\"check_value\""),
        ("minted.json", "\"format\": 0", "\"format\": 1"),
    ];
    for (name, from, to) in changes {
        let text = counterfoil_vectors::FILES.iter().find(|file| file.0 == name).unwrap().1;
        assert!(text.contains(from), "{name} has no {from}");
        let changed = text.replacen(from, to, 1);
        assert!(counterfoil_vectors::run(name, &changed).is_err(), "{name} with {to} for {from}");
    }
}
