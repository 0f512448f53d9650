//! `async-msal sessions` and `async-msal token` on every store, in both layouts, beside an application that signs in.

mod bench;

use async_msal_axum::async_msal_session::SessionId;
use async_msal_emulator::{Endpoint, Fault, FaultRule};
use async_msal_test_servers::{PostgresServer, RedisServer};
use serde_json::json;
use tempfile::TempDir;

use self::bench::{ADA, BEN, Bench, Store};
use crate::demo_process::text;

/// One life: three sessions are listed, shown, counted, used and ended.
async fn looks_after(store: Store, layout: &str) {
    let bench = Bench::new(store, layout).await;
    let (first, second, bens) =
        (bench.sign_in(ADA).await, bench.sign_in(ADA).await, bench.sign_in(BEN).await);
    let mut secrets = bench.secrets(&first).await;
    secrets.extend(bench.secrets(&bens).await);
    secrets.push(bench.emulator.client_secret());
    let handle = first.handle().to_string();

    let mut said = String::new();
    for arguments in [
        &["sessions", "list"][..],
        &["sessions", "list", "--json"],
        &["sessions", "show", &handle],
        &["sessions", "show", &handle, "--json"],
        &["sessions", "stats"],
        &["sessions", "stats", "--json"],
        &["sessions", "repair"],
        &["sessions", "clean", "--older-than", "1d"],
    ] {
        let output = bench.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        said.extend([text(&output.stdout), text(&output.stderr)]);
    }
    assert!(!said.contains("WARN"), "the log of an application: {said}");
    for secret in &secrets {
        assert!(!said.contains(secret.as_str()), "{secret} is shown");
    }
    assert!(said.contains(&handle) && said.contains("ada@contoso.example") && said.contains("Ada Marsh"));
    assert!(!said.contains('\u{1b}'), "colours where no terminal is");

    finds(&bench, &handle);
    renews_once(&bench, &first, &second).await;

    assert_eq!(bench.json(&["sessions", "revoke", "--mail", ADA]), json!({ "revoked": 2 }));
    assert!(bench.session(&first).await.is_none() && bench.session(&second).await.is_none());
    assert_eq!(bench.refused(&["sessions", "revoke", "--mail", ADA]).0, 3);
    assert_eq!(bench.refused(&["token", "--mail", ADA]).0, 3);
    assert_eq!(bench.refused(&["sessions", "show", &handle]).0, 3);

    let (code, hint) = bench.refused(&["sessions", "revoke", "--all"]);
    assert!(code == 1 && hint.contains("--yes"), "{code} {hint}");
    assert!(bench.session(&bens).await.is_some());
    assert_eq!(bench.json(&["sessions", "revoke", "--all", "--yes"]), json!({ "revoked": 1 }));
    assert!(bench.session(&bens).await.is_none());
    assert_eq!(bench.json(&["sessions", "list"]), json!([]));
}

fn finds(bench: &Bench, handle: &str) {
    let count = |arguments: &[&str]| {
        bench.json(&[&["sessions", "list"], arguments].concat()).as_array().unwrap().len()
    };
    assert_eq!(count(&[]), 3);
    assert_eq!(count(&["--mail", "ADA@contoso.example"]), 2);
    assert_eq!(count(&["--mail", "ada"]), 0);
    assert_eq!(count(&["--tenant", bench.emulator.tenant_id()]), 3);
    assert_eq!(count(&["--tenant", "another"]), 0);
    assert_eq!(count(&["--older-than", "1d"]), 0);
    assert_eq!(count(&["--older-than", "0s"]), 3);

    let shown = bench.json(&["sessions", "show", &handle.to_uppercase()]);
    assert_eq!(shown["mail"], ADA);
    assert_eq!(shown["token"]["access_token"], "hidden");
    let (tenant, oid) = (shown["tenant"].as_str().unwrap(), shown["oid"].as_str().unwrap());
    let token = bench.run(&["token", "--tenant", tenant, "--oid", oid]);
    assert!(token.status.success(), "{}", text(&token.stderr));

    let stats = bench.json(&["sessions", "stats"]);
    assert_eq!((&stats["live"], &stats["users"], &stats["without_index"]), (&json!(3), &json!(2), &json!(0)));
}

