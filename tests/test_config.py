"""One file and the environment become settings, or every fault is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import evolve

from livehub.config import SYSTEM_FILE, find, is_loopback, is_secret, load, sections
from livehub.errors import ConfigError
from livehub.feature import Feature, payload, setting
from livehub.settings import DEVELOPMENT_SECRET, AuthSection, Settings

SECRET = "0123456789abcdef0123456789abcdef"
ROOT = Path(__file__).parents[1]


@payload
class LampSettings:
    """`[lamp]`"""

    burns_s: int = setting(5, unit="seconds", least=1, most=9, help="how long the lamp burns")
    api_key: str = setting("", help="what opens the lamp")


class Lamp(Feature):
    name = "lamp"
    Settings = LampSettings


class Plain(Feature):
    name = "plain"


def read(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, secret: str = SECRET) -> Settings:
    path = tmp_path / "test.toml"
    path.write_text(text)
    given = {"LIVEHUB_AUTH__SECRET": secret} if secret else {}
    return load(path, environ={**given, **(environ or {})}, features=[Lamp, Plain])


def faults(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, secret: str = SECRET) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, environ, secret)
    return str(caught.value).replace(str(tmp_path / "test.toml"), "FILE").splitlines()


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    expected = Settings(auth=AuthSection(secret=SECRET), features={"lamp": LampSettings()})
    assert evolve(settings, source=None) == expected


def test_settings_know_their_file(tmp_path: Path) -> None:
    assert read(tmp_path, "").source == tmp_path / "test.toml"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff[server]\nport = 4000").server.port == 4000


def test_sections_of_features_are_read_with_the_rest(tmp_path: Path) -> None:
    assert read(tmp_path, "[lamp]\nburns_s = 7").features["lamp"] == LampSettings(burns_s=7)


def test_a_misspelt_key_is_refused_with_the_nearest(tmp_path: Path) -> None:
    assert faults(tmp_path, "[engine]\nping_intervall_ms = 1") == [
        "FILE: engine.ping_intervall_ms is no setting; is ping_interval_ms meant?"
    ]


def test_a_misspelt_section_is_refused_with_the_nearest(tmp_path: Path) -> None:
    assert faults(tmp_path, "[sever]\nport = 1") == ["FILE: [sever] is no section; is server meant?"]


def test_a_feature_without_settings_has_no_section(tmp_path: Path) -> None:
    assert faults(tmp_path, "[plain]\nx = 1") == ["FILE: [plain] is no section"]


def test_settings_stand_in_sections(tmp_path: Path) -> None:
    assert faults(tmp_path, "port = 1\nserver = 2") == [
        "FILE: [port] is no section, and every setting stands in one",
        "FILE: server must be a section: [server]",
    ]


def test_a_fault_names_file_key_value_and_what_is_allowed(tmp_path: Path) -> None:
    assert faults(tmp_path, "[server]\nport = 99999") == [
        "FILE: server.port = 99999, but it must be a whole number from 0 to 65535"
    ]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = '[server]\nport = "x"\nprot = 1\n[engine]\nflush_ms = -1\n[lamp]\nburns_s = 10\n[auth]\nsecret = "short"'
    told = faults(tmp_path, text, secret="")
    assert [line.split(" ")[1] for line in told] == [
        "server.prot",
        "server.port",
        "engine.flush_ms",
        "lamp.burns_s",
        "auth.secret",
    ]


@pytest.mark.parametrize("text", ["[auth]\nsecret = 12345", "[lamp]\napi_key = 12345", '[auth]\nsecret = "12345"'])
def test_a_secret_is_never_shown(tmp_path: Path, text: str) -> None:
    told = faults(tmp_path, text, secret="" if "auth" in text else SECRET)
    assert len(told) == 1
    assert "12345" not in told[0]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environ = {"LIVEHUB_SERVER__PORT": "5000", "LIVEHUB_LAMP__BURNS_S": "2", "LIVEHUB_SERVER__ORIGINS": '["*"]'}
    settings = read(tmp_path, "[server]\nport = 4000\n[lamp]\nburns_s = 99", environ)
    assert (settings.server.port, settings.server.origins, settings.features["lamp"].burns_s) == (5000, ("*",), 2)


def test_a_fault_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    environ = {"LIVEHUB_SERVER__PORT": "many", "LIVEHUB_SERVER__HOTS": "x", "LIVEHUB_AUTH__SECRET": "s"}
    assert faults(tmp_path, "", environ) == [
        "environment: LIVEHUB_SERVER__HOTS is no setting; is LIVEHUB_SERVER__HOST meant?",
        'environment: LIVEHUB_SERVER__PORT: server.port = "many", but it must be a whole number from 0 to 65535',
        "environment: LIVEHUB_AUTH__SECRET: auth.secret is too short: HS256 needs at least 32 bytes",
    ]


def test_the_command_line_wins_and_is_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"LIVEHUB_SERVER__PORT": "5000", "LIVEHUB_AUTH__SECRET": SECRET}
    path = tmp_path / "test.toml"
    path.write_text('[server]\nhost = "localhost"')
    options = {("server", "port"): 6000, ("server", "host"): None, ("store", "data"): Path("mine")}
    settings = load(path, environ=environ, options=options)
    found = (settings.server.port, settings.server.host, settings.store.data)
    assert found == (6000, "localhost", tmp_path / "mine")
    with pytest.raises(ConfigError, match=r"command line: server\.port = 99999"):
        load(path, environ=environ, options={("server", "port"): 99_999})


def test_a_host_on_the_command_line_does_not_slip_past_the_development_secret() -> None:
    with pytest.raises(ConfigError, match=r"development secret.*refused on 0\.0\.0\.0"):
        load(ROOT / "config" / "dev.toml", environ={}, options={("server", "host"): "0.0.0.0"})


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    read(tmp_path, "", {"LIVEHUB_CONFIG": "x", "LIVEHUB_TOKEN": "y", "OTHER__X": "z"})


def test_roles_that_are_not_named_keep_their_default(tmp_path: Path) -> None:
    roles = read(tmp_path, '[auth]\nroles.SPEAKER = ["a:b"]\nroles.GUEST = []').auth.roles
    assert roles == {**AuthSection().roles, "SPEAKER": ("a:b",), "GUEST": ()}


def test_a_permission_without_a_name_is_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, '[auth]\nroles.X = ["two words"]') == [
        'FILE: auth.roles gives X "two words", which is no permission'
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('host = ""', "must be an address or a name"),
        ('path = "socket.io"', "must start and end with /"),
        ('path = "/a?b/"', "must start and end with /"),
        ('origins = ["example.org"]', "an origin is"),
        ('origins = ["https://example.org/"]', "an origin is"),
        ('origins = ["https://a@example.org"]', "an origin is"),
        ('origins = ["https://example.org:x"]', "an origin is"),
        ('public_url = "https://["', "must be like https://live.example.org"),
        ('public_url = "ftp://example.org"', "must be like https://live.example.org"),
        ('certfile = "a.pem"', "TLS needs both"),
        ('keyfile = "a.pem"', "TLS needs both"),
    ],
)
def test_server_settings_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, told: str) -> None:
    [line] = faults(tmp_path, f"[server]\n{text}")
    assert line.startswith("FILE: server.")
    assert told in line


@pytest.mark.parametrize(
    "text",
    [
        'host = "::1"',
        'path = "/"',
        'origins = ["*", "http://localhost:3000", "https://example.org"]',
        'public_url = "https://live.example.org:8443/"',
        'certfile = "a.pem"\nkeyfile = "b.pem"',
    ],
)
def test_server_settings_that_are_fine_are_taken(tmp_path: Path, text: str) -> None:
    read(tmp_path, f"[server]\n{text}")


@pytest.mark.parametrize(
    ("text", "secret", "told"),
    [
        ("", "", "auth.secret is missing"),
        ('public_key_file = "a.pem"', SECRET, "no place beside auth.algorithm = HS256"),
        ('private_key_file = "a.pem"', SECRET, "no place beside auth.algorithm = HS256"),
        ('algorithm = "RS256"', "", "needs exactly one of"),
        ('algorithm = "ES256"\npublic_key_file = "a"\njwks_file = "b"', "", "needs exactly one of"),
        ('algorithm = "EdDSA"\npublic_key_file = "a"', SECRET, "auth.secret has no place"),
        ('algorithm = "none"', SECRET, '"HS256" or "RS256" or "ES256" or "EdDSA"'),
    ],
)
def test_there_is_one_source_of_keys_and_it_fits_the_algorithm(
    tmp_path: Path, text: str, secret: str, told: str
) -> None:
    [line] = faults(tmp_path, f"[auth]\n{text}", secret=secret)
    assert told in line


def test_a_public_key_needs_no_secret(tmp_path: Path) -> None:
    settings = read(tmp_path, '[auth]\nalgorithm = "RS256"\njwks_file = "/k/jwks.json"', secret="")
    assert settings.auth.jwks_file == Path("/k/jwks.json")


@pytest.mark.parametrize("server", ['host = "0.0.0.0"', 'host = "::"', 'public_url = "https://live.example.org"'])
def test_the_development_secret_is_refused_where_others_connect(tmp_path: Path, server: str) -> None:
    [line] = faults(tmp_path, f"[server]\n{server}", secret=DEVELOPMENT_SECRET)
    assert "development secret" in line
    assert DEVELOPMENT_SECRET not in line


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_development_secret_serves_on_loopback(tmp_path: Path, host: str) -> None:
    read(tmp_path, f'[server]\nhost = "{host}"', secret=DEVELOPMENT_SECRET)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.9.9.9", True), ("[::1]", True), ("example.org", False), ("0.0.0.0", False), ("", False)],
)
def test_loopback_is_known(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_names_of_secrets_are_known() -> None:
    assert is_secret("secret")
    assert is_secret("smtp_password")
    assert not is_secret("private_key_file")
    assert not is_secret("port")


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        load(tmp_path / "none.toml", environ={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, environ={})
    assert "is not valid TOML" in faults(tmp_path, "[server\n")[0]
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load(tmp_path / "latin.toml", environ={})


def test_the_file_is_the_named_one_else_the_environments_else_the_checkouts_else_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"LIVEHUB_CONFIG": "/e.toml"}
    assert find(Path("/a.toml"), environ) == Path("/a.toml")
    assert find(None, environ) == Path("/e.toml")
    assert find(None, {}) == ROOT / "config" / "dev.toml"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "dev.toml").touch()
    (tmp_path / "pyproject.toml").touch()
    assert find(None, {}) == tmp_path / "config" / "dev.toml"
    monkeypatch.chdir("/")
    monkeypatch.setattr("livehub.config.__file__", "/nowhere/livehub/config.py")
    assert find(None, {}) == SYSTEM_FILE


def test_relative_paths_start_at_the_checkout_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "config").mkdir(parents=True)
    (checkout / "pyproject.toml").touch()
    (checkout / "config" / "dev.toml").write_text('[store]\ndata = "var"')
    monkeypatch.chdir(tmp_path)
    environ = {"LIVEHUB_AUTH__SECRET": SECRET}
    assert load(checkout / "config" / "dev.toml", environ=environ).store.data == checkout / "var"


def test_relative_paths_start_at_the_current_directory_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    assert read(tmp_path, '[store]\ndata = "var"').store.data == tmp_path / "cwd" / "var"


def test_a_feature_may_not_take_a_sections_name() -> None:
    class Server(Feature):
        name = "server"
        Settings = LampSettings

    with pytest.raises(TypeError, match="there is a section of that name"):
        sections([Server])


def test_the_development_file_is_ready_to_run() -> None:
    settings = load(ROOT / "config" / "dev.toml", environ={})
    assert settings.auth.secret == DEVELOPMENT_SECRET
    assert settings.store.data == ROOT / "var" / "livehub"
    assert settings.features["sessions"].auto_create
    assert settings.server.origins == ("*",)


def test_the_production_file_lacks_nothing_but_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        load(ROOT / "config" / "livehub.toml", environ={})
    [line] = str(caught.value).splitlines()
    assert "auth.secret is missing" in line
    assert load(ROOT / "config" / "livehub.toml", environ={"LIVEHUB_AUTH__SECRET": SECRET}).server.port == 3002
