//! Tokens that nobody may come in with: each rule of security.md K6 with a token that breaks that rule alone.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use footbridge_server::access::{
    AuthError,
    oauth::{Entrance, Origin, TokenFault},
};
use ring::hmac;
use serde_json::{Value, json};

use super::{Walk, challenge, now, provider::Signer};

/// What became of a token at the guard: the operator's reason.
async fn judged(walk: &Walk, token: &str) -> Result<bool, TokenFault> {
    let house = &walk.house.rooms;
    let edition = &house.editions()[0].edition;
    let entrance: Entrance = house.oauth().entrance(&edition.name, "/mcp/oauth").unwrap();
    let address = IpAddr::from([127, 0, 0, 1]);
    let result = house
        .oauth()
        .admit(
            &entrance,
            edition,
            token,
            Origin::from(address),
            house.clock().now(),
        )
        .await;
    match result {
        Ok(principal) => Ok(principal.is_some()),
        Err(AuthError::Token(fault)) => Err(fault),
        Err(other) => panic!("{other}"),
    }
}

fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[tokio::test]
async fn every_forged_token_gets_the_same_answer() {
    let walk = Walk::start().await;
    let (good, header) = (walk.claims(), json!({ "alg": "ES256", "kid": "k1" }));
    let stranger = Signer::ec();
    let with = |name: &str, value: Value| walk.token(&json!({ name: value }));
    let headed = |header: Value| walk.signer.token(&header, &good);
    let valid = walk.token(&json!({}));
    let (message, signature) = valid.rsplit_once('.').unwrap();
    let (head, claims) = message.split_once('.').unwrap();
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[10] ^= 1;
    let promoted = {
        let mut claims = good.clone();
        claims["scope"] = json!("t:read t:write");
        URL_SAFE_NO_PAD.encode(claims.to_string())
    };
    let unsigned = |alg: &str| {
        let head = URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "kid": "k1" }).to_string());
        format!("{head}.{claims}.{signature}")
    };
    let doubled = |claims: &str| walk.signer.token_of(&header.to_string(), claims);
    let twice = good.to_string().replacen('{', r#"{"sub":"root","#, 1);
    let public = walk.signer.public_bytes();
    let jwk = stranger.public("k1");
    let evil = "http://127.0.0.1:1/keys";

    let table: Vec<(&str, String, TokenFault)> = vec![
        (
            "cut short",
            valid[..valid.len() - 2].to_owned(),
            TokenFault::Signature,
        ),
        (
            "signature changed",
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(&flipped)),
            TokenFault::Signature,
        ),
        (
            "signature of nothing",
            format!("{message}.AAAA"),
            TokenFault::Signature,
        ),
        (
            "claims changed",
            format!("{head}.{promoted}.{signature}"),
            TokenFault::Signature,
        ),
        (
            "somebody else's key",
            stranger.token(&header, &good),
            TokenFault::Signature,
        ),
        (
            "key in the header",
            stranger.token(&json!({ "alg": "ES256", "kid": "k1", "jwk": jwk }), &good),
            TokenFault::Signature,
        ),
        (
            "keys elsewhere",
            stranger.token(
                &json!({ "alg": "ES256", "kid": "k1", "jku": evil, "x5u": evil }),
                &good,
            ),
            TokenFault::Signature,
        ),
        ("alg none", unsigned("none"), TokenFault::Algorithm),
        ("alg NONE", unsigned("NONE"), TokenFault::Algorithm),
        (
            "HS256 with the public key",
            hs256(&json!({ "alg": "HS256", "kid": "k1" }), &good, &public),
            TokenFault::Algorithm,
        ),
        (
            "another algorithm than the key's",
            unsigned("RS256"),
            TokenFault::UnknownKey,
        ),
        ("EdDSA with an EC key", unsigned("EdDSA"), TokenFault::UnknownKey),
        (
            "unknown kid",
            headed(json!({ "alg": "ES256", "kid": "k2" })),
            TokenFault::UnknownKey,
        ),
        (
            "kid as a path",
            headed(json!({ "alg": "ES256", "kid": "../../k1" })),
            TokenFault::UnknownKey,
        ),
        (
            "kid as SQL",
            headed(json!({ "alg": "ES256", "kid": "k1' OR '1'='1" })),
            TokenFault::UnknownKey,
        ),
        (
            "kid that is no text",
            headed(json!({ "alg": "ES256", "kid": ["k1"] })),
            TokenFault::Header,
        ),
        (
            "critical header",
            headed(json!({ "alg": "ES256", "kid": "k1", "crit": ["x"], "x": 1 })),
            TokenFault::Critical,
        ),
        (
            "another type",
            headed(json!({ "alg": "ES256", "kid": "k1", "typ": "logout+jwt" })),
            TokenFault::Type,
        ),
        ("expired", with("exp", json!(now() - 31)), TokenFault::Expired),
        (
            "expires in a text",
            with("exp", json!("9999999999")),
            TokenFault::Claims,
        ),
        ("never expires", with("exp", json!(null)), TokenFault::Claims),
        (
            "not valid yet",
            with("nbf", json!(now() + 90)),
            TokenFault::NotYet,
        ),
        (
            "from the future",
            with("iat", json!(now() + 90)),
            TokenFault::NotYet,
        ),
        (
            "another audience",
            with("aud", json!("https://other.example")),
            TokenFault::Audience,
        ),
        ("no audience", with("aud", json!(null)), TokenFault::Audience),
        (
            "audience with a slash",
            with("aud", json!(format!("{}/", walk.resource()))),
            TokenFault::Audience,
        ),
        (
            "audience of the endpoint for keys",
            with("aud", json!(format!("http://{}/mcp", walk.house.address))),
            TokenFault::Audience,
        ),
        ("nobody", with("sub", json!(null)), TokenFault::Subject),
        (
            "subject with a line end",
            with("sub", json!("a\r\nb")),
            TokenFault::Subject,
        ),
        (
            "bound to a key of its holder",
            with("cnf", json!({ "jkt": "x" })),
            TokenFault::Type,
        ),
        ("a claim twice", doubled(&twice), TokenFault::Claims),
    ];
    let expected = format!(
        "Bearer resource_metadata=\"{}\", scope=\"t:read\", error=\"invalid_token\", error_description=\"The access \
         token is not valid here: it has expired, or was made for something else\"",
        walk.metadata_url()
    );
    assert_eq!(judged(&walk, &valid).await, Ok(true));
    let mut said = None;
    for (what, token, fault) in table {
        assert_eq!(judged(&walk, &token).await, Err(fault), "{what}");
        let reply = walk.call(&token, "plain", json!({})).send().await;
        assert_eq!(
            (reply.status, challenge(&reply)),
            (401, expected.as_str()),
            "{what}"
        );
        // One text for all of them: it tells a forger nothing.
        let text = reply.text();
        assert_eq!(said.get_or_insert_with(|| text.clone()), &text, "{what}");
        assert!(!text.contains(&token[..20]), "{what}");
    }
}

