//! Definitions that are right, and every fault of those that are not.

use super::{parts::ACTIONS, *};

const URGENT: &str = r#"
    name = "Urgent ticket to on-call"
    trigger = "ticket.created"
    conditions = [ { field = "ticket.priority", op = "eq", value = "urgent" } ]
    [[steps]]
    action = "webhook"
    url = "https://hooks.example/oncall"
    [[steps]]
    action = "add_internal_note"
    body = "Paged on-call for #{{ticket.number}}"
"#;

#[test]
fn the_example_is_read_from_toml_and_from_json() {
    let flow = Definition::read(URGENT).unwrap();
    assert_eq!((flow.conditions.len(), flow.steps.len()), (1, 2));
    assert_eq!(flow.records(), ["ticket"]);
    let json = serde_json::to_string(&flow).unwrap();
    assert_eq!(Definition::read(&json).unwrap(), flow);
    assert_eq!(serde_json::from_str::<Definition>(&json).unwrap(), flow);
}

#[test]
fn every_action_is_read() {
    let steps = r#"{"name":"All","trigger":"custom.*","steps":[
        {"action":"send_email","to":"{{contact.email}}","subject":"Hi","body":"Text"},
        {"action":"update_field","field":"ticket.priority","value":"high"},
        {"action":"create_ticket","title":"T","description":"D","priority":"low","assignee":"ada@example.com"},
        {"action":"assign","assignee":"unassigned"},
        {"action":"add_internal_note","body":"N"},
        {"action":"add_lifecycle_event","event":"churn_risk"},
        {"action":"webhook","url":"https://hooks.example/x"},
        {"action":"wait","duration":"2h"}]}"#;
    let flow = Definition::read(steps).unwrap();
    let actions: Vec<_> = flow.steps.iter().map(Step::action).collect();
    assert_eq!(actions.join(", "), ACTIONS);
    assert_eq!(flow.records(), ["account", "contact", "conversation", "ticket"]);
}

#[test]
fn every_fault_is_named_at_once() {
    let text = r#"
        name = ""
        trigger = "ticket.created.twice"
        colour = "red"
        conditions = [
            { field = "priority", op = "eq", value = "urgent" },
            { field = "ticket.priority", op = "equals", value = 1 },
            { field = "ticket.status", op = "changed", value = "open" },
            { field = "ticket.number", op = "gt", value = "many" },
            { field = "ticket.tags", op = "in", value = [] },
        ]
        [[steps]]
        action = "page"
        [[steps]]
        action = "webhook"
        url = "https://{{ticket.title}}/x"
        [[steps]]
        action = "wait"
        duration = "31d"
        [[steps]]
        action = "update_field"
        field = "opportunity.stage"
        [[steps]]
        action = "add_internal_note"
        body = "{{ticket}}"
        loud = true
    "#;
    let Faults(faults) = Definition::read(text).unwrap_err();
    let expected = [
        "colour: not known here",
        "name: must not be empty",
        "trigger: `ticket.created.twice` is no event",
        "conditions[0].field: must be like",
        "conditions[1].op: `equals` is no operator",
        "conditions[2].value: `changed` takes no value",
        "conditions[3].value: must be a number, a date",
        "conditions[4].value: must be a list of 1 to 50",
        "steps[0].action: `page` is no action",
        "steps[1].url: must be fixed",
        "steps[2].duration: must be like",
        "steps[3].field: flows set lead.{status",
        "steps[3].value: is missing",
        "steps[4].loud: not known here",
        "steps[4].body: `{{ticket}}` names no field",
    ];
    for wanted in expected {
        assert!(
            faults.iter().any(|fault| fault.starts_with(wanted)),
            "{wanted}: {faults:#?}"
        );
    }
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
}

#[test]
fn what_is_no_flow_is_said_so() {
    for (text, said) in [
        ("[]", "not TOML"),
        ("{", "not JSON"),
        ("name = ", "not TOML"),
        ("{}", "name: is missing"),
        (
            r#"{"name":"A","trigger":"lead.created","steps":[]}"#,
            "steps: has 0 entries, 1 to 8",
        ),
        (
            r#"{"name":"A","trigger":"lead.created","steps":[1]}"#,
            "steps[0].action: is missing",
        ),
        (
            r#"{"name":"A","trigger":"lead.created","conditions":3,"steps":[{"action":"wait","duration":"1s"}]}"#,
            "conditions: must be a list",
        ),
        (
            r#"{"name":"A","trigger":"lead.created","steps":[{"action":"update_field","field":"lead.status","value":"converted"}]}"#,
            "steps[0].value: must be one of new, working, qualified, disqualified",
        ),
        (
            r#"{"name":"A","trigger":"lead.created","steps":[{"action":"webhook","url":"ftp://x/y"}]}"#,
            "steps[0].url: must be an https",
        ),
        (
            r#"{"name":"A","trigger":"lead.created","steps":[{"action":"webhook","url":"https://a:b@x/y"}]}"#,
            "steps[0].url: must not carry",
        ),
    ] {
        let fault = Definition::read(text).unwrap_err().to_string();
        assert!(fault.contains(said), "{text}: {fault}");
    }
    assert!(Definition::read(&"#".repeat(LARGEST_FILE + 1)).is_err());
}
