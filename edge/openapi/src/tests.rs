//! The table of operations against the code, and the document against itself.

use crate::document::document;
use counterfoil_core::access;
use serde_json::Value;
use std::collections::BTreeSet;

/// Answered by static assets, not by a route.
const ASSETS: [&str; 2] = ["/openapi.json", "/docs"];

/// `METHOD path` of every operation.
fn described(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
        })
        .collect()
}

/// The paths that the edge routes, out of its own table.
fn routed() -> BTreeSet<String> {
    let source = include_str!("../../src/routes.rs");
    let table = source.split("const fn path(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let paths = table.split("\"/").skip(1).map(|piece| format!("/{}", piece.split('"').next().unwrap()));
    paths.filter(|path| !path.starts_with("/dev/")).collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document();
    let paths = document["paths"].as_object().unwrap().keys().cloned();
    let described: BTreeSet<String> = paths.filter(|path| !ASSETS.contains(&path.as_str())).collect();
    let routed = routed();
    assert!(routed.len() > 60, "the edge's table was read");
    assert_eq!(described.difference(&routed).collect::<Vec<_>>(), Vec::<&String>::new(), "described but not routed");
    assert_eq!(routed.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new(), "routed but not described");
}

#[test]
fn every_operation_says_who_may_call_it() {
    let described = described(&document());
    let known: BTreeSet<String> =
        access::OPERATIONS.iter().map(|operation| format!("{} {}", operation.method, operation.path)).collect();
    assert_eq!(described.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "described, without access");
    assert_eq!(known.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new(), "with access, not described");
}

/// Calls `look` with every object of the document and its place.
fn each(value: &Value, place: &str, look: &mut dyn FnMut(&str, &Value)) {
    look(place, value);
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| each(field, &format!("{place}/{name}"), look)),
        Value::Array(entries) => {
            entries.iter().enumerate().for_each(|(n, entry)| each(entry, &format!("{place}/{n}"), look));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn references_lead_somewhere() {
    let document = document();
    let mut references = 0;
    each(&document, "", &mut |place, value| {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            references += 1;
            let pointer = target.strip_prefix('#').unwrap_or_else(|| panic!("{place}: {target}"));
            assert!(document.pointer(pointer).is_some(), "{place}: {target}");
        }
    });
    assert!(references > 300);
}

#[test]
fn what_is_sent_is_closed_and_described() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let body = name.ends_with("Body") || name.starts_with("New") || name.ends_with("Patch");
        if body && schema.get("properties").is_some() {
            assert_eq!(schema.get("additionalProperties"), Some(&Value::Bool(false)), "{name} takes unknown fields");
        }
    }
    each(&document, "", &mut |place, value| {
        if let Some(text) = value.get("description").and_then(Value::as_str) {
            assert!(!text.contains("[`") && !text.contains("::"), "{place} speaks of the code: {text}");
        }
        if value.get("in").is_some() && value.get("name").is_some() && !place.starts_with("/webhooks") {
            assert!(value.get("description").is_some() || place.contains("/schema"), "{place} has no description");
        }
    });
}

#[test]
fn operations_have_names_of_their_own() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{method} {path}: {name} is used twice");
        }
    }
}