#[tokio::test]
async fn what_is_not_of_the_provider_is_judged_as_a_key() {
    let walk = Walk::start().await;
    let other = json!({ "iss": format!("{}/", walk.provider.issuer) });
    for (what, token) in [
        ("another issuer", walk.token(&other)),
        ("no issuer", walk.token(&json!({ "iss": null }))),
        ("no token", "a.b.c".to_owned()),
        ("encrypted", "a.b.c.d.e".to_owned()),
        (
            "huge",
            format!("{}.{}.{}", "a".repeat(9000), "b".repeat(9000), "c".repeat(9000)),
        ),
    ] {
        assert_eq!(judged(&walk, &token).await, Ok(false), "{what}");
        let reply = walk.call(&token, "plain", json!({})).send().await;
        assert_eq!(reply.status, 401, "{what}");
        assert!(reply.text().contains("key not recognised"), "{what}: {reply:?}");
        assert!(challenge(&reply).contains("resource_metadata"), "{what}");
    }
}

#[tokio::test]
async fn every_kind_of_key_that_providers_use_is_taken() {
    let walk = Walk::start().await;
    let (rsa, ed) = (Signer::rsa(), Signer::ed());
    walk.provider
        .keys
        .lock()
        .extend([rsa.public("rsa"), ed.public("ed")]);
    let claims = walk.claims();
    for (signer, algorithm, kid) in [
        (&rsa, "RS256", "rsa"),
        (&rsa, "PS256", "rsa"),
        (&ed, "EdDSA", "ed"),
        (&walk.signer, "ES256", "k1"),
    ] {
        let header = json!({ "alg": algorithm, "kid": kid, "typ": "at+jwt" });
        assert_eq!(
            judged(&walk, &signer.token(&header, &claims)).await,
            Ok(true),
            "{algorithm}"
        );
    }
    // The classic: the public key taken for a shared secret.
    let confused = hs256(
        &json!({ "alg": "HS256", "kid": "rsa" }),
        &claims,
        &rsa.public_bytes(),
    );
    assert_eq!(judged(&walk, &confused).await, Err(TokenFault::Algorithm));
}