/// The token is live at Graph; what was renewed is saved, and the next caller renews nothing.
async fn renews_once(bench: &Bench, first: &SessionId, second: &SessionId) {
    bench.expire(first).await;
    bench.expire(second).await;
    bench.emulator.admin().reset_counters();
    let printed = bench.run(&["token", "--mail", ADA]);
    let (token, talk) = (text(&printed.stdout), text(&printed.stderr));
    assert!(printed.status.success(), "{talk}");
    assert_eq!(token.lines().count(), 1);
    assert_eq!(text(&bench.run(&["token", "--mail", ADA]).stdout), token);
    assert_eq!(bench.emulator.admin().counters().token_refresh_token, 1);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let me = client.get(format!("{}/v1.0/me", bench.emulator.graph_url().trim_end_matches("/v1.0")));
    let me = me.bearer_auth(token.trim()).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(me.json::<serde_json::Value>().await.unwrap()["mail"], ADA);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_sqlite_are_looked_after_in_the_sealed_layout() {
    looks_after(Store::sqlite(), "sealed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_sqlite_are_looked_after_in_layout_aiohttp() {
    looks_after(Store::sqlite(), "aiohttp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_redis_are_looked_after_in_the_sealed_layout() {
    looks_after(Store::Redis(RedisServer::start()), "sealed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_redis_are_looked_after_in_layout_aiohttp() {
    looks_after(Store::Redis(RedisServer::start()), "aiohttp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_postgresql_are_looked_after_in_the_sealed_layout() {
    looks_after(Store::Postgres(PostgresServer::start()), "sealed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_postgresql_are_looked_after_in_layout_aiohttp() {
    looks_after(Store::Postgres(PostgresServer::start()), "aiohttp").await;
}

/// A mail address is no person: another administrator can give theirs the same.
async fn names_the_choices(layout: &str) {
    let bench = Bench::new(Store::sqlite(), layout).await;
    let adas = bench.sign_in(ADA).await;
    let fault = Fault::answer(200, format!(r#"{{"id":"x","mail":"{ADA}"}}"#));
    bench.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, fault)).unwrap();
    let bens = bench.sign_in(BEN).await;
    let person = |id| {
        let shown = bench.json(&["sessions", "show", id]);
        (shown["tenant"].as_str().unwrap().to_owned(), shown["oid"].as_str().unwrap().to_owned())
    };
    let choices = [person(&adas.handle().to_string()), person(&bens.handle().to_string())];
    assert_ne!(choices[0], choices[1]);
    for command in [&["token"][..], &["sessions", "revoke"]] {
        let (code, said) = bench.refused(&[command, &["--mail", ADA]].concat());
        assert_eq!(code, 4, "{said}");
        for (tenant, oid) in &choices {
            assert!(said.contains(&format!("--tenant {tenant} --oid {oid}")), "{said}");
        }
    }
    assert!(bench.session(&adas).await.is_some() && bench.session(&bens).await.is_some());
    let (tenant, oid) = &choices[1];
    let revoked = bench.json(&["sessions", "revoke", "--tenant", tenant, "--oid", oid]);
    assert_eq!(revoked, json!({ "revoked": 1 }));
    assert!(bench.session(&adas).await.is_some() && bench.session(&bens).await.is_none());
    let revoked = bench.json(&["sessions", "revoke", "--handle", &adas.handle().to_string()]);
    assert_eq!(revoked, json!({ "revoked": 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_address_of_several_people_is_refused_with_the_choices() {
    names_the_choices("sealed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_layout_aiohttp_too() {
    names_the_choices("aiohttp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_that_no_session_holds_and_ended_grants_want_a_sign_in() {
    let bench = Bench::new(Store::sqlite(), "sealed").await;
    let id = bench.sign_in(ADA).await;
    let (code, said) = bench.refused(&["token", "--mail", ADA, "--scope", "Sites.Read.All"]);
    assert!(code == 5 && said.contains("Sites.Read.All"), "{code} {said}");
    let token = bench.json(&["token", "--mail", ADA, "--scope", "User.Read"]);
    assert!(token["scopes"].as_str().unwrap().contains("User.Read"), "{token:?}");
    bench.expire(&id).await;
    bench.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, Fault::answer(400, r#"{"error":"invalid_grant","error_description":"AADSTS50173: expired","error_codes":[50173]}"#))).unwrap();
    let (code, said) = bench.refused(&["token", "--mail", ADA]);
    assert_eq!(code, 5, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_told_with_its_own_code_and_without_the_password() {
    let bench = Bench::new(Store::sqlite(), "sealed").await;
    for address in ["redis://:canary@127.0.0.1:1", "postgres://u:canary@127.0.0.1:1/d"] {
        let mut settings = bench.settings();
        settings.retain(|(name, _)| !["STORE_URL", "STORE_TIMEOUT"].contains(name));
        settings.push(("STORE_URL", address.to_owned()));
        for arguments in [&["sessions", "list"][..], &["sessions", "stats"], &["token", "--mail", ADA]] {
            let output = bench.run_with(&settings, arguments);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(6), "{said}");
            assert!(said.starts_with("error:"), "once, and not in the log too: {said}");
            assert!(
                said.contains("because:") && said.contains("hint:") && !said.contains("canary"),
                "{said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_a_file_the_environment_and_flags() {
    let bench = Bench::new(Store::sqlite(), "sealed").await;
    bench.sign_in(ADA).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("app.toml");
    let lines: String =
        bench.settings().iter().map(|(name, value)| format!("{name} = {value:?}\n")).collect();
    std::fs::write(&file, lines).unwrap();
    let file = file.to_str().unwrap();
    let listed = bench.run_with(&[], &["sessions", "list", "--json", "--settings", file]);
    assert!(text(&listed.stdout).contains(ADA), "{}", text(&listed.stderr));
    let other = format!("sqlite:{}", folder.path().join("other.db").display());
    let listed =
        bench.run_with(&[], &["sessions", "list", "--json", "--settings", file, "--store-url", &other]);
    assert_eq!(text(&listed.stdout), "[]\n", "{}", text(&listed.stderr));
    assert!(text(&listed.stderr).contains("other.db did not exist"), "{}", text(&listed.stderr));
    let in_memory = bench.run_with(&[], &["sessions", "list", "--settings", file, "--store-url", "memory:"]);
    assert_eq!((in_memory.status.code(), text(&in_memory.stdout).as_str()), (Some(1), ""));
    let missing = bench.run_with(&[], &["sessions", "list"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("SP_APP_ID"), "{}", text(&missing.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_means_nothing_changes_nothing() {
    let bench = Bench::new(Store::sqlite(), "sealed").await;
    bench.sign_in(ADA).await;
    for arguments in
        [&[][..], &["extra"], &["--handle", "xyz"], &["--tenant", "t"], &["--mail", "a", "--all"]]
    {
        let refused = bench.run(&[&["sessions", "revoke"], arguments].concat());
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(bench.json(&["sessions", "list"]).as_array().unwrap().len(), 1);
}
