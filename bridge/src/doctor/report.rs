//! What was checked and how it came out, for people line by line, for programs as one JSON document.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::diagnosis::Diagnosis;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    /// Works, but should be corrected.
    Warn,
    /// Nothing will work before this is corrected.
    Fail,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
        }
    }
}

/// One check.
struct Finding {
    step: &'static str,
    outcome: Outcome,
    code: Option<String>,
    message: String,
    advice: Option<Advice>,
}

/// Why a problem matters and the command that ends it.
#[derive(Clone, Copy)]
pub(super) struct Advice {
    pub(super) why: &'static str,
    pub(super) fix: &'static str,
}

/// All checks so far. People see each one as it comes, because the slow ones are the interesting ones.
pub(super) struct Report {
    json: bool,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(json: bool) -> Report {
        Report {
            json,
            findings: Vec::new(),
        }
    }

    pub(super) fn ok(&mut self, step: &'static str, message: impl Into<String>) {
        self.add(Finding {
            step,
            outcome: Outcome::Ok,
            code: None,
            message: message.into(),
            advice: None,
        });
    }

    pub(super) fn warn(&mut self, step: &'static str, diagnosis: Diagnosis, message: impl Into<String>) {
        self.problem(step, Outcome::Warn, Some(diagnosis), message.into());
    }

    /// A failure; without a diagnosis it is one that has no name of its own.
    pub(super) fn fail(
        &mut self,
        step: &'static str,
        diagnosis: Option<Diagnosis>,
        message: impl Into<String>,
    ) {
        self.problem(step, Outcome::Fail, diagnosis, message.into());
    }

    /// Something found by others, under their own code and with the advice in its words.
    pub(super) fn finding(&mut self, step: &'static str, outcome: Outcome, code: &str, message: &str) {
        self.add(Finding {
            step,
            outcome,
            code: (!code.is_empty()).then(|| code.to_owned()),
            message: message.to_owned(),
            advice: None,
        });
    }

    fn problem(
        &mut self,
        step: &'static str,
        outcome: Outcome,
        diagnosis: Option<Diagnosis>,
        message: String,
    ) {
        self.add(Finding {
            step,
            outcome,
            code: diagnosis.map(|diagnosis| diagnosis.code().to_owned()),
            message,
            advice: diagnosis.map(super::advice::of),
        });
    }

    fn add(&mut self, finding: Finding) {
        if !self.json {
            let code = finding.code.as_deref().unwrap_or("");
            print(&format!(
                "{:<4}  {:<6}{:<14} {}\n",
                finding.outcome.word(),
                code,
                finding.step,
                finding.message
            ));
        }
        self.findings.push(finding);
    }

    pub(super) fn failed(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.outcome == Outcome::Fail)
    }

    /// The end: each problem with why it matters and what to do; or the document. Returns whether all is well.
    pub(super) fn finish(&self) -> bool {
        if self.json {
            let findings: Vec<Value> = self.findings.iter().map(Finding::to_json).collect();
            print(&format!(
                "{:#}\n",
                json!({ "ok": !self.failed(), "checks": findings })
            ));
            return !self.failed();
        }
        for finding in &self.findings {
            let Some(advice) = finding.advice else { continue };
            let code = finding.code.as_deref().unwrap_or_default();
            print(&format!(
                "\n{code}  {}\n  why it matters: {}\n  what to do: {}\n",
                finding.message, advice.why, advice.fix
            ));
        }
        if !self.failed() {
            print("\nEverything works.\n");
        }
        !self.failed()
    }
}

impl Finding {
    fn to_json(&self) -> Value {
        let mut value = json!({
            "step": self.step,
            "outcome": self.outcome.word().to_ascii_lowercase(),
            "message": self.message,
        });
        if let (Some(members), Some(code)) = (value.as_object_mut(), &self.code) {
            members.insert("code".to_owned(), code.clone().into());
        }
        if let (Some(members), Some(advice)) = (value.as_object_mut(), self.advice) {
            members.insert("why".to_owned(), advice.why.into());
            members.insert("fix".to_owned(), advice.fix.into());
        }
        value
    }
}

/// A reader that is gone (`doctor | head`) is no failure of the checks.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
