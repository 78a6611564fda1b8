use proptest::prelude::*;

use super::*;

fn mail(text: &str) -> (Mail, Option<Ignored>) {
    read(&Skimmed::of(text.replace('\n', "\r\n").as_bytes())).unwrap()
}

const PLAIN: &str = "From: =?utf-8?q?Ada_L=C3=B6velace?= <Ada@Example.org>\nTo: support@acme.example, Bob <bob@x.example>\n\
    Subject: =?utf-8?B?SGVsbG8gV8O2cmxk?=\n  again\nMessage-ID: <a1@example.org>\nIn-Reply-To: <b2@acme.example>\n\
    References: <root@acme.example> <a0@example.org>\n <b2@acme.example>\n\nIt works.\n\nOn 1 May, Support wrote:\n> Try.\n";

#[test]
fn a_plain_mail_is_understood() {
    let (read, ignored) = mail(PLAIN);
    assert_eq!(ignored, None);
    assert_eq!(read.from.email, "ada@example.org");
    assert_eq!(read.from.name.as_deref(), Some("Ada Lövelace"));
    assert_eq!(read.to, ["support@acme.example", "bob@x.example"]);
    assert_eq!(read.subject, "Hello Wörld again");
    assert_eq!(
        (read.text.as_str(), read.quoted.as_deref()),
        ("It works.", Some("On 1 May, Support wrote:\n> Try."))
    );
    assert_eq!(read.message_id.as_deref(), Some("a1@example.org"));
    assert_eq!(
        read.answers,
        ["b2@acme.example", "a0@example.org", "root@acme.example"]
    );
}

fn multipart(parts: &str) -> String {
    format!(
        "From: a@b.example\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"cut\"\n\n{parts}--cut--\n"
    )
}

#[test]
fn html_becomes_text_without_its_scripts() {
    let html = "--cut\nContent-Type: text/html; charset=utf-8\n\n<html><head><title>t</title><style>p{color:red}</style></head>\
        <body onload=\"steal()\"><script>alert(1)</script><p>Hello &lt;b&gt; <b>there</b></p><img src=x onerror=alert(2)>\
        <a href=\"javascript:alert(3)\">link</a></body></html>\n";
    let (read, _) = mail(&multipart(html));
    assert!(
        read.text.contains("Hello <b> there") && read.text.contains("link"),
        "{}",
        read.text
    );
    for gone in ["alert", "steal", "color", "javascript"] {
        assert!(!read.text.contains(gone), "{gone}: {}", read.text);
    }
}

#[test]
fn attachments_are_named_and_measured_and_never_paths() {
    let mut parts = "--cut\nContent-Type: text/plain\n\nSee both.\n--cut\nContent-Type: application/pdf\n\
        Content-Disposition: attachment; filename=\"../../etc/passwd\"\nContent-Transfer-Encoding: base64\n\nQUJD\n\
        --cut\nContent-Type: image/png\nContent-Disposition: attachment; filename=\"big.png\"\n\
        Content-Transfer-Encoding: base64\n\n"
        .to_owned();
    // 30 MB of picture.
    let line = format!("{}\n", "QUJD".repeat(19));
    let lines = 30_000_000 / 57;
    for _ in 0..lines {
        parts.push_str(&line);
    }
    parts.push_str("--cut\nContent-Type: text/plain\nContent-Disposition: attachment; filename=\"\u{202e}gpj.exe\"\n\nx\n");
    let (read, _) = mail(&multipart(&parts));
    assert_eq!(read.text, "See both.");
    let names: Vec<_> = read.attachments.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["passwd", "big.png", "gpj.exe"]);
    assert_eq!(
        (read.attachments[0].media_type.as_str(), read.attachments[0].bytes),
        ("application/pdf", 3)
    );
    let big = read.attachments[1].bytes;
    assert!((29_000_000..31_500_000).contains(&big), "{big}");
}

