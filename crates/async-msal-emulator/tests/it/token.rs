//! The token endpoint: what it grants, and that each strict check gives Entra ID's error.

use async_msal_emulator::ClientRegistration;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::{
    ADA, GIL, REDIRECT, SCOPE, VERIFIER, aadsts, auth_uri, builder, claims, code, code_with, emulator, http,
    post_token, redeem, refresh, sign_in, text,
};

#[tokio::test]
async fn a_code_gives_all_tokens_and_client_info() {
    let emulator = emulator().await;
    let answer = sign_in(&emulator, ADA).await;
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 3600);
    assert_eq!(answer["ext_expires_in"], 3600);
    assert_eq!(answer["refresh_in"], Value::Null);
    for name in ["access_token", "refresh_token", "id_token", "client_info"] {
        assert!(!text(&answer, name).is_empty());
    }
}

#[tokio::test]
async fn the_scope_holds_everything_consented_and_email_but_not_offline_access() {
    let emulator = emulator().await;
    let mut scopes: Vec<String> =
        text(&sign_in(&emulator, ADA).await, "scope").split(' ').map(str::to_owned).collect();
    scopes.sort();
    assert_eq!(scopes, ["User.Read", "User.Read.All", "email", "openid", "profile"]);
}

#[tokio::test]
async fn an_earlier_consent_shows_in_a_later_answer() {
    let emulator = emulator().await;
    let first = code_with(&emulator, ADA, &[("scope", "openid offline_access Mail.Read")]).await;
    redeem(&emulator, &first, &[("scope", "openid Mail.Read")]).await;
    assert!(text(&sign_in(&emulator, ADA).await, "scope").contains("Mail.Read"));
}

#[tokio::test]
async fn a_wrong_verifier_is_501481() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    let wrong = VERIFIER.replace('d', "e");
    for verifier in [wrong.as_str(), ""] {
        let (status, body) = redeem(&emulator, &code, &[("code_verifier", verifier)]).await;
        assert_eq!((status.as_u16(), aadsts(&body)), (400, 501_481));
        assert_eq!(body["error"], "invalid_grant");
    }
}

#[tokio::test]
async fn a_verifier_without_a_challenge_is_refused() {
    let emulator = emulator().await;
    let code = code_with(&emulator, ADA, &[("code_challenge", ""), ("code_challenge_method", "")]).await;
    assert_eq!(aadsts(&redeem(&emulator, &code, &[]).await.1), 501_481);
}

#[tokio::test]
async fn a_reused_code_is_54005() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    assert_eq!(redeem(&emulator, &code, &[]).await.0, 200);
    let (status, body) = redeem(&emulator, &code, &[]).await;
    assert_eq!((status.as_u16(), aadsts(&body)), (400, 54_005));
    assert_eq!(body["error"], "invalid_grant");
}

#[tokio::test]
async fn two_redemptions_at_once_give_one_answer() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    let (first, second) = tokio::join!(redeem(&emulator, &code, &[]), redeem(&emulator, &code, &[]));
    let good = [first.0, second.0].iter().filter(|s| s.is_success()).count();
    assert_eq!(good, 1);
}

#[tokio::test]
async fn an_expired_code_is_70008() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    emulator.admin().advance_clock(601);
    assert_eq!(aadsts(&redeem(&emulator, &code, &[]).await.1), 70_008);
}

#[tokio::test]
async fn another_redirect_address_at_redemption_is_500112() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    let (_, body) = redeem(&emulator, &code, &[("redirect_uri", &format!("{REDIRECT}/"))]).await;
    assert_eq!(aadsts(&body), 500_112);
}

#[tokio::test]
async fn a_code_of_another_client_is_refused() {
    let emulator = builder()
        .client(ClientRegistration::new("first", "s").with_redirect_uri(REDIRECT))
        .client(ClientRegistration::new("second", "t").with_redirect_uri(REDIRECT))
        .start()
        .await
        .unwrap();
    let code = code(&emulator, ADA).await;
    let (_, body) = redeem(&emulator, &code, &[("client_id", "second"), ("client_secret", "t")]).await;
    assert_eq!((aadsts(&body), text(&body, "error")), (70_000, "invalid_grant"));
}

#[tokio::test]
async fn a_code_redeemed_at_another_tenant_path_is_700005() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    let url = format!("{}/common/oauth2/v2.0/token", emulator.base_url());
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &emulator.client_id()),
        ("client_secret", &emulator.client_secret()),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let body: Value = http().post(url).form(&form).send().await.unwrap().json().await.unwrap();
    assert_eq!(aadsts(&body), 700_005);
}

