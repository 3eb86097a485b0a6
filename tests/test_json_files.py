"""JSON files are written whole or not at all, and read without a second meaning."""

import os

import pytest

from convexrelu._json_files import check_target, read_json, write_json
from convexrelu.errors import InvalidInputError

DOCUMENT = {"format": "test", "version": 1, "value": [1.0, 2.5]}


def test_what_is_written_is_read(tmp_path):
    write_json(tmp_path / "a.json", DOCUMENT)
    assert read_json(tmp_path / "a.json", kind="test", version=1) == DOCUMENT
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("name", ["nowhere/a.json", "", "a" * 300])
def test_what_cannot_be_written_is_said_first(tmp_path, name):
    with pytest.raises(InvalidInputError, match="cannot write"):
        check_target(tmp_path / name)


def test_a_field_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.json"
    path.write_text('{"format": "test", "version": 1, "value": 2, "value": 1}')
    with pytest.raises(InvalidInputError, match="'value' stands twice"):
        read_json(path, kind="test", version=1)
