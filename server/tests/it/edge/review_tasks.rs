//! A call that others must approve, as a task: nothing runs it, its client looks at it, and it is carried out once.

use footbridge_server::{
    operate::reviews::{self, Answer},
    policy::review::ReviewStatus,
    store::NewUser,
    vocabulary::{Role, UserId},
};
use serde_json::{Value, json};

use crate::{
    house::House,
    store::harness::{tenant, write},
};

const CATALOGUE: &str = r#"
format = 1
[edition]
name = "test"
title = "Reviewed"
instructions = "Ask."
key_prefix = "fbt_"
bare_path = "/mcp"
[scopes."t:read"]
title = "Read"
[scopes."t:write"]
title = "Write"
[[tool]]
name = "note"
title = "Note"
description = "Writes."
scope = "t:write"
effect = "create"
policy = "review"
review_groups = ["leads"]
handler = "tests::note"
[tool.input.text]
type = "string"
required = true
[[tool.example]]
title = "Write"
arguments = { text = "hello" }
"#;

/// A house in which Lea reviews what the owner's key calls.
struct Reviewed {
    house: House,
    key: String,
}

impl Reviewed {
    async fn start() -> Self {
        let house = House::serving(CATALOGUE).await;
        let key = house.key("t:write").await;
        let lea = NewUser {
            id: lea(),
            email: "lea@local.test".to_owned(),
            name: "Lea".to_owned(),
            role: Role::Member,
            groups: vec!["leads".to_owned()],
            password_hash: None,
        };
        write(&house.store, "local", |tx| {
            Box::pin(async move { tx.users().insert(&lea).await.map(drop) })
        })
        .await;
        Self { house, key }
    }

    /// Sends what a client says that declares the extension, or does not.
    async fn say(&self, key: &str, method: &str, mut params: Value, declares: bool) -> Value {
        if declares {
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        }
        let task = params["taskId"].as_str().map(str::to_owned);
        let mut post = self.house.modern(key, method, params);
        if let Some(task) = task {
            post = post.header("mcp-name", &task);
        }
        post.send().await.json()["result"].clone()
    }

    async fn call(&self, declares: bool) -> Value {
        let params = json!({ "name": "note", "arguments": { "text": "hello" } });
        self.say(&self.key, "tools/call", params, declares).await
    }

    async fn look(&self, task: &str) -> Value {
        self.say(&self.key, "tasks/get", json!({ "taskId": task }), true)
            .await
    }

    async fn answer(&self, review: &str, answer: Answer) -> ReviewStatus {
        let answered = reviews::answer(&self.house.store, &tenant("local"), review, &lea(), answer).await;
        answered.unwrap().status
    }

    /// A call that waits: its task and its review.
    async fn waiting(&self) -> (String, String) {
        let task = self.call(true).await;
        assert_eq!(
            (&task["resultType"], &task["status"]),
            (&json!("task"), &json!("working")),
            "{task}"
        );
        assert_eq!(task["statusMessage"], "Waits for the approval of leads.");
        let id = task["taskId"].as_str().unwrap().to_owned();
        let waiting = self.look(&id).await;
        assert_eq!(
            (&waiting["status"], &waiting["statusMessage"]),
            (&json!("working"), &task["statusMessage"])
        );
        // Whoever repeats the call comes back for the same review.
        let shown = self.call(false).await;
        let review = shown["structuredContent"]["confirmation_token"].as_str().unwrap();
        (id, review.to_owned())
    }
}

fn lea() -> UserId {
    UserId::new("usr_lea").unwrap()
}

const YES: Answer = Answer::Approve {
    force: false,
    window: None,
};

#[tokio::test]
async fn a_call_under_review_is_a_task_that_ends_once_others_have_answered() {
    let reviewed = Reviewed::start().await;
    let offered = reviewed
        .say(&reviewed.key, "server/discover", json!({}), false)
        .await;
    assert!(offered["capabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object());
    // Who does not declare the extension is answered as ever.
    let plain = reviewed.call(false).await;
    assert_eq!(
        plain["structuredContent"]["status"], "pending_approval",
        "{plain}"
    );
    let (task, review) = reviewed.waiting().await;
    assert_eq!(reviewed.answer(&review, YES).await, ReviewStatus::Approved);
    // Two look at once: one of them carries it out.
    let (one, two) = tokio::join!(reviewed.look(&task), reviewed.look(&task));
    for done in [one, two, reviewed.look(&task).await] {
        if done["status"] == "working" {
            continue;
        }
        assert_eq!(done["status"], "completed", "{done}");
        assert_eq!(
            done["result"]["structuredContent"]["result"],
            json!({ "text": "hello" }),
            "{done}"
        );
    }
    let again = reviewed.look(&task).await;
    assert_eq!(again["status"], "completed");
    // It is nobody else's.
    let stranger = reviewed.house.key("t:write").await;
    let same_person = reviewed
        .say(&stranger, "tasks/get", json!({ "taskId": task }), true)
        .await;
    assert_eq!(
        same_person["status"], "completed",
        "another key of the same person"
    );
}

#[tokio::test]
async fn a_no_ends_it_and_so_does_its_caller() {
    let reviewed = Reviewed::start().await;
    let (task, review) = reviewed.waiting().await;
    let no = Answer::Reject { reason: None };
    assert_eq!(reviewed.answer(&review, no).await, ReviewStatus::Rejected);
    let over = reviewed.look(&task).await;
    assert_eq!(over["status"], "completed");
    assert_eq!(
        over["result"]["structuredContent"],
        json!({ "status": "declined" }),
        "{over}"
    );

    let (task, review) = reviewed.waiting().await;
    let stopped = reviewed
        .say(&reviewed.key, "tasks/cancel", json!({ "taskId": task }), true)
        .await;
    assert_eq!(stopped["resultType"], "complete", "{stopped}");
    assert_eq!(reviewed.look(&task).await["status"], "cancelled");
    let late = reviews::answer(&reviewed.house.store, &tenant("local"), &review, &lea(), YES).await;
    assert!(late.unwrap_err().to_string().contains("REJECTED"));
}