#[tokio::test]
async fn no_credential_is_7000218_with_status_401() {
    let emulator = emulator().await;
    let (status, body) =
        post_token(&emulator, &[("grant_type", "client_credentials"), ("client_secret", "")]).await;
    assert_eq!((status.as_u16(), aadsts(&body)), (401, 7_000_218));
}

#[tokio::test]
async fn basic_authentication_is_form_decoded() {
    let client = ClientRegistration::new("the client", "s e:c%r+et").with_redirect_uri(REDIRECT);
    let emulator = builder().client(client).start().await.unwrap();
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = STANDARD.encode(format!("{}:{}", encode("the client"), encode("s e:c%r+et")));
    let url = format!("{}/oauth2/v2.0/token", emulator.authority_url());
    let form = [("grant_type", "client_credentials"), ("scope", "https://graph.microsoft.com/.default")];
    let request = http().post(url).header("authorization", format!("Basic {basic}")).form(&form);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_bad_scope_is_70011() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    let (_, body) = redeem(&emulator, &code, &[("scope", "openid Nope.Read")]).await;
    assert_eq!((aadsts(&body), text(&body, "error")), (70_011, "invalid_scope"));
}

#[tokio::test]
async fn an_unknown_resource_is_500011() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    let (_, body) = redeem(&emulator, &code, &[("scope", "api://nobody/read")]).await;
    assert_eq!((aadsts(&body), text(&body, "error")), (500_011, "invalid_resource"));
}

#[tokio::test]
async fn two_resources_in_one_token_request_are_28000() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    let scope = format!("User.Read api://{}/access_as_user", emulator.client_id());
    assert_eq!(aadsts(&redeem(&emulator, &code, &[("scope", &scope)]).await.1), 28_000);
}

#[tokio::test]
async fn a_second_resource_is_served_by_the_refresh_token() {
    let emulator = emulator().await;
    let own = format!("api://{}/access_as_user", emulator.client_id());
    let scope = format!("{SCOPE} {own}");
    let code = code_with(&emulator, ADA, &[("scope", &scope)]).await;
    let (_, first) = redeem(&emulator, &code, &[]).await;
    let (status, second) = refresh(&emulator, text(&first, "refresh_token"), &[("scope", &own)]).await;
    assert_eq!(status, 200, "{second}");
    assert_eq!(second["scope"], own);
    assert_eq!(claims(text(&second, "access_token"))["aud"], emulator.client_id());
}

#[tokio::test]
async fn a_scope_without_consent_is_65001_consent_required() {
    let emulator = emulator().await;
    let first = sign_in(&emulator, ADA).await;
    let (_, body) = refresh(&emulator, text(&first, "refresh_token"), &[("scope", "openid Mail.Send")]).await;
    assert_eq!((aadsts(&body), text(&body, "suberror")), (65_001, "consent_required"));
}

#[tokio::test]
async fn a_refresh_rotates_and_the_old_token_stays_good() {
    let emulator = emulator().await;
    let first = sign_in(&emulator, ADA).await;
    let old = text(&first, "refresh_token");
    let (_, second) = refresh(&emulator, old, &[]).await;
    assert_ne!(text(&second, "refresh_token"), old);
    assert_eq!(refresh(&emulator, old, &[]).await.0, 200);
}

#[tokio::test]
async fn with_strict_single_use_a_used_refresh_token_is_70008() {
    let emulator = emulator().await;
    emulator.admin().strict_single_use_refresh(true);
    let first = sign_in(&emulator, ADA).await;
    let old = text(&first, "refresh_token");
    assert_eq!(refresh(&emulator, old, &[]).await.0, 200);
    let (status, body) = refresh(&emulator, old, &[]).await;
    assert_eq!((status.as_u16(), aadsts(&body)), (400, 70_008));
}

#[tokio::test]
async fn a_reuse_is_counted_and_within_the_grace_accepted() {
    let emulator = emulator().await;
    emulator.admin().set_policy(|policy| {
        policy.single_use_refresh_tokens = true;
        policy.refresh_token_reuse_grace = 30;
    });
    let first = sign_in(&emulator, ADA).await;
    let old = text(&first, "refresh_token");
    assert_eq!(refresh(&emulator, old, &[]).await.0, 200);
    assert_eq!(emulator.admin().counters().refresh_token_reuses, 0);
    assert_eq!(refresh(&emulator, old, &[]).await.0, 200);
    emulator.admin().advance_clock(31);
    assert_eq!(refresh(&emulator, old, &[]).await.0, 400);
    assert_eq!(emulator.admin().counters().refresh_token_reuses, 2);
}

