use super::*;
use crate::catalogue::{Catalogue, NamedText};

const CRM: &str = include_str!("crm.yaml");

fn request() -> ImportRequest {
    ImportRequest {
        edition: "crm".to_owned(),
        upstream: "crm".to_owned(),
        base_url: None,
        choice: Choice::default(),
        with_headers: Vec::new(),
        most: USUAL_MOST,
    }
}

fn import_text(text: &str, request: &ImportRequest) -> Result<Imported, ImportError> {
    import(&Document::parse("crm.yaml", text)?, request)
}

fn load(toml: &str) -> Catalogue {
    let text = [NamedText {
        name: "crm.toml",
        text: toml,
    }];
    Catalogue::load(&[&text]).unwrap_or_else(|e| panic!("{e}\n{toml}"))
}

#[test]
fn a_document_becomes_a_file_that_the_catalogue_accepts() {
    let imported = import_text(CRM, &request()).unwrap();
    let catalogue = load(&imported.toml);
    let edition = &catalogue.editions()[0];
    let names: Vec<_> = edition.tools().iter().map(|t| t.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "list_leads",
            "create_lead",
            "get_lead",
            "update_lead",
            "remove_lead",
            "search"
        ]
    );
    let report = imported.report.join("\n");
    for part in [
        "POST /v1/leads/{id}/photo: left out: it takes multipart/form-data",
        "GET /v1/old: left out: deprecated",
        "GET /v1/events: left out: it answers with an endless stream",
        "GET /v1/hidden: left out: x-footbridge hides it",
        "`workspace_id` is bound to $principal.tenant",
        "CRM_SECRET",
    ] {
        assert!(report.contains(part), "{part} in\n{report}");
    }
    let list = edition.find("list_leads").unwrap();
    let input = list.input.as_json();
    assert!(input.pointer("/properties/page_size").is_some(), "{input}");
    assert!(input.pointer("/properties/workspace_id").is_none(), "{input}");
    assert!(
        input.pointer("/properties/X-Trace").is_none(),
        "header parameters are dropped: {input}"
    );
    let create = edition.find("create_lead").unwrap();
    let input = create.input.as_json();
    assert!(
        input.pointer("/properties/id").is_none(),
        "readOnly is no input: {input}"
    );
    assert_eq!(input.pointer("/required"), Some(&serde_json::json!(["name"])));
    assert_eq!(
        input.pointer("/properties/email/type"),
        Some(&serde_json::json!(["string", "null"]))
    );
    assert_eq!(
        input.pointer("/properties/score/exclusiveMinimum"),
        Some(&serde_json::json!(0))
    );
    let output = create.output.as_ref().unwrap();
    assert!(
        output.pointer("/properties/password").is_none(),
        "writeOnly does not come back: {output}"
    );
    assert!(edition.find("search").unwrap().description.chars().count() <= 300);
}

#[test]
fn choices_and_headers_are_the_operators() {
    let mut chosen = request();
    chosen.choice = Choice::new(
        &["tag:leads".into()],
        &["op:create*".into(), "DELETE /v1/*".into()],
    )
    .unwrap();
    chosen.with_headers = vec!["x-trace".to_owned()];
    let imported = import_text(CRM, &chosen).unwrap();
    assert!(!imported.toml.contains("create_lead") && !imported.toml.contains("remove_lead"));
    let catalogue = load(&imported.toml);
    let list = catalogue.editions()[0].find("list_leads").unwrap();
    assert!(list.input.as_json().pointer("/properties/X-Trace").is_some());
    assert!(Choice::new(&["leads".into()], &[]).is_err());
}

#[test]
fn what_cannot_be_imported_is_named_with_its_place() {
    let table: [(&str, &str); 9] = [
        ("swagger: '2.0'", "Swagger 2.0"),
        ("{}", "no `openapi` member"),
        ("{\"openapi\": ", "crm.yaml: "),
        ("openapi: 4.0.0", "OpenAPI 4.0.0 is not read"),
        (
            "{\"openapi\":\"3.1.0\",\"servers\":[{\"url\":\"https://a.example\"}],\"paths\":{\"/a\":{\"get\":{\"parameters\":[{\"$ref\":\"other.yaml#/x\"}]}}}}",
            "GET /a: `$ref: other.yaml#/x` leads to another document",
        ),
        (
            "{\"openapi\":\"3.1.0\",\"servers\":[{\"url\":\"https://a.example\"}],\"paths\":{\"/a\":{\"get\":{\"parameters\":[{\"$ref\":\"#/nowhere\"}]}}}}",
            "GET /a: `$ref: #/nowhere` leads nowhere",
        ),
        (
            "{\"openapi\":\"3.1.0\",\"servers\":[{\"url\":\"/v1\"}],\"paths\":{\"/a\":{\"get\":{}}}}",
            "--base-url",
        ),
        (
            "{\"openapi\":\"3.1.0\",\"servers\":[{\"url\":\"https://a.example\"}],\"paths\":{\"/a\":{\"get\":{\"operationId\":\"same\"},\"post\":{\"operationId\":\"same\"}}}}",
            "same: GET /a and POST /a",
        ),
        (
            "{\"openapi\":\"3.1.0\",\"servers\":[{\"url\":\"https://a.example\"}],\"paths\":{\"/a\":{\"get\":{\"operationId\":\"exportAll\"}}}}",
            "`export_all` is reserved",
        ),
    ];
    for (text, expected) in table {
        let error = import_text(text, &request()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected} in {error}");
    }
}

