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
            self.schema(&content["schema"], 0);
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
                    self.schema(schema, 0);
                    self.push(format_args!("</details>"));
                }
                _ => self.push(format_args!("<p class=\"status\">{status}: {description}</p>")),
            }
        }
        self.push(format_args!("</section>"));
    }

    fn resolved(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"]
            .as_str()
            .and_then(|path| path.strip_prefix("#/components/schemas/"))
        {
            Some(name) => &self.api["components"]["schemas"][name],
            None => schema,
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

    fn schema(&mut self, schema: &'a Value, depth: usize) {
        let properties = self.properties(schema);
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
            let own = text(property, "description");
            let description = if own.is_empty() {
                text(resolved, "description")
            } else {
                own
            };
            self.push(format_args!(
                "<dt><code>{}</code> <span>{}</span></dt><dd>{}",
                escaped(name),
                escaped(&kind(resolved)),
                escaped(description),
            ));
            if depth < MAX_DEPTH && !self.properties(property).is_empty() {
                self.schema(property, depth + 1);
            }
            self.push(format_args!("</dd>"));
        }
        self.push(format_args!("</dl>"));
    }
}

fn tag(operation: &Value) -> &str {
    operation["tags"][0].as_str().unwrap_or("other")
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
}