#[tokio::test]
async fn with_reuse_detection_a_reuse_revokes_what_that_sign_in_gave_and_nothing_else() {
    let emulator = emulator().await;
    emulator.admin().set_policy(|policy| {
        policy.single_use_refresh_tokens = true;
        policy.revoke_on_refresh_token_reuse = true;
    });
    let (first, other) = (sign_in(&emulator, ADA).await, sign_in(&emulator, ADA).await);
    let old = text(&first, "refresh_token");
    let (_, second) = refresh(&emulator, old, &[]).await;
    assert_eq!(refresh(&emulator, old, &[]).await.0, 400);
    let (status, body) = refresh(&emulator, text(&second, "refresh_token"), &[]).await;
    assert_eq!((status.as_u16(), aadsts(&body)), (400, 50_173));
    assert_eq!(refresh(&emulator, text(&other, "refresh_token"), &[]).await.0, 200);
}

#[tokio::test]
async fn an_unknown_refresh_token_is_invalid_grant() {
    let emulator = emulator().await;
    let (status, body) = refresh(&emulator, "made-up", &[]).await;
    assert_eq!((status.as_u16(), text(&body, "error")), (400, "invalid_grant"));
}

#[tokio::test]
async fn revoked_refresh_tokens_are_50173() {
    let emulator = emulator().await;
    let first = sign_in(&emulator, ADA).await;
    assert_eq!(emulator.admin().revoke_refresh_tokens(ADA).await.unwrap(), 1);
    assert_eq!(aadsts(&refresh(&emulator, text(&first, "refresh_token"), &[]).await.1), 50_173);
}

#[tokio::test]
async fn without_admin_consent_an_admin_scope_is_not_granted() {
    let emulator = builder().without_admin_consent().start().await.unwrap();
    let uri = auth_uri(&emulator, &[("scope", "openid User.Read.All")]);
    let answer = emulator.authorize(&uri, ADA).await.unwrap();
    assert_eq!(answer.field("error"), Some("access_denied"));
    assert!(answer.field("error_description").unwrap().starts_with("AADSTS90094"));
}

#[tokio::test]
async fn fewer_scopes_than_asked_are_granted_on_request() {
    let emulator = emulator().await;
    emulator.admin().set_policy(|p| p.withheld_scopes.extend(["User.Read".to_owned()]));
    let answer = sign_in(&emulator, ADA).await;
    assert!(!text(&answer, "scope").split(' ').any(|s| s == "User.Read"));
}

#[tokio::test]
async fn client_info_of_a_guest_names_the_home_tenant() {
    let emulator = emulator().await;
    let answer = sign_in(&emulator, GIL).await;
    let info = text(&answer, "client_info");
    let info = claims(&format!("x.{info}"));
    let id_token = claims(text(&answer, "id_token"));
    assert_ne!(info["uid"], id_token["oid"]);
    assert_ne!(info["utid"], id_token["tid"]);
    assert_eq!(id_token["tid"], emulator.tenant_id());
    assert_eq!(id_token["idp"], format!("https://sts.windows.net/{}/", text(&info, "utid")));
}

#[tokio::test]
async fn a_duplicated_parameter_is_refused() {
    let emulator = emulator().await;
    let url = format!("{}/oauth2/v2.0/token", emulator.authority_url());
    let form = [("grant_type", "refresh_token"), ("grant_type", "refresh_token")];
    let body: Value = http().post(url).form(&form).send().await.unwrap().json().await.unwrap();
    assert_eq!(aadsts(&body), 9_000_411);
}

#[tokio::test]
async fn the_callers_request_id_is_the_correlation_id() {
    let emulator = emulator().await;
    let id = "6f1f7d54-3a6b-4a0e-9f5a-0d3b5f6f8a11";
    let url = format!("{}/oauth2/v2.0/token", emulator.authority_url());
    let answer = http().post(url).header("client-request-id", id).form(&[("a", "b")]).send().await.unwrap();
    assert_eq!(answer.headers()["client-request-id"], id);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["correlation_id"], id);
    assert!(text(&body, "error_description").contains(id));
}

#[tokio::test]
async fn lifetimes_and_refresh_in_follow_the_policy() {
    let emulator = emulator().await;
    emulator.admin().set_policy(|p| {
        p.access_token_lifetime = 120;
        p.refresh_in = Some(60);
    });
    let fields = [("grant_type", "client_credentials"), ("scope", "https://graph.microsoft.com/.default")];
    for answer in [sign_in(&emulator, ADA).await, post_token(&emulator, &fields).await.1] {
        assert_eq!((answer["expires_in"].as_i64(), answer["refresh_in"].as_i64()), (Some(120), Some(60)));
    }
}
