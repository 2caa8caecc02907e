//! Components out of the wire types: one generator for what is sent to the API and one for what it answers, because a
//! field with a default may be left out of a request and never is of an answer.

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// Where references point in a finished document.
const COMPONENTS: &str = "#/components/schemas/";
/// Where they point until it is known which shapes are the same both ways.
const REQUESTS: &str = "#/requests/";
const ANSWERS: &str = "#/answers/";

/// Which way a shape goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Collects the shapes that operations name.
pub(crate) struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
    /// Bodies and the names of their merge patches.
    patches: Vec<(String, String)>,
    /// Components that no type has.
    others: Map<String, Value>,
}

impl Schemas {
    pub(crate) fn new() -> Self {
        let settings =
            |path: &'static str| SchemaSettings::draft2020_12().with(|all| all.definitions_path = path.into());
        Self {
            requests: settings("/requests").for_deserialize().into_generator(),
            answers: settings("/answers").for_serialize().into_generator(),
            patches: vec![],
            others: Map::new(),
        }
    }

    /// A reference to what is sent.
    pub(crate) fn request<T: JsonSchema>(&mut self) -> Value {
        self.requests.subschema_for::<T>().to_value()
    }

    /// A reference to what is answered.
    pub(crate) fn answer<T: JsonSchema>(&mut self) -> Value {
        self.answers.subschema_for::<T>().to_value()
    }

    /// A reference to the merge patch (RFC 7396) of a body.
    pub(crate) fn patch<T: JsonSchema>(&mut self, name: &str) -> Value {
        self.requests.subschema_for::<T>();
        self.patches.push((T::schema_name().into_owned(), name.to_owned()));
        json!({ "$ref": format!("{COMPONENTS}{name}") })
    }

    /// A component that no type has; answers a reference to it.
    pub(crate) fn component(&mut self, name: &str, schema: Value) -> Value {
        self.others.insert(name.to_owned(), schema);
        json!({ "$ref": format!("{COMPONENTS}{name}") })
    }

    /// All components, with `document` made to point at them. `refine` adds what a derive cannot say.
    pub(crate) fn finish(mut self, document: &mut Value, refine: impl Fn(Way, &str, &mut Value)) -> Map<String, Value> {
        let taken = |generator: &mut SchemaGenerator, way: Way| -> Map<String, Value> {
            let plain = |(name, mut schema): (String, Value)| {
                normalise(&mut schema);
                refine(way, &name, &mut schema);
                (name, schema)
            };
            generator.take_definitions(true).into_iter().map(plain).collect()
        };
        let mut requests = taken(&mut self.requests, Way::In);
        let answers = taken(&mut self.answers, Way::Out);
        for (base, name) in &self.patches {
            patch_into(&mut self.others, &requests, base, name);
        }
        let apart = differing(&requests, &answers);
        let name_of =
            |name: &str| if apart.iter().any(|known| known == name) { format!("{name}Input") } else { name.to_owned() };
        let resolve = |value: &mut Value| {
            each_reference(value, &mut |target| {
                if let Some(name) = target.strip_prefix(REQUESTS) {
                    *target = format!("{COMPONENTS}{}", name_of(name));
                } else if let Some(name) = target.strip_prefix(ANSWERS) {
                    *target = format!("{COMPONENTS}{name}");
                }
            });
        };
        resolve(document);
        let mut components: Map<String, Value> = self.others;
        components.extend(answers);
        components.extend(core::mem::take(&mut requests).into_iter().map(|(name, schema)| (name_of(&name), schema)));
        components.values_mut().for_each(resolve);
        components
    }
}

/// Names whose shape is not the same both ways, with everything that refers to one of them.
fn differing(requests: &Map<String, Value>, answers: &Map<String, Value>) -> Vec<String> {
    let common = |schema: &Value| {
        let mut schema = schema.clone();
        each_reference(&mut schema, &mut |target| *target = target.replace(REQUESTS, ANSWERS));
        schema
    };
    let both = || requests.iter().filter_map(|(name, schema)| answers.get(name).map(|answer| (name, schema, answer)));
    let mut apart: Vec<String> =
        both().filter(|(_, schema, answer)| common(schema) != **answer).map(|(name, ..)| name.clone()).collect();
    loop {
        let refers = |schema: &Value| {
            let mut found = false;
            each_reference(&mut schema.clone(), &mut |target| {
                found |= target.strip_prefix(REQUESTS).is_some_and(|name| apart.iter().any(|known| known == name));
            });
            found
        };
        let more: Vec<String> = both()
            .filter(|(name, schema, _)| !apart.contains(name) && refers(schema))
            .map(|(name, ..)| name.clone())
            .collect();
        if more.is_empty() {
            return apart;
        }
        apart.extend(more);
    }
}

