"""DATABASE_URL: what it may be, and what is wrong with it."""

import pytest

from bridge.records.database import parse_url


@pytest.mark.parametrize(("text", "url"), [
    ("sqlite:///bridge.db", "sqlite+pysqlite:///bridge.db"),
    ("sqlite:////var/lib/bridge.db", "sqlite+pysqlite:////var/lib/bridge.db"),
    ("postgres://ada:s%40cret@db.example:5433/bridge", "postgresql+psycopg://ada:s%40cret@db.example:5433/bridge"),
    ("postgresql://db/bridge?sslmode=require", "postgresql+psycopg://db/bridge?sslmode=require"),
    ("postgres:///bridge?host=/run/postgresql", "postgresql+psycopg:///bridge?host=/run/postgresql"),
    ("postgresql+psycopg://db/bridge", "postgresql+psycopg://db/bridge"),
    ("sqlite+pysqlite:///bridge.db", "sqlite+pysqlite:///bridge.db"),
])
def test_an_address_names_its_driver(text: str, url: str) -> None:
    assert parse_url(text).render_as_string(hide_password=False).replace("%2F", "/") == url
    assert parse_url(parse_url(text).render_as_string(hide_password=False)) == parse_url(text)


@pytest.mark.parametrize(("text", "problem"), [
    ("bridge.db", "must be the URL of a database"),
    ("", "must be the URL of a database"),
    ("postgres://host:port/bridge", "must be the URL of a database"),
    ("mysql://host/bridge", "must begin with sqlite:/// or postgres://"),
    ("postgresql+asyncpg://host/bridge", "must begin with sqlite:/// or postgres://"),
    ("sqlite://", "must name a file behind sqlite:///"),
    ("sqlite:///:memory:", "must name a file behind sqlite:///"),
    ("sqlite:///file:bridge.db", "must name a file behind sqlite:///"),
    ("sqlite://bridge.db", "must name a file behind sqlite:///"),
    ("sqlite:///bridge.db?mode=ro", "must have nothing behind the file's name"),
    ("postgres://host", "must name a database behind the host"),
    ("postgres://host/", "must name a database behind the host"),
    ("postgres://host/bridge?password=secret", "must have its password before the @"),
])
def test_what_is_wrong_with_an_address_is_told(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")) as error:
        parse_url(text)
    assert "secret" not in str(error.value) and not error.value.__cause__


def test_a_password_does_not_show() -> None:
    assert "s3cret" not in repr(parse_url("postgres://ada:s3cret@db.example/bridge"))
