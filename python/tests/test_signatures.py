"""Every public method and parameter of MSAL's class is there: accepted, or refused with the name of what to use."""

import asyncio
import functools
import inspect

import msal
import pytest

import async_msal

OURS = async_msal.ConfidentialClientApplication
THEIRS = msal.ConfidentialClientApplication
METHODS = sorted(
    name for name, member in inspect.getmembers(THEIRS, inspect.isfunction) if not name.startswith("_")
)
NETWORK = {
    "initiate_auth_code_flow",
    "acquire_token_by_auth_code_flow",
    "acquire_token_silent",
    "acquire_token_silent_with_error",
    "acquire_token_for_client",
    "acquire_token_on_behalf_of",
    "acquire_token_by_refresh_token",
}
GIVEN = {"client_id": "client", "client_credential": "secret"}
FLOW = {"state": "s", "code_verifier": "v", "nonce": "n", "scope": ["User.Read"]}
ACCOUNT = {"home_account_id": "u.t", "environment": "login.microsoftonline.com", "realm": "t"}


@functools.cache
def made(cls):
    return cls(**GIVEN)


def call(function, *arguments, **named):
    result = function(*arguments, **named)
    if inspect.isawaitable(result):

        async def wait():
            return await result

        return asyncio.run(wait())
    return result