#[tokio::test]
async fn a_client_that_calls_much_at_once_takes_one_place_in_the_queue() {
    let walk = Walk::start().await;
    // The provider's keys are at hand.
    assert_eq!(
        judged(&walk, &walk.token(&json!({ "jti": "before" }))).await,
        Ok(true)
    );
    let token = walk.token(&json!({ "jti": "now" }));
    let calls = (0..300).map(|_| judged(&walk, &token));
    for fate in futures_util::future::join_all(calls).await {
        assert_eq!(fate, Ok(true));
    }
}

#[tokio::test]
async fn a_flood_of_forged_tokens_is_mostly_not_looked_at_and_locks_nobody_out() {
    let walk = Walk::start().await;
    let house = &walk.house.rooms;
    let edition = &house.editions()[0].edition;
    let entrance = house.oauth().entrance(&edition.name, "/mcp/oauth").unwrap();
    let suspect = Origin {
        address: IpAddr::from([127, 0, 0, 1]),
        is_suspect: &|| true,
    };
    let known = walk.token(&json!({ "jti": "known" }));
    assert_eq!(judged(&walk, &known).await, Ok(true));
    let came = async |token: String| {
        let now = house.clock().now();
        match house
            .oauth()
            .admit(&entrance, edition, &token, suspect, now)
            .await
        {
            Ok(principal) => Ok(principal.is_some()),
            Err(AuthError::Token(fault)) => Err(fault),
            Err(other) => panic!("{other}"),
        }
    };
    let mut fates = Vec::new();
    for number in 0..32 {
        let good = walk.token(&json!({ "jti": number.to_string() }));
        let (message, _) = good.rsplit_once('.').unwrap();
        // Good ones and forged ones in turn, four of each.
        let token = if number % 8 < 4 {
            good
        } else {
            format!("{message}.AAAA")
        };
        fates.push(came(token).await);
        assert_eq!(came(known.clone()).await, Ok(true), "verified before");
    }
    let count = |fate: Result<bool, TokenFault>| fates.iter().filter(|one| **one == fate).count();
    assert_eq!(
        count(Ok(true)) + count(Err(TokenFault::Signature)),
        4,
        "{fates:?}"
    );
    assert_eq!(count(Err(TokenFault::Unchecked)), 28);
    assert!(count(Ok(true)) > 0);
    // Whoever tries again gets in.
    let patient = walk.token(&json!({ "jti": "patient" }));
    let mut tries = 0;
    while came(patient.clone()).await != Ok(true) {
        tries += 1;
        assert!(tries < 8);
    }
}
