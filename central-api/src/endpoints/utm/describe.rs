//! How an endpoint describes itself: parameters and columns from the catalogue, answers and errors.

use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, ResponsesBuilder};

use super::asked::{MAX_LIMIT, MAX_OFFSET};
use crate::catalogue::{Dimension, Metric};
use crate::error::ErrorBody;
use crate::reports::figure::Figure;
use crate::reports::period::PeriodName;
use crate::reports::scope::{ATTRIBUTION_DATES, BOTS, CONFIRMED, ScopeAnswer};

/// Schemas by name, as components of the description.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// A type's schema and those it refers to.
pub fn schemas_of<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// A reference to a type's schema.
pub fn reference<T: ToSchema>() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(T::name()))
}

/// An array of something.
pub fn array_of(items: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(items).into()
}

/// Text that may be null.
pub fn nullable_text(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(description))
        .into()
}

/// Something that may be null.
pub fn nullable(schema: RefOr<Schema>) -> RefOr<Schema> {
    utoipa::openapi::schema::OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .item(schema)
        .into()
}

/// A whole number.
pub fn integer(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some(description))
        .into()
}

/// A figure with the catalogue's sentence, under any name.
pub fn figure(metric: Metric) -> RefOr<Schema> {
    let description = format!(
        "{}: {}",
        metric.definition().label.en,
        metric.definition().definition.en
    );
    described_figure(&description)
}

/// A figure with a sentence of its own.
pub fn described_figure(description: &str) -> RefOr<Schema> {
    RefOr::Ref(
        utoipa::openapi::schema::RefBuilder::new()
            .ref_location_from_schema_name(Figure::name())
            .description(Some(description))
            .build(),
    )
}

/// An object with these properties, all present.
pub fn object(properties: impl IntoIterator<Item = (&'static str, RefOr<Schema>)>) -> ObjectBuilder {
    let mut object = ObjectBuilder::new();
    for (name, schema) in properties {
        object = object.property(name, schema).required(name);
    }
    object
}

/// The columns of a row.
pub fn row(dimensions: &[Dimension], metrics: &[Metric]) -> Vec<(&'static str, RefOr<Schema>)> {
    let texts = dimensions.iter().map(|d| {
        let description = format!("{} Null: not set.", d.definition().definition.en);
        (d.key(), nullable_text(&description))
    });
    texts.chain(metrics.iter().map(|m| (m.key(), figure(*m)))).collect()
}

/// An answer that says what it is about, beside its own properties.
pub fn scoped(properties: impl IntoIterator<Item = (&'static str, RefOr<Schema>)>) -> RefOr<Schema> {
    AllOfBuilder::new()
        .item(reference::<ScopeAnswer>())
        .item(object(properties))
        .into()
}

/// A query parameter with allowed values.
pub fn choice<P: From<Parameter>>(name: &str, allowed: &[&str], description: &str) -> P {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(allowed.to_vec()));
    parameter(name, schema.into(), description)
}

/// A text parameter.
pub fn text<P: From<Parameter>>(name: &str, description: &str) -> P {
    parameter(name, ObjectBuilder::new().schema_type(Type::String).into(), description)
}

/// A text parameter without which there is no answer.
pub fn required_text(name: &str, description: &str) -> RefOr<Parameter> {
    let mut parameter: Parameter = text(name, description);
    parameter.required = Required::True;
    parameter.into()
}

/// A whole number between bounds.
pub fn number<P: From<Parameter>>(name: &str, bounds: (i64, i64), description: &str) -> P {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(bounds.0))
        .maximum(Some(bounds.1));
    parameter(name, schema.into(), description)
}

fn parameter<P: From<Parameter>>(name: &str, schema: RefOr<Schema>, description: &str) -> P {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .schema(Some(schema))
        .description(Some(description))
        .build()
        .into()
}

/// `limit` and `offset`.
pub fn page(default_limit: i64) -> Vec<RefOr<Parameter>> {
    vec![
        number(
            "limit",
            (1, MAX_LIMIT),
            &format!("Rows at most; {default_limit} unless given."),
        ),
        number("offset", (0, MAX_OFFSET), "Rows to skip; 0 unless given."),
    ]
}

/// `sort` over these columns.
pub fn sort(dimensions: &[Dimension], metrics: &[Metric], default: &str) -> RefOr<Parameter> {
    let keys = dimensions
        .iter()
        .map(|d| d.key())
        .chain(metrics.iter().map(|m| m.key()));
    let both: Vec<String> = keys.flat_map(|key| [key.to_owned(), format!("-{key}")]).collect();
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    choice(
        "sort",
        &both,
        &format!("Column to sort by, - before it for the largest first; {default} unless given."),
    )
}