#[test]
fn broken_mime_costs_what_is_broken() {
    for (what, parts, says) in [
        ("no end", "--cut\nContent-Type: text/plain\n\nHello", "Hello"),
        (
            "bad base64",
            "--cut\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nSGVsbG8=%%%\n",
            "",
        ),
        (
            "unknown encoding",
            "--cut\nContent-Type: text/plain\nContent-Transfer-Encoding: rot13\n\nHello\n",
            "Hello",
        ),
        (
            "unknown charset",
            "--cut\nContent-Type: text/plain; charset=klingon\n\nHello\n",
            "Hello",
        ),
        ("no headers", "--cut\n\nHello\n", "Hello"),
    ] {
        let text = multipart(parts);
        let (read, _) = mail(text.trim_end_matches("--cut--\n"));
        assert!(read.text.contains(says), "{what}: {:?}", read.text);
        assert_eq!(read.from.email, "a@b.example", "{what}");
    }
}

#[test]
fn programs_are_not_answered() {
    let with = |header: &str| {
        mail(&format!(
            "From: a@b.example\nSubject: x\n{header}\n\nI am away.\n"
        ))
        .1
    };
    for (header, expected) in [
        ("X-Nothing: 1", None),
        ("Auto-Submitted: no", None),
        ("Auto-Submitted: auto-replied", Some(Ignored::Automatic)),
        ("Auto-Submitted: auto-generated; type=x", Some(Ignored::Automatic)),
        ("Precedence: Bulk", Some(Ignored::Automatic)),
        ("List-Id: <all.example.org>", Some(Ignored::Automatic)),
        ("X-Loop: support", Some(Ignored::Automatic)),
        ("Return-Path: <>", Some(Ignored::Bounce)),
        (
            "Content-Type: multipart/report; report-type=delivery-status; boundary=b",
            Some(Ignored::Bounce),
        ),
    ] {
        assert_eq!(with(header), expected, "{header}");
    }
    assert_eq!(
        mail("From: MAILER-DAEMON@x.example\n\nfailed\n").1,
        Some(Ignored::Automatic)
    );
    let hops = "Received: from a by b; Fri, 20 Nov 2026 10:00:00 +0000\n".repeat(60);
    assert_eq!(with(hops.trim_end()), Some(Ignored::Loop));
}

#[test]
fn a_mail_needs_one_sender() {
    for (text, fault) in [
        ("", MailFault::NoMail),
        ("Subject: x\n\nhello\n", MailFault::Sender),
        ("From: nobody\n\nhello\n", MailFault::Sender),
        ("From: a@b.example, c@d.example\n\nhello\n", MailFault::Sender),
        ("From: \"a@b.example\" <>\n\nhello\n", MailFault::Sender),
    ] {
        assert_eq!(
            read(&Skimmed::of(text.as_bytes())).unwrap_err(),
            fault,
            "{text:?}"
        );
    }
}

#[test]
fn ids_of_strangers_are_ids_or_nothing() {
    let ids = |header: &str| {
        mail(&format!(
            "From: a@b.example\nMessage-ID: <own@x>\n{header}\n\nx\n"
        ))
        .0
        .answers
    };
    assert_eq!(ids("In-Reply-To: <own@x>"), [""; 0]);
    assert_eq!(ids("In-Reply-To: no id at all"), [""; 0]);
    assert_eq!(ids("References: <1@x> <1@x> <2@x>"), ["2@x", "1@x"]);
    let many = (0..500)
        .map(|n| format!("<{n}@x>"))
        .collect::<Vec<_>>()
        .join("\n ");
    assert_eq!(ids(&format!("References: {many}")).len(), MOST_REFERENCES);
    assert_eq!(ids(&format!("In-Reply-To: <{}@x>", "x".repeat(5000))), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn whatever_comes_is_read_or_refused_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..800)) {
        if let Ok((mail, _)) = read(&Skimmed::of(&bytes)) {
            prop_assert!(mail.text.chars().count() <= MOST_TEXT);
        }
    }

    #[test]
    fn mails_cut_anywhere_are_still_read(cut in 0_usize..400, junk in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut bytes = multipart(&PLAIN.replace("From:", "--cut\nX:")).into_bytes();
        let at = cut.min(bytes.len());
        bytes.splice(at..at, junk);
        let _ = read(&Skimmed::of(&bytes));
    }
}