@pytest.mark.parametrize("name", ["__init__", *METHODS])
@pytest.mark.parametrize("cls", [OURS, async_msal.SyncConfidentialClientApplication])
def test_parameters_have_msals_names_order_and_defaults(cls, name):
    shape = lambda function: [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
    assert shape(getattr(cls, name)) == shape(getattr(THEIRS, name))


@pytest.mark.parametrize("name", METHODS)
def test_network_methods_are_coroutines_and_the_others_plain(name):
    assert inspect.iscoroutinefunction(getattr(OURS, name)) == (name in NETWORK)
    assert not inspect.iscoroutinefunction(getattr(async_msal.SyncConfidentialClientApplication, name))


# Every parameter of the constructor with values that are accepted.
ACCEPTED = {
    "client_id": ["client"],
    "client_credential": ["secret", {"client_assertion": lambda: "a.b.c"}],
    "authority": ["https://login.microsoftonline.com/common", "https://login.microsoftonline.com/organizations/", None],
    "validate_authority": [True, False],
    "token_cache": [None, msal.SerializableTokenCache(), async_msal.SerializableTokenCache()],
    "http_client": [None],
    "verify": [True, None],
    "proxies": [None, {"https": "http://proxy.example:8080"}, {"http": "proxy.example:8080"}],
    "timeout": [None, 3, 2.5, (1, 5)],
    "client_claims": [None, {}],
    "app_name": [None, "app"],
    "app_version": [None, "1.2"],
    "client_capabilities": [None, ["cp1"]],
    "azure_region": [None, False],
    "exclude_scopes": [None, []],
    "http_cache": [None],
    "instance_discovery": [None, True, False],
    "allow_broker": [None, False],
    "enable_pii_log": [None, True],
    "oidc_authority": [None, "https://contoso.ciamlogin.com/contoso.onmicrosoft.com/v2.0"],
}

# And with values that are not, what is raised, and what the message names.
REFUSED = [
    ("client_id", 3, TypeError, "client_id"),
    ("client_credential", None, ValueError, "client_credential"),
    ("client_credential", 3, TypeError, "client_credential"),
    ("client_credential", {"private_key": "k"}, ValueError, "thumbprint"),
    ("client_credential", {"nothing": 1}, ValueError, "client_assertion"),
    ("client_credential", {"private_key": "no key", "thumbprint": "00"}, ValueError, "certificate"),
    ("client_credential", {"client_assertion": 3}, TypeError, "client_assertion"),
    ("client_credential", {"private_key": "k", "thumbprint": 3}, TypeError, "thumbprint"),
    ("client_credential", {"private_key": 3, "thumbprint": "00"}, TypeError, "private_key"),
    ("client_credential", {"private_key": "k", "thumbprint": "00", "passphrase": 3}, TypeError, "passphrase"),
    ("client_credential", {"private_key_pfx_path": 3}, TypeError, "private_key_pfx_path"),
    ("authority", 3, TypeError, "authority"),
    ("authority", "http://login.microsoftonline.com/common", ValueError, "https"),
    ("authority", "https://login.microsoftonline.com", ValueError, "tenant"),
    ("token_cache", object(), TypeError, "token_cache"),
    ("http_client", object(), NotImplementedError, "proxies"),
    ("verify", False, ValueError, "path"),
    ("verify", 3, TypeError, "verify"),
    ("verify", "/no/such/file", OSError, "verify"),
    ("proxies", {"ftp": "x"}, ValueError, "proxies"),
    ("proxies", "http://proxy", TypeError, "proxies"),
    ("proxies", {"https": "ftp://proxy.example"}, ValueError, "proxies"),
    ("proxies", {"https": "file:///etc/passwd"}, ValueError, "proxies"),
    ("proxies", {"https": 3}, TypeError, "proxies"),
    ("timeout", "3", TypeError, "timeout"),
    ("timeout", -1, ValueError, "timeout"),
    ("timeout", 10**400, ValueError, "timeout"),
    ("timeout", 1e19, ValueError, "timeout"),
    ("timeout", float("nan"), ValueError, "timeout"),
    ("timeout", float("inf"), ValueError, "timeout"),
    ("timeout", (1, 10**400), ValueError, "timeout"),
    ("client_claims", {"a": 1}, NotImplementedError, "client_assertion"),
    ("app_name", 3, TypeError, "app_name"),
    ("app_name", "a\nb", ValueError, "x-app-name"),
    ("app_version", 3, TypeError, "app_version"),
    ("client_capabilities", "cp1", TypeError, "client_capabilities"),
    ("client_capabilities", [1], TypeError, "client_capabilities"),
    ("azure_region", "Not A Region", ValueError, "azure_region"),
    ("azure_region", "westeurope", NotImplementedError, "global endpoint"),
    ("azure_region", True, NotImplementedError, "global endpoint"),
    ("exclude_scopes", "profile", ValueError, "exclude_scopes"),
    ("exclude_scopes", ["openid"], ValueError, "openid"),
    ("exclude_scopes", ["offline_access"], NotImplementedError, "leave it out"),
    ("http_cache", {}, NotImplementedError, "application object"),
    ("instance_discovery", "https://x.example", ValueError, "instance_discovery"),
    ("allow_broker", True, ValueError, "allow_broker"),
    ("oidc_authority", 3, TypeError, "oidc_authority"),
]


@pytest.mark.parametrize("name", list(inspect.signature(THEIRS.__init__).parameters)[1:])
def test_each_parameter_of_the_constructor_is_in_the_tables_and_accepted(name):
    for value in ACCEPTED[name]:
        OURS(**{**GIVEN, name: value})


@pytest.mark.parametrize("name, value, error, words", REFUSED)
def test_what_is_not_offered_is_refused_by_name(name, value, error, words):
    with pytest.raises(error, match=words):
        OURS(**{**GIVEN, name: value})


def test_two_authorities_are_refused_as_by_msal():
    with pytest.raises(ValueError, match="both authority and oidc_authority"):
        OURS(**GIVEN, authority="https://a.example/t", oidc_authority="https://b.example/t")


METHOD_REFUSALS = [
    ("get_authorization_request_url", (["s"],), {}, NotImplementedError, "initiate_auth_code_flow"),
    ("acquire_token_by_authorization_code", ("c", ["s"]), {}, NotImplementedError, "acquire_token_by_auth_code_flow"),
    ("acquire_token_by_username_password", ("u", "p", ["s"]), {}, NotImplementedError, "initiate_auth_code_flow"),
    (
        "acquire_token_by_user_federated_identity_credential",
        (["s"], "a"),
        {},
        NotImplementedError,
        "acquire_token_on_behalf_of",
    ),
    ("acquire_token_silent", (["s"], ACCOUNT), {"auth_scheme": object()}, ValueError, "proof-of-possession"),
    ("acquire_token_silent", (["s"], ACCOUNT), {"authority": "https://a/b"}, ValueError, "application for each"),
    ("acquire_token_silent", ("User.Read", ACCOUNT), {}, TypeError, "scopes"),
    ("acquire_token_silent", ([1], ACCOUNT), {}, TypeError, "scopes"),
    ("acquire_token_silent", (["s"], "account"), {}, TypeError, "account"),
    ("acquire_token_silent", (["s"], {"username": "u"}), {}, KeyError, "home_account_id"),
    ("acquire_token_silent", (["s"], {**ACCOUNT, "home_account_id": 3}), {}, TypeError, "home_account_id"),
    ("acquire_token_silent", (["s"], {**ACCOUNT, "local_account_id": 3}), {}, TypeError, "local_account_id"),
    ("acquire_token_silent", (["s"], {**ACCOUNT, "realm": 3}), {}, TypeError, "realm"),
    ("acquire_token_silent_with_error", (["s"], {"username": "u"}), {}, KeyError, "home_account_id"),
    ("acquire_token_silent", (["s"], ACCOUNT), {"claims_challenge": 3}, TypeError, "claims_challenge"),
    ("acquire_token_for_client", (["s"],), {"claims_challenge": 3}, TypeError, "claims_challenge"),
    ("acquire_token_on_behalf_of", ("a", ["s"]), {"claims_challenge": 3}, TypeError, "claims_challenge"),
    ("initiate_auth_code_flow", (["s"], "https://a.example/cb"), {"claims_challenge": 3}, TypeError, "claims_challenge"),
    ("acquire_token_silent", (["s"], ACCOUNT), {"claims_challenge": "[]"}, ValueError, "claims_challenge"),
    ("acquire_token_silent", (["s"], ACCOUNT), {"forwarded_client_claims": {}}, ValueError, "forwarded_client_claims"),
    ("acquire_token_silent", (["s"], ACCOUNT), {"forwarded_client_claims": "x"}, ValueError, "forwarded_client_claims"),
    ("acquire_token_silent", (["s"], ACCOUNT), {"data": {}}, TypeError, "data"),
    ("acquire_token_silent_with_error", (None, ACCOUNT), {}, TypeError, "scopes"),
    ("acquire_token_for_client", (["s"],), {"force_refresh": True}, ValueError, "force_refresh"),
    ("acquire_token_for_client", (["s"],), {"fmi_path": 3}, ValueError, "fmi_path"),
    ("acquire_token_for_client", (["s"],), {"data": {}}, TypeError, "data"),
    ("acquire_token_for_client", ("s",), {}, TypeError, "scopes"),
    ("acquire_token_on_behalf_of", (3, ["s"]), {}, TypeError, "user_assertion"),
    ("acquire_token_on_behalf_of", ("a", 3), {}, TypeError, "scopes"),
    ("acquire_token_by_refresh_token", (3, ["s"]), {}, TypeError, "refresh_token"),
    ("acquire_token_by_auth_code_flow", ("flow", {}), {}, TypeError, "auth_code_flow"),
    ("acquire_token_by_auth_code_flow", ({}, {}), {}, ValueError, "state missing"),
    ("acquire_token_by_auth_code_flow", ({"state": "s"}, {}), {}, KeyError, "code_verifier"),
    ("acquire_token_by_auth_code_flow", (FLOW, "response"), {}, TypeError, "auth_response"),
    ("acquire_token_by_auth_code_flow", (FLOW, {"state": 3}), {}, TypeError, "auth_response"),
    ("acquire_token_by_auth_code_flow", (FLOW, {}, ["Mail.Read"]), {}, ValueError, "subset"),
    ("initiate_auth_code_flow", (["s"],), {}, ValueError, "redirect_uri"),
    ("initiate_auth_code_flow", ("s", "https://a.example/cb"), {}, TypeError, "scopes"),
    ("initiate_auth_code_flow", (["openid"], "https://a.example/cb"), {}, ValueError, "openid"),
    ("initiate_auth_code_flow", (["s"], 3), {}, TypeError, "redirect_uri"),
    ("initiate_auth_code_flow", (["s"], "https://a.example/cb"), {"prompt": "x"}, ValueError, "prompt"),
    ("initiate_auth_code_flow", (["s"], "https://a.example/cb"), {"max_age": "1"}, TypeError, "max_age"),
    ("initiate_auth_code_flow", (["s"], "https://a.example/cb"), {"max_age": -1}, ValueError, "max_age"),
    ("initiate_auth_code_flow", (["s"], "https://a.example/cb"), {"max_age": 2**64}, ValueError, "max_age"),
    ("initiate_auth_code_flow", (["s"], "https://a.example/cb"), {"max_age": True}, TypeError, "max_age"),
    ("initiate_auth_code_flow", (["s"], "https://a.example/cb"), {"response_mode": "x"}, ValueError, "response_mode"),
    ("initiate_auth_code_flow", (["s"], "https://a.example/cb"), {"login_hint": 1}, TypeError, "login_hint"),
    ("get_accounts", (3,), {}, TypeError, "username"),
    ("remove_account", ("account",), {}, TypeError, "account"),
    ("remove_account", ({},), {}, KeyError, "home_account_id"),
    ("remove_account", ({"environment": "e"},), {}, KeyError, "home_account_id"),
    ("remove_account", ({"home_account_id": "u.t"},), {}, KeyError, "environment"),
    ("remove_account", ({**ACCOUNT, "home_account_id": 3},), {}, TypeError, "home_account_id"),
    ("remove_account", ({**ACCOUNT, "environment": 3},), {}, TypeError, "environment"),
]


@pytest.mark.parametrize("cls", [OURS, async_msal.SyncConfidentialClientApplication])
@pytest.mark.parametrize("name, arguments, named, error, words", METHOD_REFUSALS)
def test_wrong_arguments_are_refused_by_name(cls, name, arguments, named, error, words):
    app = made(cls)
    arguments = tuple(dict(each) if isinstance(each, dict) else each for each in arguments)
    with pytest.raises(error, match=words):
        call(getattr(app, name), *arguments, **named)


def test_a_question_about_nobody_is_answered_by_none_as_by_msal():
    app = OURS(**GIVEN)
    assert call(app.acquire_token_silent, ["s"], None) is None
    assert call(app.acquire_token_silent_with_error, ["s"], None) is None
    assert app.is_pop_supported() is False


def test_a_silent_call_needs_no_more_of_an_account_than_msals():
    account = {"home_account_id": "u.t"}
    assert call(OURS(**GIVEN).acquire_token_silent, ["s"], account) is None


def test_the_credential_classes_of_msal_are_understood(tmp_path):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import pkcs12

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime(2026, 1, 1)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now.replace(year=2046))
    certificate = certificate.sign(key, hashes.SHA256())
    encoding, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    plain = key.private_bytes(encoding, pkcs8, serialization.NoEncryption()).decode()
    sealed = key.private_bytes(encoding, pkcs8, serialization.BestAvailableEncryption(b"word")).decode()
    public = certificate.public_bytes(encoding).decode()
    thumbprint = certificate.fingerprint(hashes.SHA1()).hex()
    pfx = tmp_path / "client.pfx"
    pfx.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"c", key, certificate, None, serialization.BestAvailableEncryption(b"word")
        )
    )
    for credential in [
        {"private_key": plain, "thumbprint": thumbprint},
        {"private_key": plain, "public_certificate": public},
        {"private_key": plain, "thumbprint": thumbprint, "public_certificate": public},
        {"private_key": sealed, "public_certificate": public, "passphrase": "word"},
        {"private_key_pfx_path": str(pfx), "passphrase": "word"},
        {"private_key_pfx_path": str(pfx), "passphrase": b"word", "public_certificate": True},
    ]:
        OURS("client", client_credential=credential)
    with pytest.raises(ValueError):
        OURS("client", client_credential={"private_key": sealed, "public_certificate": public, "passphrase": "wrong"})
    with pytest.warns(DeprecationWarning):
        OURS("client", client_credential={"client_assertion": "a.b.c"})
