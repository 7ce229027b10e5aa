//! The API's description as HTML, without script and without another host.

use std::fmt::Write;

use serde_json::Value;

/// How deep answers are unfolded.
const MAX_DEPTH: usize = 4;

/// Text as it must stand in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

struct Page<'a> {
    api: &'a Value,
    html: String,
}

/// The page.
pub fn render(api: &Value) -> String {
    let mut page = Page {
        api,
        html: String::new(),
    };
    page.all();
    page.html
}

impl<'a> Page<'a> {
    fn push(&mut self, html: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.html.write_fmt(html);
    }

    fn all(&mut self) {
        let info = &self.api["info"];
        let title = escaped(text(info, "title"));
        self.push(format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\"><title>{title} API</title>\
             <link rel=\"stylesheet\" href=\"/api/docs/style.css\"></head><body><header><h1>{title} API {}</h1><p>{}</p>\
             <p>For programs: <a href=\"/api/openapi.json\">openapi.json</a></p></header>",
            escaped(text(info, "version")),
            escaped(text(info, "description")),
        ));
        let operations: Vec<_> = members(&self.api["paths"])
            .flat_map(|(path, item)| members(item).map(move |(method, operation)| (path, method, operation)))
            .filter(|(_, _, operation)| operation.is_object())
            .collect();
        let mut tags: Vec<&str> = operations.iter().map(|(_, _, o)| tag(o)).collect();
        tags.sort_unstable();
        tags.dedup();
        self.push(format_args!("<nav aria-label=\"Endpoints\">"));
        for name in &tags {
            self.push(format_args!("<h2>{}</h2><ul>", escaped(name)));
            for (path, method, operation) in operations.iter().filter(|(_, _, o)| tag(o) == *name) {
                self.push(format_args!(
                    "<li><a href=\"#{}\"><code>{} {}</code></a> {}</li>",
                    anchor(method, path),
                    method.to_uppercase(),
                    escaped(path),
                    escaped(text(operation, "summary")),
                ));
            }
            self.push(format_args!("</ul>"));
        }
        self.push(format_args!("</nav><main>"));
        for name in &tags {
            for (path, method, operation) in operations.iter().filter(|(_, _, o)| tag(o) == *name) {
                self.operation(path, method, operation);
            }
        }
        self.push(format_args!("</main></body></html>\n"));
    }

    fn operation(&mut self, path: &str, method: &str, operation: &'a Value) {
        self.push(format_args!(
            "<section id=\"{}\"><h3><code>{} {}</code> {}</h3><p>{}</p>",
            anchor(method, path),
            method.to_uppercase(),
            escaped(path),
            escaped(text(operation, "summary")),
            escaped(text(operation, "description")),
        ));
        if let Some(callers) = callers(operation) {
            self.push(format_args!("<p class=\"callers\">{callers}</p>"));
        }
        if items(&operation["parameters"]).next().is_some() {
            self.push(format_args!(
                "<details><summary>Parameters</summary><table><thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Type</th>\
                 <th scope=\"col\">Meaning</th></tr></thead><tbody>"
            ));
            for parameter in items(&operation["parameters"]) {
                let parameter = self.resolved(parameter);
                let required = if parameter["required"] == true {
                    " (required)"
                } else {
                    ""
                };
                self.push(format_args!(
                    "<tr><td><code>{}</code>{required}</td><td>{}</td><td>{}</td></tr>",
                    escaped(text(parameter, "name")),
                    escaped(&kind(&parameter["schema"])),
                    escaped(text(parameter, "description")),
                ));
            }
            self.push(format_args!("</tbody></table></details>"));
        }
        for (media_type, content) in members(&operation["requestBody"]["content"]) {
            self.push(format_args!(
                "<details><summary>Body, {}</summary>",
                escaped(media_type)
            ));
            let examples = content.get("example").into_iter();
            for example in examples.chain(items(&content["schema"]["examples"])) {
                let example = match example {
                    Value::String(text) => text.clone(),
                    other => serde_json::to_string_pretty(other).unwrap_or_default(),
                };
                self.push(format_args!("<pre><code>{}</code></pre>", escaped(&example)));
            }
            self.schema(&content["schema"], 0, true);
            self.push(format_args!("</details>"));
        }
        for (status, answer) in members(&operation["responses"]) {
            let description = escaped(text(answer, "description"));
            let schema = members(&answer["content"])
                .map(|(_, content)| &content["schema"])
                .find(|s| !s.is_null());
            match schema {
                Some(schema) if status.starts_with('2') => {
                    self.push(format_args!("<details><summary>{status}: {description}</summary>"));
                    self.schema(schema, 0, false);
                    self.push(format_args!("</details>"));
                }
                _ => self.push(format_args!("<p class=\"status\">{status}: {description}</p>")),
            }
        }
        self.push(format_args!("</section>"));
    }

    /// What a reference leads to, or the thing itself; what may be null is shown as what it is otherwise.
    fn resolved(&self, part: &'a Value) -> &'a Value {
        let target = |part: &'a Value| {
            let pointer = part["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
            pointer.and_then(|pointer| self.api.pointer(pointer)).unwrap_or(part)
        };
        let found = target(part);
        let mut other = items(&found["oneOf"]).filter(|one| one["type"] != "null");
        match (other.next(), other.next()) {
            (Some(only), None) => target(only),
            _ => found,
        }
    }

    /// The properties of an object, through references, parts and arrays.
    fn properties(&self, schema: &'a Value) -> Vec<(&'a String, &'a Value)> {
        self.properties_within(schema, MAX_DEPTH)
    }

    fn properties_within(&self, schema: &'a Value, steps: usize) -> Vec<(&'a String, &'a Value)> {
        let schema = self.resolved(schema);
        let Some(steps) = steps.checked_sub(1) else {
            return Vec::new();
        };
        let parts = ["allOf", "oneOf", "anyOf"].iter().flat_map(|key| items(&schema[key]));
        let mut found: Vec<_> = parts.flat_map(|part| self.properties_within(part, steps)).collect();
        found.extend(members(&schema["properties"]));
        if found.is_empty() && !schema["items"].is_null() {
            found = self.properties_within(&schema["items"], steps);
        }
        found
    }

    /// Names of the members that must be there, of an object or of each of a list.
    fn required(&self, schema: &'a Value, steps: usize) -> Vec<&'a str> {
        let schema = self.resolved(schema);
        let Some(steps) = steps.checked_sub(1) else {
            return Vec::new();
        };
        let parts = ["allOf", "oneOf", "anyOf"].iter().flat_map(|key| items(&schema[key]));
        let mut found: Vec<_> = parts.flat_map(|part| self.required(part, steps)).collect();
        found.extend(items(&schema["required"]).filter_map(Value::as_str));
        if found.is_empty() && !schema["items"].is_null() {
            found = self.required(&schema["items"], steps);
        }
        found
    }

    /// `body`: what is sent, of which some members may be left out.
    fn schema(&mut self, schema: &'a Value, depth: usize, body: bool) {
        let properties = self.properties(schema);
        let required = self.required(schema, MAX_DEPTH);
        if properties.is_empty() {
            let resolved = self.resolved(schema);
            self.push(format_args!(
                "<p>{} {}</p>",
                escaped(&kind(resolved)),
                escaped(text(resolved, "description"))
            ));
            return;
        }
        self.push(format_args!("<dl>"));
        for (name, property) in properties {
            let resolved = self.resolved(property);
            // What is said of this member stands before what is said of its type; of one that may be null, inside.
            let description = std::iter::once(property)
                .chain(items(&property["oneOf"]))
                .chain([resolved])
                .map(|part| text(part, "description"))
                .find(|said| !said.is_empty())
                .unwrap_or_default();
            let mark = if body && required.contains(&name.as_str()) {
                " (required)"
            } else {
                ""
            };
            self.push(format_args!(
                "<dt><code>{}</code> <span>{}{mark}</span></dt><dd>{}",
                escaped(name),
                escaped(&kind(resolved)),
                escaped(description),
            ));
            if depth < MAX_DEPTH && !self.properties(property).is_empty() {
                self.schema(property, depth + 1, body);
            }
            self.push(format_args!("</dd>"));
        }
        self.push(format_args!("</dl>"));
    }
}

fn tag(operation: &Value) -> &str {
    operation["tags"][0].as_str().unwrap_or("other")
}

/// Who may call an operation, in words.
fn callers(operation: &Value) -> Option<String> {
    let ways: Vec<&str> = items(&operation["security"])
        .flat_map(members)
        .map(|(scheme, _)| match scheme.as_str() {
            "bearer" => "a token (<code>Authorization: Bearer …</code>)",
            "session" => "the panel's login",
            _ => "a signature",
        })
        .collect();
    (!ways.is_empty()).then(|| format!("Needs {}.", ways.join(" or ")))
}

fn anchor(method: &str, path: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("{method}{}", path.chars().map(plain).collect::<String>())
}

/// A schema's type in a few words, with its allowed values.
fn kind(schema: &Value) -> String {
    if schema["enum"].is_array() {
        let values: Vec<_> = items(&schema["enum"])
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .collect();
        return values.join(" | ");
    }
    let name = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        kind => kind.as_str().unwrap_or_default().to_owned(),
    };
    let of = text(&schema["items"], "type");
    let name = if name == "array" && !of.is_empty() {
        format!("array of {of}")
    } else {
        name
    };
    let bound = |key: &str| schema[key].as_f64();
    match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => format!("{name}, {low} to {high}"),
        _ => match schema["format"].as_str() {
            Some(format) => format!("{name}, {format}"),
            None => name,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_in_the_description_becomes_markup() {
        let page = render(&json!({
            "info": {"title": "<script>alert(1)</script>", "version": "1"},
            "paths": {"/a\"><img>": {"get": {"summary": "x & <y>", "responses": {"200": {"description": "'"}}}}}
        }));
        assert!(
            !page.contains("<script>") && !page.contains("<img>") && page.contains("x &amp; &lt;y&gt;"),
            "{page}"
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let page = render(&json!({
            "info": {"title": "t", "version": "1"},
            "paths": {"/a": {"get": {"responses": {"200": {"description": "", "content": {"application/json":
                {"schema": {"$ref": "#/components/schemas/Node"}}}}}}}},
            "components": {"schemas": {
                "Node": {"properties": {"next": {"$ref": "#/components/schemas/Node"}, "list": {"$ref": "#/components/schemas/List"}}},
                "List": {"items": {"$ref": "#/components/schemas/List"}}
            }}
        }));
        assert_eq!(page.matches("<code>next</code>").count(), MAX_DEPTH + 1);
    }

    #[test]
    fn a_parameter_that_is_described_once_for_all_is_shown_where_it_is_taken() {
        let page = render(&json!({
            "info": {"title": "t", "version": "1"},
            "paths": {"/a": {"get": {"parameters": [{"$ref": "#/components/parameters/period"}], "responses": {}}}},
            "components": {"parameters": {"period": {"name": "period", "in": "query", "description": "Which days.",
                "schema": {"type": "string", "enum": ["today", "week"]}}}}
        }));
        for shown in ["<code>period</code>", "Which days.", "today | week"] {
            assert!(page.contains(shown), "{shown} in {page}");
        }
    }

    #[test]
    fn a_body_shows_an_example_what_must_be_there_and_who_may_send_it() {
        let page = render(&json!({
            "info": {"title": "t", "version": "1"},
            "paths": {"/a": {"post": {
                "security": [{"bearer": []}],
                "requestBody": {"content": {"application/json": {
                    "schema": {"oneOf": [{"$ref": "#/components/schemas/One"}, {"type": "array", "items": {"$ref": "#/components/schemas/One"}}]},
                    "example": {"total": "12.50"}}}},
                "responses": {}}}},
            "components": {"schemas": {
                "One": {"required": ["total"], "properties": {
                    "total": {"$ref": "#/components/schemas/Number"},
                    "tax": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Number", "description": "Inside total."}]}}},
                "Number": {"type": ["number", "string"], "description": "Read exactly."}
            }}
        }));
        for shown in [
            "Authorization: Bearer",
            "&quot;total&quot;: &quot;12.50&quot;",
            "<code>total</code> <span>number or string (required)</span></dt><dd>Read exactly.",
            "<code>tax</code> <span>number or string</span></dt><dd>Inside total.",
        ] {
            assert!(page.contains(shown), "{shown} in {page}");
        }
    }
}
