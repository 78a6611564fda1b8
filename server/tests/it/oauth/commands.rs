//! `footbridge-server admin mcp auth …`: what it prints, what it keeps, and what it refuses (catalogue.md §6.4).

use crate::process::Place;

const ISSUER: &str = "https://id.example.com/realms/team";

fn auth<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["admin", "mcp", "auth"], rest].concat()
}

#[test]
fn each_command_says_what_it_did_and_keeps_what_was_not_named() {
    let place = Place::new();
    let config = "[edge]\npublic_url = \"https://mcp.example.com\"\n";
    std::fs::write(place.config(), config).unwrap();
    let refused = place.fails(&auth(&["enable"]));
    assert!(refused.contains("--issuer https://"), "{refused}");

    assert_eq!(
        place.ok(&auth(&["enable", "--issuer", ISSUER])),
        "MCP OAuth enabled\nResource URI: https://mcp.example.com/mcp/oauth\nMetadata URL: \
         https://mcp.example.com/.well-known/oauth-protected-resource/mcp/oauth\n"
    );
    let status = place.ok(&auth(&["status"]));
    for line in [
        "State:         enabled",
        "Resource URI:  https://mcp.example.com/mcp/oauth",
        "Mount:         separate",
        "Groups Claim:  groups",
        "Static Client: none",
    ] {
        assert!(status.lines().any(|l| l == line), "`{line}` in\n{status}");
    }

    let configured = place.ok(&auth(&[
        "configure",
        "--groups-claim",
        "teams",
        "--client-id",
        "footbridge",
        "--client-secret",
        "env:THE_SECRET",
        "--scope-map",
        "staff=search,get",
    ]));
    for line in [
        "State:         enabled",
        "Groups Claim:  teams",
        "Static Client: footbridge (with a secret)",
        "Scope Map:     staff=search,get",
    ] {
        assert!(configured.lines().any(|l| l == line), "`{line}` in\n{configured}");
    }
    assert!(
        configured.contains(ISSUER),
        "what was not named stays: {configured}"
    );
    assert!(!configured.contains("THE_SECRET"), "{configured}");

    let nothing = place.fails(&auth(&["configure"]));
    assert!(
        nothing.starts_with("footbridge-server: nothing to configure: "),
        "{nothing}"
    );
    assert_eq!(
        place.ok(&auth(&["disable"])),
        "MCP OAuth disabled; bearer tokens still work\n"
    );
    let status = place.ok(&auth(&["status"]));
    assert!(
        status.contains("State:         disabled") && status.contains("teams"),
        "{status}"
    );
    // Back as it was.
    place.ok(&auth(&["enable"]));
    assert!(
        place
            .ok(&auth(&["status"]))
            .contains("footbridge (with a secret)")
    );
    assert_eq!(place.run(&auth(&["configure"])).status.code(), Some(1));
}

#[test]
fn values_that_cannot_work_are_refused_with_what_can() {
    let place = Place::new();
    let table: [(&[&str], &str); 9] = [
        (&["--issuer", "http://id.example.com"], "https"),
        (&["--issuer", "https://u:p@id.example.com"], "without user"),
        (&["--issuer", "id.example.com"], "https"),
        (
            &["--resource-uri", "https://mcp.example.com/mcp/"],
            "slash at the end",
        ),
        (&["--resource-uri", "https://MCP.example.com/mcp"], "lower case"),
        (
            &["--client-id", "a", "--client-secret", "hunter2"],
            "env:NAME or file:PATH",
        ),
        (&["--client-secret", "env:A"], "--client-id"),
        (&["--scope-map", "staff=crm:read"], "no scope `crm:read`"),
        (&["--mount", "beside"], "`separate` and `same`"),
    ];
    for (values, cure) in table {
        let error = place.fails(&auth(&[&["configure"], values].concat()));
        assert!(error.contains(cure), "{values:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    // An endpoint has one provider: the second tenant is told so.
    place.ok(&auth(&["enable", "--issuer", ISSUER]));
    place.ok(&["tenant", "add", "acme"]);
    let other = place.fails(&auth(&["enable", "--issuer", ISSUER, "--tenant", "acme"]));
    assert!(other.contains("another tenant"), "{other}");
    let nobody = place.fails(&auth(&["link", "ada@example.test", "--subject", "x"]));
    assert!(nobody.contains("user list"), "{nobody}");
}