#[test]
fn thousands_of_operations_and_schemas_in_circles_come_to_an_end() {
    let paths: Vec<String> = (0..5000)
        .map(|n| {
            format!(
                "\"/p{n}\":{{\"post\":{{\"operationId\":\"op{n}\",\"requestBody\":{{\"content\":{{\"application/json\":{{\"schema\":{{\"$ref\":\"#/components/schemas/Node\"}}}}}}}}}}}}"
            )
        })
        .collect();
    let text = format!(
        "{{\"openapi\":\"3.0.3\",\"servers\":[{{\"url\":\"https://a.example\"}}],\"paths\":{{{}}},\"components\":{{\"schemas\":{{\"Node\":{{\"type\":\"object\",\"properties\":{{\"next\":{{\"$ref\":\"#/components/schemas/Node\"}},\"all\":{{\"type\":\"array\",\"items\":{{\"$ref\":\"#/components/schemas/Node\"}}}}}}}}}}}}}}",
        paths.join(",")
    );
    let error = import_text(&text, &request()).unwrap_err();
    assert!(
        matches!(
            error,
            ImportError::TooMany {
                found: 5000,
                most: 64
            }
        ),
        "{error}"
    );
    let mut one = request();
    one.choice = Choice::new(&["op:op7".into()], &[]).unwrap();
    load(&import_text(&text, &one).unwrap().toml);
    let circle = "{\"openapi\":\"3.0.3\",\"servers\":[{\"url\":\"https://a.example\"}],\"paths\":{\"/a\":{\"get\":{\"parameters\":[{\"$ref\":\"#/components/a\"}]}}},\"components\":{\"a\":{\"$ref\":\"#/components/b\"},\"b\":{\"$ref\":\"#/components/a\"}}}";
    let error = import_text(circle, &request()).unwrap_err().to_string();
    assert!(error.contains("leads back to itself"), "{error}");
}

#[test]
fn anchors_that_multiply_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let error = Document::parse("bomb.yaml", &bomb).unwrap_err();
    assert!(matches!(error, DocumentError::Syntax { .. }), "{error}");
}

#[test]
fn drift_tells_what_a_caller_would_notice() {
    let before = import_text(CRM, &request()).unwrap().toml;
    assert_eq!(drift(&before, &before).unwrap(), []);
    let changed = CRM
        .replace("  /v1/search:", "  /v1/find:")
        .replace("required: [name]", "required: [name, email]");
    let after = import_text(&changed, &request()).unwrap().toml;
    let found: Vec<String> = drift(&before, &after)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(found.contains(&"new: POST /v1/find".to_owned()), "{found:?}");
    assert!(
        found.contains(&"gone: POST /v1/search: its tool will fail".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"changed: POST /v1/leads: `email` is required now".to_owned()),
        "{found:?}"
    );
}

#[test]
fn forms_fragments_and_holes_beside_text_are_what_real_documents_have() {
    let text = r##"{"openapi":"3.0.1","servers":[{"url":"https://api.example.com"}],"paths":{
        "/2010/Accounts/{AccountSid}/Calls/{Sid}.json":{"post":{"operationId":"UpdateCall",
            "parameters":[{"name":"AccountSid","in":"path","required":true,"schema":{"type":"string"}},
                {"name":"Sid","in":"path","required":true,"schema":{"type":"string"}}],
            "requestBody":{"content":{"application/x-www-form-urlencoded":{"schema":{"type":"object",
                "properties":{"Status":{"type":"string"}}}}}}}},
        "/v1/charges":{"post":{"operationId":"PostCharges","requestBody":{"required":true,"content":
            {"application/x-www-form-urlencoded":{"encoding":{"metadata":{"style":"deepObject","explode":true}},
            "schema":{"type":"object","required":["amount"],"properties":{"amount":{"type":"integer"},
            "metadata":{"type":"object"}}}}}}}},
        "/files/{file_id}#get_shared_link":{"get":{"operationId":"get_link",
            "parameters":[{"name":"file_id","in":"path","required":true,"schema":{"type":"string"}}]}},
        "/files/{file_id}":{"get":{"operationId":"get_file",
            "parameters":[{"name":"file_id","in":"path","required":true,"schema":{"type":"string"}}]}}
    }}"##;
    let imported = import_text(text, &request()).unwrap();
    assert!(
        !imported.report.iter().any(|line| line.contains("left out")),
        "{:?}",
        imported.report
    );
    for part in [
        "encoding = \"form\"",
        "encoding = \"form_indexed\"",
        "/Calls/{Sid}.json\"",
        "path = \"/files/{file_id}\"",
    ] {
        assert!(imported.toml.contains(part), "{part} in\n{}", imported.toml);
    }
    let catalogue = load(&imported.toml);
    assert_eq!(catalogue.editions()[0].tools().len(), 4);
    // Names that are too long keep what tells them apart.
    let long = "Get".to_owned() + &"VeryLong".repeat(12);
    let ids = text
        .replace("UpdateCall", &format!("{long}First"))
        .replace("PostCharges", &format!("{long}Second"));
    let imported = import_text(&ids, &request()).unwrap().toml;
    assert!(
        imported.contains("_first\"") && imported.contains("_second\""),
        "{imported}"
    );
    load(&imported);
    let charge = catalogue.editions()[0].find("post_charges").unwrap();
    assert_eq!(charge.input.as_json()["required"], serde_json::json!(["amount"]));
}