/// Applies `change` to every reference.
fn each_reference(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let (true, Value::String(target)) = (name == "$ref", &mut *field) {
                    change(target);
                } else {
                    each_reference(field, change);
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| each_reference(entry, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Adds the merge patch of a body, and of the objects in it.
fn patch_into(components: &mut Map<String, Value>, requests: &Map<String, Value>, base: &str, name: &str) {
    let Some(Value::Object(schema)) = requests.get(base) else { return };
    let required = schema.get("required").cloned().unwrap_or_else(|| json!([]));
    let is_required = |field: &str| required.as_array().is_some_and(|names| names.iter().any(|name| name == field));
    let mut properties = Map::new();
    let mut nested = vec![];
    for (field, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let mut of = of.clone();
        if let Value::Object(of) = &mut of {
            of.remove("default");
        }
        let object = of.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix(REQUESTS));
        if let Some(object) = object.filter(|object| requests.get(*object).is_some_and(is_object)).map(str::to_owned) {
            let patch = format!("{object}Patch");
            of = json!({ "$ref": format!("{COMPONENTS}{patch}") });
            nested.push((object, patch));
        }
        let union =
            of.get("$ref").and_then(Value::as_str).and_then(|target| requests.get(target.strip_prefix(REQUESTS)?));
        if union.is_some_and(|union| union.get("anyOf").or(union.get("oneOf")).is_some()) {
            // One kind of object may be merged into another: what comes out has to be of a kind.
            of = json!({ "type": "object", "description": of.get("description") });
        }
        properties.insert(field.clone(), if is_required(field) { of } else { or_null(of) });
    }
    let description = "Merge patch (RFC 7396): what is absent stays as it is, null takes away.";
    let patch = json!({
        "type": "object", "description": description, "properties": properties, "additionalProperties": false,
    });
    components.insert(name.to_owned(), patch);
    for (object, patch) in nested {
        patch_into(components, requests, &object, &patch);
    }
}

fn is_object(schema: &Value) -> bool {
    schema.get("properties").is_some() && schema.get("oneOf").is_none() && schema.get("anyOf").is_none()
}

/// The same, or null.
fn or_null(mut schema: Value) -> Value {
    if let Some(Value::String(kind)) = schema.get("type").cloned() {
        if let Value::Object(fields) = &mut schema {
            fields.insert("type".to_owned(), json!([kind, "null"]));
            if let Some(Value::Array(values)) = fields.get_mut("enum") {
                values.push(Value::Null);
            }
        }
        return schema;
    }
    let description = schema.as_object_mut().and_then(|fields| fields.remove("description"));
    let mut either = json!({ "anyOf": [schema, { "type": "null" }] });
    if let (Value::Object(fields), Some(description)) = (&mut either, description) {
        fields.insert("description".to_owned(), description);
    }
    either
}

/// Puts a schema into the API's terms: absent instead of null, integers that JSON keeps, enums with their meanings.
pub(crate) fn normalise(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            no_null(fields);
            bounds(fields);
            meanings(fields);
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = prose(text);
            }
            if fields.get("default").is_some_and(Value::is_null) {
                fields.remove("default");
            }
            fields.values_mut().for_each(normalise);
        }
        Value::Array(entries) => entries.iter_mut().for_each(normalise),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What may be absent is never null.
fn no_null(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = fields.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(options)) = fields.get_mut("anyOf") else { return };
    let before = options.len();
    options.retain(|option| *option != json!({ "type": "null" }));
    if options.len() == before {
        return;
    }
    if let [Value::Object(only)] = options.as_slice() {
        let only = only.clone();
        fields.remove("anyOf");
        for (name, value) in only {
            fields.entry(name).or_insert(value);
        }
    }
}

/// Rust's integers by their bounds, and no further than JSON's readers keep them.
fn bounds(fields: &mut Map<String, Value>) {
    let most = counterfoil_core::limits::INTEGER_MAX;
    let (least, most) = match fields.get("format").and_then(Value::as_str) {
        Some("uint8") => (json!(0), json!(u8::MAX)),
        Some("uint16") => (json!(0), json!(u16::MAX)),
        Some("uint32") => (json!(0), json!(u32::MAX)),
        Some("uint64" | "uint") => (json!(0), json!(most)),
        Some("int64") => (json!(-(most.cast_signed())), json!(most)),
        Some(_) | None => return,
    };
    fields.remove("format");
    fields.entry("minimum").or_insert(least);
    let max = fields.entry("maximum").or_insert_with(|| most.clone());
    if max.as_u64() > most.as_u64() {
        *max = most;
    }
}

/// Constants beside each other are an enum; what each means goes into its description.
fn meanings(fields: &mut Map<String, Value>) {
    let Some(Value::Array(options)) = fields.get("oneOf") else { return };
    let constant =
        |option: &Value| Some((option.get("const")?.as_str()?.to_owned(), option.get("description").cloned()));
    let Some(values) = options.iter().map(constant).collect::<Option<Vec<_>>>() else { return };
    let lines: Vec<String> = values
        .iter()
        .filter_map(|(name, meaning)| Some(format!("- `{name}`: {}", prose(meaning.as_ref()?.as_str()?))))
        .collect();
    let description = fields.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{}\n\n{}", prose(description), lines.join("\n"));
    fields.remove("oneOf");
    fields.insert("type".to_owned(), json!("string"));
    fields.insert("enum".to_owned(), values.into_iter().map(|(name, _)| Value::String(name)).collect());
    fields.insert("description".to_owned(), Value::String(description.trim().to_owned()));
}

/// A doc comment as text: lines run on, and there are no links into the code.
fn prose(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        if paragraph.contains("\n- ") || paragraph.starts_with("- ") {
            paragraph.to_owned()
        } else {
            paragraph.replace('\n', " ")
        }
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