/// `search` in the values of an answer's dimensions.
pub fn search<P: From<Parameter>>() -> P {
    text(
        "search",
        "Only rows of which a dimension's value, or its name in the catalogue, contains this text, in whatever case; (not set) finds the absent value.",
    )
}

/// `site`.
pub fn site_parameter<P: From<Parameter>>() -> P {
    text("site", "The site's key; needed only by somebody who may see several.")
}

/// The parameters of every endpoint that covers a period, described once for all of them.
pub fn scope_parameters() -> Vec<RefOr<Parameter>> {
    let described = common_parameters();
    let reference = |parameter: &Parameter| RefOr::Ref(Ref::new(format!("#/components/parameters/{}", parameter.name)));
    described.iter().map(reference).collect()
}

/// What [`scope_parameters`] refers to.
pub fn common_parameters() -> Vec<Parameter> {
    let names = |values: &[&'static str]| values.to_vec();
    let mut parameters = vec![
        site_parameter(),
        choice(
            "period",
            &PeriodName::ALLOWED,
            "today: since local midnight; week and month: the last 7 and 30 local days; month unless given. Local is the site's zone.",
        ),
        text(
            "start_date",
            "First local day, YYYY-MM-DD, with end_date and instead of period.",
        ),
        text("end_date", "Last local day, included, YYYY-MM-DD."),
    ];
    for dimension in Dimension::filters() {
        parameters.push(
            ParameterBuilder::new()
                .name(dimension.key())
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .schema(Some(ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String))))
                .explode(Some(true))
                .description(Some(format!(
                    "Filter: {}{} Repeat for several values; ! before a value excludes it, (not set) is the absent value, \\ takes what follows literally.",
                    dimension.definition().definition.en,
                    dimension.closed_values().map_or_else(String::new, |allowed| format!(" Allowed are {}.", allowed.join(", ")))
                )))
                .build(),
        );
    }
    parameters.extend([
        text("source", "The same as utm_source."),
        text("campaign", "The same as utm_campaign."),
        choice("bots", &names(&BOTS.map(|b| b.0)), "Whether bots count; exclude unless given."),
        choice(
            "confirmed",
            &names(&CONFIRMED.map(|c| c.0)),
            "true: only sessions in which the browser script, a later action or an order confirmed a person; with attribution_date=order, only orders of such sessions.",
        ),
        choice(
            "attribution_date",
            &names(&ATTRIBUTION_DATES.map(|a| a.0)),
            "session: an order counts with its session, on that session's first day, whenever it was placed (unless given). order: on the day it was placed, with or without a session.",
        ),
    ]);
    parameters
}

/// An operation with its answers.
pub fn operation(
    id: &str,
    summary: &str,
    description: &str,
    parameters: impl IntoIterator<Item = RefOr<Parameter>>,
    answer: RefOr<Schema>,
) -> OperationBuilder {
    let json = |schema| ContentBuilder::new().schema(Some(schema)).build();
    let mut responses = ResponsesBuilder::new().response(
        "200",
        ResponseBuilder::new()
            .description("The answer.")
            .content("application/json", json(answer)),
    );
    for (status, description) in [
        (
            "400",
            "A parameter is unknown or its value is not allowed; the message names the allowed ones.",
        ),
        ("401", "Nobody is logged in, or the token is not valid."),
        ("403", "The token lacks the scope read."),
        ("504", "The database took too long; the request was given up."),
        ("500", "A fault of ours; the log has it under the request's id."),
        (
            "503",
            "The database cannot answer now; Retry-After says when to ask again.",
        ),
    ] {
        responses = responses.response(status, error(description));
    }
    responses = responses.response(
        "304",
        ResponseBuilder::new().description(
            "Nothing changed since the answer whose ETag was sent as If-None-Match. Periods that are over have one.",
        ),
    );
    let mut operation = OperationBuilder::new();
    for parameter in parameters {
        operation = match parameter {
            RefOr::Ref(reference) => operation.parameter_ref(reference),
            RefOr::T(parameter) => operation.parameter(parameter),
        };
    }
    operation
        .operation_id(Some(id))
        .summary(Some(summary))
        .description(Some(
            format!("{description} The path is also taken with a trailing slash.").trim(),
        ))
        .tag("analytics")
        .responses(responses.build())
}

/// An error answer.
pub fn error(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(reference::<ErrorBody>())).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
        .build()
}

/// A GET endpoint's description.
pub fn get(builder: OperationBuilder) -> Vec<(utoipa::openapi::HttpMethod, Operation)> {
    vec![(utoipa::openapi::HttpMethod::Get, builder.build())]
}

/// The components that every analytics answer refers to.
pub fn common_schemas() -> Schemas {
    let mut schemas = Schemas::new();
    schemas_of::<ScopeAnswer>(&mut schemas);
    schemas_of::<Figure>(&mut schemas);
    schemas_of::<ErrorBody>(&mut schemas);
    schemas
}
