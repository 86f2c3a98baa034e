"""Settings come from the environment, then from `.env`, then from their defaults; invalid ones are named."""

from pathlib import Path

import pytest

from app.runtime.settings import Settings, SettingsError, read_settings, variable_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)
    return tmp_path


def test_without_any_setting_the_defaults_apply() -> None:
    assert read_settings() == Settings()


def test_the_environment_comes_before_the_file_and_the_file_before_the_defaults(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("DUIXIAN_PORT=9000", 'export DUIXIAN_HOST="0.0.0.0"', "# none", "DUIXIAN_WORKERS", "OTHER=1")
    (folder / ".env").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setenv("DUIXIAN_PORT", "9001")
    monkeypatch.setenv("DUIXIAN_AUDIT_KEY_FILE", "keys/audit.key")
    expected = Settings(port=9001, host="0.0.0.0", audit_key_file=Path("keys/audit.key"))  # noqa: S104
    assert read_settings() == expected


def test_all_invalid_settings_are_named_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("DUIXIAN_PORT=\nDUIXIAN_WORKERS=0\n", encoding="utf-8")
    monkeypatch.setenv("DUIXIAN_LOG_FORMAT", "TEXT")
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert refused.value.problems == {
        "DUIXIAN_PORT": "应为整数",
        "DUIXIAN_WORKERS": "不能小于1",
        "DUIXIAN_LOG_FORMAT": "应为text或json",
    }
